"""The photometric fit of a whole track, block by block, beginning with its landmark fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from dubfew.assets import asset_path
from dubfew.progress import Progress, ProgressCallback, no_progress
from dubfew.reconstruction.crop import compute_face_regions
from dubfew.reconstruction.fitting.landmark_fit import FaceParameters, limit_blas_threads
from dubfew.reconstruction.fitting.photometric.albedo import ALBEDO_SIZE_TEXELS, AlbedoSpace
from dubfew.reconstruction.fitting.photometric.fit import (
    ClipParameters,
    PhotometricFitter,
    estimate_start_pose,
)
from dubfew.reconstruction.fitting.photometric.stages import FRAME_STAGE, JOINT_STAGE, FitStage
from dubfew.reconstruction.fitting.photometric.views import FaceView, read_face_views
from dubfew.reconstruction.fitting.smoothing import smooth_parameters
from dubfew.reconstruction.heads.flame.assemble import load_flame_uv_layout
from dubfew.reconstruction.heads.flame.uv import map_texels_to_layout
from dubfew.reconstruction.heads.head_model import HeadModel, load_head_model
from dubfew.reconstruction.track import Track

# Frames that are solved together, and how many of them are solved again with the next block: the
# last frames of a block are not tied to those behind them yet. Memory grows with the first number.
FRAMES_PER_BLOCK, BLOCK_OVERLAP_FRAMES = 18, 2


def fit_photometric(
    path: Path | str,
    track: Track,
    *,
    head: HeadModel | None = None,
    albedo_space: AlbedoSpace | None = None,
    joint_stage: FitStage = JOINT_STAGE,
    frame_stage: FitStage = FRAME_STAGE,
    first_frame: int = 0,
    progress: ProgressCallback = no_progress,
    fitter_class: type[PhotometricFitter] = PhotometricFitter,
    method: str = "photometric",
) -> Track:
    """Fit the head to what a clip's pictures show, beginning with a landmark fit.

    The video is read twice; memory does not grow with its length.

    Args:
        path: video that the track is of.
        track: landmark fit of the video.
        head: head model that the track's coefficients belong to; by default the one that it names.
        albedo_space: albedos that are possible. None takes FLAME's for FLAME's head where the user
            has registered it, and otherwise leaves every texel free.
        joint_stage: settings of stage 2, the parameters that frames share.
        frame_stage: settings of stage 3, the parameters of every frame.
        first_frame: frame of the video that the track begins with.
        progress: called after every step and block.
        fitter_class: what minimizes the loss.
        method: name that the track notes.

    Returns:
        The same frames with head, camera and lighting fitted; a track without a valid frame is
        returned as it is.

    Source: Saunders and Namboodiri 2024, "Dubbing for Everyone: Data-Efficient Visual Dubbing using
    Neural Rendering Priors" (arXiv 2401.06126), appendix A.1.
    """
    head = head or load_head_model(track.head)
    rows = np.nonzero(track.valid)[0]
    if not len(rows):
        return track
    with limit_blas_threads():
        fitter = fitter_class(head, albedo_space or _load_albedo_space(head))
        clip = _fit_clip(path, track, fitter, joint_stage, first_frame, progress)
        pose, lighting = _fit_frames(path, track, fitter, clip, frame_stage, first_frame, progress)
    # Frames without a face get the parameters of the nearest fitted one.
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
        box=compute_face_regions(head, clip.shape, rotation, translation, clip.camera).box,
        shape=clip.shape.astype(np.float32),
        camera=clip.camera,
        method=method,
    )


def _load_albedo_space(head: HeadModel) -> AlbedoSpace | None:
    """FLAME's albedo model in the texture space of the head, where the user has registered it."""
    path = asset_path("flame-texture") if head.name.split("-")[0] == "flame" else None
    layout = None if path is None else load_flame_uv_layout(head)
    if path is None or layout is None:
        return None
    # FLAME's pictures are painted in its own layout, which is not that of the head's texture.
    return AlbedoSpace.load(
        path, ALBEDO_SIZE_TEXELS, map_texels_to_layout(layout, head, ALBEDO_SIZE_TEXELS)
    )


def _fit_clip(
    path: Path | str,
    track: Track,
    fitter: PhotometricFitter,
    stage: FitStage,
    first_frame: int,
    progress: ProgressCallback,
) -> ClipParameters:
    """Stage 2 on frames that are spread over the clip, usable ones if there are any."""
    rows = np.nonzero(track.usable if track.usable.any() else track.valid)[0]
    count = len(rows) if stage.num_frames is None else stage.num_frames
    chosen = rows[np.unique(np.linspace(0, len(rows) - 1, count).astype(int))]
    views = list(read_face_views(path, chosen.tolist(), track.box, first_frame))
    chosen = np.array([view.row for view in views])
    # A shape that MICA has given is kept.
    if track.shape_from != "landmarks":
        stage = replace(
            stage,
            optimized_parameters=tuple(
                name for name in stage.optimized_parameters if name != "shape"
            ),
        )
    shape = track.shape.astype(np.float64)
    pose = estimate_start_pose(fitter.head, track.camera, shape, track.landmarks[chosen])
    return fitter.fit_clip(
        stage, views, track.landmarks[chosen], pose, shape, track.camera, progress
    )


def _fit_frames(
    path: Path | str,
    track: Track,
    fitter: PhotometricFitter,
    clip: ClipParameters,
    stage: FitStage,
    first_frame: int,
    progress: ProgressCallback,
) -> tuple[FaceParameters, NDArray[np.float32]]:
    """Stage 3 on every valid frame, block by block; parameters and light of those frames."""
    rows = np.nonzero(track.valid)[0]
    start = estimate_start_pose(fitter.head, clip.camera, clip.shape, track.landmarks[rows])
    linked = np.append(False, (np.diff(rows) == 1) & (np.diff(track.shot[rows]) == 0))
    done: list[FaceParameters] = []
    lights: list[NDArray[np.float32]] = []
    block: list[FaceView] = []
    begin = 0
    stream = read_face_views(path, rows.tolist(), track.box, first_frame)
    while begin < len(rows):
        # Fill the block up; it begins with the frames that the last one left.
        missing = FRAMES_PER_BLOCK - len(block)
        block += [view for _, view in zip(range(missing), stream, strict=False)]
        here = slice(begin, begin + len(block))
        before = done[-1].select(slice(-1, None)) if done else None
        pose, light = fitter.fit_frames(
            stage,
            clip,
            block,
            track.landmarks[rows[here]],
            start.select(here),
            linked[here],
            before,
        )
        last = begin + len(block) >= len(rows)
        keep = len(block) if last else len(block) - BLOCK_OVERLAP_FRAMES
        done.append(pose.select(slice(keep)))
        lights.append(light[:keep])
        block = block[keep:]
        begin += keep
        progress(Progress("photometric", begin, len(rows)))
    pose = FaceParameters(
        *(
            np.concatenate([getattr(part, name) for part in done])
            for name in ("rotation", "translation", "jaw", "expression")
        )
    )
    # Remaining jitter is removed as after the landmark fit; no measured quality suffers.
    starts = np.nonzero(~linked)[0]
    runs = [slice(a, b) for a, b in zip(starts, [*starts[1:], len(rows)], strict=True)]
    return smooth_parameters(pose, runs, fitter.head, clip.shape, track.fps), np.concatenate(lights)
