"""Which tensors of a checkpoint belong to which component, as data.

The official single file joins all components under prefixes. What follows a prefix is the key of our module, so a key
map is nothing but prefixes. Split layouts hold one component per file, with the same prefixes, with the component's
root taken off (`encoder.` instead of `vae.encoder.`), or with the bare keys of the module.

Source of the prefixes: Lightricks/LTX-2, commit 400fd31.
"""

from dataclasses import dataclass
from enum import Enum

from engine.errors import CheckpointError
from engine.weights.checkpoint import Checkpoint


class Role(Enum):
    """A component by what it does; which file holds it is decided elsewhere."""

    TRANSFORMER = "transformer"
    VIDEO_CONNECTOR = "video text connector"
    AUDIO_CONNECTOR = "audio text connector"
    TEXT_PROJECTION = "text projection"
    VIDEO_ENCODER = "video encoder"
    VIDEO_DECODER = "video decoder"
    AUDIO_ENCODER = "audio encoder"
    AUDIO_DECODER = "audio decoder"
    VOCODER = "vocoder"
    UPSAMPLER = "latent upsampler"


@dataclass(frozen=True)
class KeyRule:
    """`root + inner + rest` in the file is `rest` in the module."""

    root: str  # the prefix of the component's family in the single file
    inner: str = ""
    excluded: tuple[str, ...] = ()  # after root and inner: keys that belong to other roles
    has_statistics: bool = False  # the family's latent statistics belong to this module too


VIDEO_CONNECTOR = "video_embeddings_connector."
AUDIO_CONNECTOR = "audio_embeddings_connector."
STATISTICS = "per_channel_statistics."

RULES = {
    Role.TRANSFORMER: KeyRule("model.diffusion_model.", excluded=(VIDEO_CONNECTOR, AUDIO_CONNECTOR)),
    Role.VIDEO_CONNECTOR: KeyRule("model.diffusion_model.", VIDEO_CONNECTOR),
    Role.AUDIO_CONNECTOR: KeyRule("model.diffusion_model.", AUDIO_CONNECTOR),
    Role.TEXT_PROJECTION: KeyRule("text_embedding_projection."),
    Role.VIDEO_ENCODER: KeyRule("vae.", "encoder.", has_statistics=True),
    Role.VIDEO_DECODER: KeyRule("vae.", "decoder.", has_statistics=True),
    Role.AUDIO_ENCODER: KeyRule("audio_vae.", "encoder.", has_statistics=True),
    Role.AUDIO_DECODER: KeyRule("audio_vae.", "decoder.", has_statistics=True),
    Role.VOCODER: KeyRule("vocoder."),
    Role.UPSAMPLER: KeyRule(""),
}
ROOTS = tuple(sorted({rule.root for rule in RULES.values() if rule.root}))
INNERS = tuple(sorted({rule.inner for rule in RULES.values() if rule.inner}))
# A vocoder's own first module is called `vocoder.` too; the sibling that only a vocoder has at its top tells a file
# of bare vocoder keys from one with the component's prefix.
BARE_VOCODER_MARK = "bwe_generator."

# Scales beside FP8 weights: `engine.weights.fp8` finds them by their weight.
SCALE_SUFFIXES = (".weight_scale", ".input_scale")
# Statistics that LTX-Video and LTX-2.0 files carry and nothing reads.
LEGACY_STATISTICS = tuple(STATISTICS + name for name in ("channel", "mean-of-stds", "mean-of-stds_over_std-of-means"))


def entries_for(checkpoint: Checkpoint, role: Role) -> dict[str, str]:
    """Module key -> key in the file, for every tensor of a component, without FP8 scales and legacy statistics.

    Raises CheckpointError when the checkpoint holds no such component. Whether the keys are exactly those of the
    module is checked when they are loaded.
    """
    rule = RULES[role]
    entries: dict[str, str] = {}
    for prefix, kept in _prefixes(checkpoint, rule):
        for file_key in checkpoint.tensors:
            if not file_key.startswith(prefix):
                continue
            key = kept + file_key.removeprefix(prefix)
            if not key.startswith(rule.excluded) and not key.endswith(SCALE_SUFFIXES) and key not in LEGACY_STATISTICS:
                entries[key] = file_key
    if not any(not key.startswith(STATISTICS) for key in entries):
        raise CheckpointError(
            checkpoint.path, f"holds no {role.value}.", remedy="Choose the file of this model that has one."
        )
    return entries


def _prefixes(checkpoint: Checkpoint, rule: KeyRule) -> tuple[tuple[str, str], ...]:
    """What to take off keys in this file's layout, and what to put in its place."""
    keys = checkpoint.tensors.keys()
    if any(key.startswith(ROOTS) for key in keys) and not any(key.startswith(BARE_VOCODER_MARK) for key in keys):
        if not rule.root:  # such a component is only ever alone in its file
            return ()
        root = rule.root
    elif any(key.startswith(INNERS) for key in keys):
        root = ""
    else:
        return (("", ""),)
    statistics = ((root + STATISTICS, STATISTICS),) if rule.has_statistics else ()
    return ((root + rule.inner, ""), *statistics)
