"""Wheels onto a disk, each once, over lines that misbehave. Alone: `pytest tests/installers/test_fetching.py`."""

import random
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from installers.fetching import Access, Gathering, StoppedError, part_of, read_feed
from ltx_studio.installation.errors import InstallError
from ltx_studio.installation.locks import Wheel
from ltx_studio.installation.messages import Notice, Progress
from ltx_studio.installation.state import Part
from tests.fakes.wheels import WheelServer, write_wheel

SIZE_BYTES = 300_000
NEVER = threading.Event()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[WheelServer]:
    with WheelServer(tmp_path / "published") as server:
        yield server


@pytest.fixture
def wheels(tmp_path: Path) -> list[Wheel]:
    chance = random.Random(1)
    published = tmp_path / "published"
    return [write_wheel(published, name, {f"{name}/x": chance.randbytes(SIZE_BYTES)}) for name in ("one", "two")]


def access(server: WheelServer) -> Access:
    return Access(mirror=server.url, connections=2, stall_s=5.0, attempts=3, first_delay_s=0.01)


def gather(wheels: list[Wheel], folder: Path, allowed: Access, *, packs: tuple[Path, ...] = ()) -> Gathering:
    gathering = Gathering(wheels, folder, allowed, part=Part.ENGINE, packs=packs)
    list(gathering.run(NEVER))
    return gathering


def test_wheels_arrive_whole_and_the_end_is_told(server: WheelServer, wheels: list[Wheel], tmp_path: Path) -> None:
    gathering = Gathering(wheels, tmp_path / "here", access(server), part=Part.ENGINE)

    told = [message for message in gathering.run(NEVER) if isinstance(message, Progress)]

    assert sorted(path.name for path in (tmp_path / "here").iterdir()) == sorted(wheel.file for wheel in wheels)
    assert (told[-1].done, told[-1].total) == (told[-1].total, sum(wheel.size_bytes for wheel in wheels))


def test_what_is_whole_is_not_fetched_again(server: WheelServer, wheels: list[Wheel], tmp_path: Path) -> None:
    gather(wheels, tmp_path / "here", access(server))
    server.requests.clear()

    again = gather(wheels, tmp_path / "here", access(server))

    assert server.requests == []
    assert set(again.found) == {wheel.file for wheel in wheels}


def test_a_part_is_gone_on_with_where_it_ends(server: WheelServer, wheels: list[Wheel], tmp_path: Path) -> None:
    here, wheel = tmp_path / "here", wheels[0]
    here.mkdir()
    part_of(here, wheel).write_bytes((server.folder / wheel.file).read_bytes()[:100_000])

    gathering = Gathering([wheel], here, access(server), part=Part.ENGINE)
    assert gathering.missing_bytes == wheel.size_bytes - 100_000
    list(gathering.run(NEVER))

    assert server.sent[wheel.file] == wheel.size_bytes - 100_000
    assert server.requests == [f"{wheel.file} bytes=100000-"]


def test_a_line_that_drops_is_taken_up_again(server: WheelServer, wheels: list[Wheel], tmp_path: Path) -> None:
    server.drops = deque([50_000, 1])
    wheel = wheels[0]

    gathering = gather([wheel], tmp_path / "here", access(server))

    assert gathering.found[wheel.file].read_bytes() == (server.folder / wheel.file).read_bytes()
    assert server.sent[wheel.file] == wheel.size_bytes


def test_a_server_without_ranges_sends_it_from_the_beginning(
    server: WheelServer, wheels: list[Wheel], tmp_path: Path
) -> None:
    server.knows_ranges = False
    server.drops = deque([50_000])

    gather([wheels[0]], tmp_path / "here", access(server))

    assert (tmp_path / "here" / wheels[0].file).stat().st_size == wheels[0].size_bytes


def test_a_busy_server_is_asked_again(server: WheelServer, wheels: list[Wheel], tmp_path: Path) -> None:
    server.statuses = deque([503, 429])
    gathering = Gathering([wheels[0]], tmp_path / "here", access(server), part=Part.ENGINE)

    notices = [message for message in gathering.run(NEVER) if isinstance(message, Notice)]

    assert len(notices) == 2
    assert "answered 503" in notices[0].message


def test_a_part_that_the_disk_spoilt_is_fetched_anew(server: WheelServer, wheels: list[Wheel], tmp_path: Path) -> None:
    here, wheel = tmp_path / "here", wheels[0]
    here.mkdir()
    part_of(here, wheel).write_bytes(bytes(wheel.size_bytes))

    gathering = gather([wheel], here, access(server))

    assert gathering.found[wheel.file].read_bytes() == (server.folder / wheel.file).read_bytes()


def test_a_wheel_that_the_disk_spoilt_is_fetched_anew(server: WheelServer, wheels: list[Wheel], tmp_path: Path) -> None:
    here, wheel = tmp_path / "here", wheels[0]
    here.mkdir()
    (here / wheel.file).write_bytes(bytes(wheel.size_bytes))

    gather([wheel], here, access(server))

    assert (here / wheel.file).read_bytes() == (server.folder / wheel.file).read_bytes()


def test_a_file_that_is_not_the_published_one_is_never_given_its_name(
    server: WheelServer, wheels: list[Wheel], tmp_path: Path
) -> None:
    other = replace(wheels[0], sha256="0" * 64)

    with pytest.raises(InstallError, match="wrong hash"):
        gather([other], tmp_path / "here", access(server))

    assert not (tmp_path / "here" / other.file).exists()


@pytest.mark.parametrize("status", [404, 401])
def test_a_refusal_ends_it_at_once_with_a_sentence(
    server: WheelServer, wheels: list[Wheel], tmp_path: Path, status: int
) -> None:
    server.statuses = deque([status])

    with pytest.raises(InstallError, match=f"answered {status}"):
        gather([wheels[0]], tmp_path / "here", access(server))

    assert len(server.requests) == 1


def test_a_server_that_is_not_there_is_given_up_after_a_while(wheels: list[Wheel], tmp_path: Path) -> None:
    nowhere = Access(mirror="http://127.0.0.1:9", attempts=2, first_delay_s=0.01)

    with pytest.raises(InstallError, match="cannot be fetched"):
        gather([wheels[0]], tmp_path / "here", nowhere)


def test_stopping_keeps_what_arrived(server: WheelServer, wheels: list[Wheel], tmp_path: Path) -> None:
    server.bytes_per_s = 200_000
    stop = threading.Event()
    gathering = Gathering([wheels[0]], tmp_path / "here", access(server), part=Part.ENGINE)

    def until_something_is_there() -> None:
        for message in gathering.run(stop):
            if isinstance(message, Progress) and message.done > 0:
                stop.set()

    with pytest.raises(StoppedError):
        until_something_is_there()
    assert part_of(tmp_path / "here", wheels[0]).stat().st_size > 0


def test_without_the_network_what_is_missing_is_named(wheels: list[Wheel], tmp_path: Path) -> None:
    with pytest.raises(InstallError) as failure:
        gather(wheels, tmp_path / "here", Access(is_allowed=False))

    assert failure.value.code == "offline"
    assert "one" in failure.value.message


def test_a_pack_is_copied_and_nothing_is_asked(server: WheelServer, wheels: list[Wheel], tmp_path: Path) -> None:
    gather(wheels, tmp_path / "here", Access(is_allowed=False), packs=(server.folder,))

    assert server.requests == []
    assert len(list((tmp_path / "here").iterdir())) == 2


def test_a_damaged_pack_is_said_and_the_network_used(server: WheelServer, wheels: list[Wheel], tmp_path: Path) -> None:
    pack = tmp_path / "pack"
    pack.mkdir()
    (pack / wheels[0].file).write_bytes(b"damaged")
    gathering = Gathering([wheels[0]], tmp_path / "here", access(server), part=Part.ENGINE, packs=(pack,))

    notices = [message for message in gathering.run(NEVER) if isinstance(message, Notice)]

    assert "not the published file" in notices[0].message
    assert (tmp_path / "here" / wheels[0].file).exists()


def test_certificates_that_cannot_be_read_are_said(wheels: list[Wheel], tmp_path: Path) -> None:
    with pytest.raises(InstallError) as failure:
        gather(wheels, tmp_path / "here", Access(certificates=tmp_path / "none.pem"))

    assert failure.value.code == "certificates"


def test_wheels_come_through_the_proxy_that_is_named(server: WheelServer, wheels: list[Wheel], tmp_path: Path) -> None:
    through = replace(access(server), proxy=server.url, mirror="http://wheels.invalid")

    gather([wheels[0]], tmp_path / "here", through)

    assert server.requests == [wheels[0].file]


def test_something_that_is_no_proxy_is_said(wheels: list[Wheel], tmp_path: Path) -> None:
    with pytest.raises(InstallError, match="is not a proxy"):
        gather(wheels, tmp_path / "here", Access(proxy="socks5://host:1"))


def test_a_feed_is_read_and_a_missing_one_is_said(server: WheelServer, wheels: list[Wheel]) -> None:
    assert len(read_feed(f"{server.url}/{wheels[0].file}", access(server))) == wheels[0].size_bytes
    with pytest.raises(InstallError, match="127"):
        read_feed(f"{server.url}/none.json", access(server))
