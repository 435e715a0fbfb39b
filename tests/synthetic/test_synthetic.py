"""Synthetic people: seeded, true to their Track, seen by the detector, speaking as told."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest

from dubfew.media import probe, read_audio, read_frames
from dubfew.motion.extraction import motion_from_track
from dubfew.reconstruction.detection.landmarks import FaceLandmarker
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.heads.landmark_indices import EYE_CORNERS, INNER_LIPS, OUTER_LIPS
from dubfew.reconstruction.projection import project_head_points
from dubfew.reconstruction.shading_model import sh_basis
from dubfew.reconstruction.track import Track
from dubfew.speech.visemes import MOUTH_CONTROLS, SILENCE_SYMBOL, controls_from_motion
from dubfew.synthetic import SyntheticPerson, render_clip, write_clip
from dubfew.synthetic.articulation import MouthArticulator
from dubfew.synthetic.lighting import sample_light
from dubfew.synthetic.subdivide import subdivide_mesh
from dubfew.synthetic.voice import VOICE_SAMPLE_RATE_HZ, synthesize_babble

LIPS = list(OUTER_LIPS + INNER_LIPS)


@pytest.fixture(scope="module")
def person() -> SyntheticPerson:
    return SyntheticPerson(14)


@pytest.fixture(scope="module")
def clip(person):
    made = render_clip(person, seconds=0.8, fps=Fraction(25), size=256, seed=3)
    return list(made.frames), made.audio, made.track


def eye_distance(points):
    return np.linalg.norm(points[:, EYE_CORNERS[0], :2] - points[:, EYE_CORNERS[1], :2], axis=1)


def test_clip_has_what_was_asked(clip):
    frames, audio, track = clip
    assert len(frames) == len(track) == 20
    assert all(f.shape == (256, 256, 3) and f.dtype == np.uint8 for f in frames)
    assert audio.duration == pytest.approx(0.8, abs=0.01)
    assert np.abs(audio.samples).max() > 0.1
    assert track.fps == 25


def test_same_seed_same_pixels(person, clip):
    again = render_clip(SyntheticPerson(14), seconds=0.8, size=256, seed=3)
    np.testing.assert_array_equal(next(again.frames), clip[0][0])
    np.testing.assert_array_equal(again.track.landmarks, clip[2].landmarks)
    other = render_clip(person, seconds=0.1, size=256, seed=4)
    assert (next(other.frames) != clip[0][0]).mean() > 0.3


def test_landmarks_are_the_projected_model(clip):
    """But for the eyelids, which the head model cannot close."""
    track = clip[2]
    head = load_head_model(track.head)
    vertices = head.vertices(track.shape, track.expression, track.jaw, track.neck)
    seen = project_head_points(vertices[:, :468], track)[..., :2]
    np.testing.assert_allclose(seen[:, LIPS], track.landmarks[:, LIPS, :2], atol=1e-2)
    still = [1, 4, 10, 152, 168, 234, 454]
    np.testing.assert_allclose(seen[:, still], track.landmarks[:, still, :2], atol=1e-2)


def test_detector_finds_the_face_where_it_is(clip):
    frames, _, track = clip
    with FaceLandmarker() as landmarker:
        found = [landmarker(frame) for frame in frames]
    assert all(points is not None for points in found)
    error = np.linalg.norm(np.stack(found)[..., :2] - track.landmarks[..., :2], axis=-1)
    relative = error / eye_distance(track.landmarks)[:, None]
    assert relative[:, LIPS].mean() < 0.04
    assert relative[:, [468, 473]].mean() < 0.03  # pupils


def test_frames_are_sharp_where_the_mouth_is(clip):
    frames, _, track = clip
    left, top = track.landmarks[0, LIPS, :2].min(0).astype(int)
    right, bottom = track.landmarks[0, LIPS, :2].max(0).astype(int)
    grey = frames[0][top:bottom, left:right].mean(-1)
    laplacian = 4 * grey[1:-1, 1:-1] - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2]
    assert (laplacian - grey[1:-1, 2:]).var() > 20


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_articulation_reaches_its_controls(seed):
    someone = SyntheticPerson(seed)
    wanted = np.zeros((5, len(MOUTH_CONTROLS)))
    wanted[1] = (0.03, -0.10, 0.0, 0.0, -0.05)
    wanted[2] = (0.01, -0.03, -0.09, 0.03, -0.02)
    wanted[3] = (0.01, -0.04, 0.05, 0.0, -0.02)
    wanted[4] = (0.05, -0.16, 0.0, 0.0, -0.10)
    expression, jaw = MouthArticulator(someone.head, someone.shape)(wanted)
    face = someone.head.vertices(someone.shape, expression, jaw)
    unit = someone.head.inter_ocular_distance(someone.shape)
    gap = (face[:, 13, 1] - face[:, 14, 1]) / unit
    np.testing.assert_allclose(gap, [0, 0.13, 0.04, 0.05, 0.21], atol=0.02)
    width = np.linalg.norm(face[:, 61] - face[:, 291], axis=1) / unit
    np.testing.assert_allclose(width[2:4] - width[0], [-0.09, 0.05], atol=0.02)


def test_mouth_is_closed_in_silence_and_in_closures(person):
    """What the sounds say is what the track's own motion shows."""
    made = render_clip(person, seconds=3.0, size=64, seed=5)
    controls = controls_from_motion(motion_from_track(made.track, load_head_model("lite")))
    gap = controls[:, 0] - controls[:, 1]
    rng = np.random.default_rng([person.seed, 5, 7])
    traits = person.traits
    phones = synthesize_babble(
        rng, 3.0, pitch_hz=traits.pitch_hz, tract_length=traits.tract_length
    ).phones
    at = np.array(
        [next(p for p in phones if p.start <= t < p.end).symbol for t in made.track.times]
    )
    assert gap[made.track.times < 0.1].max() < 0.03
    vowels = np.isin(at, list("aæɛ"))
    closed = np.isin(at, [*"pbm", SILENCE_SYMBOL])
    assert gap[vowels].mean() > gap[closed].mean() + 0.03


def test_voice_is_silent_in_pauses_and_gapless():
    speech = synthesize_babble(np.random.default_rng(1), 4.0)
    assert len(speech.audio.samples) == 4 * VOICE_SAMPLE_RATE_HZ
    assert speech.phones[0].start == 0
    assert speech.phones[-1].end == pytest.approx(4.0)
    for a, b in zip(speech.phones, speech.phones[1:], strict=False):
        assert a.end == b.start
    loud = {True: [], False: []}
    for phone in speech.phones:
        samples = speech.audio.samples[
            int((phone.start + 0.02) * VOICE_SAMPLE_RATE_HZ) : int(phone.end * VOICE_SAMPLE_RATE_HZ)
        ]
        if len(samples) and phone.symbol in ("", "a", "i", "u"):
            loud[phone.symbol == SILENCE_SYMBOL].append(float(np.abs(samples).mean()))
    assert max(loud[True]) < 0.3 * min(loud[False])


def test_people_differ_and_stay_human():
    faces = [SyntheticPerson(seed).rest_face for seed in range(8)]
    mean = load_head_model("lite").template[:468]
    for a, b in itertools.pairwise(faces):
        assert np.linalg.norm(a - b, axis=1).mean() > 0.001
    for face in faces:
        assert np.linalg.norm(face - mean, axis=1).max() < 0.02


def test_written_clip(tmp_path, person):
    path = tmp_path / "someone.mp4"
    track = write_clip(person, path, seconds=0.2, fps=Fraction(30000, 1001), size=96, seed=1)
    info = probe(path)
    assert info.fps == Fraction(30000, 1001)
    assert info.has_audio
    assert len(list(read_frames(path))) == len(track) == 6
    assert read_audio(path).duration == pytest.approx(0.2, abs=0.06)
    stored = Track.load(path.with_suffix(".track"))
    np.testing.assert_array_equal(stored.landmarks, track.landmarks)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["someone.mp4", "someone.track"]


def test_subdivision_keeps_vertices_and_planes():
    """Old vertices stay; on a flat grid new ones lie on the plane, curved scheme or not."""
    n = 5
    x, y = np.meshgrid(np.arange(n), np.arange(n))
    points = np.stack([x.ravel(), y.ravel(), 0.5 * x.ravel() - y.ravel()], 1).astype(float)
    faces = []
    for r in range(n - 1):
        for c in range(n - 1):
            a = r * n + c
            faces += [(a, a + 1, a + n), (a + 1, a + n + 1, a + n)]
    for smooth in (False, True):
        matrix, finer = subdivide_mesh(np.array(faces), len(points), smooth=smooth)
        new = matrix @ points
        assert len(finer) == 4 * len(faces)
        np.testing.assert_array_equal(new[: len(points)], points)
        np.testing.assert_allclose(new[:, 2], 0.5 * new[:, 0] - new[:, 1], atol=1e-12)


def test_light_is_positive_and_brightest_towards_the_lamp():
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(500, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    for seed in range(5):
        light = sample_light(np.random.default_rng(seed))
        seen = sh_basis(directions) @ light.sh_coefficients
        brightest = directions[seen[:, 1].argmax()]
        assert brightest @ light.direction > 0.6
        assert seen[directions @ light.direction > 0].min() > 0.05
