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
from dubfew.reconstruction.crop import project_posed, regions, rotations
from dubfew.reconstruction.track import Camera, Track
from dubfew.synthetic.eyes import BALL, iris_points
from dubfew.synthetic.lighting import Light, draw_light
from dubfew.synthetic.motion import Performance, perform
from dubfew.synthetic.person import SyntheticPerson
from dubfew.synthetic.scene import Moment, Studio, draw_background
from dubfew.synthetic.voice import Speech, babble
from dubfew.utils.files import sha256_file

# Focal length over the picture's side: the face fills 54 % of the height at 0.83 m.
FOCAL_PER_SIZE = 2.6
NOISE = 1.1 / 255  # standard deviation of the sensor's noise
IRIS_RADIUS = 0.485 * BALL


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
    speech: Speech | None = None,
    turn: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> SyntheticClip:
    """Film a person.

    Args:
        person: who.
        seconds: length of the clip.
        fps: frame rate.
        size: width and height, px, even.
        seed: of what happens in this clip: speech, motion, light, room.
        speech: what to say; the built-in babble by default.
        turn: added to the head's rotation, rad.

    Returns:
        The clip. The same arguments give the same pixels.
    """
    rate = Fraction(fps)
    rng = np.random.default_rng([person.seed, seed, 7])
    traits = person.traits
    speech = speech or babble(rng, seconds, pitch=traits.pitch, tract=traits.tract)
    times = np.array([float(k / rate) for k in range(max(1, round(seconds * rate)))])
    performance = perform(person, speech.phones, times, rng, turn)
    light = draw_light(rng)
    camera = Camera(FOCAL_PER_SIZE * size, size / 2, size / 2)
    background = draw_background(rng, size, size)
    track = _track(person, performance, light, camera, rate, size, seed)

    def frames() -> Iterator[NDArray[np.uint8]]:
        studio = Studio(person, camera, light, background)
        grain = np.random.default_rng([person.seed, seed, 8])
        for row in range(len(performance)):
            picture = studio.picture(_moment(performance, row))
            picture += NOISE * grain.standard_normal(picture.shape, np.float32)
            yield (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)

    return SyntheticClip(frames(), speech.audio, track)


def write_clip(
    person: SyntheticPerson,
    path: Path | str,
    *,
    seconds: float = 4.0,
    fps: Fraction | int = 25,
    size: int = 256,
    seed: int = 0,
    speech: Speech | None = None,
    crf: int | None = None,
    turn: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Track:
    """Film a person into a video with sound, and its exact Track beside it.

    The track lies at ``path`` with the suffix ``.track``. Arguments are those of
    :func:`render_clip`; ``crf`` is the encoder's.

    Returns:
        The track, naming the written video's hash.
    """
    path = Path(path)
    clip = render_clip(
        person, seconds=seconds, fps=fps, size=size, seed=seed, speech=speech, turn=turn
    )
    info = VideoInfo(path, size, size, clip.track.fps, color_range=1, colorspace=1,
                     color_primaries=1, color_trc=1)  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        sound = Path(folder) / "speech.wav"
        wavfile.write(sound, clip.audio.rate, (clip.audio.samples * 32767).astype(np.int16))
        duration = float(len(clip.track) / clip.track.fps)
        with VideoWriter(path, info, audio=AudioSource(sound, duration=duration), crf=crf) as out:
            for index, rgb in enumerate(clip.frames):
                out.write(Frame.from_rgb(rgb, index, clip.track.fps, colour=info.colour))
    track = replace(clip.track, source_sha256=sha256_file(path))
    track.save(path.with_suffix(".track"))
    return track


def _moment(p: Performance, row: int) -> Moment:
    return Moment(
        p.face[row], p.jaw[row], p.rotation[row], p.translation[row],
        p.body_rotation[row], p.body_translation[row], p.gaze[row],
    )  # fmt: skip


def _track(
    person: SyntheticPerson,
    p: Performance,
    light: Light,
    camera: Camera,
    fps: Fraction,
    size: int,
    seed: int,
) -> Track:
    n = len(p)
    irises = np.stack([iris_points(person.anatomy.balls, gaze, IRIS_RADIUS) for gaze in p.gaze])
    points = np.concatenate([p.face, irises], 1).astype(np.float32)
    landmarks = project_posed(points, rotations(p.rotation), p.translation, camera)
    # The detector's depth: px like x and y, counted from the head's own distance.
    depth = p.translation[:, 2:3]
    landmarks[..., 2] = (landmarks[..., 2] - depth) / depth * camera.focal
    box = regions(person.head, person.shape, p.rotation, p.translation, camera).box
    return Track(
        valid=np.ones(n, bool),
        times=p.times,
        expression=p.expression,
        jaw=p.jaw,
        neck=np.zeros((n, 3), np.float32),
        rotation=p.rotation,
        translation=p.translation,
        lighting=np.repeat(light.harmonics[None], n, 0),
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
