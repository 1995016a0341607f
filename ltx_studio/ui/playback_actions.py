"""What the commands of playback do, to whichever player is looked at: the clip's, or that of a comparison."""

from collections.abc import Callable

from ltx_studio.services.player import Player

_VOLUME_STEP = 0.1

# Commands that need a clip. Who shows a player enables them.
PLAYBACK = (
    "play",
    "play_forwards",
    "play_backwards",
    "pause",
    "play_marked",
    "loop",
    "previous_frame",
    "next_frame",
    "back_five_frames",
    "forward_five_frames",
    "back_one_second",
    "forward_one_second",
    "first_frame",
    "last_frame",
    "go_to_time",
    "mark_in",
    "mark_out",
    "go_to_in",
    "go_to_out",
    "clear_in",
    "clear_out",
    "clear_marks",
    "mute",
    "louder",
    "quieter",
    "reveal",
)


def playback_reactions(current: Callable[[], Player]) -> dict[str, Callable[[], None]]:
    """By command. What needs more than a player (`go_to_time`, `reveal`) is the window's."""

    def one_second() -> int:
        clip = current().clip
        return 0 if clip is None else max(round(float(clip.facts.frame_rate)), 1)

    def louder(step: float) -> None:
        player = current()
        player.set_volume(player.volume + step)
        player.set_muted(False)

    return {
        "play": lambda: current().toggle(),
        "play_forwards": lambda: current().shuttle(1),
        "play_backwards": lambda: current().shuttle(-1),
        "pause": lambda: current().pause(),
        "play_marked": lambda: current().play_marked(),
        "loop": lambda: current().set_looping(not current().is_looping),
        "previous_frame": lambda: current().step(-1),
        "next_frame": lambda: current().step(1),
        "back_five_frames": lambda: current().step(-5),
        "forward_five_frames": lambda: current().step(5),
        "back_one_second": lambda: current().step(-one_second()),
        "forward_one_second": lambda: current().step(one_second()),
        "first_frame": lambda: current().seek(0),
        "last_frame": lambda: current().seek(current().last_frame),
        "mark_in": lambda: current().set_in(current().frame),
        "mark_out": lambda: current().set_out(current().frame),
        "go_to_in": lambda: current().seek(current().marked[0]),
        "go_to_out": lambda: current().seek(current().marked[1]),
        "clear_in": lambda: current().set_in(None),
        "clear_out": lambda: current().set_out(None),
        "clear_marks": lambda: current().clear_marks(),
        "mute": lambda: current().set_muted(not current().is_muted),
        "louder": lambda: louder(_VOLUME_STEP),
        "quieter": lambda: louder(-_VOLUME_STEP),
    }
