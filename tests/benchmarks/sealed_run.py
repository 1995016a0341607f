"""Make a whole clip sealed, in a process that has no network at all where the system allows it: prints one JSON object.

    python -m tests.benchmarks.sealed_run [--model PATH]

The clip is made twice by the command line: with `--sealed`, where an audit hook counts every attempt, and the same in
a network namespace of its own (`unshare --net`, Linux), where even code that Python does not see finds no way out. A
third process tries to connect on purpose and must be refused and recorded. Fails if anything was attempted.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

CLIP = ("--preset", "draft", "--size", "128x64", "--frames", "9", "--silent", "--seed", "3", "--progress", "none")
ISOLATED = ("unshare", "--user", "--map-root-user", "--net")
DELIBERATE = (
    "import json, socket\n"
    "from engine.folders import data_folder\n"
    "from engine.network import guard_network, refused_connections\n"
    "record = guard_network(sealed=True, data_folder=data_folder())\n"
    "try: socket.create_connection(('192.0.2.1', 443), timeout=1); error = None\n"
    "except OSError as caught: error = str(caught)\n"
    "print(json.dumps({'error': error, 'attempts': record.attempts, 'kept': len(refused_connections(data_folder()))}))"
)


def studio(home: Path, *arguments: str, isolated: bool = False) -> dict[str, Any]:
    """Run the command line sealed; returns its JSON, or its error."""
    command = [*(ISOLATED if isolated else ()), sys.executable, "-m", "ltx_studio", *arguments, "--json", "--sealed"]
    environment = {**os.environ, "LTX_STUDIO_HOME": str(home)}
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    return {"exit_code": result.returncode, **json.loads(result.stdout or "{}")}


def can_isolate() -> bool:
    return shutil.which(ISOLATED[0]) is not None and subprocess.run([*ISOLATED, "true"], check=False).returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="default: whatever the command line chooses")
    model = parser.parse_args().model
    which = ("--model", model) if model else ()
    report: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        for name, isolated in (("sealed", False), ("isolated", True)):
            if isolated and not can_isolate():
                report[name] = "not available here"
                continue
            output = str(Path(folder) / f"{name}.mp4")
            made = studio(home, "generate", "a red ball bounces", "-o", output, *which, *CLIP, isolated=isolated)
            report[name] = {"exit_code": made["exit_code"], "frames": made.get("frames"), "error": made.get("error")}
        report["doctor_after"] = studio(home, "doctor")["network"]
        tried = subprocess.run(
            [sys.executable, "-c", DELIBERATE],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "LTX_STUDIO_HOME": str(home)},
        )
        report["deliberate"] = json.loads(tried.stdout)
        report["doctor_at_the_end"] = studio(home, "doctor")["network"]
    print(json.dumps(report, indent=1))
    runs = [value for name, value in report.items() if name in {"sealed", "isolated"} and isinstance(value, dict)]
    is_right = (
        all(run["exit_code"] == 0 for run in runs)
        and report["doctor_after"] == {"sealed": True, "attempts": 0}
        and "was refused" in (report["deliberate"]["error"] or "")
        and report["doctor_at_the_end"] == {"sealed": True, "attempts": 1}
    )
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main())
