"""The sound of a dub: a voice track in its range, and the background kept behind the new words.

What a voice is and what is behind it is told by `engine.media.stems`, with the limits that it states. The old voice
goes, the old background stays; of what the model made, which has a background of its own, only the voice is taken. A
voice track is taken as it is.

Shapes: N samples.
"""

import numpy as np

from engine.media.audio import SoundClip
from engine.media.read import read_audio
from engine.media.source import read_sound_window
from engine.media.stems import split_voice
from engine.pipelines.edit_values import EditPlan
from engine.request import LipDub

# Around the range, to hear what is steady while nobody speaks.
_AROUND_S = 2.0


def voice_track(edit: LipDub, plan: EditPlan, sample_rate: int) -> tuple[float, SoundClip, bool]:
    """The voice track of a dub as long as its range, where it begins in seconds of the source, and whether it is cut.

    Raises MediaError.
    """
    assert edit.voice is not None
    start_s = edit.start_s or 0.0
    end_s = plan.source.duration_s if edit.end_s is None else min(edit.end_s, plan.source.duration_s)
    voice = read_audio(edit.voice).to_stereo().resampled(sample_rate)
    num_samples = round((end_s - start_s) * sample_rate)
    return start_s, voice.fitted(num_samples), voice.num_samples > num_samples


def with_background(sound: SoundClip, edit: LipDub, plan: EditPlan) -> SoundClip:
    """A dub's new sound, which begins where `plan.sound` does, with the background of the old one behind it."""
    facts = plan.source.sound
    if facts is None or not edit.keep_background or plan.sound is None:
        return sound
    rate = facts.sample_rate
    start = round(plan.sound.start_s * rate)
    num_samples = round(sound.num_samples * rate / sound.sample_rate)
    around = round(_AROUND_S * rate)
    first = max(start - around, 0)
    old = read_sound_window(plan.source, first, start - first + num_samples + around)
    background = split_voice(old).background.samples[:, start - first : start - first + num_samples]
    kept = SoundClip(np.ascontiguousarray(background), rate).resampled(sound.sample_rate).fitted(sound.num_samples)
    voice = sound.to_stereo() if edit.voice is not None else split_voice(sound).voice
    return SoundClip(voice.samples + kept.samples, sound.sample_rate)
