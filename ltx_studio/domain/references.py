"""What a clip is made from besides words: pictures, a sound, clips; their roles, and the way into a request and back.

A card is a wish: a file and what it is for. Whether it can be honoured is `ltx_studio.domain.reference_rules`.

Not here: reading files (`ltx_studio.services.reference_probe`), undo (`ltx_studio.state.references`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise
from pathlib import Path

from engine.pipelines.plan import DEFAULT_FRAME_RATE
from engine.request import WHOLE, GenerationRequest, ImageReference, Trim, VideoReference
from engine.types import FRAMES_PER_LATENT, FrameRate, Size, snap_frame_count

LAST_FRAME = -1  # how a request counts it
WEAKEST = 0.01  # the engine takes strengths above 0, up to 1


class Kind(StrEnum):
    """What a file is, whatever its name says."""

    PICTURE = "picture"
    CLIP = "clip"
    SOUND = "sound"


class Role(StrEnum):
    """What a reference is for. These are the ones that a request can carry."""

    FIRST_FRAME = "first_frame"
    KEYFRAME = "keyframe"
    LAST_FRAME = "last_frame"
    SOUND = "sound"
    VIDEO = "video"  # a clip that an IC-LoRA reads beside the target


PICTURE_ROLES = (Role.FIRST_FRAME, Role.KEYFRAME, Role.LAST_FRAME)


@dataclass(frozen=True)
class MediaFacts:
    """A file that can be read. `size` is upright; `sound_s` is None where there is no sound that can be used."""

    kind: Kind
    size: Size | None = None
    frame_rate: FrameRate | None = None
    frames: int = 0
    sound_s: float | None = None
    is_animated: bool = False  # a picture file with several pictures, of which the engine takes the first

    @property
    def roles(self) -> tuple[Role, ...]:
        """What this file can be for."""
        match self.kind:
            case Kind.PICTURE:
                return PICTURE_ROLES
            case Kind.SOUND:
                return (Role.SOUND,)
            case Kind.CLIP:
                return (Role.VIDEO,) if self.sound_s is None else (Role.VIDEO, Role.SOUND)


@dataclass(frozen=True)
class Unreadable:
    """A file that cannot be read: what is wrong with it, as the end of a sentence about it, and what to do."""

    reason: str
    remedy: str


Finding = MediaFacts | Unreadable | None  # None: nobody has looked yet


@dataclass(frozen=True)
class Card:
    """One reference. `frame` is where a keyframe shows, negative from the end; other roles have no use for it."""

    id: int
    path: Path
    role: Role
    strength: float = 1.0
    frame: int = 0
    trim: Trim = WHOLE  # the part of a sound or a clip that is used

    @property
    def has_trim(self) -> bool:
        return self.role in (Role.SOUND, Role.VIDEO)

    @property
    def has_strength(self) -> bool:
        """A request carries no strength for sound."""
        return self.role is not Role.SOUND


@dataclass(frozen=True)
class Target:
    """The clip to be made, as far as references care; `frames` is None when the model's default decides."""

    frames: int | None
    frame_rate: FrameRate
    size: Size | None
    is_silent: bool
    num_loras: int

    @classmethod
    def of(cls, request: GenerationRequest) -> "Target":
        rate = request.frame_rate or DEFAULT_FRAME_RATE
        wanted = request.frames
        if wanted is None and request.seconds is not None:
            wanted = rate.frames_in(request.seconds)
        return cls(
            frames=None if wanted is None else snap_frame_count(wanted),
            frame_rate=rate,
            size=request.size,
            is_silent=request.silent,
            num_loras=sum(not lora.is_off for lora in request.loras),
        )

    def frame_of(self, card: Card) -> int:
        """Where a picture shows, from the beginning; negative where only the clip's length could tell."""
        frame = {Role.FIRST_FRAME: 0, Role.LAST_FRAME: LAST_FRAME}.get(card.role, card.frame)
        return frame if frame >= 0 or self.frames is None else self.frames + frame


# --- roles for files that come without one ----------------------------------------------------------------------------


def suggested(facts: MediaFacts, cards: Sequence[Card], target: Target) -> tuple[Role, int]:
    """A role, and a frame for keyframes, that gets in nobody's way where there is one."""
    has_sound_card = any(card.role is Role.SOUND for card in cards)
    match facts.kind:
        case Kind.SOUND:
            return Role.SOUND, 0
        case Kind.CLIP:
            may_lead = facts.sound_s is not None and not has_sound_card and not target.is_silent
            return (Role.SOUND, 0) if may_lead and target.num_loras == 0 else (Role.VIDEO, 0)
        case Kind.PICTURE:
            taken = sorted({target.frame_of(card) for card in cards if card.role in PICTURE_ROLES})
            if 0 not in taken:
                return Role.FIRST_FRAME, 0
            if target.frames is None or target.frames - 1 not in taken:
                return Role.LAST_FRAME, 0
            return Role.KEYFRAME, free_frame(cards, target)


def free_frame(cards: Sequence[Card], target: Target) -> int:
    """The middle of the longest stretch of the clip without a picture; halves go down."""
    frames = target.frames or 1
    taken = {target.frame_of(card) for card in cards if card.role in PICTURE_ROLES}
    places = sorted({0, frames - 1} | {frame for frame in taken if 0 <= frame < frames})
    start, stop = max(pairwise(places), key=lambda gap: gap[1] - gap[0], default=(0, 0))
    return (start + stop) // 2


# --- to and from a request --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Parts:
    """What references are in a request."""

    images: tuple[ImageReference, ...] = ()
    audio: Path | None = None
    reference_videos: tuple[VideoReference, ...] = ()
    audio_trim: Trim = WHOLE

    @classmethod
    def of(cls, request: GenerationRequest) -> "Parts":
        trim = WHOLE if request.audio is None else request.audio_trim
        return cls(request.images, request.audio, request.reference_videos, trim)

    def put_into(self, request: GenerationRequest) -> GenerationRequest:
        return replace(
            request,
            images=self.images,
            audio=self.audio,
            audio_trim=self.audio_trim,
            reference_videos=self.reference_videos,
        )


def frame_count_within(frames: int) -> int:
    """The longest clip the model makes of at most this many frames."""
    return max(frames - 1, 0) // FRAMES_PER_LATENT * FRAMES_PER_LATENT + 1


def cards_of(parts: Parts, first_id: int) -> tuple[Card, ...]:
    """Cards for what a request carries, numbered from `first_id`; strengths that no request can have are mended."""
    roles = {0: Role.FIRST_FRAME, LAST_FRAME: Role.LAST_FRAME}
    cards = [
        Card(0, image.path, roles.get(image.frame, Role.KEYFRAME), image.strength, image.frame)
        for image in parts.images
    ]
    cards += [Card(0, video.path, Role.VIDEO, video.strength, trim=video.trim) for video in parts.reference_videos]
    if parts.audio is not None:
        cards.append(Card(0, parts.audio, Role.SOUND, trim=parts.audio_trim))
    return tuple(
        replace(card, id=number, strength=min(max(card.strength, WEAKEST), 1.0))
        for number, card in enumerate(cards, first_id)
    )
