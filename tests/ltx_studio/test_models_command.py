"""The command line's `models`: what it prints, its exit codes, and that mistakes end in a sentence.

Alone: `pytest tests/ltx_studio/test_models_command.py`.
"""

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.network import refused_connections
from engine.weights.catalog import places
from ltx_studio.cli import run_command_line
from tests.fakes.catalogue import CONTENTS, small_catalogue
from tests.fakes.hub import FakeHub, Flip


@pytest.fixture(autouse=True)
def small_models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Two small models; no audit hook, for those stay as long as the process."""
    with pytest.MonkeyPatch.context() as monkeypatch, small_catalogue(tmp_path_factory.mktemp("data"), monkeypatch):
        monkeypatch.setattr("sys.addaudithook", lambda _hook: None)
        monkeypatch.delenv("LTX_STUDIO_SEALED", raising=False)
        yield


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with FakeHub(dict(CONTENTS)) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


def models(*arguments: str) -> int:
    return run_command_line(["models", *arguments])


def printed(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    return json.loads(capsys.readouterr().out)


def test_get_installs_a_model_and_list_says_so(hub: FakeHub, capsys: pytest.CaptureFixture[str]) -> None:
    assert models("get", "one", "--json", "--progress", "json") == 0

    output = capsys.readouterr()
    events = [json.loads(line) for line in output.err.splitlines()]
    assert (events[0]["event"], events[-1]["event"]) == ("queueready", "fileinstalled")
    assert json.loads(output.out)["fetched_bytes"] == sum(
        len(content) for name, content in CONTENTS.items() if "two" not in name
    )
    assert models("list", "--json") == 0
    assert {row["name"]: row["state"] for row in printed(capsys)["models"]} == {
        "one": "verified",
        "two": "missing",
        "reader": "verified",
    }
    assert hub.requests


def test_in_words_everything_is_said_on_a_line(hub: FakeHub, capsys: pytest.CaptureFixture[str]) -> None:
    assert models("get", "one", "two") == 0
    assert capsys.readouterr().out == "one, two: installed, 0.0 GB fetched\n"
    assert models("verify") == 0
    assert capsys.readouterr().out == "6 files are right\n"
    assert models("remove", "one") == 0
    assert capsys.readouterr().out.endswith("`models remove reader` deletes it too\n")
    assert models("list") == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert hub.requests


def test_a_wrong_download_ends_with_exit_code_3(hub: FakeHub, capsys: pytest.CaptureFixture[str]) -> None:
    hub.faults.append(Flip())

    assert models("get", "one", "--json", "--progress", "none") == 3

    error = printed(capsys)["error"]
    assert error["code"] == "download"
    assert "wrong hash" in error["message"]
    assert error["remedy"]


def test_a_wrong_installed_file_ends_with_exit_code_3(hub: FakeHub, capsys: pytest.CaptureFixture[str]) -> None:
    models("get", "one")
    path = places("one")[0].path
    path.write_bytes(bytes(len(CONTENTS["Somebody/Small/one.safetensors"])))
    capsys.readouterr()

    assert models("verify", "one", "--json") == 3

    assert "put aside" in printed(capsys)["error"]["message"]
    assert hub.requests


def test_no_space_ends_with_exit_code_4_before_the_first_byte(
    hub: FakeHub, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _folder: SimpleNamespace(free=10))

    assert models("get", "one", "--json") == 4

    assert "are free on this disk" in printed(capsys)["error"]["message"]
    assert hub.sent_bytes == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["get"], 2, "NAME"),
        (["get", "three"], 2, "no model named 'three'"),
        (["get", "one", "--mirror", "nonsense"], 2, "not the address of a hub"),
        (["get", "one", "--proxy", "socks5://here"], 3, "not a proxy"),
        (["verify", "one"], 3, "is not installed"),
        (["remove", "one"], 3, "is not installed"),
        (["export", "one", "-o", "pack"], 3, "is not installed"),
        (["import", "."], 2, "no offline pack"),
        (["adopt", "missing"], 2, "not a folder"),
        (["nonsense"], 2, "invalid choice"),
        ([], 2, "VERB"),
    ],
)
def test_a_mistake_ends_in_a_sentence_and_an_exit_code(
    arguments: list[str],
    code: int,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.invalid")

    assert models(*arguments) == code

    error = capsys.readouterr().err
    assert error.startswith("ltx-studio: ")
    assert words in error
    assert list(tmp_path.iterdir()) == []


def test_a_pack_goes_out_and_comes_back(hub: FakeHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    models("get", "one")
    assert models("export", "one", "-o", str(tmp_path / "pack")) == 0
    models("remove", "one", "reader")
    hub.requests.clear()
    capsys.readouterr()

    assert models("import", str(tmp_path / "pack"), "--json") == 0

    assert [file["was_there"] for file in printed(capsys)["files"]] == [False] * 4
    assert models("verify", "one") == 0
    assert hub.requests == []


def test_adopt_names_what_it_linked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "theirs").write_bytes(CONTENTS["Somebody/Small/one.safetensors"])

    assert models("adopt", str(tmp_path), "--json", "--progress", "none") == 0

    assert printed(capsys)["files"] == [
        {"path": str(places("one")[0].path), "source": str(tmp_path / "theirs"), "how": "hard link"}
    ]


def test_access_keeps_a_mirror_and_a_token(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    monkeypatch.setattr("sys.stdin", io.StringIO("hf_secret\n"))

    assert models("access", "--mirror", "https://mirror.example", "--token", "--json") == 0

    output = capsys.readouterr().out
    assert json.loads(output) == {"endpoint": "https://mirror.example", "proxy": False, "token": True}
    assert "hf_secret" not in output


def test_sealed_mode_refuses_a_download_and_doctor_counts_it(studio_home: Path) -> None:
    def studio(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "ltx_studio", *arguments, "--json", "--sealed"]
        environment = {**os.environ, "LTX_STUDIO_HOME": str(studio_home)}
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)

    got = studio("models", "get", "ltx-2.3-distilled", "--mirror", "http://127.0.0.1:9", "--progress", "none")

    assert got.returncode == 3
    assert "Sealed mode" in json.loads(got.stdout)["error"]["message"]
    assert [item.target for item in refused_connections(studio_home)] == ["127.0.0.1:9"]
    report = json.loads(studio("doctor").stdout)
    assert report["network"] == {"sealed": True, "attempts": 1}
    assert report["attempted_connections"] == ["127.0.0.1:9"]
