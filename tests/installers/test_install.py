"""The whole installer, over small wheels: both stages, repair, updates, going back, removing.

Alone: `pytest tests/installers/test_install.py`. It runs uv and the installer's own process, as a user's machine does.
"""

import json
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from installers.bootstrap import try_lock
from installers.fetching import Access, StoppedError
from installers.hardware import find_hardware
from installers.removing import uninstall
from installers.work import Site, install, repair, roll_back
from ltx_studio.installation.errors import InstallError
from ltx_studio.installation.kit import read_kit
from ltx_studio.installation.messages import Mended, Message, Progress, Step
from ltx_studio.installation.state import Installation, Part, State
from tests.fakes.kits import TARGET, small_kit
from tests.fakes.wheels import WheelServer

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the paths below are POSIX's")
PLATFORM = find_hardware().platform.value


class Bench:
    """A kit, a server with its wheels, and a home to install into."""

    def __init__(self, folder: Path, server: WheelServer) -> None:
        self.folder, self.server = folder, server
        self.home = folder / "data" / "installation"
        self.kit = small_kit(folder / "kit", server.folder)

    def site(self, kit: Path | None = None, *, is_allowed: bool = True) -> Site:
        folder = kit or self.kit
        access = Access(is_allowed=is_allowed, mirror=self.server.url, first_delay_s=0.01)
        return Site(self.home, read_kit(folder), folder, access)

    def install(self, kit: Path | None = None) -> list[Message]:
        site = self.site(kit)
        return [*install(site, Part.SHELL, PLATFORM), *install(site, Part.ENGINE, TARGET)]

    def read(self) -> Installation:
        return self.site().record.read()

    def environment(self, part: Part = Part.ENGINE) -> Path:
        current = self.read().slot(part).current
        assert current is not None
        return self.home / "environments" / current.environment

    def file(self) -> Path:
        """Any of the engine's installed files."""
        return next(self.environment().glob("lib/*/site-packages/fourth_one/1.bin"))

    def run(self, *arguments: str, stdin: str = "", kit: Path | None = None) -> tuple[int, list[dict[str, Any]]]:
        """The installer's own process: its exit status and what it said."""
        script = (kit or self.kit) / "installers" / "install.py"
        environ = {
            **{name: value for name, value in os.environ.items() if name != "LTX_STUDIO_SEALED"},
            "LTX_STUDIO_WHEELS_URL": self.server.url,
            "LTX_STUDIO_HOME": str(self.folder / "data"),
        }
        command = [sys.executable, "-I", str(script), *arguments]
        ended = subprocess.run(
            command, input=stdin, capture_output=True, text=True, env=environ, check=False, timeout=60
        )
        return ended.returncode, [json.loads(line) for line in ended.stdout.splitlines()]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setenv("LTX_STUDIO_HOME", str(tmp_path / "data"))
    with WheelServer(tmp_path / "published") as server:
        yield Bench(tmp_path, server)


def test_both_stages_end_ready_and_nothing_is_fetched_twice(bench: Bench) -> None:
    bench.install()

    installation = bench.read()
    assert (installation.shell.state, installation.engine.state) == (State.READY, State.READY)
    assert (
        len(bench.server.requests) == len(set(bench.server.requests)) == 6
    )  # the engine takes the shell's wheels over
    bench.server.requests.clear()
    assert not [message for message in bench.install() if isinstance(message, Progress)]
    assert bench.server.requests == []


def test_what_is_half_built_is_built_again_from_the_wheels_that_are_here(bench: Bench) -> None:
    site = bench.site()
    messages = install(site, Part.ENGINE, TARGET)
    for message in messages:
        if isinstance(message, Progress) and message.step is Step.INSTALLING:
            break
    messages.close()  # as a kill would
    assert bench.read().engine.state is State.INCOMPLETE
    bench.server.requests.clear()

    list(install(bench.site(), Part.ENGINE, TARGET))

    assert bench.server.requests == []
    assert bench.read().engine.state is State.READY


def test_what_was_being_verified_goes_on_there(bench: Bench) -> None:
    messages = install(bench.site(), Part.ENGINE, TARGET)
    for message in messages:
        if isinstance(message, Progress) and message.step is Step.TESTING:
            break
    messages.close()
    assert bench.read().engine.state is State.VERIFYING

    steps = [item.step for item in install(bench.site(), Part.ENGINE, TARGET) if isinstance(item, Progress)]

    assert Step.INSTALLING not in steps
    assert bench.read().engine.state is State.READY


def test_files_that_a_power_cut_lost_while_verifying_are_installed_again(bench: Bench) -> None:
    messages = install(bench.site(), Part.ENGINE, TARGET)
    for message in messages:
        if isinstance(message, Progress) and message.step is Step.TESTING:
            break
    messages.close()
    wanted = bench.read().engine.wanted
    assert wanted is not None
    lost = next((bench.home / "environments" / wanted.environment).glob("lib/*/site-packages/fourth_one/1.bin"))
    lost.write_bytes(bytes(lost.stat().st_size))

    list(install(bench.site(), Part.ENGINE, TARGET))

    assert any(lost.read_bytes())


def test_the_one_before_stays_in_use_when_the_new_one_does_not_work(bench: Bench) -> None:
    bench.install()
    before = bench.read().engine.current
    broken = small_kit(bench.folder / "kit2", bench.server.folder, wheel_version="2.0", is_broken=True)

    with pytest.raises(InstallError, match="It multiplies wrongly"):
        list(install(bench.site(broken), Part.ENGINE, TARGET))

    engine = bench.read().engine
    assert (engine.current, engine.is_usable) == (before, True)
    assert engine.problem is not None
    assert engine.problem.code == "smoke-test"


def test_an_update_can_be_gone_back_from_and_only_one_older_is_kept(bench: Bench) -> None:
    bench.install()
    first = bench.environment()
    for version in ("2.0", "3.0"):
        second = small_kit(bench.folder / "kit2", bench.server.folder, wheel_version=version)
        bench.install(second)
    third = bench.environment()

    roll_back(bench.site(), Part.ENGINE)

    assert not first.exists()
    assert bench.environment() not in {first, third}
    assert third.exists()
    assert not list((bench.home / "wheels").glob("*-1.0-*"))


def test_repair_finds_and_mends_the_one_file_that_is_broken(bench: Bench) -> None:
    bench.install()
    path = bench.file()
    before = path.read_bytes()
    path.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))

    mended = [message for message in repair(bench.site(), Part.ENGINE) if isinstance(message, Mended)]

    assert [Path(name).name for message in mended for name in message.files] == ["1.bin"]
    assert path.read_bytes() == before
    assert bench.read().engine.state is State.READY


def test_repair_works_where_the_wheel_is_broken_too(bench: Bench) -> None:
    bench.install()
    path, before = bench.file(), bench.file().read_bytes()
    path.unlink()
    wheel = next((bench.home / "wheels").glob("fourth_one*"))
    wheel.write_bytes(b"broken")

    list(repair(bench.site(), Part.ENGINE))

    assert path.read_bytes() == before


def test_repair_installs_anew_where_even_the_list_of_files_is_gone(bench: Bench) -> None:
    bench.install()
    before = bench.environment()
    before.with_name(f"{before.name}.json").unlink()
    bench.file().unlink()

    list(repair(bench.site(), Part.ENGINE))

    assert bench.environment() != before
    assert bench.file().exists()
    assert bench.read().engine.state is State.READY


def test_a_repair_that_was_killed_goes_on_at_the_next_start(bench: Bench) -> None:
    bench.install()
    bench.file().unlink()
    messages = repair(bench.site(), Part.ENGINE)
    next(messages)
    messages.close()
    assert not bench.read().engine.is_usable

    code, _ = bench.run("launch", "--json")

    assert code == 0
    assert bench.file().exists()
    assert bench.read().engine.state is State.READY


def test_the_studios_own_code_is_mended_too(bench: Bench) -> None:
    bench.install()
    code = next(bench.home.glob("studio/*/ltx_studio/__main__.py"))
    before = code.read_bytes()
    code.write_bytes(b"")

    list(repair(bench.site(), Part.SHELL))

    assert code.read_bytes() == before


def test_stopping_ends_it_soon_and_it_goes_on_later(bench: Bench) -> None:
    site = bench.site()
    site.stop.set()
    with pytest.raises(StoppedError):
        list(install(site, Part.ENGINE, TARGET))

    bench.install()

    assert bench.read().engine.state is State.READY


def test_a_pack_installs_without_the_network(bench: Bench) -> None:
    code, _ = bench.run("engine", "--target", TARGET, "--offline", "--wheels", str(bench.server.folder), "--json")

    assert code == 0
    assert bench.server.requests == []
    assert bench.read().engine.state is State.READY


def test_launch_finishes_the_first_stage_and_becomes_the_studio(bench: Bench) -> None:
    code, said = bench.run("launch", "--json", "--", "doctor", "--json")

    assert code == 0
    assert said[-1]["python"] == str(bench.environment(Part.SHELL))
    assert said[-1]["studio"].startswith(str(bench.home / "studio"))
    assert said[-1]["arguments"] == ["doctor", "--json"]
    assert said[-1]["installer"] == str(bench.kit / "installers" / "install.py")


def test_launch_starts_in_the_engines_environment_once_there_is_one(bench: Bench) -> None:
    bench.install()

    _, said = bench.run("launch")

    assert said == [{**said[0], "python": str(bench.environment(Part.ENGINE))}]


def test_a_new_package_brings_its_studio_at_the_next_start_and_fetches_nothing(bench: Bench) -> None:
    bench.install()
    bench.server.requests.clear()
    newer = small_kit(bench.folder / "kit2", bench.server.folder, version="0.2.0")

    _, said = bench.run("launch", "--json", kit=newer)

    assert "0.2.0" in said[-1]["studio"]
    assert bench.server.requests == []


def test_going_back_to_the_studio_before_lasts(bench: Bench) -> None:
    bench.install()
    newer = small_kit(bench.folder / "kit2", bench.server.folder, version="0.2.0")
    bench.run("launch", kit=newer)

    bench.run("rollback", kit=newer)

    assert "0.1.0" in bench.run("launch", kit=newer)[1][-1]["studio"]


def test_an_engine_for_other_requirements_is_said_to_need_an_update(bench: Bench) -> None:
    bench.install()
    newer = small_kit(bench.folder / "kit2", bench.server.folder, version="0.2.0", wheel_version="2.0")

    _, said = bench.run("launch", "--json", kit=newer)

    assert bench.read().engine.state is State.UPDATE_REQUIRED
    assert said[-1]["python"] == str(bench.environment(Part.SHELL))


def test_status_says_what_is_missing(bench: Bench) -> None:
    assert bench.run("status", "--json")[0] == 11
    list(install(bench.site(), Part.SHELL, PLATFORM))
    assert bench.run("status", "--json")[0] == 10
    bench.install()
    assert bench.run("status", "--json")[0] == 0


def test_a_second_one_waits_for_the_lock_and_can_be_stopped_meanwhile(bench: Bench) -> None:
    bench.home.mkdir(parents=True)
    with (bench.home / "installation.lock").open("a") as lock:
        assert try_lock(lock)

        code, said = bench.run("shell", "--json", "--attended", stdin="stop\n")

    assert code == 130
    assert [message["event"] for message in said][-1] == "stopped"


def publish_update(bench: Bench, *, version: str) -> Path:
    """A feed beside the wheels that offers a kit, and a kit that knows of the feed."""
    newer = small_kit(bench.folder / "newer", bench.server.folder, version=version, updates=f"{bench.server.url}/feed")
    archive = bench.server.folder / "kit.zip"
    shutil.rmtree(newer / "bin")  # an update takes uv from the package
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(newer.rglob("*")):
            file.write(path, path.relative_to(newer))
    kit = {
        "url": f"{bench.server.url}/kit.zip",
        "sha256": sha256(archive.read_bytes()).hexdigest(),
        "size_bytes": archive.stat().st_size,
    }
    feed = {"format": 1, "version": version, "notes": "Better.", "kit": kit, "engines": {}}
    (bench.server.folder / "feed").write_text(json.dumps(feed), encoding="utf-8")
    return small_kit(bench.kit, bench.server.folder, updates=f"{bench.server.url}/feed")


def test_an_update_is_offered_applied_and_started(bench: Bench) -> None:
    publish_update(bench, version="0.2.0")
    bench.install()

    _, offered = bench.run("updates", "--allowed", "--json")
    code, _ = bench.run("updates", "--allowed", "--apply", "--json")

    assert (offered[0]["values"]["offer"]["version"], offered[0]["values"]["offer"]["notes"]) == ("0.2.0", "Better.")
    assert code == 0
    assert "0.2.0" in bench.run("launch")[1][-1]["studio"]
    assert bench.run("rollback")[0] == 0
    assert "0.1.0" in bench.run("launch")[1][-1]["studio"]


def test_a_version_that_was_skipped_is_not_offered(bench: Bench) -> None:
    publish_update(bench, version="0.2.0")
    bench.install()

    bench.run("updates", "--skip", "0.2.0", "--json")

    assert bench.run("updates", "--allowed", "--json")[1][0]["values"]["offer"] is None


@pytest.mark.parametrize("options", [[], ["--allowed", "--offline"]])
def test_nobody_is_asked_for_updates_unless_it_is_allowed_and_not_sealed(bench: Bench, options: list[str]) -> None:
    publish_update(bench, version="0.2.0")

    code, said = bench.run("updates", *options, "--json")

    assert code == 3
    assert said[-1]["event"] == "failed"
    assert bench.server.requests == []


@pytest.mark.parametrize("keep", [frozenset[str](), frozenset({"models"}), frozenset({"models", "projects"})])
def test_uninstalling_leaves_what_is_to_be_kept_and_what_was_never_ours(bench: Bench, keep: frozenset[str]) -> None:
    bench.install()
    data = bench.folder / "data"
    for name in ("models/x/weights", "projects/film/project.json", "clips/a.mkv", "settings.json", "holiday.jpg"):
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_text("x", encoding="utf-8")

    list(uninstall(bench.site(), keep))

    left = {path.name for path in data.iterdir()} - {"installation"}
    kept = {"models"} if keep else set[str]()
    assert left == {"holiday.jpg", *kept, *({"projects", "clips"} if "projects" in keep else ())}
    assert [path.name for path in bench.home.iterdir()] == []


def test_uninstalling_touches_nothing_of_a_home_folder(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.install()
    data = bench.folder / "data"
    monkeypatch.setenv("HOME", str(data))
    for name in ("models", "projects", "logs"):
        (data / name).mkdir()

    list(uninstall(bench.site(), frozenset()))

    assert {path.name for path in data.iterdir()} == {"installation", "models", "projects", "logs"}


def test_folders_that_only_begin_alike_stay(bench: Bench) -> None:
    bench.install()
    data = bench.folder / "data"
    for name in ("models-of-mine", "settings.json-1", "library.sqlite3-wal"):
        (data / name).mkdir()

    list(uninstall(bench.site(), frozenset()))

    assert {path.name for path in data.iterdir()} == {"installation", "models-of-mine"}


def test_uninstalling_by_the_process_leaves_no_folder(bench: Bench) -> None:
    bench.install()

    code, _ = bench.run("uninstall", "--json")

    assert code == 0
    assert not (bench.folder / "data").exists()


def test_an_engine_goes_where_the_user_chose(bench: Bench) -> None:
    chosen = bench.folder / "large disk"

    code, _ = bench.run("engine", "--target", TARGET, "--folder", str(chosen), "--json")

    assert code == 0
    assert list(chosen.glob("environments/*/bin/python"))
    assert "large disk" in bench.run("launch")[1][-1]["python"]
    bench.run("uninstall", "--json")
    assert not chosen.exists()


def test_a_folder_without_room_or_rights_is_refused_before_anything_is_fetched(bench: Bench) -> None:
    code, said = bench.run("engine", "--target", TARGET, "--folder", "relative/folder", "--json")

    assert (code, said[-1]["code"]) == (3, "not-absolute")
    assert bench.server.requests == []


def test_folders_for_models_and_projects_reach_the_studio(bench: Bench) -> None:
    bench.install()
    chosen = bench.folder / "films"

    bench.run("choose", "--projects", str(chosen), "--json")

    assert bench.run("launch")[1][-1]["projects"] == str(chosen)


def test_no_thread_is_left_behind(bench: Bench) -> None:
    before = threading.active_count()

    bench.install()

    assert threading.active_count() <= before + 1  # a fetching thread may still be on its way out
