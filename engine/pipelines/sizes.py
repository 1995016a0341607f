"""What a model's weights take in each precision, counted from its architecture. No torch, nothing read from disk.

A transformer block holds linear matrices (99.9 % of it), their biases and norms, and six modulation tables. Storing
it in FP8 or INT8 shrinks the matrices alone; biases, norms and everything outside the blocks stay bf16, tables fp32,
as in the official FP8 files (Lightricks/LTX-2, commit 400fd31).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

from engine.model.config import StreamConfig, TransformerConfig

WeightPrecision = Literal["bf16", "fp8", "int8", "fp32"]
BYTES_PER_WEIGHT = {"bf16": 2, "fp8": 1, "int8": 1, "fp32": 4}
SCALE_BYTES = 4  # fp32: two for each FP8 matrix, one for each row of an INT8 one
DISTILLED_LORA_RANK = 384  # of the official files; part of their name
FEED_FORWARD_MULTIPLIER = 4


class _Matrix(NamedTuple):
    """One linear layer."""

    inputs: int
    outputs: int
    has_bias: bool


@dataclass(frozen=True)
class BlockSize:
    """Numbers of weights in one transformer block."""

    in_matrices: int
    num_matrices: int
    num_rows: int  # of all matrices together
    largest_matrix: int
    in_vectors: int  # biases and norms
    in_tables: int

    @property
    def weights(self) -> int:
        return self.in_matrices + self.in_vectors + self.in_tables

    def stored_bytes(self, precision: WeightPrecision) -> int:
        """One block as it lies in memory or on disk."""
        matrices = self.in_matrices * BYTES_PER_WEIGHT[precision]
        vectors = self.in_vectors * (4 if precision == "fp32" else 2) + self.in_tables * 4
        scales = {"fp8": 2 * self.num_matrices, "int8": self.num_rows}.get(precision, 0)
        return matrices + vectors + scales * SCALE_BYTES


@lru_cache(maxsize=16)
def block_size(config: TransformerConfig) -> BlockSize:
    """Count one block: six attentions, two feed-forwards, the modulation tables."""
    matrices = list(_block_matrices(config))
    biases = sum(matrix.outputs for matrix in matrices if matrix.has_bias)
    video, audio = config.video, config.audio
    norms = 2 * sum((2 * video.width, 4 * audio.width))  # of queries and keys
    # Main rows, five rows of the cross-modal tables, and two for the text context where it is modulated.
    rows = config.num_modulation_rows + 5 + (2 if config.text_adaln else 0)
    return BlockSize(
        in_matrices=sum(matrix.inputs * matrix.outputs for matrix in matrices),
        num_matrices=len(matrices),
        num_rows=sum(matrix.outputs for matrix in matrices),
        largest_matrix=max(matrix.inputs * matrix.outputs for matrix in matrices),
        in_vectors=biases + norms,
        in_tables=rows * (video.width + audio.width),
    )


def distilled_lora_bytes(config: TransformerConfig) -> int:
    """A LoRA of the official rank on every linear layer of every block, in bf16."""
    per_rank = sum(matrix.inputs + matrix.outputs for matrix in _block_matrices(config))
    return per_rank * DISTILLED_LORA_RANK * config.num_layers * 2


def _block_matrices(config: TransformerConfig) -> Iterator[_Matrix]:
    video, audio = config.video, config.audio
    yield from _attention(config, video.width, video.width, video)
    yield from _attention(config, video.width, video.context_dim, video)
    yield from _attention(config, audio.width, audio.width, audio)
    yield from _attention(config, audio.width, audio.context_dim, audio)
    # Both directions between picture and sound attend with the sound's heads.
    yield from _attention(config, video.width, audio.width, audio)
    yield from _attention(config, audio.width, video.width, audio)
    for stream in (video, audio):
        hidden = FEED_FORWARD_MULTIPLIER * stream.width
        yield _Matrix(stream.width, hidden, stream.ff_bias)
        yield _Matrix(hidden, stream.width, stream.ff_bias)


def _attention(config: TransformerConfig, query: int, context: int, heads: StreamConfig) -> Iterator[_Matrix]:
    yield _Matrix(query, heads.width, True)
    yield _Matrix(context, heads.width, True)
    yield _Matrix(context, heads.width, True)
    yield _Matrix(heads.width, query, True)
    if config.gated_attention:
        yield _Matrix(query, heads.num_heads, True)
