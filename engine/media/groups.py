"""Where a compressed clip can be cut: which pictures have to be encoded again for a patch, and which packets can stay.

A clip can be left wherever everything after that place in the file is shown after everything before it: no picture
needs one that comes later in the file. It can be entered again only where, besides, the decoder starts anew. So of the
group of pictures in which a patch begins the first part is kept. Costs one pass over the packets.
"""

from dataclasses import dataclass
from itertools import accumulate

import av

from engine.media import planes
from engine.media.avc import IDR_SLICE, AvcHeader, unit_type, units_in_packet
from engine.media.patch import PicturePatch
from engine.media.read import opened, video_stream
from engine.media.source import PacketTimes, SourceClip

QUICKTIME_CODECS = frozenset({"h264", "hevc", "prores", "mjpeg", "mpeg4", "av1"})  # copied where nothing changes
INTRA_CODECS = frozenset({"prores", "mjpeg"})  # each picture stands alone, and we have an encoder


@dataclass(frozen=True)
class Cut:
    """What is encoded again, and what is copied.

    `frames` of the result, in the source's numbers (`compose.patched_range`), are encoded again. Packets before number
    `before` and from number `after` on, in the file's order, are copied.
    """

    frames: range
    before: int
    after: int


@dataclass(frozen=True)
class NoCut:
    """Why packets cannot be copied, for the user."""

    reason: str


def find_cut(source: SourceClip, patch: PicturePatch | None) -> Cut | NoCut:
    """The shortest run of pictures that holds the patch and ends where the source can go on. Raises MediaError."""
    packets = source.packets
    if packets is None or any(packet.dts is None for packet in packets):
        return NoCut("the file does not say when each of its pictures is decoded")
    if not source.has_variable_rate and (1 / source.frame_rate.value) % source.time_base:
        return NoCut("its clock is too coarse for the frame rate")
    if source.codec not in QUICKTIME_CODECS:
        return NoCut(f"MP4 and QuickTime files do not hold pictures in {source.codec}")
    if patch is None:
        return Cut(range(0), len(packets), len(packets))
    if source.codec not in INTRA_CODECS | {"h264"}:
        return NoCut(f"pictures in {source.codec} cannot be joined with new ones")
    if planes.is_rgb(source.pixel_format):
        return NoCut("its pictures are stored in red, green and blue")
    exits = _places_in_order(packets)
    fresh = set(exits) if source.codec in INTRA_CODECS else _fresh_starts(source)
    if fresh is None:
        return NoCut("its pictures are not stored as MP4 stores them")
    if not all(packet.is_shown for packet in packets):
        return NoCut("an edit list hides some of its pictures")
    # At these places as many frames have been shown as there are packets before.
    start = max(place for place in exits if place <= max(patch.start, 0))
    entries = (place for place in exits if place in fresh and place >= min(patch.stop, source.num_frames))
    stop = min(entries, default=len(packets))
    if patch.start < 0:
        return Cut(range(patch.start, stop), 0, stop)
    return Cut(range(start, max(stop, patch.stop)), start, stop)


def _places_in_order(packets: tuple[PacketTimes, ...]) -> list[int]:
    """The packets before which every packet is shown before all the others; the first and the end included."""
    places = [len(packets)]
    latest_before = [packets[0].pts - 1, *accumulate((packet.pts for packet in packets), max)]
    earliest_after = packets[-1].pts
    for number in range(len(packets) - 1, -1, -1):
        earliest_after = min(earliest_after, packets[number].pts)
        if number == 0 or latest_before[number] < earliest_after:
            places.append(number)
    return places


def _fresh_starts(source: SourceClip) -> set[int] | None:
    """Packets that hold an IDR picture, at which an H.264 decoder forgets all that came before."""
    with opened(source.path) as container:
        video = video_stream(container, source.path)
        header = AvcHeader.parse(video.codec_context.extradata)
        if header is None or header.free_id() is None:
            return None
        packets = (packet for packet in container.demux(video) if packet.size)
        return {number for number, packet in enumerate(packets) if _is_idr(packet, header)}


def _is_idr(packet: av.Packet, header: AvcHeader) -> bool:
    if not packet.is_keyframe:
        return False
    return any(unit_type(unit) == IDR_SLICE for unit in units_in_packet(bytes(packet), header.length_size))
