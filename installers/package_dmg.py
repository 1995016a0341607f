"""Pack a raw disk image as a compressed Apple disk image (UDIF with zlib blocks, "UDZO").

Layout: the compressed blocks, a property list with one table of them (`blkx`), and a trailer of 512 bytes (`koly`). All
numbers are big-endian, all positions count sectors of 512 bytes. `read_udif` is the reverse, for checks.
"""

import plistlib
import struct
import zlib
from pathlib import Path
from typing import Any, Final

SECTOR: Final = 512
CHUNK_SECTORS: Final = 512  # 256 KiB, as hdiutil's own

_ZLIB, _ZEROS, _END = 0x8000_0005, 0x0000_0000, 0xFFFF_FFFF
_CRC32 = 2
_CHECKSUM: Final = struct.Struct(">II128s")
_TABLE: Final = struct.Struct(">4sIQQQII24s136sI")
_ENTRY: Final = struct.Struct(">IIQQQQ")
_TRAILER: Final = struct.Struct(">4sIIIQQQQQII16s136sQQ120s136sIQ12s")


def make_udif(image: Path, target: Path) -> None:
    """Write `target` from the raw disk image, whole or not at all."""
    num_sectors, rest = divmod(image.stat().st_size, SECTOR)
    assert rest == 0, f"{image} is not made of sectors"
    partial = target.with_name(f"{target.name}.part")
    entries: list[bytes] = []
    image_crc = data_crc = offset = sector = 0
    with image.open("rb") as source, partial.open("wb") as out:
        while chunk := source.read(CHUNK_SECTORS * SECTOR):
            count = len(chunk) // SECTOR
            image_crc = zlib.crc32(chunk, image_crc)
            if any(chunk):
                packed = zlib.compress(chunk, 6)
                entries.append(_ENTRY.pack(_ZLIB, 0, sector, count, offset, len(packed)))
                data_crc = zlib.crc32(packed, data_crc)
                out.write(packed)
                offset += len(packed)
            else:
                entries.append(_ENTRY.pack(_ZEROS, 0, sector, count, offset, 0))
            sector += count
        assert sector == num_sectors, (sector, num_sectors)
        entries.append(_ENTRY.pack(_END, 0, sector, 0, offset, 0))
        table = _TABLE.pack(
            *(b"mish", 1, 0, num_sectors, 0, CHUNK_SECTORS + 8, 0, b"", _checksum(image_crc), len(entries))
        )
        plist = plistlib.dumps(
            {
                "resource-fork": {
                    "blkx": [
                        {
                            "Attributes": "0x0050",
                            "CFName": "whole disk (unknown partition : 0)",
                            "Data": table + b"".join(entries),
                            "ID": "0",
                            "Name": "whole disk (unknown partition : 0)",
                        }
                    ]
                }
            }
        )
        out.write(plist)
        master_crc = zlib.crc32(struct.pack(">I", image_crc))
        identity = zlib.crc32(plist).to_bytes(4, "big") * 4  # any number that other images do not have
        out.write(
            _TRAILER.pack(
                *(b"koly", 4, 512, 1, 0, 0, offset, 0, 0, 1, 1, identity),
                *(_checksum(data_crc), offset, len(plist), b"", _checksum(master_crc), 1, num_sectors, b""),
            )
        )
    partial.replace(target)


def _checksum(crc: int) -> bytes:
    return _CHECKSUM.pack(_CRC32, 32, struct.pack(">I", crc))


def read_udif(path: Path) -> bytes:
    """The raw disk image. Raises ValueError for a file that is not one of these, or whose checksums do not match."""
    content = path.read_bytes()
    if len(content) < SECTOR or content[-SECTOR:][:4] != b"koly":
        raise ValueError("no Apple disk image")
    trailer: tuple[Any, ...] = _TRAILER.unpack(content[-SECTOR:])
    data_length, data_sum, plist_offset, plist_length, master_sum = (trailer[i] for i in (6, 12, 13, 14, 16))
    if _checksum(zlib.crc32(content[:data_length])) != data_sum:
        raise ValueError("damaged blocks")
    plist = plistlib.loads(content[plist_offset : plist_offset + plist_length])
    table: bytes = plist["resource-fork"]["blkx"][0]["Data"]
    image_sum, num_entries = _TABLE.unpack_from(table)[8:10]
    raw = bytearray()
    for index in range(num_entries):
        kind, _, sector, count, offset, length = _ENTRY.unpack_from(table, _TABLE.size + index * _ENTRY.size)
        assert sector * SECTOR == len(raw)
        if kind == _ZLIB:
            raw += zlib.decompress(content[offset : offset + length])
        elif kind == _ZEROS:
            raw += bytes(count * SECTOR)
    if _checksum(zlib.crc32(raw)) != image_sum or _checksum(zlib.crc32(image_sum[8:12])) != master_sum:
        raise ValueError("a damaged image")
    return bytes(raw)
