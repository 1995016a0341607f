"""Putting new pictures and sound back into the clip they were made for: what was not asked to change stays as it was.

`.mkv` is exact: every frame outside the patch is decoded and stored without loss in its own pixel format (FFV1), every
sample as it was decoded (PCM). In `.mp4` and `.mov` untouched groups of pictures and packets of sound are copied, and
only the groups that hold the patch are encoded again; where a file does not allow that, everything is encoded again
and `PutBack.reason` says why. Frame count, frame times, rotation and colour tags are the source's.

Not here: making what is new (`engine.pipelines.run`), and how each route works (`engine.media.lossless`, `.splice`).
"""

from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from engine.errors import RequestError
from engine.media.compose import patched_range
from engine.media.groups import Cut, NoCut, find_cut
from engine.media.lossless import write_lossless
from engine.media.patch import Patch, PutBack, Route
from engine.media.soundcopy import is_sound_kept
from engine.media.source import SourceClip
from engine.media.splice import encode_all, write_spliced
from engine.media.write import CLIP_FORMATS, check_writable, published
from engine.types import FrameRange


@dataclass(frozen=True)
class PutBackProgress:
    """After every frame or packet; stop iterating (close the generator) to cancel, and nothing is left behind."""

    num_done: int
    num_total: int


def plan_put_back(source: SourceClip, patch: Patch, output: Path | str) -> PutBack:
    """What `put_back` would do, from packet times alone: which route, which frames are encoded again, and why.

    `patch.picture.pictures` is not read. Raises RequestError for a name that is not a clip's, MediaError.
    """
    return _planned(source, patch, Path(output))[0]


def put_back(
    source: SourceClip, patch: Patch, output: Path | str, *, metadata: Mapping[str, object] | None = None
) -> Generator[PutBackProgress, None, PutBack]:
    """Writes the clip with the patch in it; the file appears complete under its name or not at all.

    `output` may be the source itself. Raises RequestError for a destination that cannot be written, StorageFull,
    MediaError.
    """
    path = Path(output)
    check_writable(path, suffixes=CLIP_FORMATS)
    plan, cut = _planned(source, patch, path)
    container = CLIP_FORMATS[path.suffix.lower()]
    with published(path) as part:
        match plan.route:
            case Route.LOSSLESS:
                writing = write_lossless(source, patch, part, metadata)
            case Route.COPIED:
                assert isinstance(cut, Cut)
                writing = write_spliced(source, patch, cut, part, metadata, container=container)
            case Route.ENCODED:
                writing = encode_all(source, patch, part, metadata, container=container)
        with closing(writing):
            for num_done in writing:
                yield PutBackProgress(num_done, plan.num_frames)
    return plan


def _planned(source: SourceClip, patch: Patch, path: Path) -> tuple[PutBack, Cut | NoCut | None]:
    num_frames = len(patched_range(source, patch.picture))
    match CLIP_FORMATS.get(path.suffix.lower()):
        case "matroska":
            return PutBack(path, Route.LOSSLESS, num_frames, FrameRange(0, 0)), None
        case None:
            kinds = ", ".join(sorted(CLIP_FORMATS))
            raise RequestError(
                "output", f"{path.name} is not the name of a clip.", remedy=f"End its name in one of {kinds}."
            )
        case _:
            cut = find_cut(source, patch.picture)
    if isinstance(cut, NoCut):
        reason = f"Every picture is compressed again, because {cut.reason}. Save as .mkv to keep the others exact."
        return PutBack(path, Route.ENCODED, num_frames, FrameRange(0, num_frames), reason), cut
    reason = ""
    if patch.picture is not None or patch.sound is not None:
        reason = _sound_reason(source, patch)
    lead = -min(patch.picture.start, 0) if patch.picture is not None else 0
    encoded = FrameRange(cut.frames.start + lead, cut.frames.stop + lead)
    return PutBack(path, Route.COPIED, num_frames, encoded, reason), cut


def _sound_reason(source: SourceClip, patch: Patch) -> str:
    if source.sound is None or patch.sound is None or is_sound_kept(source, patch):
        return ""
    return "The whole sound track is compressed again. Save as .mkv to keep the rest of it exact."


def seams_of(source: SourceClip, patch: Patch) -> tuple[FrameRange, ...]:
    """Where the finished clip's pictures turn from old to new and back, in its own frame numbers; for
    `engine.media.seams.measure_seams`."""
    picture = patch.picture
    if picture is None:
        return ()
    lead = -min(picture.start, 0)
    seams: list[FrameRange] = []
    if picture.start > 0:
        seams.append(FrameRange(picture.start, picture.start + picture.blend_frames + 1))
    if picture.stop < source.num_frames:
        stop = picture.stop + lead
        seams.append(FrameRange(stop - picture.blend_frames, stop + 1))
    return tuple(seams)
