"""What the first page knows of the installation. Alone: `pytest tests/ltx_studio/test_setup_state.py`."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import QObject

from ltx_studio.installation.messages import Done, Facts, Failed, Mended, Notice, Progress, Step, Stopped
from ltx_studio.installation.state import Part
from ltx_studio.state.setup import EngineChoice, Phase, SetupState, Work
from tests.fakes.installer import HARDWARE, room, status


class Setup:
    """A state, and the commands it asked for."""

    def __init__(self, parent: QObject, *, has_engine: bool = False) -> None:
        self.state = SetupState(parent, has_engine=has_engine)
        self.commands: list[list[str]] = []
        self.state.asked.connect(self.commands.append)
        self.state.look()

    @property
    def phase(self) -> Phase:
        return self.state.view.value.phase

    def know(self, answer: Facts | None = None) -> None:
        """The machine, and what is installed."""
        self.state.hear("hardware", HARDWARE)
        self.state.hear("status", answer or status())


@pytest.fixture
def setup(qapp: QObject) -> Setup:
    return Setup(qapp)


def test_it_looks_before_it_offers(setup: Setup) -> None:
    assert setup.phase is Phase.LOOKING
    assert [command[0] for command in setup.commands] == ["hardware", "status"]


def test_the_engine_that_fits_is_offered_with_its_size(setup: Setup) -> None:
    setup.know()

    view = setup.state.view.value
    assert (view.phase, view.choice) == (Phase.OFFER, EngineChoice("linux-nvidia", 3_000_000_000))


def test_where_its_packages_are_not_part_of_this_copy_the_processors_is_offered(setup: Setup) -> None:
    values = {**HARDWARE.values, "target": "linux-amd"}

    setup.state.hear("hardware", Facts(values))

    assert setup.state.view.value.target == "linux-cpu"


def test_installing_asks_for_the_engine_and_the_folder_that_were_chosen(setup: Setup) -> None:
    setup.know()
    setup.state.choose_target("linux-cpu")
    setup.state.choose_folder(Path("/large"))
    setup.state.hear("check", room("/large", remarks=["/large is on a network."]))

    setup.state.install()

    assert setup.state.view.value.remarks == ("/large is on a network.",)
    assert setup.commands[-1] == ["engine", "--target", "linux-cpu", "--folder", "/large"]
    assert setup.phase is Phase.WORKING


def test_pausing_keeps_how_far_it_was_and_resuming_asks_for_the_same(setup: Setup) -> None:
    setup.know()
    setup.state.install()
    progress = Progress(Part.ENGINE, Step.FETCHING, "torch.whl", 5, 10)
    setup.state.hear("engine", progress)
    before = setup.commands[-1]

    setup.state.pause()
    setup.state.hear("engine", Stopped())
    assert (setup.phase, setup.state.view.value.progress) == (Phase.PAUSED, progress)
    setup.state.again()

    assert setup.commands[-1] == before


def test_an_engine_that_was_made_asks_for_a_new_start(setup: Setup) -> None:
    setup.know()
    setup.state.install()

    setup.state.hear("engine", Done(must_restart=True))

    assert setup.phase is Phase.RESTART


def test_an_engine_that_an_earlier_start_made_asks_for_a_new_start_too(setup: Setup) -> None:
    setup.know(status(engine="ready", target="linux-cpu"))

    assert setup.phase is Phase.RESTART


def test_a_window_beside_its_engine_is_ready(qapp: QObject) -> None:
    setup = Setup(qapp, has_engine=True)

    setup.know(status(engine="ready", target="linux-cpu", can_roll_back=True))

    assert setup.phase is Phase.READY
    assert setup.state.view.value.can_roll_back == "shell"


def test_an_engine_that_needs_an_update_is_offered_again(setup: Setup) -> None:
    setup.know(status(engine="update required", target="linux-cpu"))

    assert (setup.phase, setup.state.view.value.target) == (Phase.OFFER, "linux-cpu")


def test_a_failure_says_what_to_do_and_the_same_can_be_tried_again(setup: Setup) -> None:
    setup.know()
    setup.state.install()

    setup.state.hear("engine", Notice("Trying again."))
    setup.state.hear("engine", Failed("disk-full", "The disk is full.", "Free some space."))
    assert (setup.phase, setup.state.view.value.failure) == (
        Phase.FAILED,
        Failed("disk-full", "The disk is full.", "Free some space."),
    )
    setup.state.again()

    assert setup.commands[-1][0] == "engine"
    assert setup.state.view.value.failure is None


def test_a_repair_counts_what_it_looked_at_in_both_parts(qapp: QObject) -> None:
    setup = Setup(qapp, has_engine=True)
    setup.know(status(engine="ready", target="linux-cpu"))
    setup.state.repair()

    setup.state.hear("repair", Mended(Part.SHELL, 10, ("a",)))
    setup.state.hear("repair", Mended(Part.ENGINE, 20, ()))
    setup.state.hear("repair", Done())

    mended = setup.state.view.value.mended
    assert mended is not None
    assert (mended.num_checked, mended.files, setup.phase) == (30, ("a",), Phase.READY)


def test_a_release_is_shown_and_can_be_skipped(setup: Setup) -> None:
    offer = {"version": "0.2", "notes": "Faster.", "shell_bytes": 25, "engine_bytes": 0}
    setup.know()

    setup.state.look_for_updates()
    setup.state.hear("updates", Facts({"version": "0.1", "offer": offer}))
    release = setup.state.view.value.release
    setup.state.skip()

    assert release is not None
    assert release.notes == "Faster."
    assert setup.state.view.value.release is None
    assert setup.commands[-1] == ["updates", "--skip", "0.2"]


@pytest.mark.parametrize("answer", [Failed("not-fetched", "No.", ""), Facts({"version": "0.1", "offer": None})])
def test_looking_for_updates_in_vain_disturbs_nobody(setup: Setup, answer: Failed | Facts) -> None:
    setup.know()
    before = setup.state.view.value
    setup.state.look_for_updates()

    setup.state.hear("updates", answer)

    assert setup.state.view.value == before


@pytest.mark.parametrize(
    ("act", "work"),
    [
        (lambda state: state.repair(), Work.REPAIR),
        (lambda state: state.update(), Work.UPDATE),
        (lambda state: state.roll_back("shell"), Work.REPAIR),
    ],
)
def test_each_long_work_says_which_it_is(setup: Setup, act: Callable[[SetupState], None], work: Work) -> None:
    setup.know()

    act(setup.state)

    assert (setup.phase, setup.state.view.value.work) == (Phase.WORKING, work)


def test_another_folder_for_models_is_kept_or_refused_with_the_reason(setup: Setup) -> None:
    setup.know()

    setup.state.choose_place("models", Path("/large"))
    assert setup.commands[-1] == ["choose", "--models", "/large"]
    assert setup.state.view.value.chosen == ("models", "/large")

    setup.state.hear("choose", Failed("not-writable", "/large cannot be written.", ""))
    view = setup.state.view.value
    assert (view.phase, view.chosen, view.remarks) == (Phase.OFFER, None, ("/large cannot be written.",))
