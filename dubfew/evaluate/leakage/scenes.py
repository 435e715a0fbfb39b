"""Scenes of a leak test: a few frames of one person, to paint other mouths into."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubfew.adapt.actor_footage import choose_reference_size, read_audio_between
from dubfew.data.clip_footage import ClipFootage, cut_clip_footage
from dubfew.media import Frame, probe, read_frames
from dubfew.motion.extraction import motion_from_track
from dubfew.progress import ProgressCallback, no_progress
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.track import Track
from dubfew.reconstruction.tracking import track_video
from dubfew.references.cropping import footage_from_frames
from dubfew.references.footage import Footage
from dubfew.references.inputs import select_motion_window
from dubfew.references.selection import farthest_point_sampling
from dubfew.references.track_geometry import TrackGeometry, compute_track_geometry

RgbImage = NDArray[np.uint8]  # [H, W, 3] RGB

# Frames of a video that are tracked for a scene: a second of film, enough for mouths of several
# shapes. More would make the test slow.
SCENE_SPAN_FRAMES = 24
# Frames of a scene that are painted, evenly spaced. The distances of all of them are averaged.
PAINTED_FRAMES = 3
# Windows of a scene's person that are lent to other scenes as references, as different as possible.
LENT_REFERENCES = 16
# Sound after the last frame that is read, s.
SOUND_MARGIN_SECONDS = 0.5


@dataclass(frozen=True)
class LentPictures:
    """Pictures of one person that mouths are painted from.

    Attributes:
        references: mouth windows.
        crops: crops as a painting renderer takes them; None for blending ones.
    """

    references: Footage
    crops: ClipFootage | None = None


@dataclass(frozen=True)
class LeakScene:
    """A few frames of one person.

    Attributes:
        name: name of the person.
        frames: N frames to paint into.
        landmarks: landmarks in these frames, px. [N, 478, 3]
        geometry: meshes and regions of these frames.
        motion: mouth motion of the frames around each of them, in inter-ocular distances.
            [N, T, P, 3]
        pictures: pictures of the same person, to lend to other scenes.
        track: the frames' rows of the track.
        sound: what is heard meanwhile, mono at 16 kHz; empty where nothing is. [n]
        sound_start: time of the first sample on the track's clock, s.
    """

    name: str
    frames: tuple[Frame, ...]
    landmarks: NDArray[np.float32]
    geometry: TrackGeometry
    motion: NDArray[np.float32]
    pictures: LentPictures
    track: Track
    sound: NDArray[np.float32]
    sound_start: float

    def rgb_frames(self) -> list[RgbImage]:
        """Convert the untouched frames to RGB. [H, W, 3] each"""
        return [frame.to_rgb() for frame in self.frames]


def load_scene(
    name: str,
    video: Path,
    head: HeadModel,
    window: int,
    *,
    layout: str | None = None,
    track: Track | None = None,
    first: int = 0,
    progress: ProgressCallback = no_progress,
) -> LeakScene:
    """Make a scene of the beginning of a video.

    Args:
        name: name of the person.
        video: footage of one person.
        head: head model to track with.
        window: edge of the renderer's window, px.
        layout: crop layout of a painting renderer; None for blending ones.
        track: track of the video from frame ``first`` on, if it is known.
        first: frame to begin at.
        progress: function that is called with the state of the tracking.

    Returns:
        The scene.

    Raises:
        MediaError: The video cannot be read.
        NoFaceError: The video shows no face in these frames.
    """
    stop = first + SCENE_SPAN_FRAMES
    if track is None:
        track = track_video(video, head=head, start=first, stop=stop, progress=progress)
    track = track.select(slice(0, SCENE_SPAN_FRAMES))
    motion = motion_from_track(track, head).displacement
    # Middles of equal parts of the frames with a face.
    valid = np.flatnonzero(track.valid)
    rows = valid[((np.arange(PAINTED_FRAMES) + 0.5) * len(valid) / PAINTED_FRAMES).astype(int)]
    collected: list[Frame] = []
    footage = footage_from_frames(
        _collect_frames(read_frames(video, start=first, stop=stop), set(rows + first), collected),
        track,
        head,
        motion,
        window_size=choose_reference_size(track, head, window),
        frame_numbers=first + np.arange(len(track)),
    )
    crops, sound, begin = None, np.zeros(0, np.float32), float(track.times[0])
    if layout is not None:
        crops = cut_clip_footage(
            read_frames(video, start=first, stop=stop),
            track,
            head,
            layout,
            frame_numbers=first + np.arange(len(track)),
        )
        if probe(video).has_audio:
            # As far as the networks of sound look ahead, and a little more.
            end = float(track.times[-1]) + SOUND_MARGIN_SECONDS
            sound = np.asarray(read_audio_between(video, begin, end).samples, np.float32)
    # A short clip can have a row twice, which is painted once.
    rows = np.array([frame.index - first for frame in collected])
    return LeakScene(
        name,
        tuple(collected),
        track.landmarks[rows],
        compute_track_geometry(track.select(rows), head),
        np.stack([select_motion_window(motion, row) for row in rows]),
        LentPictures(
            footage.select_frames(farthest_point_sampling(footage.key, LENT_REFERENCES)), crops
        ),
        track.select(rows),
        sound,
        begin,
    )


def _collect_frames(
    frames: Iterable[Frame], numbers: set[int], collected: list[Frame]
) -> Iterator[Frame]:
    """Pass frames on, and keep those with certain numbers."""
    for frame in frames:
        if frame.index in numbers:
            collected.append(frame)
        yield frame


def make_blank_pictures(pictures: LentPictures, scene: LeakScene) -> LentPictures:
    """Replace pictures by one plain color, so that they show no person.

    Args:
        pictures: pictures whose geometry is kept.
        scene: scene whose mouth windows give the color, their mean.

    Returns:
        Pictures of the same number and size.
    """
    color = scene.pictures.references.images.mean((0, 1, 2)).round().astype(np.uint8)
    windows = pictures.references
    blank = replace(windows, images=np.broadcast_to(color, windows.images.shape).copy())
    crops = pictures.crops
    if crops is not None:
        shape = crops.images[:].shape
        crops = replace(crops, images=np.broadcast_to(color, shape).copy())
    return LentPictures(blank, crops)
