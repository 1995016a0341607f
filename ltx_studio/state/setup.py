"""What the first page knows of the installation: which engine, how far it is, how it ended. No widgets, no processes.

Commands go out as lists for the installer's process, its messages come in; whoever owns both connects them.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal, Slot

from ltx_studio.installation.messages import Done, Facts, Failed, Mended, Message, Notice, Planned, Progress, Stopped
from ltx_studio.state.observable import Observable


class Phase(StrEnum):
    LOOKING = "looking"  # at the machine and at what is installed
    OFFER = "offer"  # nothing is installed yet, or another engine is needed
    WORKING = "working"
    PAUSED = "paused"
    FAILED = "failed"
    RESTART = "restart"  # done; what runs is not what was made
    READY = "ready"


class Work(StrEnum):
    """The commands that take a while."""

    ENGINE = "engine"
    REPAIR = "repair"
    UPDATE = "updates"


@dataclass(frozen=True)
class EngineChoice:
    """`fetch_bytes` is None where this copy has no list of packages for it."""

    target: str
    fetch_bytes: int | None


@dataclass(frozen=True)
class Release:
    """A newer version. `engine_bytes` is 0 where the engine stays."""

    version: str
    notes: str
    shell_bytes: int
    engine_bytes: int


@dataclass(frozen=True)
class SetupView:
    phase: Phase = Phase.LOOKING
    has_engine: bool = False
    choices: tuple[EngineChoice, ...] = ()
    target: str = ""
    why: str = ""
    advice: str = ""
    folder: str = ""
    free_bytes: int | None = None
    remarks: tuple[str, ...] = ()  # on the folder
    has_begun: bool = False  # part of it is there
    work: Work | None = None
    planned: Planned | None = None
    progress: Progress | None = None
    notice: str = ""
    failure: Failed | None = None
    mended: Mended | None = None
    can_roll_back: str = ""  # the part that has an earlier version, or none
    version: str = ""
    release: Release | None = None
    saved: str = ""  # where the last bundle for support is
    chosen: tuple[str, str] | None = None  # "models" or "projects", and the folder from the next start on

    @property
    def choice(self) -> EngineChoice | None:
        return next((choice for choice in self.choices if choice.target == self.target), None)


class SetupState(QObject):
    """One for the window. `asked` carries a command, `stop_asked` ends the one that runs."""

    asked = Signal(object)  # list[str]
    stop_asked = Signal()
    restart_asked = Signal()

    def __init__(self, parent: QObject | None = None, *, has_engine: bool) -> None:
        super().__init__(parent)
        self.view = Observable(SetupView(has_engine=has_engine), self)
        self._last_command: list[str] = []

    # --- what the user wants ------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Ask for the machine, what is installed and the room there is."""
        self._change(phase=Phase.LOOKING)
        self._ask("hardware")
        self._ask("status")

    def choose_target(self, target: str) -> None:
        if self.view.value.phase in {Phase.OFFER, Phase.FAILED, Phase.PAUSED}:
            self._change(target=target)

    def choose_folder(self, folder: Path) -> None:
        """For the engine; what speaks against it is said before anything is done."""
        self._change(folder=str(folder), remarks=(), free_bytes=None)
        self._ask("check", str(folder))

    def choose_place(self, use: str, folder: Path) -> None:
        """For "models" or "projects", from the next start on."""
        self._change(chosen=(use, str(folder)), remarks=())
        self._ask("choose", f"--{use}", str(folder))

    def install(self) -> None:
        view = self.view.value
        folder = ["--folder", view.folder] if view.folder and not view.has_begun else []
        self._work(Work.ENGINE, "engine", "--target", view.target, *folder)

    def repair(self) -> None:
        self._work(Work.REPAIR, "repair")

    def roll_back(self, part: str) -> None:
        self._work(Work.REPAIR, "rollback", "--part", part)

    def pause(self) -> None:
        self.stop_asked.emit()

    def again(self) -> None:
        """The same once more; it goes on from where it was."""
        if self._last_command and self.view.value.work is not None:
            self._work(self.view.value.work, *self._last_command)

    def restart(self) -> None:
        self.restart_asked.emit()

    def save_support(self, path: Path) -> None:
        self._ask("support", str(path))

    def look_for_updates(self) -> None:
        """Only where the user allowed it; the caller knows."""
        self._ask("updates", "--allowed")

    def update(self) -> None:
        self._work(Work.UPDATE, "updates", "--allowed", "--apply")

    def skip(self) -> None:
        release = self.view.value.release
        if release is not None:
            self._ask("updates", "--skip", release.version)
            self._change(release=None)

    # --- what the installer says --------------------------------------------------------------------------------------

    @Slot(str, object)
    def hear(self, verb: str, message: Message) -> None:
        is_work = self.view.value.phase is Phase.WORKING and verb in {*Work, "rollback"}
        match message:
            case Facts(values):
                self._learn(verb, values)
            case Planned():
                self._change(planned=message)
            case Progress() if is_work:
                self._change(progress=message)
            case Notice(text):
                self._change(notice=text)
            case Mended():
                before = self.view.value.mended
                is_more = before is not None
                files = (*(before.files if is_more else ()), *message.files)
                checked = message.num_checked + (before.num_checked if is_more else 0)
                self._change(mended=replace(message, num_checked=checked, files=files))
            case Done(must_restart) if is_work:
                self._finish(verb, must_restart=must_restart)
            case Stopped() if is_work:
                self._change(phase=Phase.PAUSED, has_begun=True)
            case Failed(_, text, _) if verb == "choose":
                self._change(chosen=None, remarks=(text,))
            case Failed() if verb == "updates" and not is_work:
                pass  # looking for a new version is nobody's wish of this moment; the installer's log has it
            case Failed():
                self._change(phase=Phase.FAILED, failure=message)
            case _:
                pass

    def _finish(self, verb: str, *, must_restart: bool) -> None:
        if must_restart:
            self._change(phase=Phase.RESTART)
        else:
            self._change(phase=Phase.READY if self.view.value.has_engine or verb == "repair" else Phase.LOOKING)
            self._ask("status")

    def _learn(self, verb: str, values: dict[str, Any]) -> None:
        match verb:
            case "hardware":
                choices = tuple(EngineChoice(str(row["target"]), row.get("fetch_bytes")) for row in values["targets"])
                why, advice = str(values["why"]), str(values["advice"])
                target = self.view.value.target or _possible(choices, str(values["target"]))
                self._change(choices=choices, target=target, why=why, advice=advice)
            case "status":
                self._learn_status(values)
            case "check":
                found = values["folders"][0]
                remarks = tuple(str(verdict["sentence"]) for verdict in found["verdicts"])
                self._change(folder=str(found["folder"]), free_bytes=found["free_bytes"], remarks=remarks)
            case "updates" if values.get("offer"):
                offer = values["offer"]
                release = Release(
                    str(offer["version"]), str(offer["notes"]), int(offer["shell_bytes"]), int(offer["engine_bytes"])
                )
                self._change(release=release)
            case "support":
                self._change(saved=str(values["path"]))
            case _:
                pass

    def _learn_status(self, values: dict[str, Any]) -> None:
        engine, shell = values["engine"], values["shell"]
        is_there = bool(engine["is_usable"]) and engine["state"] != "update required"
        problem = engine["problem"]
        view = self.view.value
        if view.phase is Phase.LOOKING:
            phase = Phase.READY if is_there and view.has_engine else Phase.RESTART if is_there else Phase.OFFER
            self._change(phase=phase, failure=None if problem is None else Failed(**problem))
        self._change(
            version=str(values["version"]),
            target=engine["target"] or self.view.value.target,
            can_roll_back="shell" if shell["can_roll_back"] else "engine" if engine["can_roll_back"] else "",
            has_begun=bool(engine["target"]),
        )
        if not self.view.value.folder:
            self._ask("check", str(values["engine_folder"]))

    # --- inside -------------------------------------------------------------------------------------------------------

    def _work(self, work: Work, *command: str) -> None:
        self._last_command = list(command)
        self._change(
            phase=Phase.WORKING, work=work, progress=None, planned=None, failure=None, notice="", mended=None, saved=""
        )
        self._ask(*command)

    def _ask(self, *command: str) -> None:
        self.asked.emit(list(command))

    def _change(self, **values: Any) -> None:
        self.view.value = replace(self.view.value, **values)


def _possible(choices: tuple[EngineChoice, ...], target: str) -> str:
    """The target that fits best, or the processor's where this copy has no packages for that one."""
    known = {choice.target for choice in choices if choice.fetch_bytes is not None}
    if target in known:
        return target
    return next((choice for choice in sorted(known) if choice.endswith(("-cpu", "-apple"))), target)
