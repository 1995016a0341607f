"""Which engine fits a machine: a pure function of what `installers/hardware.py` found.

The limits are NVIDIA's: CUDA 13 needs driver 580 and a GPU from Turing (7.5) on, CUDA 12.6's wheels run on driver 525
(528 on Windows) by minor version compatibility and carry kernels from Maxwell (5.0) to Hopper (9.0). Blackwell, from
10.0 on, is not among those.
"""

from dataclasses import dataclass
from enum import StrEnum

from ltx_studio.installation.errors import InstallError


class Platform(StrEnum):
    WINDOWS = "windows"
    LINUX = "linux"
    LINUX_ARM64 = "linux-arm64"
    MACOS = "macos"


class Backend(StrEnum):
    NVIDIA = "nvidia"  # CUDA 13
    NVIDIA_OLDER = "nvidia-older"  # CUDA 12.6: older drivers; Maxwell, Pascal and Volta
    AMD = "amd"  # ROCm
    INTEL = "intel"  # XPU
    APPLE = "apple"  # MPS
    CPU = "cpu"


BACKENDS = {
    Platform.WINDOWS: (Backend.NVIDIA, Backend.NVIDIA_OLDER, Backend.INTEL, Backend.CPU),
    Platform.LINUX: (Backend.NVIDIA, Backend.NVIDIA_OLDER, Backend.AMD, Backend.INTEL, Backend.CPU),
    Platform.LINUX_ARM64: (Backend.NVIDIA, Backend.CPU),
    Platform.MACOS: (Backend.APPLE,),
}
TARGETS = tuple(f"{platform}-{backend}" for platform, backends in BACKENDS.items() for backend in backends)

CUDA_13_DRIVER = (580, 0)
CUDA_12_DRIVER = {Platform.WINDOWS: (528, 33)}
_CUDA_12_DRIVER_LINUX = (525, 60)
_TURING, _MAXWELL, _BLACKWELL = (7, 5), (5, 0), (10, 0)
# RDNA 2 and later, CDNA 1 and later: what torch's ROCm wheels carry kernels for.
_ROCM_ARCHITECTURES = ("gfx908", "gfx90a", "gfx94", "gfx95", "gfx103", "gfx110", "gfx115", "gfx120")


@dataclass(frozen=True)
class Nvidia:
    """`driver` by its numbers; `capabilities` of every GPU, empty where nobody could say."""

    driver: tuple[int, ...]
    capabilities: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Hardware:
    platform: Platform
    nvidia: Nvidia | None = None
    amd: tuple[str, ...] = ()  # architectures such as "gfx1100", of GPUs that the kernel's compute driver offers
    has_intel_gpu: bool = False  # an Arc, or a processor with one inside


@dataclass(frozen=True)
class Choice:
    """`advice` is what would make more of this machine, in one sentence or none."""

    platform: Platform
    backend: Backend
    why: str
    advice: str = ""

    @property
    def target(self) -> str:
        return f"{self.platform}-{self.backend}"


def choose(hardware: Hardware) -> Choice:
    """The engine for this machine; the processor's where nothing better is certain to work."""
    platform = hardware.platform
    if platform is Platform.MACOS:
        return Choice(platform, Backend.APPLE, "Apple's graphics")
    advice = ""
    if hardware.nvidia is not None:
        choice = _choose_nvidia(platform, hardware.nvidia)
        if choice.backend is not Backend.CPU:
            return choice
        advice = choice.advice
    if platform is Platform.LINUX and any(name.startswith(_ROCM_ARCHITECTURES) for name in hardware.amd):
        return Choice(platform, Backend.AMD, "AMD's graphics with ROCm", advice)
    if Backend.INTEL in BACKENDS[platform] and hardware.has_intel_gpu:
        return Choice(platform, Backend.INTEL, "Intel's graphics", advice)
    if hardware.amd and not advice:
        advice = "The AMD graphics of this machine are not among those that ROCm can use."
    return Choice(platform, Backend.CPU, "the processor alone", advice)


def _choose_nvidia(platform: Platform, nvidia: Nvidia) -> Choice:
    # A machine with several is served by the newest: the engine uses one GPU.
    best = max(nvidia.capabilities, default=None)
    has_older = Backend.NVIDIA_OLDER in BACKENDS[platform]
    runs_cuda_12 = nvidia.driver >= CUDA_12_DRIVER.get(platform, _CUDA_12_DRIVER_LINUX)
    update = "Update the NVIDIA driver to 580 or later to use this machine's GPU."
    if best is not None and best < _MAXWELL:
        return Choice(platform, Backend.CPU, "the processor alone", "This NVIDIA GPU is too old for today's engines.")
    if best is not None and best < _TURING:
        if has_older and runs_cuda_12:
            return Choice(platform, Backend.NVIDIA_OLDER, "an NVIDIA GPU from before 2018, which CUDA 12 still knows")
        return Choice(platform, Backend.CPU, "the processor alone", update if has_older else "")
    if nvidia.driver >= CUDA_13_DRIVER:
        return Choice(platform, Backend.NVIDIA, "an NVIDIA GPU with a current driver")
    if best is not None and best >= _BLACKWELL:
        return Choice(platform, Backend.CPU, "the processor alone", update)
    if has_older and runs_cuda_12:
        faster = "Updating the NVIDIA driver to 580 or later makes this machine faster."
        return Choice(platform, Backend.NVIDIA_OLDER, "an NVIDIA GPU with an older driver", faster)
    return Choice(platform, Backend.CPU, "the processor alone", update)


def platform_of(system: str, machine: str) -> Platform:
    """From what Python's `platform` says. Raises InstallError where torch is not made for it."""
    is_arm = machine.lower() in {"arm64", "aarch64"}
    match system, is_arm:
        case "Windows", False:
            return Platform.WINDOWS
        case "Linux", False if machine in {"x86_64", "AMD64"}:
            return Platform.LINUX
        case "Linux", True:
            return Platform.LINUX_ARM64
        case "Darwin", True:
            return Platform.MACOS
        case _:
            remedy = (
                "LTX Studio needs a Mac with Apple silicon."
                if system == "Darwin"
                else "LTX Studio runs on Windows and Linux on x86-64, Linux on ARM64, and Macs with Apple silicon."
            )
            raise InstallError("unsupported", f"{system} on {machine} cannot run the engine.", remedy=remedy)
