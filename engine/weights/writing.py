"""Writing safetensors files: all of a file or none, and a full disk is an OSError like any other."""

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors under their names; the file appears by rename once it is complete. Raises OSError."""
    partial = path.with_suffix(".part")
    try:
        save_file(dict(tensors), partial, dict(metadata))
        partial.replace(path)
    except SafetensorError as error:
        raise OSError(f"{path}: {error}") from error
    finally:
        partial.unlink(missing_ok=True)
