"""Few-shot personalized visual dubbing.

Learn an actor from a few seconds of footage, then make them speak new audio:

    import dubfew

    dubfew.adapt("mary.mp4")
    dubfew.render("mary", video="scene.mp4", audio="dub.wav", out="out.mp4")

Importing ``dubfew`` takes a few hundredths of a second: torch and other large packages are
imported when a function first needs them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from dubfew.utils.compute_threads import set_passive_waiting

# torch's threads read this when torch is imported, so it comes before any import of torch.
set_passive_waiting()

# Three functions have the name of the package that implements them. Python binds `dubfew.adapt`
# to the package when that is first imported, and only then. So the packages are imported here,
# which is cheap because they import their modules lazily, and the functions are bound over them.
# `from dubfew.adapt.pipeline import ...` finds the packages in `sys.modules` all the same.
for _package in ("adapt", "evaluate", "render"):
    importlib.import_module(f"{__name__}.{_package}")

from dubfew.adapt.options import AdaptOptions  # noqa: E402
from dubfew.api import (  # noqa: E402
    adapt,
    dub,
    evaluate,
    plan_adapt,
    plan_dub,
    plan_render,
    record_motion,
    render,
    render_cast,
    track,
)
from dubfew.data.options import PrepareOptions  # noqa: E402
from dubfew.dubbing.options import DubOptions  # noqa: E402
from dubfew.reconstruction.options import TrackOptions  # noqa: E402
from dubfew.render.options import RenderOptions  # noqa: E402
from dubfew.takes.options import MotionOptions  # noqa: E402
from dubfew.utils.lazy_exports import lazy_exports  # noqa: E402
from dubfew.version import __version__  # noqa: E402

if TYPE_CHECKING:
    from dubfew.adapt.pipeline import AdaptResult
    from dubfew.adapt.plan import AdaptPlan
    from dubfew.data.prepare import PrepareResult, prepare_footage
    from dubfew.dubbing.pipeline import DubResult
    from dubfew.dubbing.plan import DubPlan
    from dubfew.errors import DubfewError
    from dubfew.evaluate.compare import EvaluationResult
    from dubfew.media import Audio, Frames, read_frames
    from dubfew.prior import Prior
    from dubfew.reconstruction.track import Track
    from dubfew.registry import Registry
    from dubfew.render.cast import Cast, CastLine, CastRole
    from dubfew.render.cast_pipeline import CastResult
    from dubfew.render.pipeline import RenderResult
    from dubfew.render.plan import RenderPlan
    from dubfew.session import Session
    from dubfew.takes.edits import MotionEdit
    from dubfew.takes.take import Take

__all__ = [
    "AdaptOptions",
    "AdaptPlan",
    "AdaptResult",
    "Audio",
    "Cast",
    "CastLine",
    "CastResult",
    "CastRole",
    "DubOptions",
    "DubPlan",
    "DubResult",
    "DubfewError",
    "EvaluationResult",
    "Frames",
    "MotionEdit",
    "MotionOptions",
    "PrepareOptions",
    "PrepareResult",
    "Prior",
    "Registry",
    "RenderOptions",
    "RenderPlan",
    "RenderResult",
    "Session",
    "Take",
    "Track",
    "TrackOptions",
    "__version__",
    "adapt",
    "dub",
    "evaluate",
    "plan_adapt",
    "plan_dub",
    "plan_render",
    "prepare_footage",
    "read_frames",
    "record_motion",
    "render",
    "render_cast",
    "track",
]

__getattr__ = lazy_exports(
    __name__,
    {
        "AdaptPlan": "adapt.plan",
        "AdaptResult": "adapt.pipeline",
        "DubPlan": "dubbing.plan",
        "DubResult": "dubbing.pipeline",
        "DubfewError": "errors",
        "Audio": "media",
        "Cast": "render.cast",
        "CastLine": "render.cast",
        "CastResult": "render.cast_pipeline",
        "CastRole": "render.cast",
        "EvaluationResult": "evaluate.compare",
        "Frames": "media",
        "MotionEdit": "takes.edits",
        "PrepareResult": "data.prepare",
        "Prior": "prior",
        "Registry": "registry",
        "RenderPlan": "render.plan",
        "RenderResult": "render.pipeline",
        "Session": "session",
        "Take": "takes.take",
        "Track": "reconstruction.track",
        "prepare_footage": "data.prepare",
        "read_frames": "media",
    },
)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
