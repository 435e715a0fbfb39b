"""Expected work of an adaptation, for its progress."""

from __future__ import annotations

from dubfew.adapt.options import DEFAULT_FOOTAGE_SECONDS, MAX_SCAN_SECONDS, AdaptOptions
from dubfew.media import VideoInfo
from dubfew.references.alignment import ALIGNMENT_ROUNDS
from dubfew.utils.job_progress import StageEstimate
from dubfew.utils.work_pace import WorkPace

# Stage between the pictures and the training. Its two units are the speaking style, and what
# training begins with: the texture and the first look at the mouths that were kept back.
STYLE_STAGE = "style"
STYLE_STAGE_UNITS = 2
# Time of one unit on two cores of a laptop, s. Without training it is a tenth of the whole.
STYLE_UNIT_SECONDS = 1.5


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
        StageEstimate(STYLE_STAGE, STYLE_STAGE_UNITS, STYLE_UNIT_SECONDS),
        StageEstimate("train", options.max_training_steps, pace.unit_seconds("train")),
    )
