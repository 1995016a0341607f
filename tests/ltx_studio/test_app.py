"""Opening the studio as a program. Alone: `pytest tests/ltx_studio/test_app.py`."""

import os
import subprocess
import sys
from pathlib import Path


def test_the_window_opens_without_torch() -> None:
    code = (
        "import sys\n"
        "from PySide6.QtCore import QTimer\n"
        "from PySide6.QtWidgets import QApplication\n"
        "from ltx_studio.app import main\n"
        "def look():\n"
        "    windows = [item for item in QApplication.topLevelWidgets() if item.isVisible()]\n"
        "    if windows:\n"
        "        is_ours = 'LTX Studio' in windows[0].windowTitle()\n"
        "        print(is_ours, 'torch' in sys.modules, 'transformers' in sys.modules)\n"
        "        QApplication.closeAllWindows()\n"
        "class Later(QApplication):\n"
        "    def exec(self):\n"
        "        QTimer.singleShot(300, look)\n"
        "        return super().exec()\n"
        "import PySide6.QtWidgets\n"
        "PySide6.QtWidgets.QApplication = Later\n"
        "raise SystemExit(main())\n"
    )

    run = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, env=offscreen())

    assert (run.returncode, run.stdout.split()) == (0, ["True", "False", "False"]), run.stderr


def test_without_a_display_the_program_ends_in_one_sentence() -> None:
    environment = {name: value for name, value in os.environ.items() if "DISPLAY" not in name}
    environment.pop("QT_QPA_PLATFORM", None)

    run = subprocess.run(
        [sys.executable, "-m", "ltx_studio"], check=False, capture_output=True, text=True, env=environment
    )

    assert run.returncode == 1
    assert "no display" in run.stderr
    assert run.stderr.count("\n") == 1


def offscreen() -> dict[str, str]:
    return {**os.environ, "QT_QPA_PLATFORM": "offscreen"}


def test_a_missing_library_of_the_system_is_named_in_one_sentence(tmp_path: Path) -> None:
    package = tmp_path / "PySide6"
    package.mkdir()
    (package / "__init__.py").touch()
    message = "libEGL.so.1: cannot open shared object file: No such file or directory"
    (package / "QtWidgets.py").write_text(f"raise ImportError({message!r})")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from ltx_studio.app import main; sys.exit(main())"

    run = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)

    assert run.returncode == 1
    assert "libEGL.so.1" in run.stderr
    assert run.stderr.count("\n") == 1
