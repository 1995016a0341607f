"""H.264's parameter sets and packets as MP4 stores them: just enough to put two encoders' output in one track.

A second encoder's pictures refer to parameter sets of another number, and the track's header lists both: then no
packet of the first encoder has to change. Follows ISO/IEC 14496-15 (the avcC record) and ITU-T H.264 section 7.3.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

IDR_SLICE, SEQUENCE_SET, PICTURE_SET = 5, 7, 8  # nal_unit_type, ITU-T H.264 table 7-1
_MAX_ID = 31  # of sequence parameter sets; picture parameter sets may go to 255


@dataclass(frozen=True)
class AvcHeader:
    """An avcC record. `extension` is what follows the parameter sets in High profiles."""

    profile: int
    compatibility: int
    level: int
    length_size: int
    sequence_sets: tuple[bytes, ...]
    picture_sets: tuple[bytes, ...]
    extension: bytes

    @classmethod
    def parse(cls, record: bytes | None) -> "AvcHeader | None":
        """None for anything that is not an avcC record."""
        if record is None or len(record) < 7 or record[0] != 1:
            return None
        try:
            sequence_sets, position = _counted_sets(record, 6, record[5] & 0x1F)
            picture_sets, position = _counted_sets(record, position + 1, record[position])
        except IndexError:
            return None
        if not sequence_sets or not picture_sets:
            return None
        return cls(
            profile=record[1],
            compatibility=record[2],
            level=record[3],
            length_size=(record[4] & 3) + 1,
            sequence_sets=tuple(sequence_sets),
            picture_sets=tuple(picture_sets),
            extension=record[position:],
        )

    def to_bytes(self) -> bytes:
        """The record."""
        head = bytes([1, self.profile, self.compatibility, self.level, 0xFC | (self.length_size - 1)])
        sequence = bytes([0xE0 | len(self.sequence_sets)]) + _with_lengths(self.sequence_sets, 2)
        picture = bytes([len(self.picture_sets)]) + _with_lengths(self.picture_sets, 2)
        return head + sequence + picture + self.extension

    def free_id(self) -> int | None:
        """A number that neither kind of parameter set uses."""
        used = {_ue(item, 4) for item in self.sequence_sets} | {_ue(item, 1) for item in self.picture_sets}
        return next((number for number in range(_MAX_ID, 0, -1) if number not in used), None)

    def with_sets(self, units: Sequence[bytes]) -> "AvcHeader":
        """Lists the parameter sets among some more NAL units as well."""
        sequence = tuple(unit for unit in units if unit_type(unit) == SEQUENCE_SET)
        picture = tuple(unit for unit in units if unit_type(unit) == PICTURE_SET)
        return replace(
            self,
            level=max([self.level, *(unit[3] for unit in sequence)]),
            sequence_sets=self.sequence_sets + sequence,
            picture_sets=self.picture_sets + picture,
        )


def unit_type(unit: bytes) -> int:
    """nal_unit_type of an H.264 NAL unit."""
    return unit[0] & 0x1F


def units_in_packet(packet: bytes, length_size: int) -> list[bytes]:
    """The NAL units of a packet that gives their lengths; a damaged one ends the list."""
    units: list[bytes] = []
    position = 0
    while position + length_size < len(packet):
        length = int.from_bytes(packet[position : position + length_size], "big")
        position += length_size
        units.append(packet[position : position + length])
        position += length
    return [unit for unit in units if unit]


def units_in_stream(stream: bytes) -> list[bytes]:
    """The NAL units of a byte stream with start codes (ITU-T H.264 annex B)."""
    units = stream.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1")
    return [unit.rstrip(b"\0") for unit in units[1:] if unit.rstrip(b"\0")]


def packet_of(units: Sequence[bytes], length_size: int) -> bytes:
    """The reverse of `units_in_packet`."""
    return _with_lengths(units, length_size)


def _counted_sets(record: bytes, position: int, count: int) -> tuple[list[bytes], int]:
    found: list[bytes] = []
    for _ in range(count):
        length = int.from_bytes(record[position : position + 2], "big")
        found.append(record[position + 2 : position + 2 + length])
        position += 2 + length
    if position > len(record):
        raise IndexError
    return found, position


def _with_lengths(units: Sequence[bytes], length_size: int) -> bytes:
    return b"".join(len(unit).to_bytes(length_size, "big") + unit for unit in units)


def _ue(unit: bytes, offset: int) -> int:
    """The Exp-Golomb number that begins at a byte; small, so emulation prevention cannot occur within it."""
    bits = "".join(f"{byte:08b}" for byte in unit[offset : offset + 4])
    zeros = len(bits) - len(bits.lstrip("0"))
    return int(bits[zeros : 2 * zeros + 1] or "1", 2) - 1
