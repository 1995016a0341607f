"""The last test of an environment, run by the environment's own Python: it ends with 0, or says in one line what fails.

    PYTHON -P -s smoke.py shell
    PYTHON -P -s smoke.py engine TARGET

The studio's code is on PYTHONPATH. The shell must open the studio's window without a screen and without torch; the
engine must multiply on the device it was chosen for as the processor does, and decode a toy picture.
"""

# ruff: noqa: PLC0415 - what is tried is imported where it is tried

import json
import logging
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

_TOLERANCE = 1e-2  # of a product of 256 numbers around 1 in fp32, where TF32 and XMX round to 10 bits
_DEVICES = {"nvidia": "cuda", "nvidia-older": "cuda", "amd": "cuda", "intel": "xpu", "apple": "mps", "cpu": "cpu"}


class SmokeError(Exception):
    """What does not work, in a sentence."""


def try_shell() -> dict[str, Any]:
    """The studio itself, without a screen and with a data folder of its own: its window opens, draws and closes."""
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    os.environ.pop("LTX_STUDIO_INSTALLATION", None)  # it has nothing to ask its installer here
    import av

    av.CodecContext.create("h264", "r")
    with tempfile.TemporaryDirectory(prefix="ltx-studio-", ignore_cleanup_errors=True) as folder:
        os.environ["LTX_STUDIO_HOME"] = folder
        sizes = _open_window()
        logging.shutdown()
    if "torch" in sys.modules:
        raise SmokeError("The window needs torch, and must not.")
    return {"window": sizes, "av": av.__version__}


def _open_window() -> list[int]:
    from PySide6.QtWidgets import QApplication

    from ltx_studio.app import main as open_studio

    sizes: list[int] = []

    def look_and_close(*_arguments: object) -> int:
        QApplication.processEvents()
        for window in QApplication.topLevelWidgets():
            if window.isVisible():
                picture = window.grab()
                sizes.extend((picture.width(), picture.height()))
                window.close()
        return 0

    QApplication.exec = staticmethod(look_and_close)  # in place of waiting for a user
    sys.argv = sys.argv[:1]
    code = open_studio()
    if code or not all(sizes) or len(sizes) < 2:
        raise SmokeError(f"The window did not open ({code}).")
    return sizes


def try_engine(target: str) -> dict[str, Any]:
    import torch

    backend = next(name for name in sorted(_DEVICES, key=len, reverse=True) if target.endswith(f"-{name}"))
    device = _device(torch, _DEVICES[backend])
    torch.manual_seed(0)
    left, right = torch.randn(64, 256), torch.randn(256, 64)
    product = (left.to(device) @ right.to(device)).cpu()
    error = float((product - left @ right).abs().max())
    if not error < _TOLERANCE * 16:  # the products are sums of 256, around 16
        raise SmokeError(f"{device} multiplies wrongly (by up to {error:.3g}).")
    return {"torch": torch.__version__, "device": device, "decoded": _decode(torch, device)}


def _device(torch: Any, device: str) -> str:
    if device == "cuda" and not torch.cuda.is_available():
        raise SmokeError("torch does not see the graphics card. Update its driver, or install the CPU engine.")
    if device == "xpu" and not torch.xpu.is_available():
        raise SmokeError("torch does not see Intel's graphics. Update its driver, or install the CPU engine.")
    if device == "mps" and not torch.backends.mps.is_available():
        raise SmokeError("torch cannot use this Mac's graphics. Update macOS.")
    if device == "cuda":
        torch.zeros(1, device=device)  # a driver that is too old says so here
    return device


def _decode(torch: Any, device: str) -> list[int]:
    """The starter's own picture decoder, on a small latent; its shape."""
    import resources
    from engine.weights.checkpoint import Checkpoint
    from engine.weights.components import load
    from engine.weights.keymap import Role

    file = Path(str(resources.__file__)).parent / "models" / "starter" / "starter.safetensors"
    if not file.is_file():
        return []
    decoder: Any = load(Checkpoint.open(file), Role.VIDEO_DECODER, device=device)
    with torch.no_grad():
        pixels = decoder(torch.randn(1, decoder.config.latent_channels, 2, 4, 4, device=device))
    if not bool(torch.isfinite(pixels).all()) or float(pixels.std()) == 0.0:
        raise SmokeError("The decoder makes no picture.")
    return list(pixels.shape)


def main(arguments: list[str]) -> int:
    try:
        facts = try_shell() if arguments[0] == "shell" else try_engine(arguments[1])
    except SmokeError as error:
        print(json.dumps({"problem": str(error)}))
        return 1
    except Exception as error:
        # Whatever does not work is what this is for; the kind and the first line tell support where to look.
        first_line = (str(error).splitlines() or [""])[0]
        print(json.dumps({"problem": f"{type(error).__name__}: {first_line}"}))
        return 1
    print(json.dumps(facts))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
