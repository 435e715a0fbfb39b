"""Expected work of a render, for its progress."""

from __future__ import annotations

from dubfew.media import VideoInfo
from dubfew.utils.job_progress import StageEstimate
from dubfew.utils.work_pace import WorkPace


def estimate_render_stages(scene: VideoInfo, pace: WorkPace) -> tuple[StageEstimate, ...]:
    """Estimate the work of each stage of a render.

    Args:
        scene: properties of the scene.
        pace: paces of this machine.
    """
    frames = scene.frames or round(scene.duration * float(scene.fps))
    size = (scene.width, scene.height)
    return (
        # The actor's own footage is not tracked again; then the stage never reports.
        StageEstimate("track", frames, pace.frame_seconds("track", *size)),
        # Only if a segmenter for face parts was chosen.
        StageEstimate("occluders", 0, pace.frame_seconds("parse", *size)),
        StageEstimate("render", frames, pace.frame_seconds("paint", *size)),
    )
