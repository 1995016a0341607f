"""A lock: every wheel of one environment, by address, size and hash. Made by `installers/make_locks.py`.

There is one for the shell of each platform ("linux") and one for the engine of each target ("linux-nvidia"). An
engine's lock names the shell's wheels too, because the studio runs inside the engine's environment once there is one.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from ltx_studio.installation.errors import InstallError

FORMAT = 1


@dataclass(frozen=True)
class Wheel:
    name: str
    version: str
    file: str
    url: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class Lock:
    """`requirements` is the hash of what pyproject.toml asked for: environments of equal ones can stand in."""

    target: str
    python: str  # the version of Python that the wheels are for, such as "3.11"
    requirements: str
    wheels: tuple[Wheel, ...]

    @property
    def digest(self) -> str:
        """Changes whenever another environment would come out."""
        lines = sorted(f"{wheel.file} {wheel.sha256}" for wheel in self.wheels)
        return hashlib.sha256("\n".join([self.python, *lines]).encode()).hexdigest()

    @property
    def size_bytes(self) -> int:
        return sum(wheel.size_bytes for wheel in self.wheels)

    def requirements_text(self) -> str:
        """What uv is told to install, each wheel by its hash."""
        return "".join(f"{wheel.name}=={wheel.version} --hash=sha256:{wheel.sha256}\n" for wheel in self.wheels)

    def to_dict(self) -> dict[str, Any]:
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Raises KeyError, TypeError or ValueError for anything else than a lock of this format."""
        if values["format"] != FORMAT:
            raise ValueError(values["format"])
        wheels = tuple(Wheel(**wheel) for wheel in values["wheels"])
        if any("/" in wheel.file or "\\" in wheel.file or not wheel.file.endswith(".whl") for wheel in wheels):
            raise ValueError("a wheel's file is not the name of a wheel")
        return cls(str(values["target"]), str(values["python"]), str(values["requirements"]), wheels)


def lock_path(folder: Path, part: str, target: str) -> Path:
    return folder / part / f"{target}.json"


def read_lock(folder: Path, part: str, target: str) -> Lock:
    """Raises InstallError where there is none, or none that can be read."""
    path = lock_path(folder, part, target)
    try:
        return Lock.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise InstallError(
            "no-lock",
            f"This copy of LTX Studio has no list of packages for {target}.",
            remedy="Choose another engine, or get a package that was made for this kind of machine.",
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InstallError(
            "damaged-kit", f"{path.name} of this copy cannot be read.", remedy="Get the package again."
        ) from error


def targets_with_locks(folder: Path) -> list[str]:
    """The engine targets this copy knows every wheel of."""
    return sorted(file.stem for file in (folder / "engine").glob("*.json"))
