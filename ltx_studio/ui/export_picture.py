"""The part of the export panel about the picture: format, size, frame rate, and how much it is compressed."""

from PySide6.QtCore import QSignalBlocker, Slot
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QWidget

from engine.media.export_request import DEFAULT_QUALITY, LARGEST_SIDE, ExportRequest, Fit, Format
from engine.types import FrameRate, Size
from ltx_studio.state.export import ExportState
from ltx_studio.state.observable import bind
from ltx_studio.ui import export_words, words
from ltx_studio.ui.check_box import CheckBox
from ltx_studio.ui.controls import Choice, Label, WholeNumber, describe
from ltx_studio.ui.theme import GAP, GRID, Appearance

_SIZES = (
    Size(1280, 720),
    Size(1920, 1080),
    Size(3840, 2160),
    Size(720, 1280),
    Size(1080, 1920),
    Size(1080, 1080),
    Size(1080, 1350),
)
_OTHER_SIZE = "other"
_RATES = ("24000/1001", "24", "25", "30000/1001", "30", "50", "60000/1001", "60")
_FIRST_KILOBITS = 12_000
_AUTOMATIC, _QUALITY, _BIT_RATE = range(3)


class ExportPicture(QWidget):
    """Edits an `ExportState`'s settings."""

    def __init__(self, state: ExportState, appearance: Appearance, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self._build(appearance)
        self._arrange()
        self._connect()
        bind(state.request, self._show)
        bind(state.hardware, self._show_hardware)

    def controls(self) -> list[QWidget]:
        """In reading order, for the keyboard."""
        return [
            *(self._format, self._rate, self._size, self._fit, self._width, self._height),
            *(self._compression, self._amount, self._hardware),
        ]

    def _build(self, appearance: Appearance) -> None:
        self._format = Choice(self.tr("Format"), self.tr("The kind of file"), appearance, self)
        for item in Format:
            self._format.addItem(export_words.format_name(item))
        self._rate = Choice(self.tr("Frame rate"), self.tr("Frames a second"), appearance, self)
        self._rate.addItem(self.tr("As the clip"), None)
        for rate in map(FrameRate.parse, _RATES):
            self._rate.addItem(export_words.rate(rate), rate)
        self._size = Choice(self.tr("Size"), self.tr("Width and height in pixels"), appearance, self)
        self._size.addItem(self.tr("As the clip"), None)
        for size in _SIZES:
            self._size.addItem(words.size(size), size)
        self._size.addItem(self.tr("Other"), _OTHER_SIZE)
        self._fit = Choice(
            self.tr("Other shapes"), self.tr("What happens to a picture of another shape"), appearance, self
        )
        for item in Fit:
            self._fit.addItem(export_words.fit_name(item))
        self._width = WholeNumber(self.tr("Width"), self.tr("Width in pixels"), 16, LARGEST_SIDE, self)
        self._height = WholeNumber(self.tr("Height"), self.tr("Height in pixels"), 16, LARGEST_SIDE, self)
        for field in (self._width, self._height):
            field.setSuffix(self.tr(" px"))
            field.setKeyboardTracking(False)
        tip = self.tr("Automatic copies the picture where nothing changes")
        self._compression = Choice(self.tr("Compression"), tip, appearance, self)
        for text in (self.tr("Automatic"), self.tr("Quality"), self.tr("Bit rate")):
            self._compression.addItem(text)
        self._amount = WholeNumber(self.tr("Amount"), "", 1, 100, self)
        self._amount.setKeyboardTracking(False)
        text = self.tr("Encode on the graphics card")
        self._hardware = CheckBox(text, text, "", appearance, self)

        for choice in (self._format, self._rate, self._size, self._fit, self._compression):
            choice.setSizeAdjustPolicy(Choice.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            choice.setMinimumContentsLength(6)  # columns of one width, whatever the entries

    def _arrange(self) -> None:
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setHorizontalSpacing(GAP)
        layout.setVerticalSpacing(GRID)
        self._labels: dict[QWidget, Label] = {}
        places = ((self._format, 0, 0), (self._rate, 0, 1), (self._size, 2, 0), (self._fit, 2, 1))
        for field, row, column in (*places, (self._compression, 6, 0), (self._amount, 6, 1)):
            label = Label(field.accessibleName(), "secondary", self)
            label.setBuddy(field)
            self._labels[field] = label
            layout.addWidget(label, row, column)
            layout.addWidget(field, row + 1, column)
        sides = QHBoxLayout()
        sides.setSpacing(GAP)
        sides.addWidget(self._width)
        sides.addWidget(self._height)
        layout.addLayout(sides, 5, 0, 1, 2)
        layout.addWidget(self._hardware, 8, 0, 1, 2)
        layout.setColumnStretch(0, 1)
        layout.setColumnStretch(1, 1)

    def _connect(self) -> None:
        self._format.activated.connect(lambda index: self._state.change(format=list(Format)[index]))
        self._rate.activated.connect(lambda index: self._state.change(frame_rate=self._rate.itemData(index)))
        self._fit.activated.connect(lambda index: self._state.change(fit=list(Fit)[index]))
        self._size.activated.connect(self._size_chosen)
        self._width.valueChanged.connect(self._sides_edited)
        self._height.valueChanged.connect(self._sides_edited)
        self._compression.activated.connect(self._compression_chosen)
        self._amount.valueChanged.connect(self._amount_edited)
        self._hardware.clicked.connect(lambda is_wanted: self._state.change(uses_hardware=is_wanted))

    # --- what the user does -------------------------------------------------------------------------------------------

    @Slot(int)
    def _size_chosen(self, index: int) -> None:
        chosen = self._size.itemData(index)
        if chosen == _OTHER_SIZE:
            source = self._state.source.value
            shown = source.picture.shown if source is not None and source.picture is not None else _SIZES[1]
            chosen = self._state.request.value.settings.size or shown
            self._show_sides(chosen, are_shown=True)
            self._width.setFocus()
        self._state.change(size=chosen)

    @Slot()
    def _sides_edited(self) -> None:
        self._state.change(size=Size(self._width.value(), self._height.value()))

    @Slot(int)
    def _compression_chosen(self, index: int) -> None:
        quality = DEFAULT_QUALITY if index == _QUALITY else None
        bit_rate = _FIRST_KILOBITS * 1000 if index == _BIT_RATE else None
        self._state.change(quality=quality, bit_rate=bit_rate)

    @Slot(int)
    def _amount_edited(self, amount: int) -> None:
        if self._compression.currentIndex() == _QUALITY:
            self._state.change(quality=amount)
        elif self._compression.currentIndex() == _BIT_RATE:
            self._state.change(bit_rate=amount * 1000)

    # --- what is shown ------------------------------------------------------------------------------------------------

    def _show(self, request: ExportRequest) -> None:
        settings = request.settings
        self._format.setCurrentIndex(list(Format).index(settings.format))
        _choose(self._rate, settings.frame_rate)
        self._fit.setCurrentIndex(list(Fit).index(settings.fit))
        is_listed = settings.size is None or settings.size in _SIZES
        is_other = not is_listed or (self._width.isVisibleTo(self) and self._size.currentData() == _OTHER_SIZE)
        _choose(self._size, _OTHER_SIZE if is_other and settings.size is not None else settings.size)
        self._show_sides(settings.size, are_shown=is_other and settings.size is not None)
        self._show_compression(request)
        self._allow(request)
        self._show_hardware()

    def _show_sides(self, size: Size | None, *, are_shown: bool) -> None:
        self._width.setVisible(are_shown)
        self._height.setVisible(are_shown)
        if size is not None:
            with QSignalBlocker(self._width), QSignalBlocker(self._height):
                self._width.setValue(size.width)
                self._height.setValue(size.height)

    def _show_compression(self, request: ExportRequest) -> None:
        settings = request.settings
        index = _QUALITY if settings.quality is not None else _BIT_RATE if settings.bit_rate is not None else _AUTOMATIC
        self._compression.setCurrentIndex(index)
        with QSignalBlocker(self._amount):
            if index == _BIT_RATE and settings.bit_rate is not None:
                self._amount.setRange(100, 400_000)
                self._amount.setSingleStep(500)
                self._amount.setSuffix(self.tr(" kbit/s"))
                self._amount.setValue(settings.bit_rate // 1000)
            else:
                self._amount.setRange(1, 100)
                self._amount.setSingleStep(1)
                self._amount.setSuffix("")
                self._amount.setValue(settings.quality or DEFAULT_QUALITY)

    def _allow(self, request: ExportRequest) -> None:
        """What has no meaning for the format cannot be chosen, and says why."""
        settings = request.settings
        kind = export_words.format_name(settings.format)
        no_picture = "" if settings.format.has_picture else self.tr("There is no picture in this format.")
        no_choice = "" if settings.format.is_lossy else self.tr("{kind} has no quality to choose.").format(kind=kind)
        as_clip = "" if settings.size is not None else self.tr("The size is the clip's, so nothing has to fit.")
        automatic = self.tr("Choose quality or bit rate first.") if self._compression.currentIndex() == 0 else ""
        is_quality = self._compression.currentIndex() == _QUALITY
        amount_tip = self.tr("1 is smallest, 100 is best") if is_quality else self.tr("Of the picture")
        _set_allowed(self._rate, no_picture, self.tr("Frames a second"))
        _set_allowed(self._size, no_picture, self.tr("Width and height in pixels"))
        _set_allowed(self._fit, no_picture or as_clip, self.tr("What happens to a picture of another shape"))
        _set_allowed(self._compression, no_choice, self.tr("Automatic copies the picture where nothing changes"))
        _set_allowed(self._amount, no_choice or automatic, amount_tip)

    def _show_hardware(self, _formats: object = None) -> None:
        settings, working = self._state.request.value.settings, self._state.hardware.value
        self._hardware.setChecked(settings.uses_hardware)
        reason = ""
        if not settings.format.is_lossy:
            reason = self.tr("This format is always encoded by the processor.")
        elif working is None:
            reason = self.tr("Looking for hardware encoders.")
        elif settings.format not in working:
            reason = self.tr("No hardware encoder for this format works on this machine.")
        _set_allowed(self._hardware, reason, self.tr("Faster; for the same size not quite as good"))


def _set_allowed(control: QWidget, reason: str, tip: str) -> None:
    control.setEnabled(not reason)
    describe(control, control.accessibleName(), reason or tip)


def _choose(choice: Choice, value: object) -> None:
    """The entry with this value; one of its own for a value that is in no list."""
    for index in range(choice.count()):
        if choice.itemData(index) == value:
            choice.setCurrentIndex(index)
            return
    if isinstance(value, FrameRate):
        choice.addItem(export_words.rate(value), value)
        choice.setCurrentIndex(choice.count() - 1)
