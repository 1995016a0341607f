"""How long it takes from starting the program until its window answers: prints one JSON object.

    python -m tests.benchmarks.window_start [--rounds 7]

Each round starts a fresh process, in a home folder of its own, without a display: `bare` shows an empty window of Qt,
`studio` the studio's. A window answers when an event that was posted after it was shown has been handled; the clock
starts before the process does. Processor time stands beside: it is what the time would be on a machine with nothing
else to do. Fails where the studio takes longer than the limit or loads torch.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass

LIMIT_S = 1.2  # on two cores that have nothing else to do

BARE = """
import sys, time
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication, QMainWindow
app = QApplication([])
window = QMainWindow()
window.show()
QTimer.singleShot(0, app.quit)
app.exec()
print(time.time(), time.process_time(), "torch" in sys.modules)
"""
# The program itself; only its event loop ends with the first event after the window is up.
STUDIO = """
import sys, time
from PySide6.QtCore import QTimer
import PySide6.QtWidgets
class Brief(PySide6.QtWidgets.QApplication):
    def exec(self):
        QTimer.singleShot(0, self.say)
        return super().exec()
    def say(self):
        print(time.time(), time.process_time(), "torch" in sys.modules)
        self.closeAllWindows()
PySide6.QtWidgets.QApplication = Brief
from ltx_studio.app import main
raise SystemExit(main())
"""
PROGRAMS = {"bare": BARE, "studio": STUDIO}


@dataclass(frozen=True)
class Start:
    """One start of a program, until its window answered."""

    seconds: float
    processor_seconds: float
    has_torch: bool


def start(program: str) -> Start:
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "LTX_STUDIO_HOME": home}
        started = time.time()
        command = [sys.executable, "-c", program]
        output = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    answered, processor_seconds, has_torch = output.split()
    return Start(float(answered) - started, float(processor_seconds), has_torch == "True")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()

    starts: dict[str, list[Start]] = {name: [] for name in PROGRAMS}
    for _ in range(arguments.rounds + 1):
        for name, program in PROGRAMS.items():
            starts[name].append(start(program))
    loads_torch = any(item.has_torch for items in starts.values() for item in items)
    counted = {name: items[1:] for name, items in starts.items()}  # the first one fills the caches
    medians = {name: statistics.median(item.seconds for item in items) for name, items in counted.items()}
    report = {
        "rounds": arguments.rounds,
        "median_s": {name: round(value, 3) for name, value in medians.items()},
        "fastest_s": {name: round(min(item.seconds for item in items), 3) for name, items in counted.items()},
        "processor_s": {
            name: round(statistics.median(item.processor_seconds for item in items), 3)
            for name, items in counted.items()
        },
        "ratio_to_bare_window": round(medians["studio"] / medians["bare"], 2),
        "loads_torch": loads_torch,
        "limit_s": LIMIT_S,
        "is_within_limit": medians["studio"] < LIMIT_S and not loads_torch,
    }
    print(json.dumps(report, indent=2))
    if not report["is_within_limit"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
