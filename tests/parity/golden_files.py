"""Where the official implementation's inputs and outputs are: `LTX_GOLDEN`, or the folder beside this file."""

import os
from functools import cache
from pathlib import Path

import torch
from safetensors.torch import load_file

FOLDER = Path(os.environ.get("LTX_GOLDEN") or Path(__file__).parent / "golden")
TOLERANCE = 1e-5  # largest difference over the reference's largest value, fp32


@cache
def tensors() -> dict[str, torch.Tensor]:
    return load_file(FOLDER / "golden.safetensors")


def case(name: str) -> dict[str, torch.Tensor]:
    """The tensors of one case, by what they are: case("transformer.plain")["video_latent"]."""
    prefix = f"{name}."
    return {key.removeprefix(prefix): value for key, value in tensors().items() if key.startswith(prefix)}


def cases(area: str) -> list[str]:
    """The names of an area's cases, in order."""
    return sorted({key.split(".")[1] for key in tensors() if key.startswith(f"{area}.")})


def relative_error(actual: torch.Tensor, expected: torch.Tensor) -> float:
    """Largest difference over the reference's largest value."""
    assert actual.shape == expected.shape, (tuple(actual.shape), tuple(expected.shape))
    return float((actual.double() - expected.double()).abs().max() / expected.double().abs().max().clamp(min=1e-12))


def assert_close(actual: torch.Tensor, expected: torch.Tensor, tolerance: float = TOLERANCE) -> None:
    error = relative_error(actual, expected)
    assert error <= tolerance, f"relative error {error:.2e} exceeds {tolerance:.0e}"
