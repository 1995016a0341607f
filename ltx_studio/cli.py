"""The command line: `generate`, the verbs that edit a clip, `plan`, `queue`, `export`, `models`, `doctor`.

Results go to stdout (with `--json`, one JSON object), everything else to stderr. Every failure is one sentence that
says what to do, and an exit code that scripts can rely on. Importing this module imports neither torch nor Qt.
"""

import argparse
import json
import logging
import math
import re
import signal
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from engine.errors import (
    Cancelled,
    CheckpointError,
    DownloadError,
    EngineError,
    OutOfMemory,
    RequestError,
    StorageFull,
)
from engine.folders import data_folder
from engine.network import NetworkRecord, guard_network
from engine.request import GenerationRequest, ImageReference, LoraReference, Preset, Trim, VideoReference
from engine.types import FrameRate, Size
from ltx_studio import __version__
from ltx_studio.canny_command import add_canny_arguments
from ltx_studio.edit_command import EditTools, add_edit_verbs
from ltx_studio.enhance_command import add_enhance_arguments
from ltx_studio.export_command import add_export_arguments
from ltx_studio.models_command import add_models_verbs
from ltx_studio.pack_command import add_pack_arguments
from ltx_studio.project_command import add_project_verbs
from ltx_studio.queue_command import SharedOptions, add_queue_verbs
from ltx_studio.settings import SEALED, SettingsFile

if TYPE_CHECKING:
    from engine.events import Event, Result

logger = logging.getLogger("studio.cli")
_Value = TypeVar("_Value")

EXIT_OK, EXIT_FAILED, EXIT_REQUEST, EXIT_MODEL, EXIT_MEMORY, EXIT_CANCELLED = 0, 1, 2, 3, 4, 130


class EngineMissing(EngineError):
    """torch is not beside the studio: the second stage of its installation has not been done."""

    code = "no-engine"


_EXIT_CODES: tuple[tuple[type[EngineError], int], ...] = (
    (EngineMissing, EXIT_MODEL),
    (CheckpointError, EXIT_MODEL),
    (DownloadError, EXIT_MODEL),
    (OutOfMemory, EXIT_MEMORY),
    (StorageFull, EXIT_MEMORY),
    (Cancelled, EXIT_CANCELLED),
)


def run_command_line(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    wants_json = "--json" in arguments
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        options = _parser().parse_args(arguments)
        is_sealed = options.sealed or SettingsFile().get(SEALED)
        network = guard_network(sealed=is_sealed, data_folder=data_folder())
        with _termination_as_interrupt():
            return options.command(options, network)
    except EngineError as error:
        return _report(error, wants_json=wants_json)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        remedy = "Start LTX Studio and install the engine on its first page, or run installers/bootstrap.py."
        return _report(EngineMissing("The engine is not installed yet.", remedy=remedy), wants_json=wants_json)
    except KeyboardInterrupt:
        return _report(Cancelled(), wants_json=wants_json)
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has left; nothing to say to anyone
        return EXIT_FAILED


def _report(error: EngineError, *, wants_json: bool) -> int:
    if wants_json:
        print(json.dumps({"error": {"code": error.code, "message": error.message, "remedy": error.remedy}}))
    else:
        print(f"ltx-studio: {error}", file=sys.stderr)
    return next((code for kind, code in _EXIT_CODES if isinstance(error, kind)), EXIT_REQUEST)


@contextmanager
def _termination_as_interrupt() -> Generator[None]:
    """A polite request to end (SIGTERM) cleans up just as Ctrl-C does."""

    def interrupt(_signal: int, _frame: object) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


# --- generate ---------------------------------------------------------------------------------------------------------


def _generate(options: argparse.Namespace, _network: NetworkRecord) -> int:
    return _make(options, _request(options))


def _make(options: argparse.Namespace, request: GenerationRequest) -> int:
    """Run a request to its end and say what came out."""
    from engine.events import Finished, Notice, Started  # noqa: PLC0415 - numpy, not needed for --help
    from engine.media.write import check_writable  # noqa: PLC0415
    from ltx_studio.starter import with_model  # noqa: PLC0415

    check_writable(options.output)
    request, notice = with_model(request)
    show, display = _display(options)
    result: Result | None = None
    with display:
        if notice is not None:
            show(notice)
        from engine.pipelines.run import run  # noqa: PLC0415 - brings torch; mistakes are reported before this

        for event in run(request, options.output):
            show(event)
            if isinstance(event, Started | Notice) and not options.json:
                continue
            if isinstance(event, Finished):
                result = event.result
    assert result is not None, "a run that raises nothing ends with its result"
    if options.json:
        print(json.dumps({**asdict(result), "path": str(result.path)}))
    else:
        print(
            f"{result.path}  {result.width}x{result.height}, {result.duration_s:.2f} s, seed {result.seed}, "
            f"made in {result.timings['total']:.1f} s"
        )
    return EXIT_OK


def _display(options: argparse.Namespace) -> tuple[Callable[["Event"], None], Any]:
    """What shows events, and the context it works in."""
    if options.progress == "none":
        return (lambda _event: None), nullcontext()
    if options.progress == "json":
        from ltx_studio.progress import print_json_event  # noqa: PLC0415

        return print_json_event, nullcontext()
    from ltx_studio.progress import LiveBar  # noqa: PLC0415 - rich

    bar = LiveBar()
    return bar.show, bar


# --- plan and doctor --------------------------------------------------------------------------------------------------


def _plan(options: argparse.Namespace, _network: NetworkRecord) -> int:
    from engine.hardware import current_machine  # noqa: PLC0415
    from engine.pipelines.plan import plan  # noqa: PLC0415
    from ltx_studio.starter import with_model  # noqa: PLC0415

    for name in ("vram", "ram"):
        value = getattr(options, name)
        if value is not None and value <= 0:
            raise RequestError(name, f"--{name} {value:g} is no amount of memory.", remedy="Give GiB above 0.")
    machine = current_machine()
    if options.measure:
        from engine.pipelines.benchmark import measure_speed  # noqa: PLC0415 - brings torch

        measure_speed(machine.device(options.device) or machine.best_device)
        machine = current_machine()
    machine = machine.with_memory(vram_gib=options.vram, ram_gib=options.ram)
    request, notice = with_model(_request(options))
    if notice is not None:
        print(f"note: {notice.message}", file=sys.stderr)
    return _say_plan(plan(request, machine).to_dict(), options)


def _say_plan(values: dict[str, Any], options: argparse.Namespace) -> int:
    if options.json:
        print(json.dumps(values))
        return EXIT_OK
    verdict = {"green": "fits", "amber": "just fits", "red": "does not fit"}[values["light"]]
    print(f"{values['width']}x{values['height']}, {values['frames']} frames, {values['duration_s']:.2f} s: {verdict}")
    print(f"peak {_gib(values['peak_vram_bytes'])} of VRAM, {_gib(values['peak_ram_bytes'])} of RAM")
    for stage in values["stages"]:
        print(f"  {stage['name']:8} {stage['seconds']:>9.1f} s  {stage['precision']} in {stage['residency']}")
    for choice in values["choices"]:
        print(f"  {choice['what']}: {choice['value']} ({choice['why']})")
    for warning in values["warnings"]:
        print(f"note: {warning}")
    return EXIT_OK


def _doctor(options: argparse.Namespace, network: NetworkRecord) -> int:
    from ltx_studio.doctor import examine  # noqa: PLC0415

    report = examine(network)
    if options.json:
        print(json.dumps(report))
        return EXIT_OK
    print(f"LTX Studio {report['version']}, Python {report['python']}, torch {report['torch']}")
    for device in report["devices"]:
        print(
            f"  {device['name']} ({device['kind']}): {_gib(device['free_bytes'])} free of {_gib(device['total_bytes'])}"
        )
    for model in report["models"]:
        print(f"  {model['name']}: {'installed' if model['installed'] else 'not installed'} ({model['title']})")
    for check in report["checks"]:
        verdict = "works" if check["works"] else "does not work"
        print(f"  {check['what']}: {verdict}, {check['detail']}")
    state = "sealed" if report["network"]["sealed"] else "open"
    print(f"  network: {state}, {report['network']['attempts']} connections attempted")
    return EXIT_OK


def _gib(num_bytes: int) -> str:
    return f"{num_bytes / 2**30:.1f} GiB"


# --- arguments --------------------------------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    """Mistakes become a RequestError, so that they look like every other one, also with --json."""

    def error(self, message: str) -> NoReturn:
        raise RequestError("arguments", f"{message[:1].upper()}{message[1:]}.", remedy=f"See {self.prog} --help.")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="ltx-studio", description="Picture and sound from a prompt, on this machine.")
    parser.add_argument("--version", action="version", version=f"ltx-studio {__version__}")
    verbs = parser.add_subparsers(metavar="VERB", required=True, parser_class=_Parser)

    generate = verbs.add_parser("generate", help="make one clip")
    _add_request_arguments(generate)
    generate.add_argument(
        "-o", "--output", type=Path, required=True, help="the clip to write: .mp4, .mov, .mkv, or .wav for sound alone"
    )
    generate.add_argument("--progress", choices=("bar", "json", "none"), default="bar", help="on stderr")
    generate.set_defaults(command=_generate)

    add_edit_verbs(verbs.add_parser, EditTools(_add_making_arguments, _making_fields, _make, _say_plan))

    plan = verbs.add_parser("plan", help="what would happen; nothing is loaded")
    _add_request_arguments(plan)
    plan.add_argument("--vram", type=_number, metavar="GIB", help="as if the GPU had this much memory")
    plan.add_argument("--ram", type=_number, metavar="GIB", help="as if the machine had this much memory")
    plan.add_argument("--measure", action="store_true", help="first measure how fast this machine is; ten seconds")
    plan.set_defaults(command=_plan)

    queue = verbs.add_parser("queue", help="clips that wait their turn, and making them")
    add_queue_verbs(queue, SharedOptions(_add_common_arguments, _add_request_arguments, _request, _display))

    export = verbs.add_parser("export", help="a clip as a file for somebody else")
    add_export_arguments(export, SharedOptions(_add_common_arguments, _add_request_arguments, _request, _display))

    canny = verbs.add_parser("canny", help="the edges of a clip, as the reference of a union-control LoRA")
    add_canny_arguments(canny, _add_common_arguments)

    enhance = verbs.add_parser("enhance", help="a fuller prompt from a short one, written by Gemma")
    add_enhance_arguments(enhance, _add_common_arguments)

    models = verbs.add_parser("models", help="fetch, check, adopt, carry offline and remove models")
    add_models_verbs(models, _add_common_arguments)

    project = verbs.add_parser("project", help="what is in a project, and its sequence as a file")
    add_project_verbs(project, SharedOptions(_add_common_arguments, _add_request_arguments, _request, _display))

    pack = verbs.add_parser("pack", help="put all that a machine without a network needs on a disk")
    add_pack_arguments(pack, _add_common_arguments)

    doctor = verbs.add_parser("doctor", help="this machine, its models, and what works")
    _add_common_arguments(doctor)
    doctor.set_defaults(command=_doctor)
    return parser


def _add_common_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--sealed", action="store_true", help="forbid the network")


def _add_request_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("prompt", metavar="PROMPT", help="what to see and hear")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--seconds", type=_number, metavar="S")
    length.add_argument("--frames", type=_integer, metavar="N")
    parser.add_argument("--fps", type=_checked(FrameRate.parse, "a frame rate such as 24 or 30000/1001"), metavar="F")
    parser.add_argument("--audio", type=Path, metavar="PATH", help="a sound file the picture follows")
    parser.add_argument("--audio-from", type=_number, default=0.0, metavar="S", help="follow it from this second on")
    parser.add_argument("--audio-to", type=_number, metavar="S", help="and up to this one")
    parser.add_argument("--audio-fit", choices=("pad", "loop"), default="pad", help="what follows a shorter sound")
    weighted = _checked(_parse_weighted, "PATH[:STRENGTH]")
    parser.add_argument("--reference-video", type=weighted, action="append", default=[], metavar="PATH[:STRENGTH]")
    _add_making_arguments(parser)


def _add_making_arguments(parser: argparse.ArgumentParser) -> None:
    """What new clips and edits have in common."""
    parser.add_argument("--model", metavar="NAME|PATH", help="default: the best one installed")
    parser.add_argument("--preset", choices=[item.value for item in Preset], default=Preset.FAST.value)
    parser.add_argument("--size", type=_checked(Size.parse, "a size such as 1280x704"), metavar="WxH")
    parser.add_argument("--seed", type=_integer, metavar="N")
    parser.add_argument("--negative", metavar="TEXT", help="what to stay away from (standard and high)")
    parser.add_argument("--steps", type=_integer, metavar="N")
    parser.add_argument("--video-guidance", type=_number, metavar="F")
    parser.add_argument("--audio-guidance", type=_number, metavar="F")
    parser.add_argument("--modality-guidance", type=_number, metavar="F")
    parser.add_argument("--silent", action="store_true", help="no sound")
    image = _checked(_parse_image, "PATH[@FRAME][:STRENGTH]")
    parser.add_argument("--image", type=image, action="append", default=[], metavar="PATH[@FRAME][:STRENGTH]")
    lora = _checked(_parse_lora, "PATH[:STRENGTH[:REFINE]]")
    lora_help = "as often as needed; REFINE: another strength for the second stage"
    parser.add_argument(
        "--lora", type=lora, action="append", default=[], metavar="PATH|NAME[:STRENGTH[:REFINE]]", help=lora_help
    )
    parser.add_argument(
        "--memory", choices=("auto", "resident", "stream", "disk"), default="auto", help="where the model's blocks live"
    )
    parser.add_argument(
        "--precision", choices=("auto", "bf16", "fp8", "int8", "fp32"), default="auto", help="of the model's blocks"
    )
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, mps")
    parser.add_argument("--noise", choices=("counter", "reference"), default="counter", help=argparse.SUPPRESS)
    _add_common_arguments(parser)


def _request(options: argparse.Namespace) -> GenerationRequest:
    return GenerationRequest(
        prompt=options.prompt,
        frames=options.frames,
        seconds=options.seconds,
        frame_rate=options.fps,
        audio=options.audio,
        audio_fit=options.audio_fit,
        audio_trim=Trim(options.audio_from, options.audio_to),
        reference_videos=tuple(VideoReference(path, strength) for path, strength in options.reference_video),
        **_making_fields(options),
    )


def _making_fields(options: argparse.Namespace) -> dict[str, Any]:
    """The fields of a request that `_add_making_arguments` asks for."""
    return {
        "negative_prompt": options.negative,
        "model": options.model,
        "preset": Preset(options.preset),
        "size": options.size,
        "seed": options.seed,
        "steps": options.steps,
        "video_guidance": options.video_guidance,
        "audio_guidance": options.audio_guidance,
        "modality_guidance": options.modality_guidance,
        "silent": options.silent,
        "images": tuple(options.image),
        "loras": tuple(options.lora),
        "precision": options.precision,
        "memory": options.memory,
        "device": options.device,
        "noise": options.noise,
    }


def _checked(parse: Callable[[str], _Value], wanted: str) -> Callable[[str], _Value]:
    def convert(text: str) -> _Value:
        try:
            return parse(text)
        except (ValueError, ZeroDivisionError) as error:
            raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}") from error

    return convert


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


_number = _checked(_finite, "a number")
_integer = _checked(int, "a whole number")

_IMAGE = re.compile(r"(?P<path>.+?)(?:@(?P<frame>-?\d+))?(?::(?P<strength>\d*\.?\d+))?")


def _parse_image(text: str) -> ImageReference:
    """A name that exists as it stands is a path, whatever is in it."""
    match = _IMAGE.fullmatch(text)
    if match is None or Path(text).exists():
        return ImageReference(Path(text))
    return ImageReference(Path(match["path"]), int(match["frame"] or 0), float(match["strength"] or 1.0))


def _parse_lora(text: str) -> LoraReference:
    """A file, or a name of the catalogue, with a strength for every stage or one for the first and one for the rest."""
    reference = _parse_lora_path(text)
    if not reference.path.exists():
        from engine.weights.catalog import loras  # noqa: PLC0415 - reads the catalogue

        named = loras().get(str(reference.path))
        return reference if named is None else replace(reference, path=named.path)
    return reference


def _parse_lora_path(text: str) -> LoraReference:
    path, last = _parse_weighted(text)
    if str(path) == text:
        return LoraReference(path)
    before, first = _parse_weighted(str(path))
    if before == path:
        return LoraReference(path, last)
    return LoraReference(before, first, last)


def _parse_weighted(text: str) -> tuple[Path, float]:
    path, separator, strength = text.rpartition(":")
    if not separator or Path(text).exists() or not re.fullmatch(r"-?\d*\.?\d+", strength):
        return Path(text), 1.0
    return Path(path), float(strength)
