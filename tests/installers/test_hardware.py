"""What drivers say about a machine, read. Alone: `pytest tests/installers/test_hardware.py`."""

import pytest

from installers.hardware import find_hardware, is_arc, parse_amd, parse_nvidia
from ltx_studio.installation.targets import Nvidia, choose


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("580.65.06, 8.9\n", Nvidia((580, 65, 6), ((8, 9),))),
        ("528.33, 6.1\n528.33, 12.0\n", Nvidia((528, 33), ((6, 1), (12, 0)))),
        ("470.256.02\n", Nvidia((470, 256, 2))),
        ("580.65.06, [N/A]\n", Nvidia((580, 65, 6))),
        ("", None),
        ("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n", None),
    ],
)
def test_the_driver_and_every_gpu_are_read(said: str, found: Nvidia | None) -> None:
    assert parse_nvidia(said) == found


@pytest.mark.parametrize(
    ("properties", "name"),
    [
        ("cpu_cores_count 0\ngfx_target_version 110000\n", "gfx1100"),
        ("gfx_target_version 90010\n", "gfx90a"),
        ("gfx_target_version 90402\n", "gfx942"),
        ("gfx_target_version 120001\n", "gfx1201"),
        ("cpu_cores_count 16\ngfx_target_version 0\n", ""),
        ("", ""),
    ],
)
def test_the_architecture_of_an_amd_gpu_is_read(properties: str, name: str) -> None:
    assert parse_amd(properties) == name


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["Intel(R) Arc(TM) A770 Graphics"], True),
        (["NVIDIA GeForce RTX 4090", "Intel(R) Arc(TM) Graphics"], True),
        (["Intel(R) UHD Graphics 630"], False),
        ([], False),
    ],
)
def test_intel_graphics_count_from_arc_on(names: list[str], found: bool) -> None:
    assert is_arc(names) is found


def test_this_machine_gets_an_engine() -> None:
    assert choose(find_hardware()).target
