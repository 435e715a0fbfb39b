"""Painting renderers in renders: windows, pasting, and an actor from footage to deletion."""

from __future__ import annotations

import dataclasses
import itertools
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import wavfile

from dubfew.adapt import adapt
from dubfew.adapt.artefact import ActorAdapter
from dubfew.adapt.import_check import check_imported_actor
from dubfew.errors import ActorNotFoundError
from dubfew.media import read_frames
from dubfew.prior.checkpoint import Prior
from dubfew.prior.renderers import RENDERERS, make_renderer
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.segmenters import FaceSegmentation
from dubfew.reconstruction.track import Track
from dubfew.registry import Registry
from dubfew.render import cast_pipeline, render
from dubfew.render.background import BackgroundPreserver
from dubfew.render.cast import Cast, CastLine, CastRole
from dubfew.render.compositing import find_opaque_part, resample_painting
from dubfew.render.painting import DrivingSound, PaintingPredictor
from dubfew.render.tasks import FrameTask, PaintedCrop, ReferenceSet
from tests.data.clips import toy_clip
from tests.data.people import toy_footage, toy_track
from tests.footage import cut
from tests.prior.renderers.painting import shaken

# Networks that paint, and how they are made smaller than the tests' sizes.
SIZES = {
    "stylesync": {"narrow": 32, "style": 16, "mapping": 1},
    "dinet": {"narrow": 16, "sound": "mel16"},
    "sidgan": {"narrow": 32},
    "iptalker": {"narrow": 16, "units": 1, "heads": 2, "sound": "mel16"},
}
TINY = {**RENDERERS["stylesync"].tiny, **SIZES["stylesync"]}


def painting(height: int = 64, width: int = 64) -> PaintedCrop:
    opacity = np.zeros((height, width), np.float32)
    opacity[20:40, 10:50] = 1
    picture = np.full((height, width, 3), 100, np.float32)
    return PaintedCrop(picture, opacity, np.array([10, 20, 138, 148], np.float32))


def test_a_painting_is_shown_where_its_crop_lies():
    low, high = find_opaque_part(painting())
    assert (low.tolist(), high.tolist()) == ([30, 60], [110, 100])
    mouth, alpha = resample_painting(painting(), (28, 58, 112, 102))
    assert mouth.shape == (44, 84, 3)
    np.testing.assert_allclose(mouth, 100, atol=1e-3)
    assert alpha[22, 40] == 1
    assert alpha[0, 0] == 0


def test_a_painting_that_is_nowhere_shown_has_no_part():
    nothing = dataclasses.replace(painting(), opacity=np.zeros((64, 64), np.float32))
    low, high = find_opaque_part(nothing)
    assert (high <= low).any()


@pytest.fixture(scope="module")
def predictor() -> PaintingPredictor:
    torch.manual_seed(0)
    stored = toy_footage(4)
    return PaintingPredictor(
        make_renderer("stylesync", TINY),
        torch.zeros(16, 256, 256),
        toy_clip(24),
        ReferenceSet(stored, stored),
        load_head_model(),
        "cpu",
        toy_track(12),
        DrivingSound(np.zeros(0, np.float32), np.arange(12) / 25),
    )


def tasks(positions, shots=None) -> dict[int, FrameTask]:
    empty = np.zeros(0)
    return {
        p: FrameTask(None, None, p, empty, empty, empty, shot=(shots or {}).get(p, 0), row=p)
        for p in positions
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("position", "held", "shots", "expected"),
    [
        (5, range(12), {}, [4, 5, 6]),
        (0, range(12), {}, [0, 0, 1]),  # ends are repeated
        (5, (3, 5, 6), {}, [5, 5, 6]),  # frame 4 is not painted
        (5, range(12), {6: 1}, [4, 5, 5]),  # a cut
    ],
)
def test_windows_hold_the_neighbors_in_time(predictor, position, held, shots, expected):
    assert predictor._choose_window(position, tasks(held, shots)) == expected


def test_windows_keep_25_fps_at_other_rates(predictor):
    track = predictor._track
    try:
        predictor._track = dataclasses.replace(track, times=np.arange(12) / 50)
        assert predictor._choose_window(5, tasks(range(12))) == [3, 5, 7]
    finally:
        predictor._track = track


class HalfFace:
    """A parser that sees a face in the left half, hair in the right one."""

    name, has_face_parts = "half", True

    def __call__(self, rgb, landmarks=None):
        skin = np.zeros(rgb.shape[:2], np.float32)
        skin[:, : rgb.shape[1] // 2] = 1
        return FaceSegmentation({"background": 0 * skin, "skin": skin, "hair": 1 - skin})

    def close(self):
        raise AssertionError("the parser is not the preserver's to close")


def test_a_face_parser_keeps_hair_as_background():
    frame = next(iter(read_frames(Path("dubfew/demo/actor.mp4"))))
    alpha = np.ones((40, 80), np.float32)
    painted = np.zeros((40, 80, 3), np.float32)
    box = np.array([100, 100, 300, 300], np.float32)
    with BackgroundPreserver(HalfFace()) as background:
        kept = background.exclude_background(frame, box, (160, 180), painted, alpha)
    assert kept[:, :38].min() == 1
    assert kept[:, 42:].max() == 0


class CountedParser:
    """A parser that sees a face, and a wall in the part of the crop that it is told; it counts."""

    name, has_face_parts = "counted", True
    wall, looks = 0.0, 0

    def __call__(self, rgb, landmarks=None):
        self.looks += 1
        skin = np.ones(rgb.shape[:2], np.float32)
        skin[:, rgb.shape[1] - round(self.wall * rgb.shape[1]) :] = 0
        return FaceSegmentation({"background": 1 - skin, "skin": skin})


def test_odd_frames_behind_clean_ones_are_not_segmented():
    frames = list(itertools.islice(read_frames(Path("dubfew/demo/actor.mp4")), 8))
    alpha, painted = np.ones((200, 200), np.float32), np.zeros((200, 200, 3), np.float32)
    box = np.array([100, 100, 300, 300], np.float32)
    parser = CountedParser()

    with BackgroundPreserver(parser) as background:

        def look(index, box=box, shot=0):
            before = parser.looks
            kept = background.exclude_background(
                frames[index], box, (100, 100), painted, alpha, shot=shot
            )
            return parser.looks - before, kept.min()

        assert [look(index)[0] for index in range(5)] == [1, 0, 1, 0, 1]
        # Another shot, another place, and a gap are looked at.
        assert look(5, shot=1)[0] == 1
        look(6)
        assert look(7, box=box + 20)[0] == 1
        look(4)
        assert look(7)[0] == 1
        # A wall that comes beside an odd frame is kept from the even one on, in every frame.
        look(2)
        parser.wall = 0.1
        assert look(3) == (0, 1.0)
        assert look(4) == (2, 0.0)
        assert look(5) == (2, 0.0)


@pytest.fixture(scope="module", params=["stylesync"])
def actor(tmp_path_factory, request) -> tuple[Registry, Path, Path]:
    name = request.param
    folder = tmp_path_factory.mktemp(f"painted-{name}")
    torch.manual_seed(0)
    renderer = shaken(make_renderer(name, {**RENDERERS[name].tiny, **SIZES[name]})).eval()
    training = {"training": {"loss": "pixels"}, "people": []}
    channels = renderer.config.texture_channels
    Prior(renderer, name, torch.zeros(channels, 256, 256), "lite").save(
        folder / "prior", training, ""
    )
    clip = cut(folder / "clip.mp4", 0, 20)
    registry = Registry(folder / "home")
    adapt(
        clip,
        actor="painted",
        prior=folder / "prior",
        method="lora",
        rank=2,
        steps=2,
        registry=registry,
    )
    return registry, clip, folder


def rendered(actor, sound: np.ndarray, name: str) -> list[np.ndarray]:
    registry, clip, folder = actor
    wavfile.write(folder / f"{name}.wav", 16000, sound.astype(np.int16))
    result = render(
        "painted",
        video=clip,
        audio=folder / f"{name}.wav",
        registry=registry,
        out=folder / f"{name}.mp4",
        lossless=True,
        watermark=False,
    )
    assert result.edited_frames == 20
    return [frame.to_rgb() for frame in read_frames(result.output)]


@pytest.mark.slow
@pytest.mark.parametrize("actor", SIZES, indirect=True)
def test_other_sound_changes_the_mouth_and_nothing_outside_the_mask(actor, monkeypatch):
    registry, clip, folder = actor
    network = type(Prior.load(folder / "prior").renderer)
    encoded, encode = [], network.encode_references
    monkeypatch.setattr(
        network, "encode_references", lambda self, given: encoded.append(1) or encode(self, given)
    )
    noise = np.random.default_rng(0).standard_normal(12800) * 6000
    quiet, loud = rendered(actor, np.zeros(12800), "quiet"), rendered(actor, noise, "loud")
    assert len(encoded) == 2  # once in each render of 20 frames
    scene = [frame.to_rgb() for frame in read_frames(clip)]
    stored = ActorAdapter.from_files(
        {
            name: registry.open("painted").read(name)
            for name in registry.open("painted").file_names()
        }
    )
    track, head = Track.from_bytes(stored.track_bytes, "track"), load_head_model()
    layout = Prior.load(folder / "prior").renderer.config.load_layout()
    geometry = layout.compute_geometry(track, head)
    changed = 0
    for row in range(20):
        left, top, right, _ = geometry.boxes[row]
        rows, columns = np.nonzero(layout.render_opacity(geometry, row))
        scale = (right - left) / layout.width
        # The box of what is shown, with a pixel of the crop around it.
        x0, x1 = left + (columns.min() - 1) * scale, left + (columns.max() + 2) * scale
        y0, y1 = top + (rows.min() - 1) * scale, top + (rows.max() + 2) * scale
        y, x = np.mgrid[: scene[row].shape[0], : scene[row].shape[1]]
        outside = (x < x0 - 2) | (x > x1 + 2) | (y < y0 - 2) | (y > y1 + 2)
        assert outside.any()
        np.testing.assert_array_equal(quiet[row][outside], scene[row][outside])
        np.testing.assert_array_equal(loud[row][outside], quiet[row][outside])
        changed += int((loud[row] != quiet[row]).any(-1).sum())
    assert changed > 1000


@pytest.mark.slow
def test_a_role_of_a_cast_is_painted_in_its_lines(actor, monkeypatch):
    registry, clip, folder = actor
    noise = np.random.default_rng(0).standard_normal(3200) * 6000
    wavfile.write(folder / "line.wav", 16000, noise.astype(np.int16))
    heard = []
    make = cast_pipeline.make_predictor

    def listening(actor, device, track, read_sound):
        heard.append(read_sound())
        return make(actor, device, track, lambda: heard[-1])

    monkeypatch.setattr(cast_pipeline, "make_predictor", listening)
    result = cast_pipeline.render_cast(
        Cast((CastRole("painted", (CastLine(folder / "line.wav", start=0.4),)),)),
        video=clip,
        registry=registry,
        out=folder / "cast.mp4",
        lossless=True,
        watermark=False,
    )
    # From 0.15 to 0.95 s of the 20 frames' 0.8 s.
    assert result.edited_frames == (16,)
    scene = [frame.to_rgb() for frame in read_frames(clip)]
    shown = [frame.to_rgb() for frame in read_frames(result.output)]
    changed = [bool((a != b).any()) for a, b in zip(scene, shown, strict=True)]
    assert changed == [False] * 4 + [True] * 16
    # The role hears its own line in its place, and nothing else.
    (sound,) = heard
    np.testing.assert_array_equal(np.flatnonzero(sound.samples)[[0, -1]] // 160, [40, 59])


@pytest.mark.slow
@pytest.mark.parametrize("actor", SIZES, indirect=True)
def test_an_actor_is_exported_imported_and_deleted_with_its_crops(actor, tmp_path):
    registry, _, folder = actor
    layout = Prior.load(folder / "prior").renderer.config.layout
    assert "crops.safetensors" in registry.open("painted").file_names()
    other = Registry(tmp_path / "other")
    registry.export("painted", tmp_path / "painted.dubfew", plain=True)
    other.import_file(
        tmp_path / "painted.dubfew",
        check=partial(check_imported_actor, registry=other, prior=folder / "prior"),
    )
    stored = other.open("painted")
    adapter = ActorAdapter.from_files({name: stored.read(name) for name in stored.file_names()})
    assert adapter.crops is not None
    assert (adapter.crops.layout, len(adapter.crops)) == (layout, 16)
    other.delete("painted")
    with pytest.raises(ActorNotFoundError):
        other.open("painted")
    assert not list((tmp_path / "other").rglob("crops*"))
