"""The LoRAs that are known by name. Alone: `pytest tests/engine/weights/test_lora_catalogue.py`."""

import pytest

from engine.errors import RequestError
from engine.weights.catalog import downloadable, loras, loras_folder, places, title_of


def test_every_lora_has_one_file_in_the_folder_of_loras() -> None:
    for name, entry in loras().items():
        (place,) = places(name)
        assert place.path == entry.path
        assert place.path.parent == loras_folder()
        assert place.file.repository.startswith("Lightricks/")
        assert title_of(name) == entry.title


def test_no_two_loras_share_a_file_or_a_name_with_a_model() -> None:
    assert len({entry.path for entry in loras().values()}) == len(loras())
    assert not set(loras()) & set(downloadable())


def test_control_loras_say_what_they_read_and_camera_moves_read_nothing() -> None:
    assert loras()["union-control"].reads == ("canny", "depth", "pose")
    assert all(entry.reads for entry in loras().values() if entry.kind != "camera")
    cameras = [entry for entry in loras().values() if entry.kind == "camera"]
    assert len(cameras) == 7
    assert not any(entry.reads for entry in cameras)


def test_an_unknown_name_is_told_the_known_ones() -> None:
    with pytest.raises(RequestError, match="union-control"):
        places("unheard-of")
