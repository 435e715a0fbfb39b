"""``dub``: learn the actor from the scene if need be, then render."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dubfew.adapt.pipeline import AdaptResult, adapt
from dubfew.dubbing.options import DubOptions
from dubfew.dubbing.plan import plan_dub
from dubfew.dubbing.precheck import (
    check_dub_request,
    make_learn_options,
    make_render_options,
)
from dubfew.progress import ProgressCallback, no_progress
from dubfew.registry import Registry
from dubfew.render.pipeline import RenderResult, render
from dubfew.utils.job_progress import part_of_job
from dubfew.utils.options import document_options, merge_options


@dataclass(frozen=True)
class DubResult:
    """A dub: what was learned for it, and what was rendered.

    Attributes:
        learned: result of the adaptation, or None where the actor was known.
        rendered: result of the render.
    """

    learned: AdaptResult | None
    rendered: RenderResult


@document_options(DubOptions)
def dub(
    scene: Path | str,
    sound: Path | str,
    options: DubOptions | None = None,
    *,
    registry: Registry | None = None,
    progress: ProgressCallback = no_progress,
    **overrides: Any,
) -> DubResult:
    """Learn the actor of a scene from the scene itself, if need be, and render new sound into it.

    ``dubfew.dub`` is this function; its documentation lists the errors.

    Args:
        scene: video to dub.
        sound: new speech.
        options: the options below as one object; those given as keywords override it.
        registry: registry that holds the actors; default: the user's own.
        progress: function that is called with the state of every stage.
    """
    options = merge_options(DubOptions, options, overrides)
    registry = registry or Registry()
    scene, sound = Path(scene), Path(sound)
    known = check_dub_request(scene, sound, options, registry)
    wanted, learned = make_render_options(scene, sound, options), None
    if known is not None:
        actor, number = known.actor, known.number
        rendering = progress
    else:
        share = plan_dub(scene, sound, options, registry=registry).learning_share
        learned = adapt(
            scene,
            make_learn_options(scene, options),
            registry=registry,
            progress=part_of_job(progress, 0, share),
        )
        actor, number = learned.actor, learned.revision
        rendering = part_of_job(progress, share, 1)
    # The very revision that the scene has taught, whichever is the actor's default.
    wanted = replace(wanted, revision=number)
    return DubResult(learned, render(actor, wanted, registry=registry, progress=rendering))
