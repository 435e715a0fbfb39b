"""Expected work of an adaptation, for its progress."""

from __future__ import annotations

from dubfew.adapt.options import DEFAULT_FOOTAGE_SECONDS, MAX_SCAN_SECONDS, AdaptOptions
from dubfew.media import VideoInfo
from dubfew.references.alignment import ALIGNMENT_ROUNDS
from dubfew.utils.job_progress import StageEstimate
from dubfew.utils.work_pace import WorkPace


def estimate_adapt_stages(
    info: VideoInfo, options: AdaptOptions, pace: WorkPace
) -> tuple[StageEstimate, ...]:
    """Estimate the work of each stage of an adaptation.

    Args:
        info: properties of the footage.
        options: options of the adaptation.
        pace: paces of this machine.
    """
    fps, size = float(info.fps), (info.width, info.height)
    frames = info.frames or round(info.duration * fps)
    wanted = DEFAULT_FOOTAGE_SECONDS if options.seconds is None else options.seconds
    used = min(frames, wanted * fps)
    scanned = min(frames, round(MAX_SCAN_SECONDS * fps)) if options.start is None else 0
    return (
        StageEstimate("scan", scanned if frames > used else 0, pace.frame_seconds("scan", *size)),
        StageEstimate("track", used, pace.frame_seconds("track", *size)),
        # Only if a segmenter for face parts was chosen; else the stage never reports.
        StageEstimate("occluders", 0, pace.frame_seconds("parse", *size)),
        StageEstimate("cut", used, pace.frame_seconds("cut", *size)),
        StageEstimate(
            "align", ALIGNMENT_ROUNDS * used, pace.frame_seconds("align", *size) / ALIGNMENT_ROUNDS
        ),
        StageEstimate("train", options.max_training_steps, pace.unit_seconds("train")),
    )
