"""Expected work of an adaptation, for its progress."""

from __future__ import annotations

from dubfew.adapt.footage_scan import MAX_SCAN_SECONDS
from dubfew.adapt.options import DEFAULT_FOOTAGE_SECONDS, AdaptOptions
from dubfew.media import VideoInfo
from dubfew.references.alignment import ALIGNMENT_ROUNDS
from dubfew.utils.job_progress import StageEstimate

# Time of one unit of each stage on two cores, s: frames of 700 px of footage, and training steps.
SCAN_FRAME_SECONDS = 0.008
TRACK_FRAME_SECONDS = 0.03
PARSE_FRAME_SECONDS = 0.1
CUT_FRAME_SECONDS = 0.01
ALIGN_FRAME_SECONDS = 0.02
TRAIN_STEP_SECONDS = 0.8


def estimate_adapt_stages(info: VideoInfo, options: AdaptOptions) -> tuple[StageEstimate, ...]:
    """Estimate the work of each stage of an adaptation.

    Args:
        info: properties of the footage.
        options: options of the adaptation.
    """
    fps = float(info.fps)
    frames = info.frames or round(info.duration * fps)
    wanted = DEFAULT_FOOTAGE_SECONDS if options.seconds is None else options.seconds
    used = min(frames, wanted * fps)
    scanned = min(frames, round(MAX_SCAN_SECONDS * fps)) if options.start is None else 0
    steps = options.max_training_steps
    return (
        StageEstimate("scan", scanned if frames > used else 0, SCAN_FRAME_SECONDS),
        StageEstimate("track", used, TRACK_FRAME_SECONDS),
        # Only if a segmenter for face parts was chosen; else the stage never reports.
        StageEstimate("occluders", 0, PARSE_FRAME_SECONDS),
        StageEstimate("cut", used, CUT_FRAME_SECONDS),
        StageEstimate("align", ALIGNMENT_ROUNDS * used, ALIGN_FRAME_SECONDS),
        StageEstimate("train", steps, TRAIN_STEP_SECONDS),
    )
