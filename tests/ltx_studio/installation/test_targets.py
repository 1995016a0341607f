"""Which engine fits which machine. Alone: `pytest tests/ltx_studio/installation/test_targets.py`."""

import pytest

from ltx_studio.installation.errors import InstallError
from ltx_studio.installation.targets import TARGETS, Hardware, Nvidia, Platform, choose, platform_of

WINDOWS, LINUX, ARM, MACOS = Platform.WINDOWS, Platform.LINUX, Platform.LINUX_ARM64, Platform.MACOS
MAXWELL, PASCAL, VOLTA, TURING, ADA, BLACKWELL = (5, 2), (6, 1), (7, 0), (7, 5), (8, 9), (12, 0)
CURRENT, OLDER, OLD, ANCIENT = (580, 65, 6), (570, 86, 10), (525, 60, 13), (470, 256, 2)


@pytest.mark.parametrize(
    ("hardware", "target"),
    [
        (Hardware(LINUX), "linux-cpu"),
        (Hardware(WINDOWS), "windows-cpu"),
        (Hardware(ARM), "linux-arm64-cpu"),
        (Hardware(MACOS), "macos-apple"),
        (Hardware(LINUX, Nvidia(CURRENT, (ADA,))), "linux-nvidia"),
        (Hardware(WINDOWS, Nvidia(CURRENT, (ADA,))), "windows-nvidia"),
        (Hardware(ARM, Nvidia(CURRENT, (BLACKWELL,))), "linux-arm64-nvidia"),
        (Hardware(LINUX, Nvidia(CURRENT, (TURING,))), "linux-nvidia"),
        (Hardware(LINUX, Nvidia(CURRENT, (BLACKWELL,))), "linux-nvidia"),
        (Hardware(LINUX, Nvidia(CURRENT)), "linux-nvidia"),  # a driver that does not say the capability
        (Hardware(LINUX, Nvidia(OLDER, (ADA,))), "linux-nvidia-older"),
        (Hardware(WINDOWS, Nvidia(OLDER, (ADA,))), "windows-nvidia-older"),
        (Hardware(LINUX, Nvidia(OLD, (ADA,))), "linux-nvidia-older"),
        (Hardware(WINDOWS, Nvidia(OLD, (ADA,))), "windows-cpu"),  # Windows needs 528
        (Hardware(LINUX, Nvidia(CURRENT, (PASCAL,))), "linux-nvidia-older"),
        (Hardware(LINUX, Nvidia(CURRENT, (VOLTA,))), "linux-nvidia-older"),
        (Hardware(LINUX, Nvidia(CURRENT, (MAXWELL,))), "linux-nvidia-older"),
        (Hardware(LINUX, Nvidia(CURRENT, (PASCAL, ADA))), "linux-nvidia"),  # the newest of two serves
        (Hardware(LINUX, Nvidia(ANCIENT, (PASCAL,))), "linux-cpu"),
        (Hardware(LINUX, Nvidia(CURRENT, ((3, 5),))), "linux-cpu"),
        (Hardware(LINUX, Nvidia(OLDER, (BLACKWELL,))), "linux-cpu"),  # CUDA 12.6 has no kernels for it
        (Hardware(ARM, Nvidia(OLDER, (ADA,))), "linux-arm64-cpu"),
        (Hardware(LINUX, amd=("gfx1100",)), "linux-amd"),
        (Hardware(LINUX, amd=("gfx90a",)), "linux-amd"),
        (Hardware(LINUX, amd=("gfx803",)), "linux-cpu"),
        (Hardware(WINDOWS, amd=("gfx1100",)), "windows-cpu"),
        (Hardware(LINUX, has_intel_gpu=True), "linux-intel"),
        (Hardware(WINDOWS, has_intel_gpu=True), "windows-intel"),
        (Hardware(ARM, has_intel_gpu=True), "linux-arm64-cpu"),
        (Hardware(LINUX, Nvidia(CURRENT, (ADA,)), ("gfx1100",), has_intel_gpu=True), "linux-nvidia"),
        (Hardware(LINUX, Nvidia(ANCIENT, (ADA,)), ("gfx1100",)), "linux-amd"),
        (Hardware(LINUX, amd=("gfx1036",), has_intel_gpu=True), "linux-amd"),
    ],
)
def test_the_engine_that_fits_is_chosen(hardware: Hardware, target: str) -> None:
    choice = choose(hardware)

    assert choice.target == target
    assert choice.target in TARGETS


@pytest.mark.parametrize("driver", [ANCIENT, OLDER])
def test_a_card_that_waits_for_a_newer_driver_is_told(driver: tuple[int, ...]) -> None:
    choice = choose(Hardware(LINUX, Nvidia(driver, (BLACKWELL,))))

    assert "Update the NVIDIA driver to 580" in choice.advice


def test_a_machine_that_needs_nothing_gets_no_advice() -> None:
    assert choose(Hardware(LINUX, Nvidia(CURRENT, (ADA,)))).advice == ""


@pytest.mark.parametrize(
    ("system", "machine", "platform"),
    [
        ("Windows", "AMD64", WINDOWS),
        ("Linux", "x86_64", LINUX),
        ("Linux", "aarch64", ARM),
        ("Darwin", "arm64", MACOS),
    ],
)
def test_the_platform_is_what_python_says(system: str, machine: str, platform: Platform) -> None:
    assert platform_of(system, machine) is platform


@pytest.mark.parametrize(("system", "machine"), [("Darwin", "x86_64"), ("Windows", "ARM64"), ("Linux", "riscv64")])
def test_a_system_that_torch_is_not_made_for_is_refused_with_what_to_use(system: str, machine: str) -> None:
    with pytest.raises(InstallError) as failure:
        platform_of(system, machine)

    assert failure.value.code == "unsupported"
    assert failure.value.remedy
