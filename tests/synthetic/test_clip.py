"""Clips: what was asked for, the same from the same seeds, and as written files."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from dubfew.media import probe, read_audio, read_frames
from dubfew.reconstruction.detection.landmarks import FaceLandmarker
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.heads.landmark_indices import EYE_CORNERS, INNER_LIPS, OUTER_LIPS
from dubfew.reconstruction.projection import project_head_points
from dubfew.reconstruction.track import Track
from dubfew.synthetic import SyntheticPerson, render_clip, write_clip
from dubfew.synthetic import clip as clip_module
from tests.synthetic.toys import flat_atlas, with_atlas

LIPS = list(OUTER_LIPS + INNER_LIPS)


@pytest.mark.slow
def test_clip_has_the_length_size_and_range_that_were_asked_for(clip):
    frames, audio, track = clip
    assert frames.shape == (10, 192, 192, 3)
    assert frames.dtype == np.uint8
    assert len(track) == 10
    assert (track.width, track.height, track.fps) == (192, 192, 25)
    np.testing.assert_allclose(track.times, np.arange(10) / 25)
    assert audio.duration == pytest.approx(0.4, abs=0.01)
    assert 0.1 < np.abs(audio.samples).max() <= 1
    # Neither black nor burned out.
    assert 30 < frames.mean() < 200
    assert (frames == 255).mean() < 0.01


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seconds", "fps", "frames"),
    [(0.2, Fraction(30000, 1001), 6), (0.1, 24, 2), (0.001, 25, 1)],
)
def test_number_of_frames_is_the_nearest_and_at_least_one(seconds, fps, frames):
    made = render_clip(with_atlas(0, flat_atlas()), seconds=seconds, fps=fps, size=16)
    assert len(made.track) == frames
    assert len(list(made.frames)) == frames
    np.testing.assert_allclose(made.track.times, np.arange(frames) / float(fps))


@pytest.mark.slow
def test_same_seeds_give_the_same_pixels_track_and_sound(person, clip):
    frames, audio, track = clip
    again = with_atlas(14, person.texture_atlas)
    made = render_clip(again, seconds=0.4, fps=25, size=192, seed=3)
    np.testing.assert_array_equal(next(made.frames), frames[0])
    np.testing.assert_array_equal(made.audio.samples, audio.samples)
    for name in ("expression", "jaw", "rotation", "translation", "lighting", "landmarks", "box"):
        np.testing.assert_array_equal(getattr(made.track, name), getattr(track, name))
    assert made.track.source_sha256 == track.source_sha256


def test_another_clip_seed_gives_another_clip(person, clip):
    frames, audio, track = clip
    other = render_clip(person, seconds=0.4, fps=25, size=192, seed=4)
    assert (next(other.frames) != frames[0]).mean() > 0.3
    assert not np.array_equal(other.audio.samples, audio.samples)
    assert np.abs(other.track.rotation - track.rotation).max() > 0.01
    # The person stays the same.
    np.testing.assert_array_equal(other.track.shape, track.shape)


@pytest.mark.slow
def test_sensor_noise_is_white_and_has_its_deviation(monkeypatch):
    person = with_atlas(1, flat_atlas())
    noisy = next(render_clip(person, seconds=0.04, size=128).frames).astype(float)
    monkeypatch.setattr(clip_module, "SENSOR_NOISE_STD", 0.0)
    clean = next(render_clip(person, seconds=0.04, size=128).frames).astype(float)
    noise = noisy - clean
    # Rounding to 8 bits, of both pictures, adds a twelfth of a level squared each.
    assert noise.std() == pytest.approx(np.sqrt(1.1**2 + 2 / 12), rel=0.05)
    assert abs(noise.mean()) < 0.05
    for axis in (0, 1):
        neighbors = np.corrcoef(noise.ravel(), np.roll(noise, 1, axis).ravel())[0, 1]
        assert abs(neighbors) < 0.03


@pytest.mark.slow
def test_head_turn_is_added_to_the_rotation():
    person = with_atlas(2, flat_atlas())
    straight = render_clip(person, seconds=0.2, size=16, seed=1).track
    turned = render_clip(person, seconds=0.2, size=16, seed=1, head_turn=(0.1, -0.4, 0.0)).track
    np.testing.assert_allclose(
        turned.rotation - straight.rotation, np.tile([0.1, -0.4, 0], (5, 1)), atol=1e-6
    )


def test_landmarks_are_the_projected_head_model_but_for_eyelids(clip):
    track = clip[2]
    head = load_head_model(track.head)
    vertices = head.vertices(track.shape, track.expression, track.jaw, track.neck)
    expected = project_head_points(vertices[:, :468], track)[..., :2]
    still = [1, 4, 10, 152, 168, 234, 454]
    np.testing.assert_allclose(expected[:, LIPS], track.landmarks[:, LIPS, :2], atol=1e-2)
    np.testing.assert_allclose(expected[:, still], track.landmarks[:, still, :2], atol=1e-2)


def test_box_holds_the_face(clip):
    track = clip[2]
    assert (track.landmarks[..., :2] > track.box[:, None, :2]).all()
    assert (track.landmarks[..., :2] < track.box[:, None, 2:]).all()


def test_landmark_depth_is_in_pixels_and_smaller_is_nearer(clip):
    depth = clip[2].landmarks[..., 2]
    assert (depth[:, 1] < depth[:, [234, 454]].min(1) - 10).all()  # the nose before the ears
    width = np.linalg.norm(clip[2].landmarks[:, 234] - clip[2].landmarks[:, 454], axis=-1)
    assert (np.abs(depth) < width[:, None]).all()


def test_detector_finds_the_face_where_the_track_has_it(clip):
    frames, _, track = clip
    with FaceLandmarker() as landmarker:
        found = [landmarker(frame) for frame in frames[::3]]
    assert all(points is not None for points in found)
    marks = track.landmarks[::3, :, :2]
    error = np.linalg.norm(np.stack(found)[..., :2] - marks, axis=-1)
    size = np.linalg.norm(marks[:, EYE_CORNERS[0]] - marks[:, EYE_CORNERS[1]], axis=1)
    relative = error / size[:, None]
    assert relative[:, LIPS].mean() < 0.04
    assert relative[:, [468, 473]].mean() < 0.03  # pupils


def test_frames_are_sharp_where_the_mouth_is(clip):
    frames, _, track = clip
    left, top = track.landmarks[0, LIPS, :2].min(0).astype(int)
    right, bottom = track.landmarks[0, LIPS, :2].max(0).astype(int)
    gray = frames[0][top:bottom, left:right].mean(-1)
    laplacian = 4 * gray[1:-1, 1:-1] - gray[:-2, 1:-1] - gray[2:, 1:-1] - gray[1:-1, :-2]
    assert (laplacian - gray[1:-1, 2:]).var() > 20


@pytest.mark.slow
def test_written_clip_has_frames_sound_and_track(tmp_path):
    path = tmp_path / "someone.mp4"
    person: SyntheticPerson = with_atlas(3, flat_atlas())
    track = write_clip(person, path, seconds=0.2, fps=Fraction(30000, 1001), size=96, seed=1)
    info = probe(path)
    assert info.fps == Fraction(30000, 1001)
    assert info.has_audio
    assert len(list(read_frames(path))) == len(track) == 6
    assert read_audio(path).duration == pytest.approx(0.2, abs=0.06)
    stored = Track.load(path.with_suffix(".track"))
    np.testing.assert_array_equal(stored.landmarks, track.landmarks)
    assert stored.source_sha256 == track.source_sha256
    assert sorted(p.name for p in tmp_path.iterdir()) == ["someone.mp4", "someone.track"]
