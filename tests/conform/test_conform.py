"""Conforms: a program rendered by one call, opened again by OpenTimelineIO, frame by frame."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from dubfew.conform.lines import read_lines
from dubfew.conform.run import InvalidConformError, conform_timeline
from dubfew.conform.timeline import read_program, write_program
from dubfew.errors import DubfewError
from dubfew.media import probe, read_audio, read_frames
from dubfew.media.facts import read_facts
from tests.conform.conftest import LENGTH, NTSC

otio = pytest.importorskip("opentimelineio")
# A head and one line that begins two frames into the second shot.
SHEET = "id,shot,character,start,audio,words\nl1,2,MARY,01:00:00:07,{audio},unused\n"


@pytest.fixture
def sheet(tmp_path: Path, media: Path) -> Path:
    path = tmp_path / "lines.csv"
    path.write_text(SHEET.format(audio=media / "line.wav"))
    return path


def find_frame(clip, record: int) -> tuple[Path, int]:
    """File and frame that a clip of OpenTimelineIO shows, ``record`` frames after its begin."""
    reference = clip.media_reference
    start = clip.trimmed_range().start_time - reference.available_range.start_time
    return Path(reference.target_url.removeprefix("file://")), round(start.value) + record


@pytest.mark.slow
def test_a_program_is_rendered_and_conformed(timeline, sheet, media, registry, tmp_path):
    out, plans = tmp_path / "out", []
    options = {
        "media": media,
        "handles": 3,
        "lossless": True,
        "container": "mkv",
        "jobs": 1,
        "registry": registry,
        "actors": {"MARY": "mary"},
        "watermark": False,
    }
    checked = conform_timeline(timeline, sheet, out, check=True, on_plan=plans.append, **options)
    assert not checked.timelines
    assert not out.exists()
    (shot,) = plans[0].shots
    # The handles end where the media end: 5 frames lie before the shot, 2 behind it.
    assert (shot.shot.id, shot.first, shot.frames, shot.handles) == ("002-one", 2, 14, (3, 2))
    assert shot.timecode == "00:59:59;26"
    assert any("unused" in note or "words" in note for note in plans[0].notes)
    assert any("untouched" not in line and "01:00:00;05" in line for _, line in plans[0].describe())

    result = conform_timeline(timeline, sheet, out, **options)
    assert (result.done, result.failed, result.untouched) == (("002-one",), {}, 2)
    new = out / "002-one.mkv"
    record = json.loads((out / ".dubfew-batch" / "002-one.json").read_text())
    assert record["result"]["watermarks"] == [None]
    assert probe(new).fps == NTSC
    assert read_facts(new).timecode == "00:59:59;26"
    # The sound has the length of the picture; the line is heard at its place and nowhere else.
    sound = read_audio(new, 48000).samples
    begin = round(5 / NTSC * 48000)
    assert abs(len(sound) - round(14 / NTSC * 48000)) <= 2048
    assert (
        np.abs(sound[: begin - 480]).max()
        < 0.01
        < 0.1
        < np.abs(sound[begin + 480 : begin + 4000]).max()
    )

    sources = {name: list(read_frames(media / name)) for name in ("one.mov", "two.mov")}
    painted = [frame.to_rgb() for frame in read_frames(new)]
    for path in result.timelines:
        given = {"rate": float(NTSC)} if path.suffix == ".edl" else {}
        again = otio.adapters.read_from_file(str(path), **given)
        clips = [each for each in again.video_tracks()[0] if isinstance(each, otio.schema.Clip)]
        assert [round(each.duration().value) for each in clips] == [5, 9, 4]
        if path.suffix == ".edl":  # it has names, no first frames
            assert "002-one.mkv" in clips[1].media_reference.target_url
            assert "01:00:00;05 01:00:00;14" in path.read_text()
            continue
        assert again.global_start_time.value == 107892
        # Untouched shots show the original's frames, and so do the frames around the mouth.
        for clip, name, first in zip(clips, ("two.mov", None, "two.mov"), (2, 5, 0), strict=True):
            for record in range(round(clip.duration().value)):
                file, frame = find_frame(clip, record)
                if name is not None:
                    assert (file, frame) == (media / name, first + record)
                    continue
                assert file == new
                original = sources["one.mov"][first + record].to_rgb()
                changed = (painted[frame] != original).any(-1)
                assert changed.mean() < 0.35
        original = clips[1].media_references()["original"]
        assert original.target_url == (media / "one.mov").as_uri()
        (dub,) = [each for each in again.audio_tracks() if each.name == "dub"]
        assert round(dub.duration().value) == 14
    assert any(
        (a != b.to_rgb()).any() for a, b in zip(painted, sources["one.mov"][2:], strict=False)
    )

    before = new.read_bytes()
    kept = conform_timeline(timeline, sheet, out, **options)
    assert (kept.done, kept.kept) == ((), ("002-one",))
    assert new.read_bytes() == before
    # A conformed timeline is a timeline: its shots are found again.
    again = read_program(result.timelines[0])
    assert [each.media.name for each in again.shots] == ["two.mov", "002-one.mkv", "two.mov"]
    assert not any(each.problem for each in again.shots)


@pytest.mark.slow
def test_a_sequence_of_pictures_comes_back_as_one(media, registry, tmp_path):
    cv2 = pytest.importorskip("cv2")
    plates = tmp_path / "plates"
    plates.mkdir()
    for number, frame in enumerate(read_frames(media / "one.mov")):
        rgb = frame.to_rgb().astype(np.uint16)[..., ::-1] * 257
        cv2.imwrite(str(plates / f"sh.{1001 + number}.png"), rgb)
    rate = float(NTSC)
    time = otio.opentime.RationalTime
    whole = otio.opentime.TimeRange(time(1001, rate), time(LENGTH, rate))
    reference = otio.schema.ImageSequenceReference(
        "plates", "sh.", ".png", 1001, 1, rate, 4, available_range=whole
    )
    shown = otio.opentime.TimeRange(time(1003, rate), time(8, rate))
    clip = otio.schema.Clip("sh", reference, shown)
    timeline = otio.schema.Timeline("reel")
    timeline.tracks.append(otio.schema.Track("v", [clip], kind="Video"))
    path = tmp_path / "reel.otio"
    otio.adapters.write_to_file(timeline, str(path))
    sheet = tmp_path / "lines.csv"
    sheet.write_text(f"id,shot,actor,start,audio\nl1,sh,mary,+0,{media / 'line.wav'}\n")
    out, options = tmp_path / "out", {"handles": 1, "jobs": 1, "registry": registry}
    result = conform_timeline(path, sheet, out, **options)
    assert (result.done, result.failed) == (("001-sh",), {})
    again = otio.adapters.read_from_file(str(result.timelines[0]))
    new = again.video_tracks()[0][0]
    found = new.media_reference
    assert isinstance(found, otio.schema.ImageSequenceReference)
    # The pictures keep their numbers; the handles are one before and one behind the cut.
    assert (found.start_frame, round(found.available_range.duration.value)) == (1002, 10)
    assert new.trimmed_range() == shown
    assert new.media_references()["original"].target_url_base == "plates"
    painted = 0
    for number in range(1002, 1012):
        url = found.target_url_for_image_number(number - 1002)
        old = cv2.imread(str(plates / f"sh.{number}.png"), cv2.IMREAD_UNCHANGED)
        made = cv2.imread(url.removeprefix("file://"), cv2.IMREAD_UNCHANGED)
        changed = (old != made).any(-1)
        assert changed.mean() < 0.35
        painted += changed.any()
    assert painted >= 3
    # Its sound is that of the video without loss, from which the pictures are written.
    (dub,) = [each for each in again.audio_tracks() if each.name == "dub"]
    assert dub[0].media_reference.target_url == (out / "001-sh.mkv").as_uri()
    # Nothing is done twice, and the new timeline's pictures are a sequence that is found.
    picture = out / "001-sh" / "001-sh.1004.png"
    before = picture.stat().st_mtime_ns
    assert conform_timeline(path, sheet, out, **options).kept == ("001-sh",)
    assert picture.stat().st_mtime_ns == before
    (shot,) = read_program(result.timelines[0]).shots
    assert shot.pictures is not None
    assert shot.pictures.pattern.parent == out / "001-sh"


def test_every_problem_is_told_before_anything_begins(timeline, sheet, media, registry, tmp_path):
    audio = media / "line.wav"
    sheet.write_text(
        "id,shot,character,start,end,audio\n"
        f"a,2,mary,,,none.wav\nb,9,mary,,,{audio}\nc,2,nobody,,,{audio}\nd,1,mary,,,{audio}\n"
        f"e,,mary,01:00:00:29,,{audio}\nf,,mary,00:58:00:02,,{audio}\ng,2,mary,x,,{audio}\n"
        f"h,2,mary,,,\n"
    )
    with pytest.raises(InvalidConformError, match="nothing was begun") as caught:
        conform_timeline(timeline, sheet, tmp_path / "out", media=media, registry=registry)
    told = "\n".join(caught.value.problems)
    for words in (
        "line 2 (a): no file",
        "line 3 (b): no shot '9'",
        "002-one: no actor 'nobody'",
        "line 6 (e): no shot is there at 0.97 s",
        "line 7: the time 00:58:00:02 lies before",
        "line 8: 'x' is no time",
        "line 9 (h): it has no sound",
    ):
        assert words in told
    assert not (tmp_path / "out").exists()


def test_media_that_does_not_fit_is_told(timeline, sheet, media, registry, tmp_path):
    timeline.write_text(
        timeline.read_text().replace("00:59:59;29 01:00:00;08", "00:10:00;00 00:10:00;09")
    )
    with pytest.raises(InvalidConformError, match=r"one\.mov, which has 16"):
        conform_timeline(
            timeline, sheet, tmp_path / "o", media=media, registry=registry, actor="mary"
        )
    with pytest.raises(DubfewError, match="none of its media is found: give --rate"):
        read_program(timeline, media=tmp_path)
    with pytest.raises(DubfewError, match=r"give --rate 29\.97"):
        read_program(timeline, media=tmp_path, rate=25)


def test_lines_that_cannot_fit_are_named_or_spoken_faster(timeline, media, registry, tmp_path):
    path = tmp_path / "lines.csv"
    # 0.1 s of speech in two frames, 0.067 s.
    path.write_text(
        f"shot,actor,start,end,audio\n2,mary,01:00:00:06,01:00:00:08,{media / 'line.wav'}\n"
    )
    plans = []
    for stretch in (1.0, 1.5):
        conform_timeline(
            timeline,
            path,
            tmp_path / "out",
            media=media,
            registry=registry,
            check=True,
            stretch=stretch,
            on_plan=plans.append,
        )
    late, fast = (plan.shots[0].lines[0] for plan in plans)
    assert late.excess == pytest.approx(0.1 - 2 / NTSC, abs=0.012)
    assert "cannot fit" in plans[0].notes[0]
    assert "--stretch 1." in plans[0].notes[0]
    assert fast.tempo == pytest.approx(0.1 * NTSC / 2, abs=0.1)
    assert fast.excess == pytest.approx(0, abs=1e-6)


def test_times_of_a_cue_sheet_and_of_subtitles(timeline, media, tmp_path):
    program = read_program(timeline, media=media)
    assert (program.rate, program.first_frame, program.drop) == (NTSC, 107892, True)
    path = tmp_path / "lines.csv"
    path.write_text(
        "shot;start;end;character\n;01:00:00:06;0.3;A\n2;+0.1;;B\none.mov;+00:00:00:03;;C\n"
    )
    lines, problems, _ = read_lines(path, program)
    assert not problems
    assert [each.start for each in lines] == [6 / NTSC, None, None]
    assert lines[0].end == Fraction(3, 10)
    assert [each.delay for each in lines[1:]] == [Fraction(1, 10), 3 / NTSC]
    timed_text = tmp_path / "lines.ttml"
    timed_text.write_text(
        '<tt xmlns="http://www.w3.org/ns/ttml" xmlns:ttp="http://www.w3.org/ns/ttml#parameter" '
        'xmlns:ttm="http://www.w3.org/ns/ttml#metadata" ttp:timeBase="smpte" ttp:frameRate="30" '
        'ttp:frameRateMultiplier="1000 1001" ttp:dropMode="dropNTSC" xml:lang="de"><body><div>'
        '<p begin="01:00:00:06" end="01:00:00:15" ttm:agent="MARY">Hallo</p></div></body></tt>'
    )
    (cue,), _, _ = read_lines(timed_text, program)
    assert float(cue.start) == pytest.approx(float(6 / NTSC), abs=1e-3)
    assert (cue.character, cue.language, cue.text) == ("MARY", "de", "Hallo")
    pytest.importorskip("pysubs2")
    for clock in ("00:00:00", "01:00:00"):
        subtitles = tmp_path / "lines.srt"
        subtitles.write_text(f"1\n{clock},200 --> {clock},500\nHello\n")
        (cue,), _, _ = read_lines(subtitles, program)
        # 01:00:00;00 is 107892 frames, 3599.9964 s: dropped numbers keep to the clock.
        assert float(cue.start) == pytest.approx(0.2, abs=0.005)
        assert cue.text == "Hello"


@pytest.mark.parametrize("suffix", [".edl", ".xml", ".otio"])
def test_a_timeline_comes_back_from_every_format(timeline, media, tmp_path, suffix):
    program = read_program(timeline, media=media)
    path = tmp_path / f"again{suffix}"
    write_program(program.timeline, path, program.rate, drop=program.drop)
    again = read_program(path, media=media)
    assert (again.rate, again.first_frame) == (program.rate, program.first_frame)
    assert again.drop in (program.drop, None)
    for one, other in zip(program.shots, again.shots, strict=True):
        assert (one.start, one.seconds, one.source_start) == (
            other.start,
            other.seconds,
            other.source_start,
        )
        assert one.media == other.media == media / one.name
    assert probe(program.shots[0].media).frames == LENGTH


def test_a_file_that_is_no_timeline(tmp_path, media):
    for name, words in (
        ("a.otio", "cannot be read"),
        ("a.xml", "cannot be read"),
        ("a.aaf", "no timeline"),
    ):
        (tmp_path / name).write_text("{")
        with pytest.raises(DubfewError, match=words):
            read_program(tmp_path / name, media=media)
