"""The export that is being prepared: which clip, how, where to, what it will be, and what came of the last one.

Clips are read beside the window; the plan is made in it, being arithmetic. What is exported goes into the queue, whose
second lane makes it.
"""

import logging
import operator
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QStandardPaths, QThreadPool, Signal, Slot

from engine.errors import EngineError, RequestError
from engine.folders import data_folder
from engine.media.export_request import AddedAudio, ExportRequest, ExportSettings, Format
from ltx_studio.domain.queue import Item, Snapshot
from ltx_studio.settings import LAST_EXPORT
from ltx_studio.state.observable import Observable
from ltx_studio.state.preferences import Preferences
from ltx_studio.state.queue import QueueState

if TYPE_CHECKING:
    from engine.media.export_plan import ExportPlan
    from engine.media.export_presets import ExportPreset
    from engine.media.export_source import Source

logger = logging.getLogger("studio.export")

FIRST_PRESET = "original"
OWN = ""  # the preset's name once something was changed by hand


@dataclass(frozen=True)
class _Read:
    """What came of reading a clip; `source` is None where `problem` says why."""

    path: Path
    source: "Source | None"
    problem: str


class ExportState(QObject):
    """One for the window. Panels change it by its methods and show its observables."""

    asked = Signal()  # somebody wants to export a clip: show the panel
    presets_changed = Signal()  # there is another one
    _was_read = Signal(object)
    _was_probed = Signal(object)

    def __init__(self, queue: QueueState, preferences: Preferences, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._queue = queue
        self._preferences = preferences
        remembered = _remembered(preferences.get(LAST_EXPORT))
        self.source: Observable[Source | None] = Observable(None, self, is_same=operator.is_)
        self.is_reading = Observable(False, self)
        self.problem = Observable("", self)  # why this cannot be exported, in sentences
        self.request = Observable(ExportRequest(Path(), remembered.settings), self)
        self.plan: Observable[ExportPlan | None] = Observable(None, self)
        self.preset = Observable(remembered.preset, self)
        self.output = Observable(Path(), self)
        self.hardware = Observable[frozenset[Format] | None](None, self)  # None: not known yet
        self.job = Observable[Item | None](None, self)  # the last one that was asked for here
        self._folder = remembered.folder
        self._is_named_by_hand = False
        self._wanted: Path | None = None  # the clip that is being read
        self._frames: tuple[int, int] | None = None  # the range it is to have then
        self._job_id: int | None = None
        self._told = (0, 0.0)  # a job and how far it is, as its runner said last
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(1)
        self._was_read.connect(self._show)
        self._was_probed.connect(self._know_hardware)
        queue.export_added.connect(self._added)
        queue.export_refused.connect(self._refused)
        queue.snapshot.changed.connect(self._follow)

    def close(self) -> None:
        """Wait for what is being read."""
        self._pool.clear()
        self._pool.waitForDone()

    # --- which clip ---------------------------------------------------------------------------------------------------

    def ask(self, path: Path, *, frames: tuple[int, int] | None = None) -> None:
        """Show the panel with this clip, and with this range of it, whose second frame is not part of it."""
        self._frames = frames
        self.open_clip(path)
        if frames is not None and not self.is_reading.value:
            self.set_range(*frames)
        self.asked.emit()

    @Slot(object)
    def open_clip(self, path: Path) -> None:
        """Prepare another clip; the settings stay, the range and added sound do not."""
        current = self.source.value
        if self._wanted == path or (current is not None and current.path == path and not self.is_reading.value):
            return
        self._wanted = path
        self.is_reading.value = True
        self._pool.start(lambda: self._was_read.emit(_read(path)))
        if self.hardware.value is None:
            self._pool.start(lambda: self._was_probed.emit(_working_hardware()))

    @Slot(object)
    def _show(self, read: _Read) -> None:
        if read.path != self._wanted:
            return  # another clip was asked for meanwhile
        self._wanted = None
        self.is_reading.value = False
        self._is_named_by_hand = False
        settings = self.request.value.settings
        self.request.value = ExportRequest(read.path, settings)
        self.source.value = read.source
        if read.source is None:
            self.plan.value = None
            self.problem.value = read.problem
        else:
            self._plan()
            if self._frames is not None:
                self.set_range(*self._frames)
            self._frames = None

    @Slot(object)
    def _know_hardware(self, formats: frozenset[Format]) -> None:
        self.hardware.value = formats

    # --- how ----------------------------------------------------------------------------------------------------------

    def presets(self) -> "list[ExportPreset]":
        from engine.media.export_presets import export_presets  # noqa: PLC0415

        return list(export_presets().values())

    def choose_preset(self, name: str) -> None:
        """Every setting is the preset's; the range and the sound's volumes stay."""
        preset = next((item for item in self.presets() if item.name == name), None)
        if preset is not None:
            self.request.value = replace(self.request.value, settings=preset.settings)
            self.preset.value = name
            self._plan()

    def save_preset(self, title: str) -> bool:
        """Keep the settings under a name, for this and every later export; whether that went well."""
        from engine.media.export_presets import save_preset  # noqa: PLC0415

        try:
            preset = save_preset(title, self.request.value.settings)
        except EngineError as error:
            self.problem.value = str(error)
            return False
        self.presets_changed.emit()
        self.preset.value = preset.name
        self._plan()
        return True

    def change(self, **fields: Any) -> None:
        """Fields of the settings."""
        settings = replace(self.request.value.settings, **fields)
        if not settings.format.is_lossy:
            settings = replace(settings, quality=None, bit_rate=None, uses_hardware=False)
        if settings == self.request.value.settings:
            return
        self.request.value = replace(self.request.value, settings=settings)
        self.preset.value = OWN
        self._plan()

    def change_request(self, **fields: Any) -> None:
        """Fields of the request itself: the range, the volume, added sound."""
        request = replace(self.request.value, **fields)
        if request != self.request.value:
            self.request.value = request
            self._plan()

    def set_range(self, first: int, stop: int) -> None:
        """Frames of the clip, the second one not included; the whole clip is no range."""
        source = self.source.value
        if source is None or source.picture is None:
            return
        picture = source.picture
        start = None if first <= 0 else float(picture.time_of(first))
        end = None if stop >= picture.num_frames else float(picture.time_of(stop))
        self.change_request(start_s=start, end_s=end)

    @property
    def range(self) -> tuple[int, int]:
        """The frames that are exported, the second one not included."""
        source, request = self.source.value, self.request.value
        if source is None or source.picture is None:
            return 0, 0
        picture = source.picture
        rate = float(picture.frame_rate)
        first = 0 if request.start_s is None else round(request.start_s * rate)
        stop = picture.num_frames if request.end_s is None else round(request.end_s * rate)
        plan = self.plan.value
        if plan is not None and plan.picture is not None:
            return plan.picture.frames.start, plan.picture.frames.stop
        return first, stop

    def add_audio(self, path: Path | None) -> None:
        """Another sound below the clip's own; None takes it away."""
        self.change_request(added=None if path is None else AddedAudio(path))

    # --- where to -----------------------------------------------------------------------------------------------------

    def name_output(self, path: Path) -> None:
        """The user's own name; only its ending follows the format from now on."""
        self._is_named_by_hand = True
        self._folder = path.parent
        self.output.value = path
        self._plan()

    def _plan(self) -> None:
        from engine.media.export_plan import plan_export  # noqa: PLC0415 - PyAV, which the window opens without

        source = self.source.value
        if source is None:
            return
        try:
            plan = plan_export(self.request.value, source)
        except RequestError as error:
            self.plan.value = None
            self.problem.value = str(error)
            return
        self.output.value = self._output(source.path, plan)
        try:
            # With the ending the user wrote, where the format can be in several containers.
            suffix = self.output.value.suffix.lower() if plan.suffix else ""
            plan = plan_export(self.request.value, source, suffix=suffix)
        except RequestError as error:
            self.plan.value = None
            self.problem.value = str(error)
            return
        self.problem.value = ""
        self.plan.value = plan

    def _output(self, clip: Path, plan: "ExportPlan") -> Path:
        """The user's name with an ending that the format can have; else the clip's name in the last folder."""
        from engine.media.export_formats import KINDS  # noqa: PLC0415
        from engine.media.export_plan import default_output  # noqa: PLC0415

        if not self._is_named_by_hand:
            return default_output(clip, self._folder, plan)
        named = self.output.value
        suffixes = KINDS[plan.request.settings.format].suffixes
        if named.suffix.lower() in suffixes:
            return named
        return named.with_suffix(plan.suffix)

    # --- doing it -----------------------------------------------------------------------------------------------------

    def export(self) -> None:
        """Put it into the queue. What cannot be written is said in `problem`."""
        if self.plan.value is None:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            self.problem.value = self.tr("The folder {folder} cannot be made: {reason}. Choose another folder.").format(
                folder=self._folder, reason=error.strerror
            )
            return
        self._remember()
        self._queue.add_export(self.request.value, self.output.value)

    def cancel(self) -> None:
        """The export that was asked for last."""
        if self._job_id is not None:
            self._queue.cancel([self._job_id])

    @Slot(int)
    def _added(self, job_id: int) -> None:
        self._job_id = job_id
        self.problem.value = ""
        self._queue.refresh()

    @Slot(str)
    def _refused(self, reason: str) -> None:
        self.problem.value = reason

    @Slot(object)
    def _follow(self, snapshot: Snapshot) -> None:
        if self._job_id is not None:
            self.job.value = self._as_far_as_told(snapshot.by_id.get(self._job_id))

    def show_progress(self, job_id: int, fraction: float) -> None:
        """How far the lane says it is; the queue's file hears that once a second."""
        self._told = (job_id, fraction)
        self.job.value = self._as_far_as_told(self.job.value)

    def _as_far_as_told(self, item: Item | None) -> Item | None:
        """A bar never goes back because the file was behind."""
        job_id, fraction = self._told
        if item is None or item.id != job_id or item.state != "running" or item.job.fraction >= fraction:
            return item
        return replace(item, job=item.job._replace(fraction=fraction))

    def _remember(self) -> None:
        values = {
            "preset": self.preset.value,
            "settings": self.request.value.settings.to_dict(),
            "folder": str(self._folder),
        }
        try:
            self._preferences.put(LAST_EXPORT, values)
        except RequestError as error:  # the export itself does not need it
            logger.warning("the export settings were not remembered: %s", error)


# --- beside the window ------------------------------------------------------------------------------------------------


def _read(path: Path) -> _Read:
    from engine.media.export_source import read_source  # noqa: PLC0415

    try:
        return _Read(path, read_source(path), "")
    except EngineError as error:
        return _Read(path, None, str(error))
    except Exception:
        # The outermost boundary of this thread.
        logger.exception("reading %s for export failed", path)
        return _Read(path, None, f"{path.name} cannot be read. The log has the details.")


def _working_hardware() -> frozenset[Format]:
    from engine.media.export_formats import hardware_encoder  # noqa: PLC0415

    return frozenset(item for item in Format if item.is_lossy and hardware_encoder(item) is not None)


# --- what was left the last time --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Remembered:
    settings: ExportSettings
    preset: str
    folder: Path


def _remembered(values: Mapping[str, Any]) -> _Remembered:
    """What cannot be read is as at first."""
    movies = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.MoviesLocation)
    folder = Path(movies) if movies and Path(movies).is_dir() else data_folder() / "exports"
    try:
        settings = ExportSettings.from_dict(values.get("settings", {}))
    except RequestError as error:
        logger.warning("the last export's settings are ignored: %s", error)
        return _Remembered(ExportSettings(), FIRST_PRESET, folder)
    if not values:
        return _Remembered(settings, FIRST_PRESET, folder)
    last = Path(str(values.get("folder", folder)))
    return _Remembered(settings, str(values.get("preset", OWN)), last if last.is_dir() else folder)
