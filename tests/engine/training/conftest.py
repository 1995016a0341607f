"""What the tests of training leave behind them: arithmetic as it was."""

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def whole_arithmetic() -> Iterator[None]:  # pyright: ignore[reportUnusedFunction] - pytest calls it
    """A training command rounds numbers next to zero to zero, for its whole thread and so for every test after it."""
    yield
    torch.set_flush_denormal(False)
