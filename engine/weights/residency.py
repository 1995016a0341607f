"""In which form weights are kept, and where: what a plan chooses and `engine.weights.store` obeys. No torch here."""

from dataclasses import dataclass
from enum import Enum
from typing import Literal


class Precision(Enum):
    """How the weights of the large linear layers are stored; what they compute in is another matter."""

    PLAIN = "plain"  # as the numbers that are computed with
    FP8 = "fp8"  # E4M3 with one scale for each tensor
    INT8 = "int8"  # whole numbers with one scale for each row


@dataclass(frozen=True)
class Residency:
    """Where the blocks of a network are while it runs; everything that is not a block always stays on the device.

    "resident": on the device. "stream": in main memory, from where each block is copied while the one before it
    computes. "disk": in their file, from where each block is read while the one before it computes. Where main memory
    is the device's memory (CPU, Apple) there is nowhere to stream from but the disk, and the last two are the same.
    """

    kind: Literal["resident", "stream", "disk"] = "resident"
    resident_blocks: int = 0  # how many of a streamed network's blocks stay on the device all the same


RESIDENT = Residency()
