"""A kit with the installer's real code over small wheels made on the spot, and a studio that says where it runs."""

import random
import shutil
import sys
from pathlib import Path

from installers.hardware import find_hardware
from installers.kits import make_kit
from ltx_studio.installation.files import read_json, remove_tree, write_json
from ltx_studio.installation.kit import find_uv
from ltx_studio.installation.locks import Lock, lock_path
from tests.fakes.wheels import write_wheel

ROOT = Path(__file__).resolve().parent.parent.parent
NAMES = ("first_one", "second_one", "third_one", "fourth_one", "fifth_one", "sixth_one")
TARGET = "linux-cpu"  # whatever the machine: nothing here depends on it
_SMOKE = """import json, pathlib, sys
import first_one
if (pathlib.Path(first_one.__file__).parent / "BROKEN").exists():
    print(json.dumps({"problem": "It multiplies wrongly."}))
    sys.exit(1)
"""
_MAIN = """import json, os, sys
print(json.dumps({"python": sys.prefix, "studio": __file__, "arguments": sys.argv[1:],
                  "installer": os.environ["LTX_STUDIO_INSTALLER"], "projects": os.environ.get("LTX_STUDIO_PROJECTS")}))
"""


def small_kit(
    folder: Path,
    published: Path,
    *,
    version: str = "0.1.0",
    wheel_version: str = "1.0",
    file_bytes: int = 2_000,
    num_files: int = 2,
    updates: str | None = None,
    is_broken: bool = False,
) -> Path:
    """Make a kit whose wheels lie in `published`. The smoke test fails where `is_broken`."""
    chance = random.Random(wheel_version)
    wheels = [
        write_wheel(
            published,
            name,
            {
                f"{name}/__init__.py": b"",
                **{f"{name}/{index}.bin": chance.randbytes(file_bytes) for index in range(num_files)},
                **({f"{name}/BROKEN": b""} if is_broken else {}),
            },
            version=wheel_version,
        )
        for name in NAMES
    ]
    remove_tree(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = folder.with_name(f"{folder.name}-studio")
    content = {
        "ltx_studio/__init__.py": f'__version__ = "{version}"\n'.encode(),
        "ltx_studio/__main__.py": _MAIN.encode(),
    }
    studio = write_wheel(scratch, "ltx_studio", content, version=version)
    make_kit(folder, root=ROOT, studio_wheel=scratch / studio.file, uv=find_uv(), updates=updates)
    shutil.rmtree(scratch)
    (folder / "installers" / "smoke.py").write_text(_SMOKE, encoding="utf-8")
    shutil.rmtree(folder / "installers" / "locks")
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    platform = find_hardware().platform.value
    for part, name, part_wheels in (("shell", platform, wheels[:3]), ("engine", TARGET, wheels)):
        lock = Lock(name, python, wheel_version, tuple(part_wheels))
        write_json(lock_path(folder / "installers" / "locks", part, name), lock.to_dict())
    assert read_json(folder / "kit.json")["version"] == version
    return folder
