"""Expected work of a render, for its progress."""

from __future__ import annotations

from dubfew.media import VideoInfo
from dubfew.utils.job_progress import StageEstimate

# Time of one frame in each stage on two cores, s, for a face of a few hundred pixels.
TRACK_FRAME_SECONDS = 0.03
PARSE_FRAME_SECONDS = 0.1
RENDER_FRAME_SECONDS = 0.1


def estimate_render_stages(scene: VideoInfo) -> tuple[StageEstimate, ...]:
    """Estimate the work of each stage of a render.

    Args:
        scene: properties of the scene.
    """
    frames = scene.frames or round(scene.duration * float(scene.fps))
    return (
        # The actor's own footage is not tracked again; then the stage never reports.
        StageEstimate("track", frames, TRACK_FRAME_SECONDS),
        # Only if a segmenter for face parts was chosen.
        StageEstimate("occluders", 0, PARSE_FRAME_SECONDS),
        StageEstimate("render", frames, RENDER_FRAME_SECONDS),
    )
