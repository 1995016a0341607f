"""Fetching: whatever a server does, the right bytes or a clear error, and never a wrong file under its name.

Alone: `pytest tests/engine/weights/test_fetch.py`.
"""

import hashlib
import time
from collections import deque
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path

import pytest

from engine.errors import DownloadError, StorageFull
from engine.weights.access import Access
from engine.weights.catalog import Place, PublishedFile
from engine.weights.fetch import FetchEvent, FetchProgress, FileInstalled, QueueReady, fetch
from engine.weights.installed import state_of, verified_sha256
from engine.weights.partial import part_path, record_path
from engine.weights.workers import FetchNotice, Pace
from tests.fakes.hub import Drop, FakeHub, Fault, Flip, Replace, Stall, Status, WholeFile, content_of

REPOSITORY, NAME = "Lightricks/LTX-test", "model.safetensors"
KEY = f"{REPOSITORY}/{NAME}"
KIB = 1 << 10
CONTENT = content_of(500 * KIB + 7)
OTHER = content_of(500 * KIB + 7, seed=1)
PACE = Pace(
    connections=3, piece_bytes=16 * KIB, pieces_per_range=6, stall_s=20.0, first_delay_s=0.01, longest_delay_s=0.02
)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def published(name: str = NAME, *, size: int | None = None, digest: str | None = None) -> PublishedFile:
    return PublishedFile(REPOSITORY, name, "to be tested", "none", has_terms=False, size_bytes=size, sha256=digest)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(published(), tmp_path / "models" / NAME)


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with FakeHub({KEY: CONTENT}) as running:
        yield running


def get(hub: FakeHub, *places: Place, pace: Pace = PACE, token: str | None = None) -> list[FetchEvent]:
    return list(fetch(places, Access(hub.url, token=token), pace=pace))


def files_of(place: Place) -> set[str]:
    return {item.name for item in place.path.parent.iterdir()}


def assert_installed(place: Place, content: bytes = CONTENT) -> None:
    assert place.path.read_bytes() == content
    assert verified_sha256(place.path) == sha256(content)
    assert files_of(place) == {NAME, f".{NAME}.verified"}


# --- as it should be --------------------------------------------------------------------------------------------------


def test_a_file_is_fetched_verified_and_named(hub: FakeHub, place: Place) -> None:
    events = get(hub, place)

    assert_installed(place)
    assert events[-1] == FileInstalled(NAME, place.path, sha256(CONTENT), len(CONTENT))
    assert hub.sent_bytes == len(CONTENT)


def test_progress_says_how_far_how_fast_and_how_long(hub: FakeHub, place: Place) -> None:
    hub.bytes_per_s = 200 * KIB

    readings = [event for event in get(hub, place) if isinstance(event, FetchProgress)]

    assert readings[-1].done_bytes == readings[-1].total_bytes == len(CONTENT)
    assert [item.done_bytes for item in readings] == sorted(item.done_bytes for item in readings)
    halfway = next(item for item in readings if 0 < item.done_bytes < len(CONTENT))
    assert halfway.bytes_per_s > 0
    assert halfway.eta_s == (len(CONTENT) - halfway.done_bytes) / halfway.bytes_per_s


def test_a_file_that_is_there_costs_no_request(hub: FakeHub, place: Place) -> None:
    get(hub, place)
    hub.requests.clear()

    assert get(hub, place) == [QueueReady((), 0, 0)]
    assert hub.requests == []


def test_a_right_file_put_there_by_hand_is_checked_and_not_fetched(hub: FakeHub, place: Place) -> None:
    place.path.parent.mkdir()
    place.path.write_bytes(CONTENT)

    get(hub, place)

    assert_installed(place)
    assert hub.sent_bytes == 0


def test_a_wrong_file_put_there_by_hand_is_put_aside_and_fetched(hub: FakeHub, place: Place) -> None:
    place.path.parent.mkdir()
    place.path.write_bytes(OTHER)

    events = get(hub, place)

    assert place.path.read_bytes() == CONTENT
    assert place.path.with_name(f"{NAME}.wrong").read_bytes() == OTHER
    assert any(isinstance(event, FetchNotice) and "wrong hash" in event.message for event in events)


def test_small_files_are_checked_against_gits_hash(hub: FakeHub, place: Place) -> None:
    hub.small_files_are_git = True

    get(hub, place)

    assert_installed(place)


def test_a_file_without_a_byte_is_fetched_too(place: Place) -> None:
    with FakeHub({KEY: b""}) as hub:
        get(hub, place)

    assert_installed(place, b"")


def test_the_same_file_of_two_models_is_fetched_once(hub: FakeHub, tmp_path: Path) -> None:
    first = Place(published(), tmp_path / "one" / NAME)
    second = Place(published(), tmp_path / "two" / NAME)

    get(hub, first, second)

    assert hub.sent_bytes == len(CONTENT)
    assert_installed(first)
    assert_installed(second)
    assert first.path.samefile(second.path)


def test_a_token_goes_to_the_hub_and_not_to_the_storage_it_names(hub: FakeHub, place: Place) -> None:
    hub.required_token = "hf_secret"

    get(hub, place, token="hf_secret")

    assert_installed(place)
    assert hub.tokens_at_storage == []


def test_a_token_is_not_sent_in_the_clear_across_a_network(hub: FakeHub, place: Place) -> None:
    hub.required_token = "hf_secret"
    access = Access("http://hub.example", proxy=hub.url, token="hf_secret")

    with pytest.raises(DownloadError, match="accepted its terms"):
        list(fetch([place], access, pace=PACE))


def test_a_proxy_that_is_set_is_asked_for_everything(hub: FakeHub, place: Place) -> None:
    list(fetch([place], Access("http://hub.example", proxy=hub.url), pace=PACE))

    assert_installed(place)
    assert hub.requests[0] == f"HEAD http://hub.example/{REPOSITORY}/resolve/main/{NAME}"


def test_the_environments_proxy_is_used(hub: FakeHub, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", hub.url)
    monkeypatch.setenv("no_proxy", "")

    list(fetch([place], Access("http://hub.example"), pace=PACE))

    assert_installed(place)


def test_a_file_that_the_catalogue_replaced_since_is_fetched_again(hub: FakeHub, place: Place) -> None:
    get(hub, place)
    hub.files[KEY] = OTHER
    newer = Place(published(size=len(OTHER), digest=sha256(OTHER)), place.path)

    get(hub, newer)

    assert place.path.read_bytes() == OTHER
    assert state_of(newer) == "verified"


# --- servers that misbehave -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "faults",
    [
        [Drop(0)],
        [Drop(40 * KIB), Drop(20 * KIB), Drop(0)],
        [Status(500), Status(502), Status(503)],
        [Status(429, (("Retry-After", "0"),))],
        [Status(416)],
        [Status(403)],
        [WholeFile()],
        [WholeFile(drop_after_bytes=200 * KIB), WholeFile()],
        [Drop(40 * KIB), WholeFile()],
    ],
    ids=str,
)
def test_trouble_on_the_way_ends_in_the_right_bytes(faults: list[Fault], hub: FakeHub, place: Place) -> None:
    hub.faults = deque(faults)

    get(hub, place)

    assert_installed(place)
    assert not hub.faults


def test_a_line_that_falls_silent_is_given_up_for_another(hub: FakeHub, place: Place) -> None:
    hub.faults = deque([Stall(40 * KIB, 2.0)])

    events = get(hub, place, pace=replace(PACE, stall_s=0.5, attempts=20))

    assert_installed(place)
    assert any(isinstance(event, FetchNotice) and "fell silent" in event.message for event in events)


def test_a_dropped_line_costs_only_the_pieces_that_were_under_way(hub: FakeHub, place: Place) -> None:
    hub.faults = deque([Drop(40 * KIB)] * 4)

    get(hub, place)

    assert hub.sent_bytes <= len(CONTENT) + 4 * PACE.piece_bytes


@pytest.mark.parametrize("connections", [1, 3])
def test_a_flipped_bit_is_quarantined_and_said(connections: int, hub: FakeHub, place: Place) -> None:
    hub.faults = deque([Flip()])

    with pytest.raises(DownloadError, match="wrong hash") as caught:
        get(hub, place, pace=replace(PACE, connections=connections))

    assert caught.value.remedy
    assert files_of(place) == {f"{NAME}.wrong"}
    assert state_of(place) == "missing"
    get(hub, place)
    assert place.path.read_bytes() == CONTENT


def test_a_file_that_changes_midway_is_fetched_anew(hub: FakeHub, place: Place) -> None:
    hub.faults = deque([Drop(100 * KIB), Replace(OTHER)])

    events = get(hub, place)

    assert_installed(place, OTHER)
    assert any(isinstance(event, FetchNotice) and "changed on the server" in event.message for event in events)


def test_a_file_that_shrinks_midway_is_fetched_anew(hub: FakeHub, place: Place) -> None:
    hub.faults = deque([Drop(300 * KIB), Replace(OTHER[: 100 * KIB])])

    get(hub, place)

    assert_installed(place, OTHER[: 100 * KIB])


def test_a_file_that_changes_between_two_attempts_is_fetched_anew(hub: FakeHub, place: Place) -> None:
    stop_after(hub, place, 200 * KIB)
    hub.files[KEY] = OTHER

    get(hub, place)

    assert_installed(place, OTHER)


def test_a_changed_file_is_refused_where_the_catalogue_knows_the_right_one(hub: FakeHub, tmp_path: Path) -> None:
    place = Place(published(size=len(CONTENT), digest=sha256(CONTENT)), tmp_path / "models" / NAME)
    hub.faults = deque([Drop(100 * KIB), Replace(OTHER)])

    with pytest.raises(DownloadError, match="another model"):
        get(hub, place)

    assert not place.path.exists()


def test_a_server_that_goes_on_failing_is_given_up_and_what_came_is_kept(hub: FakeHub, place: Place) -> None:
    hub.faults = deque([Drop(100 * KIB), *[Status(500)] * 100])

    with pytest.raises(DownloadError, match="answered 500") as caught:
        get(hub, place)

    assert "is kept" in caught.value.remedy
    hub.faults.clear()
    hub.sent_bytes = 0
    get(hub, place)
    assert_installed(place)
    assert hub.sent_bytes <= len(CONTENT) - 90 * KIB


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_busy_server_is_left_alone_as_long_as_it_asks(form: str, hub: FakeHub, place: Place) -> None:
    wait = "1" if form == "seconds" else formatdate(time.time() + 2, usegmt=True)
    hub.head_faults = deque([Status(429, (("Retry-After", wait),))])
    start = time.monotonic()

    get(hub, place)

    assert time.monotonic() - start >= 0.9
    assert_installed(place)


def test_a_wait_of_hours_is_said_instead_of_sat_out(hub: FakeHub, place: Place) -> None:
    hub.head_faults = deque([Status(503, (("Retry-After", "7200"),))])

    with pytest.raises(DownloadError, match="120 minutes"):
        get(hub, place)


@pytest.mark.parametrize(
    ("status", "words"), [(404, "has no file"), (401, "accepted its terms"), (403, "accepted its terms")]
)
def test_what_will_not_pass_is_said_at_once(status: int, words: str, hub: FakeHub, place: Place) -> None:
    hub.head_faults = deque([Status(status)])

    with pytest.raises(DownloadError, match=words) as caught:
        get(hub, place)

    assert caught.value.remedy
    assert len(hub.requests) == 0


def test_a_server_that_is_not_there_is_said(place: Place) -> None:
    with FakeHub({}) as hub:
        address = hub.url

    with pytest.raises(DownloadError, match="4 times in a row"):
        list(fetch([place], Access(address), pace=PACE))


@pytest.mark.parametrize(
    ("size", "digest", "words"),
    [(len(CONTENT) + 1, sha256(CONTENT), "500,000|512,008"), (len(CONTENT), sha256(OTHER), "its hash is")],
)
def test_another_file_than_the_published_one_is_refused_before_the_first_byte(
    size: int, digest: str, words: str, hub: FakeHub, tmp_path: Path
) -> None:
    with pytest.raises(DownloadError, match=words):
        get(hub, Place(published(size=size, digest=digest), tmp_path / NAME))

    assert hub.sent_bytes == 0


def test_a_plain_mirror_serves_what_the_catalogue_can_check(hub: FakeHub, tmp_path: Path) -> None:
    hub.states_hashes = False
    place = Place(published(size=len(CONTENT), digest=sha256(CONTENT)), tmp_path / "models" / NAME)

    get(hub, place)

    assert_installed(place)


def test_a_file_that_nobody_states_a_hash_of_is_refused(hub: FakeHub, place: Place) -> None:
    hub.states_hashes = False

    with pytest.raises(DownloadError, match="could not be checked"):
        get(hub, place)

    assert hub.sent_bytes == 0


# --- stopping and going on --------------------------------------------------------------------------------------------


def stop_after(hub: FakeHub, place: Place, num_bytes: int) -> int:
    """Stop a fetch once so much has come; returns how much was kept."""
    hub.bytes_per_s = 150 * KIB
    with closing(fetch([place], Access(hub.url), pace=PACE)) as events:
        kept = next(
            item.done_bytes for item in events if isinstance(item, FetchProgress) and item.done_bytes >= num_bytes
        )
    hub.bytes_per_s = None
    return kept


def fetched_bytes(events: list[FetchEvent]) -> int:
    return sum(event.fetched_bytes for event in events if isinstance(event, FileInstalled))


def test_stopping_keeps_what_came_and_going_on_fetches_the_rest(hub: FakeHub, place: Place) -> None:
    kept = stop_after(hub, place, 200 * KIB)
    assert not place.path.exists()
    assert state_of(place) == "partial"

    events = get(hub, place)

    assert_installed(place)
    assert fetched_bytes(events) <= len(CONTENT) - kept
    ready = next(item for item in events if isinstance(item, QueueReady))
    assert ready.kept_bytes >= kept


def test_stopping_takes_no_longer_than_a_moment_on_a_silent_line(hub: FakeHub, place: Place) -> None:
    hub.faults = deque([Stall(20 * KIB, 15.0)] * 3)

    with closing(fetch([place], Access(hub.url), pace=PACE)) as events:
        next(item for item in events if isinstance(item, FetchProgress))
        start = time.monotonic()

    assert time.monotonic() - start < 8.0


def test_pieces_damaged_on_disk_are_fetched_again_and_only_those(hub: FakeHub, place: Place) -> None:
    stop_after(hub, place, 300 * KIB)
    with part_path(place.path).open("r+b") as part:
        part.write(b"\0" * 100)

    events = get(hub, place)

    assert_installed(place)
    assert fetched_bytes(events) <= 230 * KIB
    assert any(isinstance(event, FetchNotice) and "damaged" in event.message for event in events)


@pytest.mark.parametrize(
    "damage", [b"", b"\xff\xfe", b"[]\n", b'{"format": 1}\n', b'{"format": 9, "piece_bytes": 0}\n']
)
def test_a_damaged_record_means_starting_over(damage: bytes, hub: FakeHub, place: Place) -> None:
    stop_after(hub, place, 200 * KIB)
    record_path(place.path).write_bytes(damage)

    get(hub, place)

    assert_installed(place)


def test_a_record_cut_in_its_last_line_loses_that_piece_only(hub: FakeHub, place: Place) -> None:
    kept = stop_after(hub, place, 200 * KIB)
    record = record_path(place.path)
    record.write_bytes(record.read_bytes()[:-20])

    events = get(hub, place)

    assert_installed(place)
    assert fetched_bytes(events) <= len(CONTENT) - kept + PACE.piece_bytes


def test_two_who_want_the_same_file_fetch_it_once(hub: FakeHub, place: Place) -> None:
    hub.bytes_per_s = 800 * KIB
    first = iter(fetch([place], Access(hub.url), pace=PACE))
    second = iter(fetch([place], Access(hub.url), pace=PACE))
    next(item for item in first if isinstance(item, FetchProgress))

    waiting = next(item for item in second if isinstance(item, FetchProgress))
    list(first)
    rest = list(second)

    assert waiting.phase == "waiting"
    assert rest[-1] == FileInstalled(NAME, place.path, sha256(CONTENT), 0)
    assert hub.sent_bytes == len(CONTENT)
    assert_installed(place)


# --- disk -------------------------------------------------------------------------------------------------------------


def test_too_little_space_for_the_whole_queue_is_said_before_the_first_byte(tmp_path: Path) -> None:
    places = [Place(published(name), tmp_path / name) for name in ("a", "b")]
    with (
        FakeHub({f"{REPOSITORY}/a": CONTENT, f"{REPOSITORY}/b": OTHER}) as hub,
        pytest.raises(StorageFull, match=r"needs 0\.0 GB and 0\.0 GB are free"),
    ):
        list(fetch(places, Access(hub.url), pace=PACE, free_bytes=lambda _folder: 2 * len(CONTENT) - 1))

    assert hub.sent_bytes == 0


def test_what_is_already_here_needs_no_space(hub: FakeHub, place: Place) -> None:
    kept = stop_after(hub, place, 200 * KIB)

    list(fetch([place], Access(hub.url), pace=PACE, free_bytes=lambda _folder: len(CONTENT) - kept))

    assert_installed(place)


def test_a_folder_that_cannot_be_written_is_said(hub: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "a file").touch()

    with pytest.raises(DownloadError, match="cannot be written"):
        get(hub, Place(published(), tmp_path / "a file" / NAME))
