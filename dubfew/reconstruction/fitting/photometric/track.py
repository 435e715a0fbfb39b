"""Track -> Track: the landmark fit carried on to the pictures, streaming."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from dubfew.assets import asset_path
from dubfew.progress import Progress, ProgressCallback, silent
from dubfew.reconstruction.crop import regions
from dubfew.reconstruction.fitting.landmark_fit import Pose, one_thread
from dubfew.reconstruction.fitting.photometric.albedo import TEXELS, AlbedoSpace
from dubfew.reconstruction.fitting.photometric.fit import Clip, PhotometricFitter, start_pose
from dubfew.reconstruction.fitting.photometric.stages import FRAMES, JOINT, Stage
from dubfew.reconstruction.fitting.photometric.views import View, read_views
from dubfew.reconstruction.fitting.smoothing import smooth
from dubfew.reconstruction.heads.flame.assemble import flame_layout
from dubfew.reconstruction.heads.flame.uv import places_in
from dubfew.reconstruction.heads.head_model import HeadModel, load_head
from dubfew.reconstruction.track import Track

# Frames that are solved together, and how many of them are solved again with the next ones:
# the last of a block do not know yet what comes after them.
BLOCK, OVERLAP = 18, 2


def fit_photometric(
    path: Path | str,
    track: Track,
    *,
    head: HeadModel | None = None,
    space: AlbedoSpace | None = None,
    joint: Stage = JOINT,
    frames: Stage = FRAMES,
    first: int = 0,
    progress: ProgressCallback = silent,
) -> Track:
    """Fit the head to what a clip's pictures show, beginning with a landmark fit.

    The video is read twice; memory does not grow with its length.

    Args:
        path: the video that the track is of.
        track: its landmark fit.
        head: the model that the track's coefficients belong to.
        space: albedos that are possible; None: FLAME's for FLAME's head where the user has
            registered them, else every albedo is.
        joint: stage 2.
        frames: stage 3.
        first: frame of the video that the track begins with.
        progress: told after every step and block.

    Returns:
        The same frames with head, camera and lighting fitted; a track without a usable frame
        comes back as it is.
    """
    head = head or load_head(track.head)
    rows = np.nonzero(track.valid)[0]
    if not len(rows):
        return track
    with one_thread():
        fitter = PhotometricFitter(head, space or _registered(head))
        clip = _clip(path, track, fitter, joint, first, progress)
        pose, lighting = _poses(path, track, fitter, clip, frames, first, progress)
    nearest = np.abs(rows[:, None] - np.arange(len(track))).argmin(0)
    rotation = Rotation.from_matrix(pose.rotation).as_rotvec().astype(np.float32)[nearest]
    translation = pose.translation.astype(np.float32)[nearest]
    return replace(
        track,
        expression=pose.expression.astype(np.float32)[nearest],
        jaw=pose.jaw.astype(np.float32)[nearest],
        rotation=rotation,
        translation=translation,
        lighting=lighting[nearest],
        box=regions(head, clip.shape, rotation, translation, clip.camera).box,
        shape=clip.shape.astype(np.float32),
        camera=clip.camera,
        method="photometric",
    )


def _registered(head: HeadModel) -> AlbedoSpace | None:
    path = asset_path("flame-texture") if head.name.split("-")[0] == "flame" else None
    layout = None if path is None else flame_layout(head)
    if path is None or layout is None:
        return None
    # FLAME's pictures are painted in its own layout, which is not that of the head's texture.
    return AlbedoSpace.load(path, TEXELS, places_in(layout, head, TEXELS))


def _clip(
    path: Path | str,
    track: Track,
    fitter: PhotometricFitter,
    stage: Stage,
    first: int,
    progress: ProgressCallback,
) -> Clip:
    """Stage 2 on frames spread over the clip."""
    rows = np.nonzero(track.usable if track.usable.any() else track.valid)[0]
    count = len(rows) if stage.frames is None else stage.frames
    chosen = rows[np.unique(np.linspace(0, len(rows) - 1, count).astype(int))]
    views = list(read_views(path, chosen.tolist(), track.box, first))
    chosen = np.array([view.row for view in views])
    if track.shape_from != "landmarks":
        stage = replace(stage, moves=tuple(name for name in stage.moves if name != "shape"))
    shape = track.shape.astype(np.float64)
    pose = start_pose(fitter.head, track.camera, shape, track.landmarks[chosen])
    return fitter.joint(stage, views, track.landmarks[chosen], pose, shape, track.camera, progress)


def _poses(
    path: Path | str,
    track: Track,
    fitter: PhotometricFitter,
    clip: Clip,
    stage: Stage,
    first: int,
    progress: ProgressCallback,
) -> tuple[Pose, NDArray[np.float32]]:
    """Stage 3 on every valid frame, block by block."""
    rows = np.nonzero(track.valid)[0]
    start = start_pose(fitter.head, clip.camera, clip.shape, track.landmarks[rows])
    linked = np.append(False, (np.diff(rows) == 1) & (np.diff(track.shot[rows]) == 0))
    done: list[Pose] = []
    lights: list[NDArray[np.float32]] = []
    held: list[View] = []
    begin = 0
    stream = read_views(path, rows.tolist(), track.box, first)
    while begin < len(rows):
        held += [view for _, view in zip(range(BLOCK - len(held)), stream, strict=False)]
        here = slice(begin, begin + len(held))
        before = done[-1].select(slice(-1, None)) if done else None
        pose, light = fitter.frames(
            stage, clip, held, track.landmarks[rows[here]], start.select(here), linked[here], before
        )
        last = begin + len(held) >= len(rows)
        keep = len(held) if last else len(held) - OVERLAP
        done.append(pose.select(slice(keep)))
        lights.append(light[:keep])
        held = held[keep:]
        begin += keep
        progress(Progress("photometric", begin, len(rows)))
    pose = Pose(
        *(
            np.concatenate([getattr(part, name) for part in done])
            for name in ("rotation", "translation", "jaw", "expression")
        )
    )
    # What jitter is left is taken out as after the landmark fit: without loss in any measure.
    starts = np.nonzero(~linked)[0]
    runs = [slice(a, b) for a, b in zip(starts, [*starts[1:], len(rows)], strict=True)]
    return smooth(pose, runs, fitter.head, clip.shape, track.fps), np.concatenate(lights)
