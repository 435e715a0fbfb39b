"""From a stored actor to a file, on a few frames of a person that does not exist."""

from __future__ import annotations

import json
import threading
import tracemalloc
from dataclasses import replace
from fractions import Fraction
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from dubfew.errors import ActorNotFoundError, ArtefactError, DubfewError, MediaError, NoFaceError
from dubfew.evaluate.metrics.psnr import psnr
from dubfew.media import Frame, VideoWriter, probe, read_audio, read_frames
from dubfew.media.field_search import find_field_order
from dubfew.media.field_splitting import weave_fields
from dubfew.motion.extraction import (
    estimate_rest_points,
    motion_from_landmarks,
    mouth_points_from_landmarks,
)
from dubfew.progress import Progress
from dubfew.reconstruction.crop import render_mouth_mask
from dubfew.reconstruction.detection.clip_detections import ClipDetections, detect_people
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.tracking import track_video
from dubfew.registry import Registry
from dubfew.render import render
from dubfew.render.compositing import MouthCompositor
from dubfew.render.face_stretch import LANDMARK_BIAS, measure_stretch
from tests.render.conftest import FRAMES, grey, write_scene

pytestmark = pytest.mark.slow

DUB = Path(str(files("dubfew.demo") / "dub.wav"))


def psnr_of_changed_luma(before: Path, after: Path) -> float:
    """PSNR of the samples of luma that differ between two videos, dB."""
    errors = []
    for old, new in zip(read_frames(before), read_frames(after), strict=True):
        change = new.planes()[0].astype(float) - old.planes()[0]
        errors.append(change[change != 0])
    return float(10 * np.log10(255**2 / np.mean(np.concatenate(errors) ** 2)))


def assert_only_the_mask_changed(before, after, mask) -> int:
    """Every plane sample that a pixel outside the mask has a share in is bit for bit the same.

    Returns how many luma samples changed.
    """
    ours, theirs = after.planes(), before.planes()
    assert [p.shape for p in ours] == [p.shape for p in theirs]
    np.testing.assert_array_equal(ours[0][~mask], theirs[0][~mask])
    height, width = mask.shape
    padded = np.pad(mask, ((0, height % 2), (0, width % 2)))
    cells = padded.reshape(len(padded) // 2, 2, -1, 2).all((1, 3))
    for our, their in zip(ours[1:], theirs[1:], strict=True):
        np.testing.assert_array_equal(our[~cells], their[~cells])
    return int((ours[0] != theirs[0]).sum())


def planes_of(path: Path) -> list[tuple[np.ndarray, ...]]:
    return [frame.planes() for frame in read_frames(path)]


def assert_same_pictures(first: Path, second: Path) -> None:
    for ours, theirs in zip(planes_of(first), planes_of(second), strict=True):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module")
def reenacted(registry, clip, folder):
    told = []
    out = folder / "self.mp4"
    result = render(
        "actor", drive="self", lossless=True, out=out, registry=registry, progress=told.append
    )
    return result, told


def test_frames_out_are_frames_in(reenacted, clip):
    result, _ = reenacted
    assert (result.frames, result.edited_frames) == (FRAMES, FRAMES)
    assert result.note == "no consent of 'actor' was recorded"
    ours, theirs = probe(result.output), probe(clip)
    for name in ("width", "height", "fps", "frames", "pix_fmt", "has_audio"):
        assert getattr(ours, name) == getattr(theirs, name), name
    for name in ("color_range", "colorspace", "color_primaries", "color_trc"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert result.fps == theirs.fps
    ours, theirs = list(read_frames(result.output)), list(read_frames(clip))
    assert [frame.stamp for frame in ours] == [frame.stamp for frame in theirs]
    np.testing.assert_array_equal(read_audio(result.output).samples, read_audio(clip).samples)


def test_only_the_mouth_is_painted(reenacted, clip, track):
    result, _ = reenacted
    head = load_head_model()
    for before, after in zip(read_frames(clip), read_frames(result.output), strict=True):
        mask = render_mouth_mask(track, head, before.index, before.height, before.width) > 0
        changed = assert_only_the_mask_changed(before, after, mask)
        assert changed > 0.2 * mask.sum()


def test_a_reenacted_mouth_is_the_mouth(reenacted, clip, track):
    """Even the bare warp is near: references of the same footage, laid on exactly."""
    result, _ = reenacted
    head = load_head_model()
    figures = []
    for before, after in zip(read_frames(clip), read_frames(result.output), strict=True):
        mask = render_mouth_mask(track, head, before.index, before.height, before.width) > 0.5
        figures.append(psnr(before.to_rgb()[mask][:, None], after.to_rgb()[mask][:, None]))
    assert np.mean(figures) > 30


def test_it_says_what_it_did(reenacted):
    result, told = reenacted
    stages = {"track", "drive", "inputs", "light", "align", "network", "composite", "total"}
    assert result.seconds.keys() == stages
    assert all(value >= 0 for value in result.seconds.values())
    assert result.peak_rss_mb > 50
    assert [(p.done, p.total) for p in told if p.stage == "render"] == [
        (k, FRAMES) for k in range(1, FRAMES + 1)
    ]
    # The actor's own footage was tracked when they were adapted.
    assert not [p for p in told if p.stage == "track"]


def opening(seen: ClipDetections, rest=None) -> np.ndarray:
    return motion_from_landmarks(rows(seen), seen.times, rest_points=rest).aperture()


def rows(seen: ClipDetections) -> np.ndarray:
    return seen.people[0].dense_landmarks(len(seen.times))


def test_new_speech_moves_the_mouth(registry, clip, tmp_path, silence, track):
    """Silence closes a talking mouth; the dub opens it again; both only inside the mask."""
    head = load_head_model()
    filmed = detect_people(clip)
    rest = estimate_rest_points(mouth_points_from_landmarks(rows(filmed)))
    outputs = {}
    for name, sound in {"silent": silence(FRAMES / 25), "dub": DUB}.items():
        outputs[name] = tmp_path / f"{name}.mp4"
        result = render(
            "actor", audio=sound, fit="trim", lossless=True, out=outputs[name], registry=registry
        )
        assert (result.frames, result.edited_frames) == (FRAMES, FRAMES)
        assert probe(result.output).has_audio
        for before, after in zip(read_frames(clip), read_frames(result.output), strict=True):
            mask = render_mouth_mask(track, head, before.index, before.height, before.width) > 0
            assert_only_the_mask_changed(before, after, mask)
    painted = (detect_people(outputs[name]) for name in ("silent", "dub"))
    silent, dub, own = (opening(seen, rest) for seen in (*painted, filmed))
    assert silent.max() < 0.05
    assert silent.mean() < 0.5 * own.mean()
    assert dub.max() > silent.max() + 0.03
    # Longer sound is cut where the picture ends.
    assert result.note.startswith("the last 4")
    assert read_audio(outputs["dub"]).duration == pytest.approx(FRAMES / 25, abs=0.1)


@pytest.mark.parametrize(
    ("fit", "seconds", "frames"),
    [("trim", 0.4, 5), ("loop", 0.4, 10), ("hold", 0.4, 10), ("loop", 0.1, 5)],
)
def test_sound_of_another_length(registry, brief, tmp_path, silence, fit, seconds, frames):
    out = tmp_path / "out.mp4"
    sound = silence(seconds)
    result = render(
        "actor", video=brief, audio=sound, fit=fit, lossless=True, out=out, registry=registry
    )
    assert result.frames == result.edited_frames == frames
    assert result.note
    assert probe(out).frames == frames
    stamps = [float(frame.stamp) for frame in read_frames(out)]
    np.testing.assert_allclose(stamps, np.arange(frames) / 25, atol=1e-6)
    assert read_audio(out).duration == pytest.approx(min(seconds, frames / 25), abs=0.07)
    scene = [frame.planes()[0] for frame in read_frames(brief)]
    for number, frame in enumerate(read_frames(out)):
        shown = number % 5 if fit == "loop" else min(number, 4)
        np.testing.assert_array_equal(frame.planes()[0][:100], scene[shown][:100])


def test_frames_without_a_face_pass_untouched(registry, clip, tmp_path):
    source = list(read_frames(clip, start=10, stop=18))
    empty = grey(source[0])
    # More without a face at once than wait for a batch, and single ones within a batch.
    frames = [*[empty] * 18, *source[:3], empty, *source[3:6], empty, empty, *source[6:]]
    scene = write_scene(tmp_path / "scene.mp4", clip, frames)
    result = render(
        "actor",
        video=scene,
        drive="self",
        lossless=True,
        out=tmp_path / "out.mp4",
        registry=registry,
    )
    assert (result.frames, result.edited_frames) == (len(frames), 8)
    changed = [
        any((a != b).any() for a, b in zip(ours, theirs, strict=True))
        for ours, theirs in zip(planes_of(result.output), planes_of(scene), strict=True)
    ]
    assert changed == [frame is not empty for frame in frames]


def test_a_scene_without_a_face(registry, clip, tmp_path):
    scene = write_scene(tmp_path / "scene.mp4", clip, [grey(next(read_frames(clip)))] * 3)
    with pytest.raises(NoFaceError, match="no face found"):
        render("actor", video=scene, drive="self", out=tmp_path / "out.mp4", registry=registry)
    assert [path.name for path in tmp_path.iterdir()] == ["scene.mp4"]


def test_a_scene_of_odd_size(registry, clip, tmp_path):
    """No cell of four pixels may be torn where the frame's edge cuts it either."""
    frames = [
        Frame.from_rgb(frame.to_rgb()[1:, 1:], color=frame.color)
        for frame in read_frames(clip, start=14, stop=17)
    ]
    scene = write_scene(tmp_path / "scene.mkv", clip, frames)
    assert (probe(scene).width, probe(scene).height) == (511, 511)
    out = tmp_path / "out.mkv"
    result = render("actor", video=scene, drive="self", lossless=True, out=out, registry=registry)
    assert result.edited_frames == 3
    track, head = track_video(scene), load_head_model()
    for before, after in zip(read_frames(scene), read_frames(out), strict=True):
        mask = render_mouth_mask(track, head, before.index, 511, 511) > 0
        assert assert_only_the_mask_changed(before, after, mask) > 0.2 * mask.sum()


def test_another_performance_drives(registry, brief, short, tmp_path):
    out = tmp_path / "out.mp4"
    result = render("actor", video=brief, drive="video", driver=short, out=out, registry=registry)
    assert result.frames == probe(out).frames == 5
    assert not probe(out).has_audio


def test_a_plot_and_a_report(registry, brief, tmp_path):
    out, plot, page = tmp_path / "o.mp4", tmp_path / "plot.png", tmp_path / "page.html"
    extra = {"plot": plot, "report": page}
    render("actor", video=brief, audio=DUB, fit="trim", out=out, registry=registry, **extra)
    assert Image.open(plot).height == 260
    text = page.read_text()
    assert "data:video/mp4" in text
    assert "frames are painted" in text
    assert str(brief) in text
    with pytest.raises(DubfewError, match="no page"):
        render("actor", video=brief, audio=DUB, report=plot, registry=registry)
    for wrong, message in ((tmp_path / "plot.txt", "no picture"), (brief, "no picture")):
        with pytest.raises(DubfewError, match=message):
            render("actor", video=brief, audio=DUB, out=out, plot=wrong, registry=registry)


def test_the_same_again(registry, brief, tmp_path):
    outputs = [tmp_path / name for name in ("a.mp4", "b.mp4")]
    for out in outputs:
        render(
            "actor",
            video=brief,
            drive="self",
            lossless=True,
            watermark=False,  # it carries another id every time
            out=out,
            registry=registry,
        )
    assert_same_pictures(*outputs)


def test_nothing_to_say(registry, short, tmp_path):
    with pytest.raises(MediaError, match="has no sound to speak"):
        render("actor", video=short, out=tmp_path / "out.mp4", registry=registry)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        ({"drive": "telepathy"}, "there are audio, video, self"),
        ({"drive": "video"}, "need each other"),
        ({"driver": "x.mp4"}, "need each other"),
        ({"device": "gpu"}, "auto, cpu or cuda"),
        ({"video": "none.mp4"}, "none.mp4"),
        ({"audio": "none.wav"}, "none.wav"),
        ({"fit": "stretch"}, "there are trim, loop, hold"),
        ({"reach": 0.0}, "reach is 0"),
        ({"reach": float("nan")}, "reach is nan"),
        ({"offset": 80, "drive": "self"}, "--drive self keeps"),
        ({"open": 0.7, "drive": "self"}, "--drive self keeps"),
        ({"codec": "nonsense", "drive": "self"}, "nonsense"),
        ({"revision": 9}, "has no revision 9"),
    ],
)
def test_wishes_that_cannot_be_granted(registry, tmp_path, wishes, message):
    with pytest.raises(DubfewError, match=message):
        render("actor", out=tmp_path / "out.mp4", registry=registry, **wishes)
    assert list(tmp_path.iterdir()) == []


def test_a_deleted_actor_is_gone(registry, tmp_path):
    other = Registry(tmp_path / "home")
    registry.export("actor", tmp_path / "actor.zip", plain=True)
    other.import_file(tmp_path / "actor.zip", "temporary")
    other.delete("temporary")
    out = tmp_path / "out" / "out.mp4"
    with pytest.raises(ActorNotFoundError, match="no actor 'temporary'"):
        render("temporary", drive="self", out=out, registry=other)
    assert not out.parent.exists()


@pytest.mark.parametrize("frame", [1, -1])
def test_an_actor_that_is_deleted_during_the_render_leaves_no_output(
    registry, brief, tmp_path, frame
):
    other = Registry(tmp_path / "home")
    stored = registry.open("actor")
    other.create("brief", stored.config, {name: stored.read(name) for name in stored.file_names()})
    out = tmp_path / "out" / "out.mp4"

    def delete(progress: Progress) -> None:
        if progress.stage == "render" and progress.done == frame % (progress.total + 1):
            Registry(tmp_path / "home").delete("brief")

    with pytest.raises(ActorNotFoundError, match="deleted meanwhile"):
        render("brief", video=brief, drive="self", out=out, registry=other, progress=delete)
    assert list(out.parent.iterdir()) == []


def test_an_actor_of_another_prior_is_refused(registry, tmp_path):
    stored = registry.open("actor")
    kept = {name: stored.read(name) for name in stored.file_names()}
    name = "adapter_config.json"
    kept[name] = kept[name].replace(b'"sha256": ""', b'"sha256": "0123456789abcdef"')
    other = Registry(tmp_path / "home")
    other.create("actor", stored.config, kept)
    with pytest.raises(ArtefactError, match="adapted on prior 'warp'"):
        render("actor", drive="self", out=tmp_path / "out.mp4", registry=other)
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize(
    ("place", "earlier"), [("writing", b"an earlier video"), ("painting", None)]
)
def test_an_error_in_the_middle_leaves_nothing_behind(
    registry, clip, tmp_path, monkeypatch, place, earlier
):
    out = tmp_path / "out.mp4"
    if earlier:
        out.write_bytes(earlier)
    composite, painted = MouthCompositor._composite, []

    def failing(self, predicted):
        painted.append(predicted)
        if len(painted) == 7:
            raise OSError("no more paint")
        return composite(self, predicted)

    def stop(progress):
        if (progress.stage, progress.done) == ("render", 5):
            raise KeyboardInterrupt

    kwargs = {"overwrite": True}
    if place == "painting":
        monkeypatch.setattr(MouthCompositor, "_composite", failing)
        error = OSError
    else:
        kwargs["progress"] = stop
        error = KeyboardInterrupt
    threads = set(threading.enumerate())
    with pytest.raises(error) as caught:
        render("actor", drive="self", out=out, registry=registry, **kwargs)
    # While the error, and with it every frame of the stack, is still held:
    assert set(threading.enumerate()) <= threads
    assert caught.value is not None
    left = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert left == ({"out.mp4": earlier} if earlier else {})


def test_what_is_read_is_not_written_over(registry, clip, tmp_path, silence):
    before = clip.read_bytes()
    link = tmp_path / "link.mp4"
    link.symlink_to(clip)
    for out in (clip, link):
        with pytest.raises(DubfewError, match="write to another file"):
            render("actor", drive="self", out=out, registry=registry)
    sound = silence(0.5)
    with pytest.raises(DubfewError, match="write to another file"):
        render("actor", audio=sound, out=sound, registry=registry)
    assert clip.read_bytes() == before


def test_the_footage_survives_a_preview_beside_it(registry, clip, short, tmp_path, monkeypatch):
    """``adapt actor.mp4`` and ``render --actor actor`` in one folder: both names come from it."""
    monkeypatch.chdir(tmp_path)
    own = tmp_path / "actor.mp4"
    own.write_bytes(short.read_bytes())
    result = render("actor", video=own, drive="self", registry=registry)
    assert result.output == Path("actor-dubbed.mp4")
    assert own.read_bytes() == short.read_bytes()


def test_footage_that_moved_away(registry, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stored = registry.open("actor")
    kept = {name: stored.read(name) for name in stored.file_names()}
    config = json.loads(kept["adapter_config.json"])
    config["source"]["path"] = "/none/a.mp4"
    kept["adapter_config.json"] = json.dumps(config).encode()
    other = Registry(tmp_path / "home")
    other.create("actor", {**stored.config, "source": config["source"]}, kept)
    with pytest.raises(MediaError, match="no longer there: give the scene with --video"):
        render("actor", drive="self", registry=other)
    assert {path.name for path in tmp_path.iterdir()} == {"home", "home-keys"}


def test_an_anamorphic_scene_is_painted_in_square_pixels(registry, short, tmp_path):
    """The short scene as a camera with pixels of 64:45 stores it."""
    aspect = Fraction(64, 45)
    pictures = [Image.fromarray(frame.to_rgb()) for frame in read_frames(short)]
    size = round(pictures[0].width / aspect / 2) * 2, pictures[0].height
    info = replace(probe(short), width=size[0], height=size[1], sample_aspect=aspect)
    scene = tmp_path / "wide.mp4"
    with VideoWriter(scene, info, lossless=True, preset="ultrafast") as writer:
        for number, picture in enumerate(pictures):
            narrow = np.asarray(picture.resize(size, Image.Resampling.LANCZOS))
            frame = Frame.from_rgb(narrow, number, info.fps)
            writer.write(frame)
    result = render(
        "actor",
        video=scene,
        out=tmp_path / "out.mp4",
        drive="self",
        lossless=True,
        watermark=False,
        registry=registry,
    )
    assert result.edited_frames == len(pictures)
    assert probe(result.output).sample_aspect == aspect
    # The mouth lies where the scene has it: taken for square pixels it came out at 25 dB.
    assert psnr_of_changed_luma(scene, result.output) > 30


def test_a_face_that_is_stretched_tells_the_shape_of_pixels(track):
    seen = replace(track, landmarks=track.landmarks * np.array([1.5, 1, 1.5], np.float32))
    # Landmarks of stretched faces are drawn towards those of others.
    assert measure_stretch(seen, track) == pytest.approx(1.5**LANDMARK_BIAS, rel=0.02)
    assert measure_stretch(track, track) == 1
    turned = replace(track, landmarks=track.landmarks * np.array([1.08, 1, 1.08], np.float32))
    assert measure_stretch(turned, track) == 1
    assert measure_stretch(turned, track, again=True) > 1


def test_the_shape_of_pixels_is_told_without_a_copy_of_all_landmarks(track):
    rows = np.arange(2000) % len(track)
    long = SimpleNamespace(landmarks=track.landmarks[rows], valid=track.valid[rows])
    tracemalloc.start()
    measure_stretch(long, track)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < long.landmarks.nbytes / 4


@pytest.mark.slow
def test_a_scene_of_4_3_that_is_flagged_as_wider_is_painted_in_its_own_shape(
    registry, short, tmp_path
):
    info, scene = probe(short), tmp_path / "stretched.mp4"
    with VideoWriter(
        scene, replace(info, sample_aspect=Fraction(16, 10)), lossless=True, preset="ultrafast"
    ) as writer:
        for frame in read_frames(short, stop=5):
            writer.write(frame)
    result = render(
        "actor",
        video=scene,
        out=tmp_path / "out.mp4",
        drive="self",
        lossless=True,
        watermark=False,
        registry=registry,
    )
    assert "times as wide for its height as the actor's" in result.note
    # What is stored stays as it is, and says what it said.
    assert probe(result.output).sample_aspect == Fraction(16, 10)
    assert psnr_of_changed_luma(scene, result.output) > 30


@pytest.mark.slow
def test_fields_are_painted_one_by_one(registry, short, tmp_path):
    """Ten frames of the short scene as the fields of five, bottom first."""
    scene, order = tmp_path / "fields.mkv", 3
    info, fields = probe(short), list(read_frames(short))
    with VideoWriter(scene, replace(info, field_order=order), codec="ffv1") as writer:
        for frame in weave_fields(fields, order):
            writer.write(frame.with_time(frame.index, frame.index / info.fps))
    assert find_field_order(probe(scene)) == order
    result = render(
        "actor",
        video=scene,
        out=tmp_path / "out.mkv",
        codec="ffv1",
        drive="self",
        watermark=False,
        registry=registry,
    )
    assert (result.frames, result.edited_frames, result.fps) == (5, 5, info.fps)
    assert (probe(result.output).field_order, probe(result.output).fps) == (order, info.fps)
    assert "its fields are painted one by one" in result.note
    errors, shares = [], []
    for before, after in zip(read_frames(scene), read_frames(result.output), strict=True):
        change = after.planes()[0].astype(float) - before.planes()[0]
        shares.append([(change[first::2] != 0).mean() for first in (0, 1)])
        errors.append(change[change != 0])
    # Both fields are painted, each with its own mouth: over both at once it came out at 27.4 dB.
    assert 0.005 < np.min(shares) < np.max(shares) < 0.2
    psnr = 10 * np.log10(255**2 / np.mean(np.concatenate(errors) ** 2))
    assert psnr > 30


def test_captions_stay_over_the_mouth_and_the_debug_video_shows_it(registry, short, tmp_path):
    """White letters with a black outline over chin and lower lip."""
    scene, debug = tmp_path / "captions.mp4", tmp_path / "debug.mp4"
    frames = list(read_frames(short))
    marks = np.asarray(detect_people(short).people[0].landmarks[0])
    x, y = marks[17, :2]  # below the lower lip
    size = max(12, round(np.ptp(marks[:, 1]) / 7))
    where = (x, y + size / 2)
    style = {"font": ImageFont.load_default(size), "anchor": "mm", "stroke_width": 2}
    letters = Image.new("L", (frames[0].width, frames[0].height))
    ImageDraw.Draw(letters).text(where, "NOT AT ALL", 255, **style)

    def write(frame):
        picture = Image.fromarray(frame.to_rgb())
        white, black = (255, 255, 255), (0, 0, 0)
        ImageDraw.Draw(picture).text(where, "NOT AT ALL", white, stroke_fill=black, **style)
        return Frame.from_rgb(np.asarray(picture), color=frame.color)

    write_scene(scene, short, map(write, frames))
    result = render(
        "actor",
        video=scene,
        out=tmp_path / "out.mp4",
        drive="self",
        lossless=True,
        watermark=False,
        debug=debug,
        registry=registry,
    )
    assert result.edited_frames == len(frames)
    assert "lie over the face" in result.note
    inside = np.asarray(letters) > 250
    changed = 0
    for before, after in zip(read_frames(scene), read_frames(result.output), strict=True):
        same = before.planes()[0] == after.planes()[0]
        assert same[inside].mean() > 0.97
        changed += int((~same).sum())
    assert changed > 100 * len(frames)  # the mouth beside the letters was painted
    shown = list(read_frames(debug))
    assert len(shown) == len(frames)
    # Paint is tinted green, letters over the face red.
    tint = shown[4].to_rgb().astype(int) - list(read_frames(result.output))[4].to_rgb()
    assert (tint[..., 1] - tint[..., 0]).max() > 60
    assert (tint[..., 0] - tint[..., 1])[inside].max() > 60
