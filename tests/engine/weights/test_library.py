"""Installed models: verifying, adopting, offline packs, removing; and who may read the token.

Alone: `pytest tests/engine/weights/test_library.py`.
"""

import hashlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import CheckpointError, RequestError, StorageFull
from engine.folders import models_folder
from engine.weights import pack
from engine.weights.access import Access, find_access, save_settings, save_token, settings_path, token_path
from engine.weights.adopt import Adopted, Passed, adopt, usual_folders
from engine.weights.catalog import Place, places
from engine.weights.fetch import fetch
from engine.weights.installed import Checked, all_places, remove, state_of, verified_sha256, verify
from engine.weights.lock import try_lock
from engine.weights.pack import MANIFEST, Copied, export_pack, import_pack
from tests.fakes.catalogue import CONTENTS, MODELS, TERMS, small_catalogue
from tests.fakes.hub import FakeHub

ONE, UPSAMPLER = CONTENTS[f"{MODELS}/one.safetensors"], CONTENTS[f"{MODELS}/upsampler.safetensors"]


@pytest.fixture(autouse=True)
def small_models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as monkeypatch, small_catalogue(tmp_path_factory.mktemp("data"), monkeypatch):
        yield


def install(*names: str) -> None:
    with FakeHub(dict(CONTENTS)) as hub:
        for name in names:
            list(fetch(places(name), Access(hub.url)))


def checkpoint_of(name: str) -> Place:
    return places(name)[0]


def rewritten(path: Path) -> bytes:
    """Turn one bit, as a disk might, at another time."""
    content = path.read_bytes()
    path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    os.utime(path, ns=(0, 0))
    return content


def content_at(place: Place) -> bytes:
    return CONTENTS[f"{place.file.repository}/{place.file.name}"]


# --- verifying --------------------------------------------------------------------------------------------------------


def test_a_fetched_model_is_verified_with_its_text_encoder() -> None:
    install("one")

    assert {place.path.name: state_of(place) for place in places("one")} == dict.fromkeys(
        ("one.safetensors", "upsampler.safetensors", "model.safetensors", "config.json"), "verified"
    )


def test_models_share_the_files_that_are_the_same() -> None:
    install("one", "two")

    assert places("one")[1].path.samefile(places("two")[1].path)


def test_a_file_that_changed_since_counts_as_unverified_and_is_put_aside_when_read() -> None:
    install("one")
    place = checkpoint_of("one")
    rewritten(place.path)

    assert state_of(place) == "unverified"
    *_, last = verify(place)

    assert isinstance(last, Checked)
    assert (last.state, "put aside" in last.message) == ("wrong", True)
    assert state_of(place) == "missing"
    assert place.path.with_name("one.safetensors.wrong").exists()


def test_a_right_file_put_there_by_hand_becomes_verified() -> None:
    place = checkpoint_of("one")
    place.path.parent.mkdir(parents=True)
    place.path.write_bytes(ONE)

    *_, last = verify(place)

    assert isinstance(last, Checked)
    assert last.state == "right"
    assert state_of(place) == "verified"


def test_a_file_whose_hash_nobody_knows_is_not_called_right() -> None:
    place = checkpoint_of("two")
    place.path.parent.mkdir(parents=True)
    place.path.write_bytes(ONE)

    *_, last = verify(place)

    assert isinstance(last, Checked)
    assert last.state == "unknown"
    assert state_of(place) == "unverified"


# --- adopting ---------------------------------------------------------------------------------------------------------


def test_a_right_file_of_any_name_is_linked_and_not_copied(tmp_path: Path) -> None:
    source = tmp_path / "ComfyUI" / "models" / "checkpoints" / "renamed.safetensors"
    source.parent.mkdir(parents=True)
    source.write_bytes(ONE)

    events = list(adopt([tmp_path / "ComfyUI" / "models"], places("one")))

    place = checkpoint_of("one")
    assert Adopted(place, source, "hard link") in events
    assert place.path.samefile(source)
    assert verified_sha256(place.path) == hashlib.sha256(ONE).hexdigest()


def test_a_file_of_the_right_size_and_wrong_content_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "one.safetensors").write_bytes(bytes(len(ONE)))

    events = list(adopt([tmp_path], places("one")))

    assert isinstance(events[-1], Passed)
    assert state_of(checkpoint_of("one")) == "missing"


def test_files_of_other_sizes_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "one.safetensors").write_bytes(ONE + b"x")

    assert list(adopt([tmp_path], places("one"))) == []


def test_the_hubs_cache_vouches_for_files_that_the_catalogue_has_no_hash_of(tmp_path: Path) -> None:
    snapshots = tmp_path / f"models--{TERMS.replace('/', '--')}" / "snapshots" / "abc"
    blobs = snapshots.parent.parent / "blobs"
    snapshots.mkdir(parents=True)
    blobs.mkdir()
    model, config = CONTENTS[f"{TERMS}/model.safetensors"], CONTENTS[f"{TERMS}/config.json"]
    names = {
        "model.safetensors": (model, hashlib.sha256(model).hexdigest()),
        "config.json": (config, hashlib.sha1(b"blob %d\0" % len(config) + config).hexdigest()),
    }
    for name, (content, blob) in names.items():
        (blobs / blob).write_bytes(content)
        (snapshots / name).symlink_to(blobs / blob)

    list(adopt([tmp_path], places("reader")))

    assert [state_of(place) for place in places("reader")] == ["verified", "verified"]
    assert places("reader")[0].path.read_bytes() == model


def test_a_damaged_file_in_the_hubs_cache_is_passed_over(tmp_path: Path) -> None:
    folder = tmp_path / f"models--{TERMS.replace('/', '--')}" / "snapshots" / "abc"
    folder.mkdir(parents=True)
    (tmp_path / ("0" * 64)).write_bytes(b"damaged")
    (folder / "model.safetensors").symlink_to(tmp_path / ("0" * 64))

    assert isinstance(list(adopt([tmp_path], places("reader")))[-1], Passed)


def test_where_hard_links_fail_a_symbolic_one_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise OSError("another disk")

    source = tmp_path / "one.safetensors"
    source.write_bytes(ONE)
    monkeypatch.setattr(os, "link", refuse)

    events = list(adopt([tmp_path], places("one")))

    assert isinstance(events[-1], Adopted)
    assert (events[-1].how, checkpoint_of("one").path.is_symlink()) == ("symbolic link", True)


def test_where_no_link_works_the_file_is_copied_if_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "one.safetensors").write_bytes(ONE)
    monkeypatch.setattr("engine.weights.adopt.link", lambda *_: None)
    monkeypatch.setattr("engine.weights.adopt.free_disk_bytes", lambda _: len(ONE) - 1)
    with pytest.raises(StorageFull, match="copying needs"):
        list(adopt([tmp_path], places("one")))

    monkeypatch.setattr("engine.weights.adopt.free_disk_bytes", lambda _: len(ONE))
    list(adopt([tmp_path], places("one")))

    assert checkpoint_of("one").path.read_bytes() == ONE


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="is not a folder"):
        list(adopt([tmp_path / "nothing"], places("one")))


def test_the_hubs_cache_is_looked_for_where_its_variable_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))

    assert tmp_path in usual_folders()


# --- offline packs ----------------------------------------------------------------------------------------------------


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """A pack of `one`, and a machine on which it is not installed any more."""
    install("one")
    list(export_pack(["one"], tmp_path / "pack"))
    remove("one")
    remove("reader")
    return tmp_path / "pack"


def test_a_pack_brings_a_model_to_another_machine(exported: Path) -> None:
    events = list(import_pack(exported))

    assert [place.path.read_bytes() for place in places("one")] == [content_at(place) for place in places("one")]
    assert {state_of(place) for place in places("one")} == {"verified"}
    assert sum(isinstance(event, Copied) and not event.was_there for event in events) == 4


def test_importing_again_copies_nothing(exported: Path) -> None:
    list(import_pack(exported))

    assert all(event.was_there for event in import_pack(exported) if isinstance(event, Copied))


def test_a_second_model_is_added_to_a_pack(exported: Path) -> None:
    install("two")
    events = [event for event in export_pack(["two"], exported) if isinstance(event, Copied)]

    assert {event.file: event.was_there for event in events}["config.json"]
    assert len(json.loads((exported / MANIFEST).read_text())["files"]) == 6


def test_a_damaged_file_of_a_pack_is_said_and_not_installed(exported: Path) -> None:
    rewritten(exported / "one" / "one.safetensors")

    with pytest.raises(CheckpointError, match="wrong hash"):
        list(import_pack(exported))

    assert state_of(checkpoint_of("one")) == "missing"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"path": "../../outside"}, "no model here uses"),
        ({"path": "one/other.safetensors"}, "no model here uses"),
        ({"size_bytes": 1}, "another size"),
        ({"sha256": "0" * 64}, "not the published file"),
        ({"sha256": "wrong"}, "is damaged"),
        ({"size_bytes": "many"}, "is damaged"),
    ],
)
def test_a_manifest_that_lies_is_refused(change: dict[str, object], words: str, exported: Path) -> None:
    manifest = json.loads((exported / MANIFEST).read_text())
    manifest["files"][0] |= change
    (exported / MANIFEST).write_text(json.dumps(manifest))

    with pytest.raises(CheckpointError, match=words):
        list(import_pack(exported))

    assert all(state_of(place) == "missing" for place in all_places())


@pytest.mark.parametrize(
    ("text", "words"), [("{", "cannot be read"), ("[]", "is damaged"), ('{"format": 2}', "newer version")]
)
def test_a_manifest_that_cannot_be_understood_is_said(text: str, words: str, exported: Path) -> None:
    (exported / MANIFEST).write_text(text)

    with pytest.raises(CheckpointError, match=words):
        list(import_pack(exported))


def test_a_folder_without_a_manifest_is_no_pack(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="no offline pack"):
        list(import_pack(tmp_path))


def test_only_verified_models_are_exported(tmp_path: Path) -> None:
    install("one")
    rewritten(checkpoint_of("one").path)

    with pytest.raises(CheckpointError, match="is not verified"):
        list(export_pack(["one"], tmp_path / "pack"))

    assert not (tmp_path / "pack").exists()


def test_too_little_space_is_said_before_anything_is_copied(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack, "free_disk_bytes", lambda _: 1000)

    with pytest.raises(StorageFull, match="copying needs"):
        list(import_pack(exported))

    assert not any(place.path.exists() for place in all_places())


# --- removing ---------------------------------------------------------------------------------------------------------


def test_removing_deletes_a_models_own_files_and_keeps_the_text_encoder() -> None:
    install("one")

    removed = remove("one")

    assert removed.kept_text_encoder == "reader"
    assert removed.freed_bytes == len(ONE) + len(UPSAMPLER)
    assert sorted(item.name for item in models_folder().iterdir()) == ["reader"]


def test_removing_what_is_shared_frees_only_what_is_not() -> None:
    install("one", "two")

    assert remove("one").freed_bytes == len(ONE)
    assert places("two")[1].path.read_bytes() == UPSAMPLER


def test_removing_an_adopted_model_leaves_the_others_file(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_bytes(ONE)
    list(adopt([tmp_path], places("one")))

    assert remove("one").freed_bytes == 0
    assert (tmp_path / "theirs").read_bytes() == ONE


def test_what_is_not_installed_or_being_fetched_cannot_be_removed() -> None:
    with pytest.raises(CheckpointError, match="is not installed"):
        remove("one")
    with pytest.raises(RequestError, match="no model named 'three'"):
        remove("three")
    install("one")
    path = checkpoint_of("one").path
    with try_lock(path.with_name(f".{path.name}.lock")), pytest.raises(CheckpointError, match="being fetched"):
        remove("one")


# --- reaching the hub -------------------------------------------------------------------------------------------------


def test_the_mirror_is_the_callers_then_the_environments_then_the_kept_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    save_settings(endpoint="https://kept.example/", proxy="http://proxy:1")

    assert find_access() == Access("https://kept.example", proxy="http://proxy:1", token=None)
    monkeypatch.setenv("HF_ENDPOINT", "https://environment.example")
    assert find_access().endpoint == "https://environment.example"
    assert find_access(endpoint="https://caller.example").endpoint == "https://caller.example"


@pytest.mark.parametrize("text", ["{", "[]", '{"endpoint": 3}'])
def test_damaged_settings_are_said(text: str) -> None:
    settings_path().write_text(text)

    with pytest.raises(RequestError, match="cannot be read"):
        find_access()


def test_a_mirror_that_is_no_address_is_said() -> None:
    with pytest.raises(RequestError, match="not the address of a hub"):
        find_access(endpoint="mirror")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")
def test_the_token_is_kept_where_only_its_owner_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    save_token("hf_secret")

    assert find_access().token == "hf_secret"
    assert "hf_secret" not in repr(find_access())
    assert token_path().stat().st_mode & 0o777 == 0o600
    token_path().chmod(0o644)
    with pytest.raises(RequestError, match="Others on this machine"):
        find_access()
    save_token(None)
    assert find_access().token is None


# --- the real catalogue -----------------------------------------------------------------------------------------------


def test_every_file_of_the_real_catalogue_has_a_source_a_purpose_and_a_plausible_hash() -> None:
    values = json.loads((Path(__file__).parents[3] / "resources" / "models" / "catalogue.json").read_text())

    for name, file in values["files"].items():
        assert file["repository"] in values["repositories"], name
        assert file["purpose"], name
        assert (file["sha256"] is None) == (file["size_bytes"] is None), name
        assert file["sha256"] is None or len(bytes.fromhex(file["sha256"])) == 32, name
    used = {name for model in values["models"].values() if not model.get("bundled") for name in model["files"].values()}
    assert used == set(values["files"])
