"""Plan of an adaptation: what will be learned from which footage, known before any of the work."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from dubfew.adapt.options import (
    DEFAULT_FOOTAGE_SECONDS,
    MAX_SCAN_SECONDS,
    AdaptOptions,
)
from dubfew.adapt.precheck import resolve_actor_id
from dubfew.errors import ActorNotFoundError
from dubfew.media.info import format_video, probe
from dubfew.registry import Registry
from dubfew.utils.options import document_options, merge_options
from dubfew.utils.work_pace import WorkPace, count_frame_units, format_estimate

# Size of the largest actor of the method "lora" with the prior that ships: 48 references of 384 px
# and the updates of the network.
LARGEST_ACTOR_BYTES = 25_000_000


@dataclass(frozen=True)
class AdaptPlan:
    """What an adaptation will do. Nothing was scanned, tracked or trained for it.

    Attributes:
        actor: id of the actor.
        revision: number that the new revision will have.
        footage: video to learn from.
        width: width of the footage, px.
        height: height of the footage, px.
        fps: frame rate of the footage.
        footage_seconds: length of the footage, s.
        part: which part of it is used, in words.
        part_seconds: length of that part, s.
        face: whose face is learned, in words.
        method: adaptation method.
        steps: training steps at most.
        seconds: estimated time of the work with all steps, s.
        is_measured: True if the estimate rests on earlier work on this machine.
        goes_on_from: revision that the footage is added to, or None.
    """

    actor: str
    revision: int
    footage: Path
    width: int
    height: int
    fps: Fraction
    footage_seconds: float
    part: str
    part_seconds: float
    face: str
    method: str
    steps: int
    seconds: float
    is_measured: bool
    goes_on_from: int | None = None

    def describe(self) -> list[tuple[str, str]]:
        """Describe the plan for readers, as pairs of a title and one line."""
        size = f", up to {LARGEST_ACTOR_BYTES / 1e6:.0f} MB" if self.method != "full" else ""
        origin = "new" if self.goes_on_from is None else f"goes on from {self.goes_on_from}"
        limit = "" if self.steps == 0 else "at most "
        training = f"{self.steps} steps, fewer if they gain nothing" if self.steps else "none"
        return [
            ("Actor", f"{self.actor}, revision {self.revision} ({origin}{size})"),
            (
                "Footage",
                format_video(self.footage, self.footage_seconds, self.width, self.height, self.fps),
            ),
            ("Part", self.part),
            ("Face", self.face),
            ("Training", training),
            ("Time", limit + format_estimate(self.seconds, is_measured=self.is_measured)),
        ]


@document_options(AdaptOptions)
def plan_adapt(
    video: Path | str,
    options: AdaptOptions | None = None,
    *,
    registry: Registry | None = None,
    **overrides: Any,
) -> AdaptPlan:
    """Plan an adaptation from the header of its footage.

    ``dubfew.plan_adapt`` is this function; its documentation lists the errors.

    Args:
        video: footage of the actor.
        options: the options below as one object; those given as keywords override it.
        registry: registry that would store the actor; default: the user's own.
    """
    options = merge_options(AdaptOptions, options, overrides)
    registry = registry or Registry()
    video = Path(video)
    actor = resolve_actor_id(video, options)
    info = probe(video)
    # Some containers state frames and no duration.
    total = info.duration or (info.frames or 0) / float(info.fps)
    wanted = DEFAULT_FOOTAGE_SECONDS if options.seconds is None else options.seconds
    # Where neither is known, the plan assumes as much footage as is wanted.
    used = min(wanted, total) if total else wanted
    # Work by kind, in units of which `WorkPace` knows the seconds on this machine.
    work = {"start": 1.0}
    if options.start is not None:
        part = f"{used:.1f} s from {options.start:g} s on"
    elif total <= wanted:
        part = "all of it"
    else:
        part = f"the best {used:.1f} s of {total:.1f} s (--start chooses another)"
        scanned = min(total, MAX_SCAN_SECONDS) * float(info.fps)
        work["scan"] = count_frame_units(scanned, info.width, info.height)
    work |= count_preparation_work(used * float(info.fps), info.width, info.height)
    steps = options.max_training_steps
    work["train"] = float(steps)
    pace = WorkPace(registry.home)
    return AdaptPlan(
        actor=actor,
        revision=_next_revision(registry, actor),
        footage=video,
        width=info.width,
        height=info.height,
        fps=info.fps,
        footage_seconds=total,
        part=part,
        part_seconds=used,
        face="the one that is seen most" if options.face is None else f"--face {options.face}",
        method=options.method,
        steps=steps,
        seconds=pace.estimate_seconds(work),
        # The longest part decides whether the estimate rests on a measurement here.
        is_measured=pace.is_measured("train" if steps else "cut"),
        goes_on_from=registry.open(actor).number if options.add else None,
    )


def count_preparation_work(frames: float, width: int, height: int) -> dict[str, float]:
    """Count the work of tracking and preparing footage, see `WorkPace.estimate_seconds`.

    Args:
        frames: number of frames.
        width: px.
        height: px.
    """
    units = count_frame_units(frames, width, height)
    return {"track": units, "cut": units, "align": units}


def _next_revision(registry: Registry, actor: str) -> int:
    """The number that a new revision of an actor would have."""
    try:
        return registry.open(actor).number + 1
    except ActorNotFoundError:
        return 1
