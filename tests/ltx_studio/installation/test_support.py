"""Nothing private in the log bundle. Alone: `pytest tests/ltx_studio/installation/test_support.py`."""

import json
import zipfile
from pathlib import Path, PurePosixPath

import pytest

from ltx_studio.installation.support import scrubber, write_bundle

HOME = Path("/" + "home/anna.meier")  # in pieces, because no file of the project names such a path
SCRUB = scrubber(places={"<installation>": HOME / "studio", "<home>": HOME}, user="anna.meier", node="annas-laptop")
USERS = "/" + "Users/"


@pytest.mark.parametrize(
    ("line", "clean"),
    [
        (f"{HOME}/studio/wheels", "<installation>/wheels"),
        (f"{HOME}/notes", "<home>/notes"),
        (f"{PurePosixPath(USERS)}/berta/x", f"{USERS}<user>/x"),
        ("C:\\Users\\berta\\AppData", "C:\\Users\\<user>\\AppData"),
        ('"C:\\\\Users\\\\berta\\\\AppData"', '"C:\\\\Users\\\\<user>\\\\AppData"'),
        ("started by anna.meier on Annas-Laptop", "started by <user> on <machine>"),
        ("proxy http://anna:secret@proxy:3128", "proxy http://<login>@proxy:3128"),
        ("token hf_abcdefghijklmnop", "token <token>"),
        ("mail to berta@firm.example now", "mail to <mail> now"),
        ("connected to 10.1.2.3 port 80", "connected to <address> port 80"),
        ('GenerationRequest("the heist, scene 4", seed=1)', 'GenerationRequest("<text>", seed=1)'),
        ("GenerationRequest('it\\'s a secret', seed=1)", 'GenerationRequest("<text>", seed=1)'),
        ('{"prompt": "a \\"quiet\\" heist", "seed": 1}', '{"prompt": "<text>", "seed": 1}'),
        ("prompt=the heist, scene 4", "prompt=<text>"),
        ("negative_prompt: blood", "negative_prompt: <text>"),
        ('$ ltx-studio generate "the heist" -o out', '$ ltx-studio generate "<text>" -o out'),
        ("wrote <home>/heist scene 4.mp4", "wrote <home>/<name>.mp4"),
        ("opened The Heist.ltxproject", "<name>.ltxproject"),
    ],
)
def test_what_is_private_goes(line: str, clean: str) -> None:
    assert SCRUB(line) == clean


@pytest.mark.parametrize(
    "line",
    ["torch 2.13.0+cpu on linux-cpu", "$ uv pip install --no-index", "The connection to pypi.org failed: 503"],
)
def test_what_support_needs_stays(line: str) -> None:
    assert SCRUB(line) == line


def test_a_bundle_has_the_logs_the_state_and_the_facts_without_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LTX_STUDIO_HOME", str(tmp_path))
    home = tmp_path / "installation"
    secrets = ["anna", "heist", str(tmp_path), "hf_abcdefghijklmnop"]
    text = f'{tmp_path}/clips/the heist.mp4\nGenerationRequest("the heist")\nhf_abcdefghijklmnop\n'
    for log in (home / "logs" / "install.log", tmp_path / "logs" / "studio.log"):
        log.parent.mkdir(parents=True)
        log.write_text(text, encoding="utf-8")
    (home / "installation.json").write_text(json.dumps({"engine_folder": str(tmp_path / "x")}), encoding="utf-8")
    (tmp_path / "prompts.jsonl").write_text("the heist", encoding="utf-8")

    write_bundle(tmp_path / "bundle.zip", home, {"target": "linux-cpu"})

    with zipfile.ZipFile(tmp_path / "bundle.zip") as archive:
        content = {name: archive.read(name).decode() for name in archive.namelist()}
    assert set(content) == {"machine.json", "install.log", "studio.log"}
    assert "linux-cpu" in content["machine.json"]
    assert [secret for secret in secrets if any(secret in text for text in content.values())] == []
