"""The installation in words: engines, steps, how far, how it ended."""

from PySide6.QtCore import QCoreApplication

from ltx_studio.installation.messages import Progress, Step
from ltx_studio.state.setup import EngineChoice, Phase, SetupView
from ltx_studio.ui import words
from ltx_studio.ui.models_words import DANGER_ICON, OK_ICON, WARN_ICON, Said, amount, breakable, of


def tr(text: str) -> str:
    return QCoreApplication.translate("setup_words", text)


def engine(target: str) -> str:
    """What an engine runs on, in a user's words."""
    _, _, backend = target.partition("-") if not target.startswith("linux-arm64-") else ("", "", target[12:])
    names = {
        "nvidia": tr("NVIDIA graphics, current driver"),
        "nvidia-older": tr("NVIDIA graphics, older driver or card"),
        "amd": tr("AMD graphics"),
        "intel": tr("Intel graphics"),
        "apple": tr("Apple graphics"),
        "cpu": tr("Processor alone (slow)"),
    }
    return names.get(backend, target)


def choice(item: EngineChoice) -> str:
    """An engine and its download."""
    if item.fetch_bytes is None:
        return tr("{engine} (not part of this copy)").format(engine=engine(item.target))
    if item.fetch_bytes == 0:
        return tr("{engine} (all of it is here)").format(engine=engine(item.target))
    return tr("{engine} ({size} to fetch)").format(engine=engine(item.target), size=amount(item.fetch_bytes))


def title(view: SetupView) -> str:
    match view.phase:
        case Phase.LOOKING:
            return tr("Looking at this machine and at what is installed")
        case Phase.OFFER:
            return tr("One thing is missing: the engine that makes clips on this machine.")
        case Phase.WORKING:
            return step(view.progress)
        case Phase.PAUSED:
            return tr("Paused. What was fetched is kept, also when the studio is closed.")
        case Phase.FAILED:
            return tr("This did not work yet. What was done is kept.")
        case Phase.RESTART:
            return tr("Everything is in place. Start the studio again to use it.")
        case Phase.READY:
            return tr("The engine is ready: {engine}.").format(engine=engine(view.target))


def step(progress: Progress | None) -> str:
    if progress is None:
        return tr("Beginning")
    sentences = {
        Step.WAITING: tr("Another start of LTX Studio is installing; waiting for it"),
        Step.FETCHING: tr("Fetching the engine. You can look around meanwhile."),
        Step.INSTALLING: tr("Installing. You can look around meanwhile."),
        Step.VERIFYING: tr("Checking every file"),
        Step.TESTING: tr("Trying it out on this machine"),
        Step.REPAIRING: tr("Looking at every file"),
        Step.REMOVING: tr("Removing"),
    }
    return sentences[progress.step]


def numbers(view: SetupView) -> str:
    """How much, how fast, how long; or what is about to happen."""
    progress = view.progress
    if view.phase not in {Phase.WORKING, Phase.PAUSED} or progress is None or not progress.total:
        return ""
    match progress.step:
        case Step.FETCHING:
            parts = [of(progress.done, progress.total)]
            if view.phase is Phase.WORKING and progress.bytes_per_s > 0:
                parts.append(tr("{amount}/s").format(amount=amount(round(progress.bytes_per_s))))
            left = words.time_left(progress.left_s) if view.phase is Phase.WORKING else ""
            return " · ".join([*parts, left] if left else parts)
        case Step.INSTALLING:
            return tr("{done} of {total} packages").format(done=progress.done, total=progress.total)
        case _:
            return of(progress.done, progress.total)


def room(view: SetupView) -> str:
    """Where it goes, and what there is."""
    if not view.folder:
        return ""
    folder = breakable(view.folder)
    if view.free_bytes is None:
        return tr("Into {folder}").format(folder=folder)
    return tr("Into {folder}, where {free} are free").format(folder=folder, free=amount(view.free_bytes))


def said(view: SetupView) -> Said | None:
    """What the user should know or do now, beside the title."""
    if view.failure is not None and view.phase is Phase.FAILED:
        return Said(f"{view.failure.message} {view.failure.remedy}".rstrip(), "danger", DANGER_ICON)
    if view.mended is not None and view.phase in {Phase.READY, Phase.RESTART}:
        sentence = tr("{checked} files were looked at, and all are as they should be.")
        if view.mended.files:
            sentence = tr("{checked} files were looked at, and {mended} mended.")
        text = sentence.format(checked=view.mended.num_checked, mended=len(view.mended.files))
        return Said(text, "ok", OK_ICON)
    if view.chosen is not None:
        sentence = tr("From the next start on, projects go to {folder}.")
        if view.chosen[0] == "models":
            sentence = tr("From the next start on, models go to {folder}. Those that are here stay where they are.")
        return Said(sentence.format(folder=breakable(view.chosen[1])), "ok", OK_ICON)
    if view.remarks and view.phase in {Phase.OFFER, Phase.FAILED, Phase.READY}:
        return Said(" ".join(view.remarks), "warn", WARN_ICON)
    if view.phase is Phase.OFFER and view.advice:
        return Said(view.advice, "warn", WARN_ICON)
    if view.phase is Phase.WORKING and view.notice:
        return Said(view.notice, "warn", WARN_ICON)
    if view.saved:
        return Said(tr("The log is in {path}. It names nobody, and no prompt.").format(path=view.saved), "ok", OK_ICON)
    return None


def why_not(view: SetupView) -> str:
    """Why the chosen engine cannot be installed; empty when it can."""
    item = view.choice
    if item is not None and item.fetch_bytes is None:
        return tr("This copy has no list of packages for it. Choose another engine.")
    return ""


def release(view: SetupView) -> str:
    """What a newer version brings and takes."""
    found = view.release
    if found is None:
        return ""
    sentence = tr("Version {version} is there ({size}).")
    if found.engine_bytes:
        sentence = tr("Version {version} is there ({size}), with another engine ({engine} to fetch).")
    text = sentence.format(version=found.version, size=amount(found.shell_bytes), engine=amount(found.engine_bytes))
    return f"{text}\n{found.notes}".rstrip()
