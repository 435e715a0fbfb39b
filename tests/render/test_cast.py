"""Casts: files of them, who gets which face, and two mouths in one pass."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import dubfew
from dubfew.errors import DubfewError, MediaError
from dubfew.marks.credentials import read_credentials
from dubfew.marks.verification import _compare_marks, _named_watermarks
from dubfew.media import Audio, Frame, read_audio, read_frames
from dubfew.media.audio import MixedSound
from dubfew.media.in_memory import write_audio
from dubfew.render import cast_pipeline
from dubfew.render.cast import Cast, CastLine, CastRole, check_cast_lines, read_cast
from dubfew.render.options import RenderOptions
from dubfew.render.placed_sound import PlacedSound, compose_sound
from tests.render.conftest import write_scene

FRAMES = 14


@pytest.fixture(scope="module")
def two(folder, clip) -> Path:
    """The clip's actor beside themselves, and silence."""
    pairs = zip(
        read_frames(clip, stop=FRAMES), read_frames(clip, start=6, stop=6 + FRAMES), strict=True
    )
    frames = [
        Frame.from_rgb(np.concatenate([a.to_rgb(), b.to_rgb()], 1), color=a.color) for a, b in pairs
    ]
    return write_scene(folder / "two.mkv", clip, frames)


@pytest.fixture(scope="module")
def line(folder, clip) -> Path:
    """A tenth of a second of speech."""
    sound = read_audio(clip)
    write_audio(folder / "line.wav", Audio(sound.samples[: sound.rate // 10], sound.rate))
    return folder / "line.wav"


@pytest.fixture(scope="module")
def done(registry, clip, two, line, folder):
    """One role speaks throughout, the other from 0.5 s on."""
    roles = (
        CastRole("actor", (CastLine(clip),), face="0"),
        CastRole("actor", (CastLine(line, start=0.5),), face="1"),
    )
    told = []
    result = dubfew.render_cast(
        Cast(roles),
        video=two,
        out=folder / "cast.mkv",
        lossless=True,
        registry=registry,
        report=folder / "cast.html",
        progress=told.append,
    )
    return result, told


@pytest.mark.slow
def test_each_mouth_is_painted_in_its_lines_alone(done, two):
    result, told = done
    assert result.frames == FRAMES
    assert told[-1].fraction == 1
    before = [frame.to_rgb() for frame in read_frames(two)]
    after = [frame.to_rgb() for frame in read_frames(result.output)]
    half = before[0].shape[1] // 2
    sides = [slice(0, half), slice(half, None)]
    if result.faces == (0, 1) and _left_face_is(two, 1):
        sides.reverse()
    throughout, later = sides
    changed = [
        [bool((a[:, side] != b[:, side]).any()) for a, b in zip(before, after, strict=True)]
        for side in (throughout, later)
    ]
    assert all(changed[0])
    # The mouth opens a quarter of a second before the line: frames to 0.24 s are left to the bit.
    assert not any(changed[1][:7])
    assert any(changed[1][8:])
    assert result.edited_frames == (FRAMES, FRAMES - 7)


def _left_face_is(video: Path, number: int) -> bool:
    seen = dubfew.track(video, face=str(number))
    return bool(seen.landmarks[0, 1, 0] < seen.width / 2)


@pytest.mark.slow
def test_the_report_has_a_part_for_each_mouth(done, folder):
    page = (folder / "cast.html").read_text()
    assert page.count("<video ") == page.count("follows its lines") == 2
    assert 'id="both0"' in page
    assert 'id="both1"' in page
    result, _ = done
    # The verdict of each, by its own painted frames.
    for edited in result.edited_frames:
        assert f" {edited} of {result.frames} frames are painted" in page


@pytest.mark.slow
def test_each_mouth_has_its_mark_and_its_entry(done, registry):
    result, _ = done
    assert len({*result.watermarks}) == 2
    credentials = read_credentials(result.output)
    assert [each["watermark"] for each in credentials.rendering["mouths"]] == [*result.watermarks]
    assert credentials.state == "valid"
    entries = [*registry.audit().iter_entries()][-2:]
    assert [each.fields["watermark"] for each in entries] == [*result.watermarks]
    assert len({each.fields["output_sha256"] for each in entries}) == 1


def test_verification_knows_every_mark(done):
    result, _ = done
    credentials = read_credentials(result.output)
    assert _named_watermarks(credentials) == [*result.watermarks]
    first, second = (SimpleNamespace(id=mark) for mark in result.watermarks)
    lines, is_wrong = _compare_marks(credentials, [second])
    assert not is_wrong
    assert any(first.id in each and "another mouth" in each for each in lines)
    assert _compare_marks(credentials, [SimpleNamespace(id="00" * 5), first])[1]
    assert _compare_marks(credentials, [])[1]


@dataclass(frozen=True)
class Person:
    number: int
    crops: tuple = ()


def choose(monkeypatch, distances, faces):
    """Faces of roles, whose actors' distances from all people are given."""
    monkeypatch.setattr(cast_pipeline, "match_actor", lambda people, actor, choice: (choice, ""))

    def make_actor(adapter, head):
        return SimpleNamespace(
            measure_likeness=lambda crops: SimpleNamespace(distance=distances[adapter][crops])
        )

    monkeypatch.setattr(cast_pipeline.ActorFace, "from_adapter", make_actor)
    people = [Person(number, number) for number in range(len(distances[0]))]
    prepared = [
        SimpleNamespace(
            role=SimpleNamespace(actor=f"a{n}", face=face),
            job=SimpleNamespace(
                actor=SimpleNamespace(adapter=n, head=None, revision=SimpleNamespace(actor=f"a{n}"))
            ),
        )
        for n, face in enumerate(faces)
    ]
    return [int(choice.face) for choice, _ in cast_pipeline._choose_faces(prepared, people)]


@pytest.mark.parametrize(
    ("distances", "faces", "expected"),
    [
        ([[0.1, 0.9], [0.8, 0.2]], [None, None], [0, 1]),
        # Both are most like face 0: it goes to the one who is more so.
        ([[0.3, 0.4], [0.1, 0.9]], [None, None], [1, 0]),
        ([[0.3, 0.4], [0.1, 0.9]], ["0", None], [0, 1]),
        ([[0.3, 0.4, 0.2]], [None], [2]),
    ],
)
def test_no_two_roles_get_one_face(monkeypatch, distances, faces, expected):
    assert choose(monkeypatch, distances, faces) == expected


@pytest.mark.parametrize(
    ("distances", "faces", "words"),
    [
        ([[0.1], [0.2]], [None, None], "has no face"),
        ([[0.1, 0.2], [0.2, 0.1]], ["1", "1"], "two roles have face 1"),
        ([[0.1, 0.2]], ["7"], "no face 7"),
    ],
)
def test_faces_that_do_not_suffice(monkeypatch, distances, faces, words):
    with pytest.raises(DubfewError, match=words):
        choose(monkeypatch, distances, faces)


def test_a_file_of_a_cast(tmp_path):
    for name in ("a.wav", "b.wav", "mix.wav", "b.motion"):
        (tmp_path / name).write_bytes(b"x")
    content = {
        "sound": "mix.wav",
        "roles": [
            {"actor": "mary", "face": 1, "audio": "a.wav"},
            {
                "actor": "john",
                "lines": [
                    {"start": 3, "audio": "b.wav"},
                    {"start": 1, "audio": "a.wav", "motion": "b.motion"},
                    {"start": 5, "audio": "a.wav", "transcript": "a.wav"},
                ],
            },
        ],
    }
    path = tmp_path / "cast.json"
    path.write_text(json.dumps(content))
    cast = read_cast(path)
    assert cast.sound == tmp_path / "mix.wav"
    assert cast.roles[0] == CastRole("mary", (CastLine(tmp_path / "a.wav"),), "1")
    assert [line.start for line in cast.roles[1].lines] == [1, 3, 5]
    assert cast.roles[1].lines[2].transcript == tmp_path / "a.wav"
    yaml = pytest.importorskip("yaml")
    (tmp_path / "cast.yaml").write_text(yaml.safe_dump(content))
    assert read_cast(tmp_path / "cast.yaml") == cast
    (tmp_path / "b.motion").unlink()
    with pytest.raises(MediaError, match=r"b\.motion"):
        read_cast(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[]", "expected names"),
        ('{"roles": []}', "0 roles"),
        ('{"roles": [{"actor": "a"}]}', "audio for the whole scene"),
        ('{"roles": [{"actor": "a", "lines": []}]}', "no lines"),
        ('{"roles": [{"actor": "a", "sound": "a.wav"}]}', "'sound'"),
        ('{"roles": [{"actor": "a", "lines": [{"audio": "a", "start": -1}]}]}', "0 or more"),
        ('{"roles": [{"actor": "a", "lines": [{"start": 1}]}]}', "audio"),
        ("{", "no cast"),
    ],
)
def test_files_that_are_no_casts(tmp_path, content, words):
    (tmp_path / "cast.json").write_text(content)
    with pytest.raises(DubfewError, match=words):
        read_cast(tmp_path / "cast.json")


@pytest.mark.slow
def test_options_of_one_mouth_are_refused(registry, two, line, tmp_path):
    cast = Cast((CastRole("actor", (CastLine(line),)),))
    with pytest.raises(DubfewError, match="--video"):
        dubfew.render_cast(cast, registry=registry)
    for option in ({"audio": line}, {"face": "0"}, {"from_seconds": 1.0, "preview": True}):
        with pytest.raises(DubfewError, match="beside --cast"):
            dubfew.render_cast(cast, video=two, registry=registry, **option)
    late = Cast((CastRole("actor", (CastLine(line, start=9.0),), face="0"),))
    with pytest.raises(DubfewError, match="the scene ends"):
        dubfew.render_cast(late, video=two, registry=registry, out=tmp_path / "o.mkv")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("line", "sound", "options", "words"),
    [
        ({"transcript": "t.txt"}, None, {}, "give their --language"),
        ({"transcript": "t.txt"}, None, {"language": "de", "recognise": True}, "--recognise"),
        ({"transcript": "t.txt", "motion": "m.motion"}, None, {"language": "de"}, "a motion"),
        ({}, "mix.wav", {"mix": "music.wav"}, "finished sound"),
    ],
)
def test_lines_and_options_that_do_not_fit(line, sound, options, words):
    cast = Cast((CastRole("mary", (CastLine("a.wav", **line),)),), sound)
    with pytest.raises(DubfewError, match=words):
        check_cast_lines(cast, RenderOptions(video="scene.mp4", **options))


def test_a_mix_goes_on_under_the_lines(tmp_path, two):
    """The scene's own sound makes room for music and effects, which lines do not silence."""
    rate = 48000
    for name, level, seconds in (("a", 0.25, 0.1), ("music", 0.5, 2.0)):
        samples = np.full(round(rate * seconds), level, np.float32)
        write_audio(tmp_path / f"{name}.wav", Audio(samples, rate))
    placed = [PlacedSound(tmp_path / "a.wav", 0.1)]
    mix = MixedSound(tmp_path / "music.wav", None, -6.0206)
    compose_sound(two, placed, tmp_path / "out.wav", mix=mix)
    found = read_audio(tmp_path / "out.wav", rate)
    at = [float(found.samples[round(t * rate)]) for t in (0.05, 0.15, 0.4)]
    assert at == pytest.approx([0.25, 0.5, 0.25], abs=1e-3)
    assert found.duration == pytest.approx(FRAMES / 25, abs=1e-3)


def test_sounds_in_their_places(tmp_path, two):
    """Two lines at once add up; outside of them the scene's own sound stays."""
    rate = 48000
    for name, level in (("a", 0.25), ("b", 0.5)):
        write_audio(tmp_path / f"{name}.wav", Audio(np.full(rate // 10, level, np.float32), rate))
    placed = [
        PlacedSound(tmp_path / "a.wav", 0.1),
        PlacedSound(tmp_path / "b.wav", 0.15),
        PlacedSound(tmp_path / "b.wav", 9.0),
    ]
    compose_sound(two, placed, tmp_path / "out.wav")
    found = read_audio(tmp_path / "out.wav")
    at = lambda second: float(found.samples[round(second * found.rate)])  # noqa: E731
    assert [at(t) for t in (0.05, 0.12, 0.18, 0.23, 0.4)] == pytest.approx(
        [0, 0.25, 0.75, 0.5, 0], abs=1e-3
    )
    assert found.duration == pytest.approx(FRAMES / 25, abs=1e-3)
