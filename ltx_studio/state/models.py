"""The model page's state: what there is, what is being done with it, and what the user may ask for now.

No widgets and no thread: commands leave through `asked`, the worker's events arrive through `apply`.
"""

from dataclasses import replace

from PySide6.QtCore import QObject, Signal, Slot

from engine.hardware import Machine
from ltx_studio.domain.model_tasks import Get, Queue, Survey, Task, TaskUpdate
from ltx_studio.domain.models import Inventory
from ltx_studio.state.observable import Observable


class ModelShelf(QObject):
    """Models and the queue of what is done with them."""

    asked = Signal(object)  # Command, for the worker
    stop_asked = Signal()  # of what the worker does now
    models_changed = Signal()  # files came or went

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.inventory = Observable[Inventory | None](None, self)  # None until the first look
        self.queue = Observable(Queue(), self)
        self.is_sealed = Observable(False, self)
        self._machine: Machine | None = None
        self._is_looking = False
        self._must_look_again = False

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs, and what is shown is what is there."""
        return self.queue.value.running is None and not self._is_looking

    def look(self, machine: Machine | None = None) -> None:
        """Read the state of all files again; soon, and once however often it is asked."""
        self._machine = machine or self._machine
        self._must_look_again = self._is_looking
        if not self._is_looking:
            self._is_looking = True
            self.asked.emit(Survey(self._machine))

    def do(self, task: Task) -> None:
        """Put a task at the end of the queue."""
        self.queue.value = self.queue.value.adding(task)
        self._go_on()

    def pause(self) -> None:
        """Stop fetching for now; what waits to be fetched goes on waiting."""
        self.queue.value = self.queue.value.pausing()
        running = self.queue.value.running
        if running is not None and isinstance(running.task, Get):
            self.stop_asked.emit()

    def resume(self) -> None:
        self.queue.value = replace(self.queue.value, is_paused=False)
        self._go_on()

    def drop(self, task: Task) -> None:
        """Take a task out of the queue, or stop it where it runs. What was fetched stays on the disk."""
        running = self.queue.value.running
        if running is not None and running.task == task:
            self.queue.value = self.queue.value.stopping()
            self.stop_asked.emit()
        else:
            self.queue.value = self.queue.value.dropping(task)

    def dismiss(self) -> None:
        """The last outcome was read."""
        self.queue.value = replace(self.queue.value, last=None)

    @Slot(object)
    def apply(self, update: TaskUpdate) -> None:
        """An event of the worker."""
        if isinstance(update.command, Survey):
            self._looked(update)
            return
        had = self.queue.value.running
        self.queue.value = self.queue.value.after(update)
        if had is not None and self.queue.value.running is None:
            self.look()
            self.models_changed.emit()
            self._go_on()

    def _looked(self, update: TaskUpdate) -> None:
        if isinstance(update.event, Inventory):
            self.inventory.value = update.event
            return
        self._is_looking = False
        if self._must_look_again:
            self.look()

    def _go_on(self) -> None:
        task = self.queue.value.next
        if task is not None:
            self.queue.value = self.queue.value.starting(task)
            self.asked.emit(task)
