"""An installer's process that says what a script tells it to: run by the window's own code, as the real one is.

`write_script` makes a file that answers each verb with lines, and waits for `stop` where a line says WAIT. What it was
asked is in a file beside it.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ltx_studio.installation.layout import INSTALLATION_VARIABLE, INSTALLER_PYTHON_VARIABLE, INSTALLER_VARIABLE
from ltx_studio.installation.messages import Done, Facts, Message, to_line

WAIT = "WAIT"
GB = 10**9
HARDWARE = Facts(
    {
        "target": "linux-nvidia",
        "why": "an NVIDIA GPU with a current driver",
        "advice": "",
        "has_lock": True,
        "targets": [
            {"target": "linux-nvidia", "fetch_bytes": 3 * GB},
            {"target": "linux-amd", "fetch_bytes": None},
            {"target": "linux-cpu", "fetch_bytes": 219_000_000},
        ],
    }
)
_PROGRAM = """import json, pathlib, sys
here = pathlib.Path(__file__)
answers = json.loads(here.with_suffix(".json").read_text())
with here.with_suffix(".asked").open("a") as asked:
    asked.write(json.dumps(sys.argv[1:]) + "\\n")
lines, code = answers.get(sys.argv[1], [[], 0])
for line in lines:
    if line == "WAIT":
        sys.stdin.readline()
        print('{"event": "stopped"}', flush=True)
        sys.exit(130)
    print(line, flush=True)
sys.exit(code)
"""


def status(
    *, engine: str = "incomplete", target: str | None = None, can_roll_back: bool = False, folder: str = "/srv"
) -> Facts:
    """What `status` answers; the engine is usable where it has a target."""
    part = {"state": engine, "is_usable": target is not None, "target": target, "problem": None}
    rest = {"environment": None, "can_roll_back": can_roll_back}
    shell = {"state": "ready", "is_usable": True, "target": "linux", "problem": None, **rest}
    return Facts({"version": "0.1.0", "engine_folder": folder, "engine": {**part, **rest}, "shell": shell})


def room(folder: str = "/srv", free_bytes: int = 100 * GB, remarks: Sequence[str] = ()) -> Facts:
    verdicts = [{"remark": "network", "is_fatal": True, "sentence": sentence} for sentence in remarks]
    return Facts({"folders": [{"folder": folder, "free_bytes": free_bytes, "verdicts": verdicts}]})


class FakeInstaller:
    """The script, its answers, and what it was asked so far."""

    def __init__(self, folder: Path) -> None:
        self.script = folder / "fake_install.py"
        self.script.write_text(_PROGRAM, encoding="utf-8")
        self._answers: dict[str, tuple[list[str], int]] = {}
        self.answer("hardware", HARDWARE)
        self.answer("status", status())
        self.answer("check", room())

    def answer(self, verb: str, *messages: Message | str, code: int = 0) -> None:
        """What a verb says; Done follows unless something else ends it."""
        lines = [message if isinstance(message, str) else to_line(message) for message in messages]
        if code == 0 and WAIT not in lines:
            lines.append(to_line(Done())) if not any('"done"' in line for line in lines) else None
        self._answers[verb] = (lines, code)
        self.script.with_suffix(".json").write_text(json.dumps(self._answers), encoding="utf-8")

    @property
    def asked(self) -> list[list[str]]:
        try:
            text = self.script.with_suffix(".asked").read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in text.splitlines()]

    def verbs(self) -> list[str]:
        return [command[0] for command in self.asked]

    def environ(self) -> Mapping[str, str]:
        return {
            INSTALLER_PYTHON_VARIABLE: sys.executable,
            INSTALLER_VARIABLE: str(self.script),
            INSTALLATION_VARIABLE: str(self.script.parent / "installation"),
        }
