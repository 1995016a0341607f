"""A small, exact world that the starter model learns: (prompt, picture, stereo sound) made from a seed.

`sample_scene` draws a scene that keeps the world's laws, `render` turns it into picture, sound and a prompt.
The same seed always gives the same clip. The laws are in `toyworld_law`, what they look and sound like in
`toyworld_draw` and `toyworld_sound`, how they are put into words in `toyworld_prompts`; `detect` reads them
back from pixels and samples.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.training.toyworld_draw import draw_scene
from engine.training.toyworld_law import FloatArray, Scene
from engine.training.toyworld_prompts import canonical_prompt, prompt
from engine.training.toyworld_scene import sample_scene
from engine.training.toyworld_sound import scene_sound

__all__ = ["Clip", "Scene", "canonical_prompt", "prompt", "render", "sample_scene"]


@dataclass(frozen=True)
class Clip:
    """A rendered scene: `frames` (F, H, W, 3) uint8 at 24 fps, `audio` (2, 2000 F) float32 at 48 kHz."""

    prompt: str
    frames: NDArray[np.uint8]
    audio: FloatArray
    scene: Scene


def render(scene: Scene) -> Clip:
    """Picture, sound and one of the prompts of a scene; always the same for the same scene."""
    picture_rng, sound_rng, prompt_rng = (np.random.default_rng((scene.seed, stream)) for stream in (1, 2, 3))
    return Clip(
        prompt=prompt(scene, prompt_rng),
        frames=draw_scene(scene, picture_rng),
        audio=scene_sound(scene, sound_rng),
        scene=scene,
    )
