"""Clips of synthetic people: frames, sound and the exact Track, in memory or as files."""

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
from dubfew.synthetic.eyes import (
    EYEBALL_RADIUS_METERS,
    IRIS_RADIUS_FRACTION,
    compute_iris_landmarks,
)
from dubfew.synthetic.lighting import SceneLight, sample_light
from dubfew.synthetic.motion import PersonMotion, animate_person
from dubfew.synthetic.person import SyntheticPerson
from dubfew.synthetic.scene import PersonRenderer, sample_background
from dubfew.synthetic.voice import SyntheticSpeech, synthesize_babble
from dubfew.utils.files import sha256_file

# Focal length over the picture's side: the face fills 54 % of the height at 0.83 m. That is the
# framing of an interview; a smaller number shows more of the room.
FOCAL_PER_SIZE = 2.6
# Standard deviation of the sensor's noise: about one level of 8 bits, as of a camera in good light.
SENSOR_NOISE_STD = 1.1 / 255
# Radius of the iris, m, for its landmarks.
IRIS_RADIUS_METERS = IRIS_RADIUS_FRACTION * EYEBALL_RADIUS_METERS
# Random streams of a clip, beside the seeds of person and clip: what happens, and the noise. Noise
# has its own, so that it can be drawn frame by frame.
_EVENT_STREAM, _NOISE_STREAM = 7, 8


@dataclass(frozen=True)
class SyntheticClip:
    """A clip of a person who does not exist.

    Attributes:
        frames: RGB pictures, made one by one as the iterator advances. [H, W, 3] uint8 each
        audio: voice of the clip.
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
    """Render a clip of a synthetic person in memory.

    Args:
        person: person to film.
        seconds: length of the clip; it has at least one frame.
        fps: frame rate, Hz.
        size: width and height, px, even as video encoders need it.
        seed: seed of speech, motion, light and room in this clip.
        speech: sound and phones to speak; babble by default.
        head_turn: axis-angle vector that is added to the head's rotation, rad.

    Returns:
        The clip. The same arguments give the same pixels.

    Example:
        >>> from dubfew.synthetic import SyntheticPerson, render_clip
        >>> clip = render_clip(SyntheticPerson(1), seconds=0.2, fps=25, size=64)
        >>> len(clip.track), clip.track.landmarks.shape
        (5, (5, 478, 3))
    """
    rate = Fraction(fps)
    rng = np.random.default_rng([person.seed, seed, _EVENT_STREAM])
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

    # A generator, so that long clips do not lie in memory.
    def generate_frames() -> Iterator[NDArray[np.uint8]]:
        renderer = PersonRenderer(person, camera, light, background)
        # Noise of a stream of its own: it does not change what is drawn next in the scene.
        noise = np.random.default_rng([person.seed, seed, _NOISE_STREAM])
        for row in range(len(performance)):
            picture = renderer.render_frame(performance.select(row))
            picture += SENSOR_NOISE_STD * noise.standard_normal(picture.shape, np.float32)
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
    """Write a clip of a synthetic person as a video with sound, and its exact Track beside it.

    Args:
        person: person to film.
        path: video to write; the track lies beside it with the suffix ``.track``.
        seconds: length of the clip; it has at least one frame.
        fps: frame rate, Hz.
        size: width and height, px, even.
        seed: seed of speech, motion, light and room in this clip.
        speech: sound and phones to speak; babble by default.
        crf: quality of the encoder, smaller is better; its own default without it.
        head_turn: axis-angle vector that is added to the head's rotation, rad.

    Returns:
        The track, with the hash of the written video.
    """
    path = Path(path)
    clip = render_clip(
        person, seconds=seconds, fps=fps, size=size, seed=seed, speech=speech, head_turn=head_turn
    )
    # BT.709 in limited range, as most video is.
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
    """The exact Track of a clip: what the head model can express, and landmarks of all the rest."""
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
    # Depth as the detector has it: in px like x and y, counted from the head's own distance.
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
