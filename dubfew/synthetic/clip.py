"""Clips of synthetic people: frames, sound and the exact Track."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.io import wavfile

from dubfew.media import Audio, AudioSource, Frame, VideoInfo, VideoWriter
from dubfew.reconstruction.crop import compute_face_regions
from dubfew.reconstruction.projection import project_posed_points, rotvecs_to_matrices
from dubfew.reconstruction.track import Camera, Track
from dubfew.synthetic.eyes import EYEBALL_RADIUS_METERS, compute_iris_landmarks
from dubfew.synthetic.lighting import SceneLight, sample_light
from dubfew.synthetic.motion import PersonMotion, animate_person
from dubfew.synthetic.person import SyntheticPerson
from dubfew.synthetic.scene import PersonRenderer, sample_background
from dubfew.synthetic.voice import SyntheticSpeech, synthesize_babble
from dubfew.utils.files import sha256_file

# Focal length over the picture's side: the face fills 54 % of the height at 0.83 m.
FOCAL_PER_SIZE = 2.6
SENSOR_NOISE_STD = 1.1 / 255  # standard deviation of the sensor's noise
IRIS_RADIUS_METERS = 0.485 * EYEBALL_RADIUS_METERS


@dataclass(frozen=True)
class SyntheticClip:
    """A clip of a person who does not exist.

    Attributes:
        frames: RGB pictures, made as they are asked for; can be gone through once.
            [H, W, 3] uint8 each
        audio: the voice.
        track: exact parameters and landmarks of every frame. Eyelids and irises are in its
            landmarks only: the head model has no parameters for blinks.
    """

    frames: Iterator[NDArray[np.uint8]]
    audio: Audio
    track: Track


def render_clip(
    person: SyntheticPerson,
    *,
    seconds: float = 4.0,
    fps: Fraction | int = 25,
    size: int = 256,
    seed: int = 0,
    speech: SyntheticSpeech | None = None,
    head_turn: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> SyntheticClip:
    """Film a person.

    Args:
        person: who.
        seconds: length of the clip.
        fps: frame rate.
        size: width and height, px, even.
        seed: of what happens in this clip: speech, motion, light, room.
        speech: what to say; the built-in babble by default.
        head_turn: added to the head's rotation, rad.

    Returns:
        The clip. The same arguments give the same pixels.
    """
    rate = Fraction(fps)
    rng = np.random.default_rng([person.seed, seed, 7])
    traits = person.traits
    speech = speech or synthesize_babble(
        rng, seconds, pitch_hz=traits.pitch_hz, tract_length=traits.tract_length
    )
    times = np.array([float(k / rate) for k in range(max(1, round(seconds * rate)))])
    performance = animate_person(person, speech.phones, times, rng, head_turn)
    light = sample_light(rng)
    camera = Camera(FOCAL_PER_SIZE * size, size / 2, size / 2)
    background = sample_background(rng, size, size)
    track = _build_track(person, performance, light, camera, rate, size, seed)

    def generate_frames() -> Iterator[NDArray[np.uint8]]:
        studio = PersonRenderer(person, camera, light, background)
        grain = np.random.default_rng([person.seed, seed, 8])
        for row in range(len(performance)):
            picture = studio.render_frame(performance.select(row))
            picture += SENSOR_NOISE_STD * grain.standard_normal(picture.shape, np.float32)
            yield (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)

    return SyntheticClip(generate_frames(), speech.audio, track)


def write_clip(
    person: SyntheticPerson,
    path: Path | str,
    *,
    seconds: float = 4.0,
    fps: Fraction | int = 25,
    size: int = 256,
    seed: int = 0,
    speech: SyntheticSpeech | None = None,
    crf: int | None = None,
    head_turn: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Track:
    """Film a person into a video with sound, and its exact Track beside it.

    The track lies at ``path`` with the suffix ``.track``. Arguments are those of
    :func:`render_clip`; ``crf`` is the encoder's.

    Returns:
        The track, naming the written video's hash.
    """
    path = Path(path)
    clip = render_clip(
        person, seconds=seconds, fps=fps, size=size, seed=seed, speech=speech, head_turn=head_turn
    )
    info = VideoInfo(path, size, size, clip.track.fps, color_range=1, colorspace=1,
                     color_primaries=1, color_trc=1)  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        sound = Path(folder) / "speech.wav"
        wavfile.write(sound, clip.audio.rate, (clip.audio.samples * 32767).astype(np.int16))
        duration = float(len(clip.track) / clip.track.fps)
        with VideoWriter(path, info, audio=AudioSource(sound, duration=duration), crf=crf) as out:
            for index, rgb in enumerate(clip.frames):
                out.write(Frame.from_rgb(rgb, index, clip.track.fps, color=info.color))
    track = replace(clip.track, source_sha256=sha256_file(path))
    track.save(path.with_suffix(".track"))
    return track


def _build_track(
    person: SyntheticPerson,
    motion: PersonMotion,
    light: SceneLight,
    camera: Camera,
    fps: Fraction,
    size: int,
    seed: int,
) -> Track:
    n = len(motion)
    irises = np.stack(
        [
            compute_iris_landmarks(person.body_meshes.eyeballs, gaze, IRIS_RADIUS_METERS)
            for gaze in motion.gaze
        ]
    )
    points = np.concatenate([motion.face_vertices, irises], 1).astype(np.float32)
    landmarks = project_posed_points(
        points, rotvecs_to_matrices(motion.rotation), motion.translation, camera
    )
    # The detector's depth: px like x and y, counted from the head's own distance.
    depth = motion.translation[:, 2:3]
    landmarks[..., 2] = (landmarks[..., 2] - depth) / depth * camera.focal
    box = compute_face_regions(
        person.head, person.shape, motion.rotation, motion.translation, camera
    ).box
    return Track(
        valid=np.ones(n, bool),
        times=motion.times,
        expression=motion.expression,
        jaw=motion.jaw,
        neck=np.zeros((n, 3), np.float32),
        rotation=motion.rotation,
        translation=motion.translation,
        lighting=np.repeat(light.sh_coefficients[None], n, 0),
        box=box,
        landmarks=landmarks,
        confidence=np.ones(n, np.float32),
        shape=person.shape,
        camera=camera,
        fps=fps,
        width=size,
        height=size,
        head=person.head.name,
        source_sha256=hashlib.sha256(f"synthetic {person.seed} {seed}".encode()).hexdigest(),
    )
