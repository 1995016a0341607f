"""What tests of the library need: files' facts without files, a trash in a folder, and clips that carry requests."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from engine.media.write import ClipWriter
from engine.request import GenerationRequest
from engine.types import FrameRate, Size
from ltx_studio.domain.library import Facts, Kind, LibraryError

BASE_TIME_NS = 1_760_000_000 * 10**9


def facts_of(
    name: str, prompt: str = "a red ball", *, seed: int = 1, age_s: int = 0, folder: Path | None = None, **request: Any
) -> Facts:
    """A clip that was made `age_s` seconds before the newest ones."""
    return Facts(
        path=(folder or Path("/clips")) / name,
        kind=Kind.CLIP,
        mtime_ns=BASE_TIME_NS - age_s * 10**9,
        size_bytes=1000 + seed,
        size=Size(448, 256),
        frames=121,
        frame_rate=FrameRate.parse("24000/1001"),
        duration_s=5.05,
        has_sound=True,
        request={"schema": 1, "prompt": prompt, "seed": seed, **request},
    )


def write_clip(path: Path, prompt: str = "a red ball", *, seed: int = 1, frames: int = 2, grey: int = 90) -> Path:
    """A real file of a grey picture, with the request that made it."""
    metadata: Mapping[str, object] = GenerationRequest(prompt, seed=seed, model="starter").to_dict()
    path.parent.mkdir(parents=True, exist_ok=True)
    with ClipWriter(path, size=Size(64, 36), frame_rate=FrameRate.parse(24), metadata=metadata) as writer:
        writer.write(np.full((frames, 36, 64, 3), grey, np.uint8))
    return path


class FolderTrash:
    """A trash that is a folder. `refuses` makes it fail as a system's trash can."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.refuses = False

    def put(self, path: Path) -> Path | None:
        if self.refuses:
            raise LibraryError(f"{path} could not be moved to the trash.", remedy="Delete it yourself.")
        self.folder.mkdir(exist_ok=True)
        return path.rename(self.folder / path.name)

    def take(self, trashed: Path, destination: Path) -> None:
        if not trashed.exists():
            raise LibraryError(f"{destination.name} is no longer in the trash.")
        trashed.rename(destination)
