"""What speaks against a folder. Alone: `pytest tests/ltx_studio/installation/test_places.py`."""

from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest

from ltx_studio.installation.places import Place, Remark, Use, file_system_of, look_at, verdicts

GB = 10**9
HOME = PurePosixPath("/srv/studio")
ONEDRIVE = PureWindowsPath("C:/x/OneDrive - Firm/studio")
DEEP = PureWindowsPath("C:/a place/a folder with a long name/and another one below it/and one more below that one too")


@pytest.mark.parametrize(
    ("place", "use", "found"),
    [
        (Place(HOME, 100 * GB), Use.ENGINE, []),
        (Place(HOME, 9 * GB), Use.ENGINE, [(Remark.NOT_ENOUGH_ROOM, True)]),
        (Place(HOME, None), Use.ENGINE, []),
        (Place(HOME, 100 * GB, is_writable=False), Use.MODELS, [(Remark.NOT_WRITABLE, True)]),
        (Place(PurePosixPath("studio"), 100 * GB), Use.ENGINE, [(Remark.NOT_ABSOLUTE, True)]),
        (Place(HOME, 100 * GB, "nfs4"), Use.ENGINE, [(Remark.NETWORK, True)]),
        (Place(HOME, 100 * GB, "cifs"), Use.MODELS, [(Remark.NETWORK, False)]),
        (Place(PureWindowsPath("//server/share/x"), 100 * GB), Use.ENGINE, [(Remark.NETWORK, True)]),
        (Place(ONEDRIVE, 100 * GB), Use.ENGINE, [(Remark.SYNCED, True)]),
        (Place(ONEDRIVE, 100 * GB), Use.PROJECTS, [(Remark.SYNCED, False)]),
        (Place(PurePosixPath("/srv/Dropbox/x"), 100 * GB), Use.ENGINE, [(Remark.SYNCED, True)]),
        (
            Place(PurePosixPath("/Library/Mobile Documents/com~apple~CloudDocs/x"), 100 * GB),
            Use.ENGINE,
            [(Remark.SYNCED, True)],
        ),
        (Place(DEEP, 100 * GB, is_windows=True, takes_long_paths=False), Use.ENGINE, [(Remark.LONG_PATH, True)]),
        (Place(DEEP, 100 * GB, is_windows=True, takes_long_paths=True), Use.ENGINE, []),
        (Place(DEEP, 100 * GB, is_windows=True, takes_long_paths=False), Use.MODELS, []),
    ],
)
def test_each_folder_gets_the_remarks_it_deserves(place: Place, use: Use, found: list[tuple[Remark, bool]]) -> None:
    given = list(verdicts(place, use, needed_bytes=10 * GB))

    assert [(verdict.remark, verdict.is_fatal) for verdict in given] == found
    assert all(verdict.sentence.endswith(".") for verdict in given)


def test_the_innermost_mount_says_what_a_folder_is_on() -> None:
    mounts = [("/", "ext4"), ("/srv", "nfs4"), ("/srv/local", "xfs")]

    found = [file_system_of(PurePosixPath(path), mounts) for path in ("/srv/x", "/srv/local/x", "/srvx", "/etc")]

    assert found == ["nfs4", "xfs", "ext4", "ext4"]


def test_a_folder_that_is_not_there_yet_has_its_disks_room(tmp_path: Path) -> None:
    place = look_at(tmp_path / "not" / "yet")

    assert place.is_writable
    assert place.free_bytes is not None
    assert place.free_bytes > 0
    assert not (tmp_path / "not").exists()
