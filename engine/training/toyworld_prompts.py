"""The toy world in words: one canonical sentence for each scene, and many other ways to say it, in English
and in Spanish.

A paraphrase draws its words, its order and how much it tells. It always names what the scene shows and asks
for the sound and the camera move that the scene has; a still camera and a sound that follows from its cause
may go unsaid, as they are defaults.
"""

from collections.abc import Sequence
from typing import Final, TypeAlias, TypeVar

import numpy as np

from engine.training.toyworld_law import (
    Background,
    Camera,
    Colour,
    Face,
    Motion,
    MovingObject,
    Scene,
    Shape,
    SoundRequest,
    Voice,
)

_SPANISH_SHARE: Final = 1 / 3
_CANONICAL_SHARE: Final = 0.3  # of the English prompts

T = TypeVar("T")
Words: TypeAlias = tuple[str, ...]

_THINGS: Final[dict[Shape, Words]] = {
    "ball": ("ball", "ball", "sphere", "disc"),
    "square": ("square", "square", "box"),
    "triangle": ("triangle",),
    "star": ("star", "star", "five-pointed star"),
    "ring": ("ring", "ring", "hoop"),
    "heart": ("heart", "heart", "heart shape"),
}
_MOTIONS: Final[dict[Motion, Words]] = {
    "stays still": ("stays still", "does not move", "rests in place", "stands still"),
    "moves left": ("moves left", "moves to the left", "slides from right to left", "glides to the left"),
    "moves right": ("moves right", "moves to the right", "slides from left to right", "glides to the right"),
    "moves up": ("moves up", "rises", "floats upward", "climbs towards the top"),
    "moves down": ("moves down", "sinks", "floats downward", "descends towards the bottom"),
    "bounces": ("bounces", "bounces on the floor", "jumps and lands", "hops on the ground"),
    "spins": ("spins", "rotates", "turns around", "spins in place"),
    "grows": ("grows", "gets bigger", "becomes larger", "swells"),
    "shrinks": ("shrinks", "gets smaller", "becomes smaller", "dwindles"),
}
_CAMERAS: Final[dict[Camera, Words]] = {
    "static": ("static camera", "the camera stays put", "locked-off shot"),
    "dolly in": ("dolly in", "the camera dollies in", "the camera moves closer", "slow push in"),
    "dolly out": ("dolly out", "the camera dollies out", "the camera pulls back", "slow pull out"),
    "pan left": ("pan left", "the camera pans left", "panning to the left"),
    "pan right": ("pan right", "the camera pans right", "panning to the right"),
}
_SOUNDS: Final[dict[SoundRequest, Words]] = {
    "by cause": (),
    "with no sound": ("with no sound", "silent", "without any sound", "no audio"),
    "with a low tone": ("with a low tone", "a low tone is heard", "with a deep steady note"),
    "with a high tone": ("with a high tone", "a high tone is heard", "with a high steady note"),
}
_CAUSES: Final[dict[Motion, str]] = {
    "stays still": "a soft steady tone",
    "spins": "a soft steady tone",
    "grows": "a soft steady tone",
    "shrinks": "a soft steady tone",
    "moves left": "a whoosh from right to left",
    "moves right": "a whoosh from left to right",
    "moves up": "a rising tone",
    "moves down": "a falling tone",
    "bounces": "a thud at each bounce",
}
_PLACES: Final = (
    "on a {} background",
    "against a {} background",
    "in front of a {} backdrop",
    "over plain {}",
)
_OPENINGS: Final = ("", "", "", "", "A short clip: ", "Cartoon, flat colours: ", "Animation of a simple scene. ")

_COSAS: Final[dict[Shape, tuple[str, str]]] = {  # the noun and its gender
    "ball": ("pelota", "f"),
    "square": ("cuadrado", "m"),
    "triangle": ("triángulo", "m"),
    "star": ("estrella", "f"),
    "ring": ("anillo", "m"),
    "heart": ("corazón", "m"),
}
_COLORES: Final[dict[Colour, tuple[str, str]]] = {  # masculine, feminine
    "red": ("rojo", "roja"),
    "orange": ("naranja", "naranja"),
    "yellow": ("amarillo", "amarilla"),
    "green": ("verde", "verde"),
    "blue": ("azul", "azul"),
    "purple": ("morado", "morada"),
    "white": ("blanco", "blanca"),
}
_FONDOS: Final[dict[Background, str]] = {
    "black": "negro",
    "gray": "gris",
    "navy": "azul marino",
    "teal": "verde azulado",
    "sand": "color arena",
    "sky": "celeste",
}
_MOVIMIENTOS: Final[dict[Motion, Words]] = {
    "stays still": ("se queda quieto", "no se mueve", "permanece en su sitio"),
    "moves left": ("se mueve a la izquierda", "va hacia la izquierda", "se desliza de derecha a izquierda"),
    "moves right": ("se mueve a la derecha", "va hacia la derecha", "se desliza de izquierda a derecha"),
    "moves up": ("se mueve hacia arriba", "sube", "asciende"),
    "moves down": ("se mueve hacia abajo", "baja", "desciende"),
    "bounces": ("rebota", "bota en el suelo", "salta y cae"),
    "spins": ("gira", "da vueltas", "rota sobre sí mismo"),
    "grows": ("crece", "se hace más grande", "aumenta de tamaño"),
    "shrinks": ("encoge", "se hace más pequeño", "disminuye de tamaño"),
}
_CAMARAS: Final[dict[Camera, Words]] = {
    "static": ("cámara fija", "la cámara no se mueve"),
    "dolly in": ("la cámara se acerca", "travelling de acercamiento"),
    "dolly out": ("la cámara se aleja", "travelling de alejamiento"),
    "pan left": ("la cámara gira a la izquierda", "paneo a la izquierda"),
    "pan right": ("la cámara gira a la derecha", "paneo a la derecha"),
}
_SONIDOS: Final[dict[SoundRequest, Words]] = {
    "by cause": (),
    "with no sound": ("sin sonido", "en silencio"),
    "with a low tone": ("con un tono grave", "se oye un tono grave"),
    "with a high tone": ("con un tono agudo", "se oye un tono agudo"),
}
_CAUSAS: Final[dict[Motion, str]] = {
    "stays still": "un tono suave y continuo",
    "spins": "un tono suave y continuo",
    "grows": "un tono suave y continuo",
    "shrinks": "un tono suave y continuo",
    "moves left": "un soplido de derecha a izquierda",
    "moves right": "un soplido de izquierda a derecha",
    "moves up": "un tono que sube",
    "moves down": "un tono que baja",
    "bounces": "un golpe sordo en cada bote",
}
_LUGARES: Final = ("sobre un fondo {}", "sobre fondo {}", "con fondo {}", "delante de un fondo {}")
_APERTURAS: Final = ("", "", "", "Un clip corto: ", "Dibujos animados: ")
_VOCES: Final[dict[Voice, str]] = {"low": "grave", "high": "aguda"}


def canonical_prompt(scene: Scene) -> str:
    """The one fixed sentence of a scene, for scoring: the article is always "a", as the world's law writes it."""
    background = f"on a {scene.background} background"
    if scene.face is not None:
        return f"a face says '{' '.join(scene.face.syllables)}' in a {scene.face.voice} voice {background}"
    things = " and ".join(f"a {item.colour} {item.shape} {item.motion}" for item in scene.objects)
    extras = [text for text, default in ((scene.camera, "static"), (scene.sound, "by cause")) if text != default]
    return ", ".join([f"{things} {background}", *extras])


def prompt(scene: Scene, rng: np.random.Generator) -> str:
    """One of the many prompts of a scene: the canonical one, a paraphrase, or (a third of the time) Spanish."""
    if rng.random() < _SPANISH_SHARE:
        return _in_spanish(scene, rng)
    if rng.random() < _CANONICAL_SHARE:
        return canonical_prompt(scene)
    return _in_english(scene, rng)


def _in_english(scene: Scene, rng: np.random.Generator) -> str:
    places = (_pick(rng, _PLACES).format(scene.background), f"{scene.background} background")
    if scene.face is not None:
        main = _face_in_english(scene.face, rng)
    else:
        join = _pick(rng, (" and ", " while ", ", and "))
        main = join.join(_object_in_english(item, rng) for item in scene.objects)
    causes = [_CAUSES[item.motion] for item in scene.objects]
    sounds = [f"with {cause}" for cause in causes] + [f"sound: {cause}" for cause in causes]
    extras = _extras(scene, rng, _CAMERAS[scene.camera], _SOUNDS[scene.sound], sounds)
    return _sentence(rng, _pick(rng, _OPENINGS), main, places, extras)


def _object_in_english(item: MovingObject, rng: np.random.Generator) -> str:
    thing, motion = _pick(rng, _THINGS[item.shape]), _pick(rng, _MOTIONS[item.motion])
    article = "an" if item.colour == "orange" else "a"
    forms = (
        f"{article} {item.colour} {thing} {motion}",
        f"{article} {item.colour} {thing} {motion}",
        f"the {item.colour} {thing} {motion}",
        f"{item.colour} {thing} {motion}",
        f"{article} {item.colour} {thing} that {motion}",
        f"a {thing}, {item.colour}, {motion}",
    )
    return _pick(rng, forms)


def _face_in_english(face: Face, rng: np.random.Generator) -> str:
    said = " ".join(face.syllables)
    quoted = _pick(rng, (f"'{said}'", f'"{said}"'))
    who = _pick(rng, ("a face", "a cartoon face", "a talking head", "a person", f"a face with {face.hair} hair"))
    verb = _pick(rng, ("says", "speaks", "is saying"))
    return _pick(
        rng,
        (
            f"{who} {verb} {quoted} in a {face.voice} voice",
            f"{who} with a {face.voice} voice {verb} {quoted}",
            f"in a {face.voice} voice, {who} {verb} {quoted}",
        ),
    )


def _in_spanish(scene: Scene, rng: np.random.Generator) -> str:
    fondo = _FONDOS[scene.background]
    places = (_pick(rng, _LUGARES).format(fondo), f"fondo {fondo}")
    if scene.face is not None:
        main = _face_in_spanish(scene.face, rng)
    else:
        join = _pick(rng, (" y ", " mientras "))
        main = join.join(_object_in_spanish(item, rng) for item in scene.objects)
    sounds = [f"con {_CAUSAS[item.motion]}" for item in scene.objects]
    extras = _extras(scene, rng, _CAMARAS[scene.camera], _SONIDOS[scene.sound], sounds)
    return _sentence(rng, _pick(rng, _APERTURAS), main, places, extras)


def _object_in_spanish(item: MovingObject, rng: np.random.Generator) -> str:
    thing, gender = _COSAS[item.shape]
    colour = _COLORES[item.colour][gender == "f"]
    motion = _pick(rng, _MOVIMIENTOS[item.motion])
    article, definite = ("una", "la") if gender == "f" else ("un", "el")
    if gender == "f":
        for masculine, feminine in (("quieto", "quieta"), ("mismo", "misma"), ("pequeño", "pequeña")):
            motion = motion.replace(masculine, feminine)
    forms = (
        f"{article} {thing} {colour} {motion}",
        f"{definite} {thing} {colour} {motion}",
        f"{article} {thing} de color {_COLORES[item.colour][0]} {motion}",
        f"{article} {thing} {colour} que {motion}",
    )
    return _pick(rng, forms)


def _face_in_spanish(face: Face, rng: np.random.Generator) -> str:
    said, voice = " ".join(face.syllables), _VOCES[face.voice]
    who = _pick(rng, ("una cara", "una cara de dibujos animados", "un rostro"))
    return _pick(
        rng,
        (
            f"{who} dice '{said}' con voz {voice}",
            f'{who} dice "{said}" con una voz {voice}',
            f"con voz {voice}, {who} dice '{said}'",
        ),
    )


def _extras(scene: Scene, rng: np.random.Generator, cameras: Words, sounds: Words, causes: Sequence[str]) -> list[str]:
    """Camera and sound: what was asked for is always said, the defaults now and then."""
    extras: list[str] = []
    if scene.camera != "static" or rng.random() < 0.1:
        extras.append(_pick(rng, cameras))
    if sounds:
        extras.append(_pick(rng, sounds))
    elif len(causes) > 0 and len(scene.objects) == 1 and rng.random() < 0.25:
        extras.append(_pick(rng, causes))
    return [extras[i] for i in rng.permutation(len(extras))]


def _sentence(rng: np.random.Generator, opening: str, main: str, places: Words, extras: list[str]) -> str:
    """Put the parts in one of several orders, as a sentence or as loose words. `places`: as a phrase, as a label."""
    phrase, label = places
    parts = _pick(rng, ([f"{main} {phrase}"], [f"{main} {phrase}"], [phrase, main], [main, label]))
    text = ", ".join([*extras, *parts] if rng.random() < 0.15 else [*parts, *extras])
    text = opening + text
    if rng.random() < 0.5:
        return text
    return text[0].upper() + text[1:] + "."


def _pick(rng: np.random.Generator, choices: Sequence[T]) -> T:
    return choices[int(rng.integers(len(choices)))]
