"""The numbers of an edit: its seed, its strength, how many takes; and of an extension, how much and at which end."""

from PySide6.QtCore import QSignalBlocker, Slot
from PySide6.QtWidgets import QButtonGroup, QGridLayout, QHBoxLayout, QWidget

from engine.pipelines.editing import LEAST_STRENGTH, LONGEST_EXTENSION_S
from ltx_studio.domain.edits import MAX_TAKES, EditDraft, EditMode
from ltx_studio.state.edits import EditsState, tr
from ltx_studio.state.observable import bind
from ltx_studio.state.session import NUM_SEEDS
from ltx_studio.ui.controls import IconButton, Label, Seconds, Segment, WholeNumber, describe
from ltx_studio.ui.theme import GAP, GRID, Appearance

_RANDOM_SEED = -1  # shown as the word
_SHORTEST_S = 0.04


class NumbersPart(QWidget):
    """Seed with dice and lock, strength of a retake, number of takes."""

    def __init__(self, state: EditsState, appearance: Appearance, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self._seed = WholeNumber(
            tr("Seed"), tr("The same seed and settings make the same take again"), _RANDOM_SEED, NUM_SEEDS - 1, self
        )
        describe(self._seed, tr("Seed of the edit"), self._seed.toolTip())
        self._seed.setSpecialValueText(tr("Random"))
        self._dice = IconButton("mdi6.dice-5-outline", tr("Draw a new seed for the edit"), appearance, self)
        self._lock = IconButton("mdi6.lock-open-variant-outline", tr("Keep the seed of the edit"), appearance, self)
        self._lock.setCheckable(True)
        self._strength = WholeNumber(
            tr("Strength"),
            tr("How much of the range is made anew: 100 % from nothing, less stays nearer to what is there"),
            round(100 * LEAST_STRENGTH),
            100,
            self,
        )
        self._strength.setSuffix(tr(" %"))
        self._strength.setSingleStep(5)
        self._takes = WholeNumber(tr("Takes"), tr("How many to make, each with a seed of its own"), 1, MAX_TAKES, self)
        self._arrange()
        self._seed.valueChanged.connect(self._seed_edited)
        self._dice.clicked.connect(state.draw_seed)
        self._lock.toggled.connect(state.lock_seed)
        self._strength.valueChanged.connect(lambda percent: state.change(strength=percent / 100))
        self._takes.valueChanged.connect(lambda count: state.change(num_takes=count))
        bind(state.draft, self._show)

    def controls(self) -> list[QWidget]:
        """In reading order, for the keyboard."""
        return [self._seed, self._dice, self._lock, self._strength, self._takes]

    def _arrange(self) -> None:
        seed = QHBoxLayout()
        seed.setSpacing(GRID)
        for widget in (self._seed, self._dice, self._lock):
            seed.addWidget(widget, 1 if widget is self._seed else 0)
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(GAP)
        self._grid.setVerticalSpacing(GRID)
        self._strength_label = Label(tr("Strength"), "secondary", self)
        labels = (Label(tr("Seed"), "secondary", self), self._strength_label, Label(tr("Takes"), "secondary", self))
        for column, (label, field) in enumerate(zip(labels, (self._seed, self._strength, self._takes), strict=True)):
            label.setBuddy(field)
            self._grid.addWidget(label, 0, column)
        self._grid.addLayout(seed, 1, 0)
        self._grid.addWidget(self._strength, 1, 1)
        self._grid.addWidget(self._takes, 1, 2)
        self._grid.setColumnStretch(0, 4)
        self._grid.setColumnStretch(2, 1)

    @Slot(int)
    def _seed_edited(self, seed: int) -> None:
        is_random = seed == _RANDOM_SEED
        self._state.change(seed=None if is_random else seed, is_seed_locked=not is_random)

    def _show(self, draft: EditDraft) -> None:
        is_retake = draft.mode is EditMode.RETAKE
        for widget in (self._strength, self._strength_label):
            widget.setVisible(is_retake)
        self._grid.setColumnStretch(1, 2 if is_retake else 0)
        for field, value in (
            (self._seed, _RANDOM_SEED if draft.seed is None else draft.seed),
            (self._strength, round(100 * draft.strength)),
            (self._takes, draft.num_takes),
        ):
            if field.value() != value:
                with QSignalBlocker(field):
                    field.setValue(value)
        with QSignalBlocker(self._lock):
            self._lock.setChecked(draft.is_seed_locked)
        self._lock.set_icon_name("mdi6.lock-outline" if draft.is_seed_locked else "mdi6.lock-open-variant-outline")
        kept, new = tr("This seed is kept"), tr("Each press draws a new seed; press to keep this one")
        describe(self._lock, tr("Keep the seed of the edit"), kept if draft.is_seed_locked else new)


class ExtensionPart(QWidget):
    """How much is added, and at which end."""

    def __init__(self, state: EditsState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._seconds = Seconds(tr("Add"), tr("How much to add"), _SHORTEST_S, LONGEST_EXTENSION_S, self)
        self._ends = QButtonGroup(self)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(GAP)
        row.addWidget(self._seconds, 1)
        segments = QHBoxLayout()
        segments.setSpacing(1)
        for index, (name, tip) in enumerate(
            (
                (tr("Before it"), tr("Lead up to the clip's first frame")),
                (tr("After it"), tr("Go on after the clip's last frame")),
            )
        ):
            segment = Segment(name, self)
            describe(segment, name, tip)
            self._ends.addButton(segment, index)
            segments.addWidget(segment, 1)
        row.addLayout(segments, 2)
        self._seconds.valueChanged.connect(lambda seconds: state.change(seconds=seconds))
        self._ends.idToggled.connect(
            lambda index, is_chosen: state.change(at=("start", "end")[index]) if is_chosen else None
        )
        bind(state.draft, self._show)

    def controls(self) -> list[QWidget]:
        return [self._seconds, *self._ends.buttons()]

    def _show(self, draft: EditDraft) -> None:
        self._ends.button(("start", "end").index(draft.at)).setChecked(True)
        if self._seconds.value() != draft.seconds:
            with QSignalBlocker(self._seconds):
                self._seconds.setValue(draft.seconds)
