"""What there is of each model. Alone: `pytest tests/ltx_studio/domain/test_models.py`."""

from collections.abc import Iterator

import pytest

from engine.hardware import Device, Machine
from engine.weights.catalog import catalogue, downloadable, places
from engine.weights.hashing import Digest
from engine.weights.installed import remember_verified
from engine.weights.partial import Identity, PartialFile, part_path
from ltx_studio.domain.models import survey
from tests.fakes.catalogue import CONTENTS, MODELS, small_catalogue


@pytest.fixture
def small_models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as monkeypatch, small_catalogue(tmp_path_factory.mktemp("data"), monkeypatch):
        yield


def machine() -> Machine:
    card = Device("cuda", 0, "a card", 24 * 2**30, 23 * 2**30, (8, 9))
    return Machine((card,), 64 * 2**30, 60 * 2**30, 16, 3e9)


def write_whole(name: str, index: int) -> None:
    place = places(name)[index]
    place.path.parent.mkdir(parents=True, exist_ok=True)
    place.path.write_bytes(CONTENTS[f"{MODELS}/{place.file.name}"])
    remember_verified(place.path, place.file.sha256 or "f" * 64)


def write_part(name: str, index: int, identity: Identity, num_pieces: int) -> None:
    path = places(name)[index].path
    path.parent.mkdir(parents=True, exist_ok=True)
    with PartialFile(path, identity, 1000) as partial:
        for piece in range(num_pieces):
            partial.write(piece * 1000, memoryview(bytes(1000)))
            partial.finish_piece(piece, "a" * 64)


def test_every_model_of_the_catalogue_is_there_with_its_files_and_a_verdict() -> None:
    inventory = survey(machine())

    assert {row.name for row in inventory.rows} == {*catalogue(), *downloadable()}
    assert all(row.plan is not None for row in inventory.rows if row.name.startswith("ltx-2.3"))
    assert all(row.files for row in inventory.rows)


@pytest.mark.usefixtures("small_models")
def test_a_part_is_told_with_what_it_holds_though_only_the_hub_knew_its_size() -> None:
    write_part("two", 0, Identity(200_000, Digest("sha256", "b" * 64)), 3)

    row = survey(None).row("two")

    assert row is not None
    assert (row.state, row.files[0].here_bytes, row.files[0].size_bytes) == ("partial", 3000, 200_000)


@pytest.mark.usefixtures("small_models")
def test_a_part_whose_record_cannot_be_read_counts_for_nothing() -> None:
    path = places("two")[0].path
    path.parent.mkdir(parents=True)
    part_path(path).write_bytes(bytes(5000))

    row = survey(None).row("two")

    assert row is not None
    assert (row.files[0].here_bytes, row.files[0].size_bytes) == (0, None)


@pytest.mark.usefixtures("small_models")
def test_a_model_is_complete_with_its_text_encoder_alone() -> None:
    write_whole("one", 0)
    write_whole("one", 1)

    inventory = survey(None)
    row = inventory.row("one")

    assert row is not None
    assert (row.state, row.removable_bytes) == ("verified", 350_000)
    assert not inventory.is_complete("one")


@pytest.mark.usefixtures("small_models")
def test_what_is_missing_counts_what_is_kept_as_here() -> None:
    identity = Identity(300_000, Digest("sha256", places("one")[0].file.sha256 or ""))
    write_part("one", 0, identity, 100)

    assert survey(None).missing_bytes("one") == 200_000 + 50_000


@pytest.mark.usefixtures("small_models")
def test_terms_are_told_with_the_page_where_they_are_accepted() -> None:
    row = survey(None).row("one")

    assert row is not None
    assert [licence.terms_url for licence in row.licences] == [None, "https://huggingface.co/somebody/reads-prompts"]
