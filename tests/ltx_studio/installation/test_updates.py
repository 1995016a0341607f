"""Which release is offered, and what it would fetch. Alone: `pytest tests/ltx_studio/installation/test_updates.py`."""

import json
from dataclasses import replace
from typing import Any

import pytest

from ltx_studio.installation.errors import InstallError
from ltx_studio.installation.state import Build, Installation, Slot, State
from ltx_studio.installation.updates import Offer, Release, numbers, offer

KIT = {"url": "https://releases.example/kit.zip", "sha256": "a" * 64, "size_bytes": 25_000_000}
FEED: dict[str, Any] = {
    "format": 1,
    "version": "0.2",
    "notes": "Faster.",
    "kit": KIT,
    "engines": {"linux-cpu": {"lock": "new", "size_bytes": 375}},
}
WITH_ENGINE = Installation(engine=Slot(State.READY, current=Build("e", "old", "linux-cpu")))


def release(**values: Any) -> Release:
    return Release.parse(json.dumps({**FEED, **values}).encode())


def test_a_newer_release_is_offered_with_the_size_of_each_part() -> None:
    assert offer(release(), WITH_ENGINE, "0.1.0") == Offer("0.2", "Faster.", 25_000_000, 375)


def test_an_engine_that_stays_costs_nothing() -> None:
    same = replace(WITH_ENGINE, engine=Slot(State.READY, current=Build("e", "new", "linux-cpu")))

    assert offer(release(), same, "0.1.0") == Offer("0.2", "Faster.", 25_000_000, 0)


@pytest.mark.parametrize("version", ["0.2", "0.2.0", "0.10", "1.0"])
def test_nothing_is_offered_that_is_not_newer(version: str) -> None:
    assert offer(release(), WITH_ENGINE, version) is None


def test_a_version_that_was_skipped_is_not_offered_again_and_the_next_one_is() -> None:
    skipping = replace(WITH_ENGINE, skipped_version="0.2")

    assert offer(release(), skipping, "0.1.0") is None
    assert offer(release(version="0.3"), skipping, "0.1.0") is not None


def test_versions_compare_by_their_numbers() -> None:
    assert numbers("0.10") > numbers("0.9.9")
    assert numbers("1.0.0") == numbers("1")


@pytest.mark.parametrize(
    "content",
    [
        b"<html>",
        b"{}",
        json.dumps({**FEED, "format": 2}).encode(),
        json.dumps({**FEED, "version": "latest"}).encode(),
        json.dumps({**FEED, "kit": {**KIT, "url": "http://releases.example/kit.zip"}}).encode(),
        json.dumps({**FEED, "kit": {**KIT, "sha256": "none"}}).encode(),
    ],
)
def test_a_feed_that_cannot_be_trusted_is_refused(content: bytes) -> None:
    with pytest.raises(InstallError, match="cannot be read"):
        Release.parse(content)
