"""A network's blocks in turn, with their weights fetched just before they are needed.

A `BlockStream` takes the place of the network's list of blocks: whoever loops over the list finds each block with its
weights in place, while a thread already fetches the next one's. Two slots go round, so a network of any depth needs
the memory of two blocks, and those blocks that stay on the device for good are spread evenly, because each of them
is time to fetch another. A block that it is not the turn of holds meta tensors: using it by mistake is an error,
never the weights of its neighbour.

The thread lives as long as a sweep over the blocks. Leaving the loop early ends it within one read of two megabytes,
and what it failed with is raised in the loop. One sweep at a time: the next one ends a sweep that was left standing.

The same bytes reach the same kernels, so a streamed network equals a resident one bit for bit.
"""

import threading
from collections.abc import Iterable, Iterator, Sequence
from queue import SimpleQueue
from typing import Any, Self, overload

import torch
from torch import nn

from engine.weights.slots import CudaSlot, Parcel, Slot, portions

NUM_SLOTS = 2  # one in use, one being filled; a third would only even out the disk


def spread(num_resident: int, num_blocks: int) -> frozenset[int]:
    """Which blocks stay on the device: evenly spread, and the first among them, so that a sweep starts at once."""
    count = min(num_resident, num_blocks)
    return frozenset(index * num_blocks // count for index in range(count))


class BlockStream(nn.ModuleList):
    """A list of blocks, some of which have no weights until it is their turn in a loop over the list."""

    def __init__(self, blocks: Iterable[nn.Module], *, device: torch.device, in_ram: bool) -> None:
        """`in_ram`: fetch from page-locked main memory; only of use where the device is a CUDA GPU."""
        super().__init__(blocks)
        self.device = device
        self.in_ram = in_ram and device.type == "cuda"
        self._parcels: dict[int, list[Parcel]] = {}
        self._slots: list[Slot] = []
        self._slot_bytes = 0
        self._sweep: _Sweep | None = None

    @property
    def streamed(self) -> frozenset[int]:
        """The blocks that pass through memory."""
        return frozenset(self._parcels)

    @property
    def ram_bytes(self) -> int:
        """Main memory of the slots, and of what is fetched from there."""
        slots = sum(slot.ram_bytes for slot in self._slots)
        return slots + sum(
            parcel.num_bytes for parcels in self._parcels.values() for parcel in parcels if parcel.in_ram is not None
        )

    def carry(self, index: int, parcel: Parcel) -> None:
        """From the next sweep on, fetch this along with what block `index` needs already. Raises CheckpointError."""
        if self.in_ram:
            parcel.keep_in_ram()
        self._parcels.setdefault(index, []).append(parcel)

    def drop(self, index: int, parcel: Parcel) -> None:
        """No longer fetch what `carry` added."""
        self._parcels[index].remove(parcel)

    @overload
    def __getitem__(self, idx: slice) -> nn.ModuleList: ...
    @overload
    def __getitem__(self, idx: int) -> nn.Module: ...
    def __getitem__(self, idx: int | slice) -> nn.Module:
        if isinstance(idx, slice):  # transformers loops over `layers[:number of layers]`
            assert range(len(self))[idx] == range(len(self)), f"only all blocks stream, not {idx}"
            return self
        return super().__getitem__(idx)

    def __iter__(self) -> Iterator[nn.Module]:
        """The blocks in order, each with its weights until the next one is asked for. Raises CheckpointError."""
        loads = {index: [item for item in items if item.is_needed()] for index, items in sorted(self._parcels.items())}
        sweep = self._sweep = self._begin(list(loads.values()))
        try:
            for index, block in enumerate(self._modules.values()):
                assert block is not None
                if index not in loads:
                    yield block
                    continue
                slot = sweep.next_slot()
                for parcel, memory in portions(loads[index], slot.memory):
                    parcel.bind(memory)
                try:
                    yield block
                finally:
                    for parcel in loads[index]:
                        parcel.unbind()
                    sweep.give_back(slot)
        finally:
            sweep.close()

    def _begin(self, loads: Sequence[Sequence[Parcel]]) -> "_Sweep":
        if self._sweep is not None:
            self._sweep.close()
        num_bytes = max((sum(parcel.num_bytes for parcel in parcels) for parcels in loads), default=0)
        if num_bytes > self._slot_bytes:
            self._slots.clear()  # before the larger ones are made
            self._slots = self._make_slots(num_bytes)
            self._slot_bytes = num_bytes
        return _Sweep(loads, self._slots)

    def _make_slots(self, num_bytes: int) -> list[Slot]:
        with torch.inference_mode(mode=False):  # in which other threads could not write to what is made
            if self.device.type != "cuda":
                return [Slot(num_bytes, self.device) for _ in range(NUM_SLOTS)]
            copies = torch.cuda.Stream(self.device)
            return [CudaSlot(num_bytes, self.device, copies, needs_staging=not self.in_ram) for _ in range(NUM_SLOTS)]

    def __repr__(self) -> str:
        return nn.Module.__repr__(self)  # that of a list loops over it

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        return self  # `to` and its like: these weights are where they belong, or not there at all


class _Sweep:
    """One pass over the blocks: a thread that fills slots in order, for a loop that empties them."""

    def __init__(self, loads: Sequence[Sequence[Parcel]], slots: Sequence[Slot]) -> None:
        self._loads = loads
        self._slots = slots
        self._free: SimpleQueue[Slot | None] = SimpleQueue()
        self._filled: SimpleQueue[Slot | BaseException] = SimpleQueue()
        self._is_over = threading.Event()
        for slot in slots:
            self._free.put(slot)
        self._thread = threading.Thread(target=self._fetch, name="weights-ahead", daemon=True)
        self._thread.start()

    def next_slot(self) -> Slot:
        """The next block's slot once it is full. Raises whatever filling it failed with."""
        assert not self._is_over.is_set(), "another sweep began before this one was over"
        slot = self._filled.get()
        if isinstance(slot, BaseException):
            raise slot
        slot.begin_use()
        return slot

    def give_back(self, slot: Slot) -> None:
        slot.end_use()
        self._free.put(slot)

    def close(self) -> None:
        """End the thread; harmless twice."""
        self._is_over.set()
        self._free.put(None)
        self._thread.join()
        for slot in self._slots:  # what is computed next may get the memory of a slot that is still being filled
            slot.begin_use()

    def _fetch(self) -> None:
        try:
            for parcels in self._loads:
                slot = self._free.get()
                if slot is None or self._is_over.is_set():
                    return
                slot.fill(parcels, self._is_over.is_set)
                self._filled.put(slot)
        except BaseException as error:  # whatever it is, the loop that waits for this block must learn of it
            self._filled.put(error)
