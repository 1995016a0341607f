"""What the training commands share: options, errors as sentences, a live line, and batches made ahead of time."""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Generic, NoReturn, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

from engine.errors import CheckpointError, EngineError
from engine.training.loop import OnStep, StepReading, chosen_device

_EVERY_S: Final = 1.0
_FORGETTING: Final = 0.98  # of the loss that is shown, an average over the last fifty steps

T = TypeVar("T")


def training_parser(name: str, purpose: str, *, steps: int, batch_tokens: int, rate: float) -> argparse.ArgumentParser:
    """The options of a training on cached latents, with the defaults of this one."""
    parser = argparse.ArgumentParser(prog=f"python -m engine.training.{name}", description=purpose)
    parser.add_argument("--data", type=Path, required=True, help="folder of latents")
    parser.add_argument("--parts", type=Path, nargs="+", required=True, help="the autoencoders that made them")
    parser.add_argument("--out", type=Path, required=True, help="folder of the training and its result")
    parser.add_argument("--steps", type=int, default=steps)
    parser.add_argument("--batch-tokens", type=int, default=batch_tokens, help="picture and sound; more on a GPU")
    parser.add_argument("--learning-rate", type=float, default=rate)
    parser.add_argument("--workers", type=int, default=0, help="processes that prepare batches; worth it with a GPU")
    parser.add_argument("--seed", type=int, default=0)
    add_machine_options(parser)
    return parser


def add_machine_options(parser: argparse.ArgumentParser) -> None:
    """Options that `machine_of` reads."""
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())


def machine_of(options: argparse.Namespace) -> torch.device:
    """The device to work on; also limits the threads of the process."""
    torch.set_num_threads(options.threads)
    return chosen_device(options.device)


def run_command(command: Callable[[], None]) -> NoReturn:
    """Run a command to its end: what a user can mend is said in a sentence, and Ctrl-C is no error to explain.

    Exits with the codes of the product's command line: 0, 2 for a wrong request, 3 for a model, 130 when stopped.
    """
    torch.set_flush_denormal(True)  # a CPU computes slowly with numbers next to zero, as closed gates have
    try:
        command()
    except CheckpointError as error:
        _exit(str(error), 3)
    except EngineError as error:
        _exit(str(error), 2)
    except KeyboardInterrupt:
        _exit("Stopped.", 130)
    sys.exit(0)


def _exit(sentence: str, code: int) -> NoReturn:
    sys.stderr.write(f"\n{sentence}\n")
    sys.exit(code)


def live_line(name: str) -> OnStep:
    """Rewrites one line on the terminal once a second."""
    began = time.monotonic()
    last_shown = 0.0
    first_step: int | None = None
    average: float | None = None

    def show(reading: StepReading) -> None:
        nonlocal last_shown, first_step, average
        first_step = reading.step - 1 if first_step is None else first_step
        average = reading.loss if average is None else _FORGETTING * average + (1 - _FORGETTING) * reading.loss
        now = time.monotonic()
        is_last = reading.step == reading.steps
        if now - last_shown < _EVERY_S and not is_last:
            return
        last_shown = now
        minutes_left = (now - began) / 60 / (reading.step - first_step) * (reading.steps - reading.step)
        sys.stderr.write(
            f"\r{name} {reading.step}/{reading.steps}  loss {average:.4f}  gradient {reading.gradient_norm:.2f}  "
            f"rate {reading.learning_rate:.1e}  {reading.seconds:.2f} s a step  {minutes_left:.0f} min left   "
        )
        sys.stderr.write("\n" if is_last else "")
        sys.stderr.flush()

    return show


def made_ahead(make: Callable[[int], T], *, steps: int, workers: int) -> Callable[[int], T]:
    """`make(step)`, computed by `workers` processes before it is asked for; steps are asked for in order.

    A batch depends on its step alone, so the result is the same with any number of workers; 0 makes it here.
    """
    if workers == 0:
        return make
    batches: Iterator[T] | None = None

    def get(step: int) -> T:
        nonlocal batches
        if batches is None:
            source = DataLoader(_Made(make), batch_size=None, sampler=range(step, steps), num_workers=workers)
            batches = iter(source)
        return next(batches)

    return get


class _Made(Dataset[T], Generic[T]):
    def __init__(self, make: Callable[[int], T]) -> None:
        self._make = make

    def __getitem__(self, index: int) -> T:
        return self._make(index)
