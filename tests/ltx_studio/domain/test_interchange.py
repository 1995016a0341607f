"""Timelines for other editors, and theirs. Alone: `pytest tests/ltx_studio/domain/test_interchange.py`.

OpenTimelineIO's own package is the judge of what we call OpenTimelineIO; it is not needed to run the studio.
"""

import json
import random
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from engine.types import FrameRate, Size
from ltx_studio.domain.interchange import Imported, InterchangeError, Options, as_text, load, save
from ltx_studio.domain.interchange_edl import Count
from ltx_studio.domain.timeline import Clip, Marker, Media, Take, Timeline, Track, TrackKind, empty_timeline
from tests.fakes.project import random_edit, rich_timeline

RATES = ["24000/1001", "24", "25", "30000/1001", "30", "50", "60000/1001", "60"]
FORMATS = [".otio", ".fcpxml", ".edl"]


def no_probe(_path: Path) -> None:
    """As if no file of the other editor were there."""


def rate_of(text: str) -> FrameRate:
    return FrameRate(Fraction(text))


def cut(folder: Path, rate: FrameRate, *, num_clips: int = 4) -> Timeline:
    """Clips with sound of two files, with a gap before and between them, as a timeline that every format can hold."""
    pictures: list[Clip] = []
    sounds: list[Clip] = []
    frame = 5
    for number in range(num_clips):
        media = Media(folder / f"shot {number % 2}.mov", 400 / rate.value, rate, Size(1920, 1080))
        values: dict[str, Any] = {"start": frame, "length": 37 + number, "takes": (Take(media),), "link": 2010 + number}
        values |= {"name": f"shot {number}", "source_start": (11 + 13 * number) / rate.value}
        pictures.append(Clip(10 + number, **values))
        sounds.append(Clip(1010 + number, **values))
        frame += 37 + number + (9 if number == 1 else 0)
    tracks = (Track(1, TrackKind.PICTURE, "V1", tuple(pictures)), Track(2, TrackKind.SOUND, "A1", tuple(sounds)))
    return Timeline(rate, tracks, next_id=3000)


def there_and_back(timeline: Timeline, suffix: str, tmp_path: Path, **values: Any) -> Imported:
    path = tmp_path / f"cut{suffix}"
    save(timeline, path, name="My cut", options=Options(**values))
    return load(path, probe=no_probe)


def facts(timeline: Timeline) -> list[tuple[object, ...]]:
    """What an editor cares about, without ids and without what a format has no word for."""
    return [
        (track.kind, clip.name, clip.start, clip.length, clip.source_start + clip.take.offset, clip.media.path)
        for track in timeline.tracks
        for clip in track.clips
    ]


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("suffix", FORMATS)
def test_clips_names_source_and_record_times_come_back_at_every_rate(suffix: str, rate: str, tmp_path: Path) -> None:
    timeline = cut(tmp_path, rate_of(rate))

    imported = there_and_back(timeline, suffix, tmp_path)

    assert imported.timeline.rate == rate_of(rate)
    assert facts(imported.timeline) == facts(timeline)
    assert imported.name == "My cut"
    assert imported.losses == ()


@pytest.mark.parametrize("rate", ["30000/1001", "60000/1001"])
@pytest.mark.parametrize("suffix", [".fcpxml", ".edl"])
def test_drop_frame_timecode_comes_back(suffix: str, rate: str, tmp_path: Path) -> None:
    timeline = cut(tmp_path, rate_of(rate), num_clips=200)  # some four minutes, beyond several dropped numbers

    imported = there_and_back(timeline, suffix, tmp_path, counts_drop_frames=True)

    assert facts(imported.timeline) == facts(timeline)


@pytest.mark.parametrize("suffix", FORMATS)
def test_picture_and_sound_that_belong_together_are_linked_again(suffix: str, tmp_path: Path) -> None:
    imported = there_and_back(cut(tmp_path, rate_of("25")), suffix, tmp_path).timeline

    pictures, sounds = (imported.tracks_of(kind)[0].clips for kind in (TrackKind.PICTURE, TrackKind.SOUND))
    assert [clip.link for clip in pictures] == [clip.link for clip in sounds]
    assert len({clip.link for clip in pictures} - {None}) == 4


# --- OpenTimelineIO ---------------------------------------------------------------------------------------------------


def test_opentimelineio_gives_the_identical_timeline_and_the_identical_file(tmp_path: Path) -> None:
    timeline = rich_timeline(tmp_path)

    imported = there_and_back(timeline, ".otio", tmp_path)

    assert imported.timeline == timeline
    assert as_text(imported.timeline, ".otio", name="My cut").content == (tmp_path / "cut.otio").read_text("utf-8")


def test_random_timelines_survive_opentimelineio(tmp_path: Path) -> None:
    chance = random.Random(1)
    timeline = rich_timeline(tmp_path)
    for _ in range(15):
        timeline = random_edit(timeline, tmp_path, chance)
        assert there_and_back(timeline, ".otio", tmp_path).timeline == timeline


@pytest.mark.parametrize("rate", RATES)
def test_opentimelineios_own_package_reads_what_we_write(rate: str, tmp_path: Path) -> None:
    otio = pytest.importorskip("opentimelineio")
    timeline = cut(tmp_path, rate_of(rate))
    timeline = replace(timeline, markers=(Marker(60, 7, "hit"),))

    document = otio.adapters.read_from_string(as_text(timeline, ".otio", name="My cut").content, "otio_json")

    video, audio = document.tracks
    assert (document.name, video.kind, audio.kind) == ("My cut", "Video", "Audio")
    for clip, ours in zip(video.find_clips(), timeline.tracks[0].clips, strict=True):
        placed = clip.range_in_parent()
        assert clip.name == ours.name
        assert (placed.start_time.to_frames(), placed.duration.to_frames()) == (ours.start, ours.length)
        assert clip.source_range.start_time.to_frames() == ours.source_start * timeline.rate.value
        assert clip.source_range.start_time.rate == pytest.approx(float(timeline.rate), abs=1e-12)
        assert clip.media_reference.target_url == ours.media.path.as_uri()
        assert clip.media_reference.available_range.duration.to_frames() == 400
    assert [(marker.name, marker.marked_range.start_time.to_frames()) for marker in document.tracks.markers] == [
        ("hit", 7)
    ]


def test_a_file_that_opentimelineios_own_package_has_written_again_is_the_same_timeline(tmp_path: Path) -> None:
    otio = pytest.importorskip("opentimelineio")
    timeline = rich_timeline(tmp_path)
    document = otio.adapters.read_from_string(as_text(timeline, ".otio", name="My cut").content, "otio_json")
    otio.adapters.write_to_file(document, str(tmp_path / "again.otio"))

    assert load(tmp_path / "again.otio", probe=no_probe).timeline == timeline


def foreign(otio: Any, tmp_path: Path) -> Any:
    """A timeline as another program writes it: times of day, a transition, an effect, a nested stack, no metadata."""
    time = otio.opentime.RationalTime
    span = otio.opentime.TimeRange
    timeline = otio.schema.Timeline("theirs", global_start_time=time(86400, 24))
    track = otio.schema.Track("Video 1", kind="Video")
    day = span(time(50_000, 24), time(240, 24))
    media = otio.schema.ExternalReference(target_url="file://localhost/films/Caf%C3%A9%201.mov", available_range=day)
    one = otio.schema.Clip("one", media, span(time(50_024, 24), time(48, 24)))
    one.effects.append(otio.schema.LinearTimeWarp("fast", time_scalar=2.0))
    two = otio.schema.Clip(
        "two", otio.schema.ExternalReference(target_url="media/two.mov"), span(time(0, 24), time(24, 24))
    )
    none = otio.schema.Clip("none", otio.schema.MissingReference(), span(time(0, 24), time(10, 24)))
    nested = otio.schema.Stack("nested", source_range=span(time(0, 24), time(12, 24)))
    gap = otio.schema.Gap(source_range=span(time(0, 24), time(6, 24)))
    fade = otio.schema.Transition("fade", "SMPTE_Dissolve", time(3, 24), time(3, 24))
    track.extend(
        [one, fade, two, none, gap, nested, otio.schema.Clip("last", media, span(time(50_000, 24), time(5, 24)))]
    )
    timeline.tracks.append(track)
    upper = otio.schema.Track("Titles", kind="Video")
    upper.append(otio.schema.Clip("over", media, span(time(50_100, 24), time(7, 24))))
    timeline.tracks.append(upper)
    return timeline


def test_a_timeline_of_another_program_is_read_and_every_loss_is_named(tmp_path: Path) -> None:
    otio = pytest.importorskip("opentimelineio")
    otio.adapters.write_to_file(foreign(otio, tmp_path), str(tmp_path / "theirs.otio"))

    imported = load(tmp_path / "theirs.otio", probe=no_probe)

    upper, lower = imported.timeline.tracks_of(TrackKind.PICTURE)
    assert (imported.name, upper.name, lower.name) == ("theirs", "Titles", "Video 1")
    assert [(clip.name, clip.start, clip.length, clip.source_start) for clip in lower.clips] == [
        ("one", 0, 48, Fraction(1)),
        ("two", 48, 24, Fraction(0)),
        ("last", 100, 5, Fraction(0)),
    ]
    assert lower.clips[0].media.path == Path("/films/Caf\N{LATIN SMALL LETTER E WITH ACUTE} 1.mov")
    assert lower.clips[0].media.duration == 10
    assert lower.clips[1].media.path == tmp_path / "media" / "two.mov"
    losses = " ".join(str(loss) for loss in imported.losses)
    for lost in ("fade: a transition", "one: the effect fast", "none: no file is named", "nested: a Stack"):
        assert lost in losses
    assert len(imported.losses) == 4


def test_a_clip_that_another_program_trimmed_is_where_it_put_it(tmp_path: Path) -> None:
    document = json.loads(as_text(cut(tmp_path, rate_of("24000/1001")), ".otio", name="x").content)
    clip = document["tracks"]["children"][0]["children"][1]
    clip["source_range"]["start_time"]["value"] += 3
    clip["source_range"]["duration"]["value"] -= 3
    (tmp_path / "x.otio").write_text(json.dumps(document), encoding="utf-8")

    first = load(tmp_path / "x.otio", probe=no_probe).timeline.tracks[0].clips[0]

    assert (first.start, first.length, first.source_start) == (5, 34, 14 / rate_of("24000/1001").value)


def test_an_old_clip_with_a_single_reference_is_read(tmp_path: Path) -> None:
    text = as_text(cut(tmp_path, rate_of("25"), num_clips=1), ".otio", name="x").content
    document = json.loads(text)
    for track in document["tracks"]["children"]:
        clip = track["children"][1]
        clip["OTIO_SCHEMA"] = "Clip.1"
        clip["media_reference"] = clip.pop("media_references")["take 1"]
        del clip["active_media_reference_key"]
    (tmp_path / "x.otio").write_text(json.dumps(document), encoding="utf-8")

    assert facts(load(tmp_path / "x.otio", probe=no_probe).timeline) == facts(cut(tmp_path, rate_of("25"), num_clips=1))


# --- Final Cut Pro XML ------------------------------------------------------------------------------------------------


def test_final_cut_is_told_exact_fractions_in_its_own_spelling(tmp_path: Path) -> None:
    content = as_text(cut(tmp_path, rate_of("24000/1001"), num_clips=1), ".fcpxml", name="My cut").content

    assert '<format id="r1" frameDuration="1001/24000s" width="1920" height="1080"' in content
    assert '<gap name="Gap" offset="0s" start="0s" duration="1001/4800s" />' in content  # five frames
    assert f'src="{(tmp_path / "shot 0.mov").as_uri()}"' in content
    clip = '<asset-clip ref="r2" name="shot 0" offset="1001/4800s" start="11011/24000s" duration="37037/24000s"'
    assert clip in content
    assert 'tcFormat="NDF"' in content


def test_upper_tracks_and_single_sounds_are_connected_in_lanes(tmp_path: Path) -> None:
    base = cut(tmp_path, rate_of("25"))
    over = replace(base.tracks[0].clips[1], id=70, name="over", start=20, length=50, link=None)
    sea = replace(over, id=71, name="sea", start=130, length=60, gain_db=-6.5)
    tracks = (Track(3, TrackKind.PICTURE, "V2", (over,)), *base.tracks, Track(4, TrackKind.SOUND, "A2", (sea,)))
    timeline = replace(base, tracks=tracks, markers=(Marker(80, 50, "hit"), Marker(81, 199, "end")))

    imported = there_and_back(timeline, ".fcpxml", tmp_path).timeline

    assert facts(imported) == facts(timeline)
    assert [(marker.frame, marker.name) for marker in imported.markers] == [(50, "hit"), (199, "end")]
    assert [clip.gain_db for clip in imported.tracks_of(TrackKind.SOUND)[1].clips] == [-6.5]


def test_what_final_cut_writes_is_read(tmp_path: Path) -> None:
    (tmp_path / "theirs.fcpxml").write_text(FINAL_CUT, encoding="utf-8")

    imported = load(tmp_path / "theirs.fcpxml", probe=no_probe)

    timeline = imported.timeline
    assert timeline.rate == rate_of("30000/1001")
    pictures = {clip.name: clip for track in timeline.tracks_of(TrackKind.PICTURE) for clip in track.clips}
    assert set(pictures) == {"A", "B", "Over", "Picked"}
    begins = {name: (clip.start, clip.length, clip.source_start) for name, clip in pictures.items()}
    second = 1 / timeline.rate.value
    assert begins["A"] == (0, 90, 30 * second)  # the file begins at one o'clock
    assert begins["B"] == (120, 60, 15 * second)  # behind a gap of a second
    assert begins["Over"] == (20, 30, Fraction(0))
    assert begins["Picked"] == (180, 30, Fraction(0))
    assert pictures["A"].media.path == Path("/films/a one.mov")
    assert pictures["A"].media.size == Size(1280, 720)
    assert [marker.frame for marker in timeline.markers] == [45]
    lost = " ".join(str(loss) for loss in imported.losses)
    for words in ("Blur", "a transition", "takes of an audition", "a title"):
        assert words in lost, words
    assert len(imported.losses) == 4


FINAL_CUT = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE fcpxml>
<fcpxml version="1.9">
  <resources>
    <format id="r1" name="FFVideoFormat720p2997" frameDuration="1001/30000s" width="1280" height="720"/>
    <asset id="r2" name="a one" start="3603600/1000s" duration="300300/30000s" hasVideo="1" format="r1" hasAudio="1">
      <media-rep kind="original-media" src="file:///films/a%20one.mov"/>
    </asset>
    <asset id="r3" name="b" src="file:///films/b.mov" start="0s" duration="300300/30000s" hasVideo="1" format="r1"/>
  </resources>
  <library><event name="e"><project name="Theirs"><sequence format="r1" tcStart="0s" duration="210210/30000s">
    <spine>
      <asset-clip ref="r2" name="A" offset="0s" start="108138030/30000s" duration="90090/30000s">
        <adjust-transform scale="1 1" anchor="0 0" position="0 0"/>
        <asset-clip ref="r3" lane="1" name="Over" offset="108158050/30000s" duration="30030/30000s"/>
        <marker start="108183075/30000s" duration="1001/30000s" value="hit"/>
        <marker start="108008000/30000s" duration="1001/30000s" value="cut away"/>
      </asset-clip>
      <transition name="Cross Dissolve" offset="80080/30000s" duration="20020/30000s"/>
      <gap name="Gap" offset="90090/30000s" start="3600s" duration="30030/30000s">
        <title name="Hello" lane="1" offset="3600s" duration="30030/30000s"/>
      </gap>
      <clip name="B" offset="120120/30000s" start="15015/30000s" duration="60060/30000s">
        <video ref="r3" offset="0s" duration="300300/30000s"/>
        <filter-video name="Blur"/>
      </clip>
      <audition>
        <asset-clip ref="r3" name="Picked" offset="180180/30000s" duration="30030/30000s"/>
        <asset-clip ref="r2" name="Other" offset="180180/30000s" duration="30030/30000s"/>
      </audition>
    </spine>
  </sequence></project></event></library>
</fcpxml>
"""


def test_entities_are_refused_before_they_grow(tmp_path: Path) -> None:
    (tmp_path / "x.fcpxml").write_text('<!DOCTYPE x [<!ENTITY a "b">]><fcpxml>&a;</fcpxml>', encoding="utf-8")

    with pytest.raises(InterchangeError, match="entities"):
        load(tmp_path / "x.fcpxml", probe=no_probe)


# --- edit lists -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate", "frame", "text"),
    [
        ("30000/1001", 1799, "00:00:59;29"),
        ("30000/1001", 1800, "00:01:00;02"),
        ("30000/1001", 17981, "00:09:59;29"),
        ("30000/1001", 17982, "00:10:00;00"),
        ("30000/1001", 107892, "01:00:00;00"),
        ("60000/1001", 3599, "00:00:59;59"),
        ("60000/1001", 3600, "00:01:00;04"),
        ("60000/1001", 215784, "01:00:00;00"),
    ],
)
def test_drop_frame_timecode_leaves_out_numbers_as_the_standard_says(rate: str, frame: int, text: str) -> None:
    counting = Count.of(rate_of(rate), drops=True)

    assert counting.text(frame) == text
    assert counting.frame(text) == frame


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("drops", [False, True])
def test_every_frame_has_a_timecode_of_its_own(rate: str, drops: bool) -> None:
    counting = Count.of(rate_of(rate), drops=drops)

    for frame in [*range(4000), *range(17_000, 19_000), *range(107_000, 109_000), *range(215_000, 216_500)]:
        assert counting.frame(counting.text(frame)) == frame


def test_timecode_that_does_not_exist_is_refused() -> None:
    counting = Count.of(rate_of("30000/1001"), drops=True)

    for text in ("00:01:00;00", "00:01:00;01", "00:00:61;00", "00:00:00;30"):
        with pytest.raises(ValueError):
            counting.frame(text)


def test_an_edit_list_reads_as_other_programs_write_it(tmp_path: Path) -> None:
    content = as_text(cut(tmp_path, rate_of("25"), num_clips=1), ".edl", name="My cut").content

    assert content.splitlines() == [
        "TITLE: My cut",
        "FCM: NON-DROP FRAME",
        "* LTX STUDIO RATE: 25",
        "",
        "001  SHOT0    V     C        00:00:00:11 00:00:01:23 01:00:00:05 01:00:01:17",
        "* FROM CLIP NAME: shot 0",
        f"* SOURCE FILE: {tmp_path / 'shot 0.mov'}",
        "002  SHOT0    A     C        00:00:00:11 00:00:01:23 01:00:00:05 01:00:01:17",
        "* FROM CLIP NAME: shot 0",
        f"* SOURCE FILE: {tmp_path / 'shot 0.mov'}",
    ]


def test_the_list_of_another_program_is_read_at_the_rate_that_is_chosen(tmp_path: Path) -> None:
    (tmp_path / "theirs.edl").write_text(EDIT_LIST, encoding="utf-8")

    with pytest.raises(InterchangeError, match="frame rate"):
        load(tmp_path / "theirs.edl", probe=no_probe)
    imported = load(tmp_path / "theirs.edl", probe=no_probe, rate=rate_of("30000/1001"))

    assert facts(imported.timeline) == [
        (TrackKind.PICTURE, "one.mov", 0, 60, 30 / rate_of("30000/1001").value, tmp_path / "one.mov"),
        (TrackKind.PICTURE, "two.mov", 60, 1740, Fraction(0), Path("/films/two.mov")),
        (TrackKind.SOUND, "one.mov", 0, 60, 30 / rate_of("30000/1001").value, tmp_path / "one.mov"),
    ]
    lost = " ".join(str(loss) for loss in imported.losses)
    assert "two.mov: a transition" in lost
    assert imported.name == "THEIRS"


EDIT_LIST = """TITLE:   THEIRS
FCM: DROP FRAME

001  AX       B     C        00:00:01;00 00:00:03;00 01:00:00;00 01:00:02;00
* FROM CLIP NAME:  one.mov

002  AX       V     D    012 00:00:00;00 00:00:58;00 01:00:02;00 01:01:00;02
* FROM CLIP NAME:  two.mov
* SOURCE FILE: /films/two.mov
003  BL       V     C        00:00:00;00 00:00:01;00 01:01:00;02 01:01:01;02
"""


def test_the_picture_that_is_seen_is_what_an_edit_list_holds(tmp_path: Path) -> None:
    base = cut(tmp_path, rate_of("25"), num_clips=1)  # frames 5 to 42
    over = replace(base.tracks[0].clips[0], id=70, name="over", start=10, length=10, link=None)
    timeline = replace(base, tracks=(Track(3, TrackKind.PICTURE, "V2", (over,)), base.tracks[0]))

    pictures = there_and_back(timeline, ".edl", tmp_path).timeline.tracks_of(TrackKind.PICTURE)[0].clips

    assert [(clip.name, clip.start, clip.stop) for clip in pictures] == [
        ("shot 0", 5, 10),
        ("over", 10, 20),
        ("shot 0", 20, 42),
    ]
    assert pictures[2].source_start == Fraction(11 + 15, 25)


# --- losses and bad files ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("suffix", "words"), [
    (".otio", ["a gain of -7.5 dB"]),
    (".fcpxml", ["1 takes that are not shown", "the lock", "The marked range", "between two frames"]),
    (".edl", ["1 takes that are not shown", "a gain of -7.5 dB", "hit: a marker", "V2", "between two frames"]),
])  # fmt: skip
def test_what_a_format_cannot_say_is_reported(suffix: str, words: list[str], tmp_path: Path) -> None:
    timeline = rich_timeline(tmp_path)
    muted = replace(timeline.tracks[0], clips=(replace(timeline.tracks[1].clips[0], id=20, link=None),))
    timeline = replace(timeline, tracks=(muted, *timeline.tracks[1:]), next_id=30)

    losses = " ".join(str(loss) for loss in as_text(timeline, suffix, name="x").losses)

    assert [word for word in words if word not in losses] == []


@pytest.mark.parametrize("suffix", [".fcpxml", ".edl"])
def test_an_empty_timeline_is_refused_with_a_sentence(suffix: str) -> None:
    with pytest.raises(InterchangeError, match=r"empty|nothing"):
        as_text(empty_timeline(rate_of("25")), suffix, name="x")


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("content", [b"", b"{}", b"<a/>", b"[1]", b"\xff\xfe\x00", b'{"OTIO_SCHEMA": "Timeline.1"}'])
def test_a_file_that_cannot_be_read_is_a_sentence(suffix: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / f"bad{suffix}").write_bytes(content)

    with pytest.raises(InterchangeError, match="cannot be read"):
        load(tmp_path / f"bad{suffix}", probe=no_probe, rate=rate_of("25"))


def test_a_missing_file_and_an_unknown_format_are_sentences(tmp_path: Path) -> None:
    (tmp_path / "x.aaf").touch()

    with pytest.raises(InterchangeError, match="No such file"):
        load(tmp_path / "x.otio", probe=no_probe)
    with pytest.raises(InterchangeError, match="none of the formats"):
        load(tmp_path / "x.aaf", probe=no_probe)


def test_files_that_are_there_are_believed_rather_than_the_other_program(tmp_path: Path) -> None:
    timeline = cut(tmp_path, rate_of("25"))
    save(timeline, tmp_path / "x.edl", name="x")

    def probe(path: Path) -> Media:
        return Media(path, Fraction(99), rate_of("25"), Size(64, 32))

    assert {clip.media.duration for clip in load(tmp_path / "x.edl", probe=probe).timeline.clips()} == {Fraction(99)}
