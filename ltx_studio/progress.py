"""How a run's events look on a terminal: a live bar, or one JSON object a line."""

import json
import sys
from dataclasses import asdict, is_dataclass
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from engine import events

_PHASES = {
    "load": "loading the model",
    "text": "reading the prompt",
    "references": "reading references",
    "denoise": "making the clip",
    "upsample": "enlarging the picture",
    "decode": "finishing frames and sound",
    "write": "writing the file",
}


class LiveBar:
    """One line on stderr: what is being done, how far it is, and what is left."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        self._task = self._bar.add_task("starting", total=1.0)

    def __enter__(self) -> "LiveBar":
        self._bar.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._bar.stop()

    def show(self, event: events.Event) -> None:
        match event:
            case events.Progress(phase, stage, step, num_steps, fraction):
                is_refining = phase == "denoise" and stage.startswith("refine")
                doing = "adding detail" if is_refining else _PHASES[phase]
                steps = f" {step}/{num_steps}" if num_steps > 1 else ""
                self._bar.update(self._task, completed=fraction, description=doing + steps)
            case events.Notice(_, message):
                self._console.print(f"note: {message}", markup=False, highlight=False)
            case _:
                pass


def print_json_event(event: events.Event) -> None:
    """One line on stderr; pictures are left out."""
    if isinstance(event, events.Preview):
        values: dict[str, Any] = {"stage": event.stage, "step": event.step}
    else:
        values = {name: _plain(value) for name, value in vars(event).items()}
    print(json.dumps({"event": type(event).__name__.lower(), **values}), file=sys.stderr, flush=True)  # noqa: T201


def _plain(value: Any) -> Any:
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if is_dataclass(value) and not isinstance(value, type):
        return {name: str(item) if name == "path" else item for name, item in asdict(value).items()}
    return value
