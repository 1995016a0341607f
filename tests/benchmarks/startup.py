"""How long it takes until the engine is imported and until the command line answers: prints one JSON object.

    python -m tests.benchmarks.startup [--rounds 9]

Medians of fresh processes that take turns, after one that fills the caches; the bare interpreter's own start stands
beside, and is part of the other numbers. Fails if either loads torch: that is what start-up depends on.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time

IMPORT_LIMIT_S, HELP_LIMIT_S = 0.15, 0.4  # beyond the interpreter's start, and in all

IMPORT = "import engine"
# As `python -m ltx_studio --help`, but the process lives on to say what it has loaded.
HELP = (
    "import runpy, sys; sys.argv = ['ltx_studio', '--help']\n"
    "try: runpy.run_module('ltx_studio', run_name='__main__', alter_sys=True)\n"
    "except SystemExit: pass"
)
SAY_MODULES = "\nimport sys; print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
COMMANDS = {
    "interpreter": [sys.executable, "-c", "pass"],
    "import_engine": [sys.executable, "-c", IMPORT],
    "help": [sys.executable, "-m", "ltx_studio", "--help"],
}
HEAVY = {"torch", "numpy", "transformers", "PySide6", "av"}


def seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def heavy_modules(code: str) -> list[str]:
    """Which of the slow packages a fresh process holds after running `code`."""
    command = [sys.executable, "-c", code + SAY_MODULES]
    loaded = subprocess.run(command, check=True, capture_output=True, text=True).stderr.split()
    return sorted(HEAVY & set(loaded))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()

    heavy = {"import_engine": heavy_modules(IMPORT), "help": heavy_modules(HELP)}
    assert not any("torch" in modules for modules in heavy.values()), heavy
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for round_index in range(arguments.rounds + 1):
        for name, command in COMMANDS.items():
            duration_s = seconds(command)
            if round_index:
                times[name].append(duration_s)
    medians = {name: statistics.median(values) for name, values in times.items()}
    added_s = medians["import_engine"] - medians["interpreter"]
    report = {
        "python": sys.version.split()[0],
        "rounds": arguments.rounds,
        "seconds": {name: round(value, 4) for name, value in medians.items()},
        "fastest_seconds": {name: round(min(values), 4) for name, values in times.items()},
        "import_engine_beyond_interpreter_s": round(added_s, 4),
        "heavy_modules": heavy,
        "is_within_limits": added_s < IMPORT_LIMIT_S and medians["help"] < HELP_LIMIT_S,
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
