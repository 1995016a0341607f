"""What computing takes beside the weights: the bytes that are alive at once when a part of the model is at its widest.

Counted from the networks as `engine.model` computes them, so a change there belongs here too; tests hold both together
by counting live tensors. What an allocator adds (fragments, cached blocks) is not in here: see `estimate`.

Shapes: B guidance passes run as one batch, T video tokens, D width, C channels, F H W frames, rows and columns.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, prod
from typing import NamedTuple

from engine.hardware import LARGEST_HEAP_BLOCK_BYTES
from engine.model.config import (
    AudioVaeConfig,
    GeneratorConfig,
    Resample,
    ResBlocks,
    TransformerConfig,
    VideoVaeConfig,
    VocoderConfig,
)
from engine.model.tiles import Span, Tiling, split, split_time
from engine.types import FRAMES_PER_LATENT, PIXELS_PER_LATENT, Size, latent_frame_count

MIB = 2**20
# Along time, convolutions work on pieces of this size: `CHUNK_BYTES_*` of `engine.model.video_vae`, which needs torch.
CONVOLUTION_CHUNK_BYTES = {"cpu": 16 * MIB, "cuda": 256 * MIB, "mps": 256 * MIB}
ONEDNN_THRESHOLD = 20480  # as there
KERNEL_VOLUME = 27  # of the video VAE's 3x3x3 convolutions

# A block at its widest: the stream before it, the stream in it, the normed stream, and the feed-forward's four-fold
# middle before and after its activation. Attention comes next: the same three, values, queries, keys, what was
# attended, gated, flattened for the projection, and projected.
FEED_FORWARD_TENSORS, ATTENTION_TENSORS = 3 + 2 * 4, 10
# With pieces of tokens, only what every piece needs stays whole: the result instead of the middle; keys and values.
WHOLE_FEED_FORWARD_TENSORS, WHOLE_ATTENTION_TENSORS, PIECE_ATTENTION_TENSORS = 4, 6, 5
_LATENT_COPIES = 6  # noise, clean and noisy latents, velocity, guesses: fp32, narrow


@dataclass(frozen=True)
class TokenPieces:
    """At most so many tokens pass a layer at once; None: all of them."""

    feed_forward: int | None = None
    attention: int | None = None


@dataclass(frozen=True)
class StreamTokens:
    """How many tokens a stage works on."""

    video: int
    audio: int
    text: int


def transformer_bytes(
    config: TransformerConfig, tokens: StreamTokens, *, passes: int, element: int, pieces: TokenPieces | None = None
) -> int:
    """Activations of one forward pass: 11 B T D without pieces, plus rotary tables, context and latents.

    With pieces of c tokens, attention is the widest: (6 + 5 c/T) B T D, the feed-forward (4 + 8 c/T) B T D.
    """
    pieces = pieces or TokenPieces()
    video, audio = config.video, config.audio

    def share(piece: int | None) -> float:
        return 1.0 if piece is None else min(piece / max(tokens.video, 1), 1.0)

    feed_forward, attended = share(pieces.feed_forward), share(pieces.attention)
    middle = 2 * 4 * feed_forward
    tensors = max(
        FEED_FORWARD_TENSORS if feed_forward == 1 else WHOLE_FEED_FORWARD_TENSORS + middle,
        ATTENTION_TENSORS if attended == 1 else WHOLE_ATTENTION_TENSORS + PIECE_ATTENTION_TENSORS * attended,
    )
    stream = passes * tokens.video * video.width * tensors
    other = passes * 2 * tokens.audio * audio.width
    # Cosines and sines, half as wide as what they rotate, for the self-attention and for the cross-modal ones.
    rotary = tokens.video * (video.width + config.cross_rope_dim) + tokens.audio * 2 * audio.width
    context = passes * tokens.text * (video.context_dim + audio.context_dim)
    latents = _LATENT_COPIES * (tokens.video * video.in_channels + tokens.audio * audio.in_channels) * 4
    return int((stream + other + rotary + context) * element) + latents


# --- video decoder ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DecodeMemory:
    """Where and how a clip is decoded."""

    element: int  # bytes of a number
    chunk_bytes: int  # of a convolution's input
    is_cpu: bool

    @classmethod
    def on(cls, device_kind: str, element: int) -> "DecodeMemory":
        return cls(element, CONVOLUTION_CHUNK_BYTES[device_kind], device_kind == "cpu")


class DecodePeaks(NamedTuple):
    """Decoding a clip: each where it may be in another memory, and all of it in one."""

    tile: int  # the network at its widest
    blend: int  # the sums of tiles
    written: int  # frames on their way into the file
    device: int  # the network and the sums
    together: int


@lru_cache(maxsize=256)
def decode_bytes(config: VideoVaeConfig, size: Size, frames: int, tiling: Tiling, memory: DecodeMemory) -> DecodePeaks:
    """Peaks of decoding a clip tile by tile, blending the tiles in fp32, and turning chunks of it into frames.

    A group of tiles is summed in a buffer (3 F H W fp32). The caller still holds the group before while the first tile
    of the next is computed, and frames pass through two more copies of the finished part. The writer keeps two chunks
    of RGB, and x264 some sixty frames of YUV.
    """
    cut = decode_cut(config, size, frames, tiling)
    tile_peaks = {shape: tile_bytes(config, shape, memory) for shape in cut.shapes}
    area = size.width * size.height
    blend, device, together, most_written, held, unfinished, written = 0, 0, 0, 0, 0, 0, 0
    for index, time in enumerate(cut.times):
        span = time.in_frames()
        buffer = len(span) * 3 * area * 4
        for position, shape in enumerate(cut.shapes_at(time)):
            pixels = len(span) * shape[1] * shape[2] * PIXELS_PER_LATENT**2
            # The tile as it comes, in fp32 where it is not, and its weights.
            adding = pixels * (3 * memory.element + (12 if memory.element != 4 else 0) + 4)
            before = held + unfinished if position == 0 else buffer
            summing = (held if position == 0 else 0) + buffer + adding
            computing = before + tile_peaks[shape]
            blend = max(blend, summing)
            device = max(device, computing, summing)
            together = max(together, max(computing, summing) + written)
        next_start = cut.times[index + 1].in_frames().start if index + 1 < len(cut.times) else span.stop
        num_finished = next_start - span.start
        unfinished, held = buffer - num_finished * 3 * area * 4, buffer
        converting = buffer + unfinished + 2 * num_finished * 3 * area * 4
        chunk = num_finished * 3 * area
        written = _X264_FRAMES * area * 3 // 2 + _PENDING_CHUNKS * chunk
        most_written = max(most_written, written)
        blend, device = max(blend, converting), max(device, converting)
        together = max(together, converting + (written if index > 0 else chunk))
    return DecodePeaks(max(tile_peaks.values()), blend, most_written, device, max(together, held + written))


_X264_FRAMES, _PENDING_CHUNKS = 60, 2  # held back by the encoder; `engine.media.write.MAX_PENDING_CHUNKS`


TileShape = tuple[int, int, int]  # latent frames, rows, columns


class DecodeCut(NamedTuple):
    """The tiles of `engine.model.tiles.TilePlan` by their lengths, without making each of them."""

    times: tuple[Span, ...]
    rows: Mapping[int, int]  # how many tiles have a length, the first tile's first
    columns: Mapping[int, int]

    def shapes_at(self, time: Span) -> list[TileShape]:
        """The first tile of a group, then one of every shape among the others."""
        shapes = [(len(time), rows, columns) for rows in self.rows for columns in self.columns]
        is_single = sum(self.rows.values()) * sum(self.columns.values()) == 1
        return shapes if is_single else [shapes[0], *shapes]

    @property
    def shapes(self) -> frozenset[TileShape]:
        return frozenset(shape for time in self.times for shape in self.shapes_at(time))

    @property
    def counts(self) -> Mapping[TileShape, int]:
        """How many tiles there are of each shape."""
        counts: Counter[TileShape] = Counter()
        for time in self.times:
            for rows, num_rows in self.rows.items():
                for columns, num_columns in self.columns.items():
                    counts[len(time), rows, columns] += num_rows * num_columns
        return counts


def decode_cut(config: VideoVaeConfig, size: Size, frames: int, tiling: Tiling) -> DecodeCut:
    """How a clip's latents are cut into tiles."""
    overlap = tiling.pixel_overlap // PIXELS_PER_LATENT

    def lengths(pixels: int, tile: int) -> Mapping[int, int]:
        return Counter(len(span) for span in split(pixels // config.space_factor, tile // PIXELS_PER_LATENT, overlap))

    times = split_time(
        latent_frame_count(frames), tiling.frames // FRAMES_PER_LATENT, tiling.frame_overlap // FRAMES_PER_LATENT
    )
    return DecodeCut(times, lengths(size.height, tiling.height), lengths(size.width, tiling.width))


def tile_bytes(config: VideoVaeConfig, shape: TileShape, memory: DecodeMemory) -> int:
    """Peak of decoding one tile of latents (F, H, W): the widest of the decoder's stages."""
    element = memory.element
    changes = [block for block in config.decoder_blocks if isinstance(block, Resample)]
    width = config.decoder_width * prod(change.multiplier for change in changes)
    frames, height, columns = shape
    peak = 0
    for block in reversed(config.decoder_blocks):
        x = _Level(width, frames, height, columns)
        match block:
            case ResBlocks():
                peak = max(peak, 2 * x.bytes(element) + x.convolution_bytes(width, memory, copies=1))
            case Resample():
                width //= block.multiplier
                convolved = width * block.time * block.space**2
                frames = frames * block.time - (block.time - 1)
                height, columns = height * block.space, columns * block.space
                result = width * frames * height * columns * element
                peak = max(peak, x.bytes(element) + result + x.convolution_bytes(convolved, memory, copies=2))
    x = _Level(width, frames, height, columns)
    patch = config.picture_channels * config.patch_size**2
    pixels = patch * frames * height * columns * element
    return max(peak, x.bytes(element) + pixels + x.convolution_bytes(patch, memory, copies=2))


@dataclass(frozen=True)
class _Level:
    """One tensor between two stages of the decoder."""

    channels: int
    frames: int
    rows: int
    columns: int

    def bytes(self, element: int) -> int:
        return self.channels * self.frames * self.rows * self.columns * element

    def convolution_bytes(self, out_channels: int, memory: DecodeMemory, *, copies: int) -> int:
        """A piece's result beside its padded input or, later, its `copies`, and what its kernel works in.

        On a GPU that is as much again. On a CPU oneDNN needs nothing, but small convolutions do not reach it, and
        PyTorch's own kernel unfolds their input: 27 numbers for each.
        """
        num_pieces = self.bytes(memory.element) // memory.chunk_bytes
        if memory.is_cpu:
            shortest = ONEDNN_THRESHOLD // (self.channels * self.rows) + 1
            num_pieces = min(num_pieces, self.frames // shortest)
        length = ceil(self.frames / max(min(num_pieces, self.frames), 1))
        plane = self.rows * self.columns * memory.element
        padded, result = self.channels * (length + 2), out_channels * length
        is_small = self.channels * (length + 2) * self.rows <= ONEDNN_THRESHOLD
        unfolded = KERNEL_VOLUME * self.channels * length if is_small else 0
        computing = padded + result + (unfolded if memory.is_cpu else result)
        return plane * max(computing, copies * result)


# --- the other parts --------------------------------------------------------------------------------------------------


def text_bytes(
    hidden_size: int, num_states: int, num_tokens: int, contexts: Sequence[int], *, prompts: int, element: int
) -> tuple[int, int]:
    """Activations of the text encoder with its projection, and of a connector.

    Five stacks of all hidden states (B, 1024, 3840, 49) are alive in the projection: as they come, normed, arranged,
    masked, and scaled; half of them while the encoder itself still runs.
    """
    states = prompts * num_tokens * hidden_size * num_states * element
    connector = prompts * num_tokens * max(contexts, default=0) * element * FEED_FORWARD_TENSORS
    return 5 * states, connector


def upsampler_bytes(width: int, size: Size, frames: int, space_factor: int, element: int) -> int:
    """Five tensors of the new size: block input, convolved, normed, second convolution, sum."""
    positions = latent_frame_count(frames) * (size.width // space_factor) * (size.height // space_factor)
    return 5 * width * positions * element


def encoder_bytes(config: VideoVaeConfig, size: Size, frames: int, memory: DecodeMemory) -> int:
    """Encoding pictures whole: pixels, and the widest level twice, with a convolution's pieces."""
    patch = config.patch_size
    level = _Level(config.encoder_width, frames, size.height // patch, size.width // patch)
    pixels = 3 * frames * size.width * size.height * (4 + 2 * memory.element)
    return pixels + 2 * level.bytes(memory.element) + level.convolution_bytes(config.encoder_width, memory, copies=1)


# A residual block's input, its sum, three copies at the rate and three at the doubled one inside an activation. oneDNN,
# on a CPU, works in place more often, but lays channels out in groups of sixteen, however few there are.
_VOCODER_TENSORS, _VOCODER_TENSORS_CPU, _ONEDNN_CHANNELS = 11, 7, 16
_MEL_TENSORS = 6  # of the audio decoder's widest level


@lru_cache(maxsize=64)
def sound_bytes(audio: AudioVaeConfig, vocoder: VocoderConfig, num_latents: int, *, is_cpu: bool) -> int:
    """Decoding one stretch of sound, always in fp32: whichever generator is wider."""
    mels = num_latents * audio.downsampling
    least_channels = _ONEDNN_CHANNELS if is_cpu else 1
    spectrogram = audio.width * mels * audio.num_mels * _MEL_TENSORS
    widest = _generator_width(vocoder.generator, least_channels) * mels
    extension = vocoder.bandwidth_extension
    if extension is not None:
        hops = mels * vocoder.generator.upsampling // extension.hop_length
        widest = max(widest, _generator_width(extension.generator, least_channels) * hops)
    return 4 * max(spectrogram, widest * (_VOCODER_TENSORS_CPU if is_cpu else _VOCODER_TENSORS))


def _generator_width(config: GeneratorConfig, least_channels: int) -> int:
    """Numbers per spectrogram frame in the widest of a generator's stages."""
    widest, rate = 0, 1
    for stage, factor in enumerate(config.upsample_rates):
        rate *= factor
        widest = max(widest, max(config.width // 2 ** (stage + 1), least_channels) * rate)
    return widest


# What a process on a CPU keeps once it has computed: kernels that oneDNN builds for each shape, libraries that load on
# first use, and, of every phase before the last, the small blocks that do not go back to the system.
_KERNEL_BYTES = 72 * MIB


def cpu_heap_bytes(config: VideoVaeConfig, shape: TileShape, sound: int) -> int:
    """What stays when pictures are decoded on a CPU: of `sound` before, and of a tile's narrower stages in the last.

    Stages take their two tensors from each other's, unless the pixels are large enough to be mapped apart.
    """
    frames, rows, columns = shape
    area = frames * FRAMES_PER_LATENT * rows * columns * PIXELS_PER_LATENT**2 * 4
    stage = config.decoder_width * area // config.patch_size**2
    is_apart = config.picture_channels * area > LARGEST_HEAP_BLOCK_BYTES >= stage
    of_sound = min(sound, _VOCODER_TENSORS_CPU * LARGEST_HEAP_BLOCK_BYTES)
    return _KERNEL_BYTES + of_sound + (2 * stage if is_apart else 0)
