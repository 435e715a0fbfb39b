"""Plan of a dub: whether the actor is learned first, and what is rendered then."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dubfew.adapt.plan import AdaptPlan, plan_adapt
from dubfew.dubbing.options import DubOptions
from dubfew.dubbing.precheck import find_known_actor, make_learn_options, make_render_options
from dubfew.registry import Registry
from dubfew.render.plan import RenderPlan, plan_render_of
from dubfew.utils.options import document_options, merge_options
from dubfew.utils.work_pace import format_estimate


@dataclass(frozen=True)
class DubPlan:
    """What a dub will do. Nothing was tracked, trained or rendered for it.

    Attributes:
        learning: plan of the adaptation that comes first; None where the actor is known.
        rendering: plan of the render.
        untrained: scene that an actor without training was learned from, else None. A draft is not
            made final by another dub.
    """

    learning: AdaptPlan | None
    rendering: RenderPlan
    untrained: Path | None = None

    @property
    def seconds(self) -> float:
        """Estimated time of the work, s."""
        first = self.learning.seconds if self.learning is not None else 0.0
        return first + self.rendering.seconds

    @property
    def learning_share(self) -> float:
        """Share of that time that the adaptation takes, 0 to 1."""
        return 0.0 if self.learning is None else self.learning.seconds / self.seconds

    def describe(self) -> list[tuple[str, str]]:
        """Describe the plan for readers, as pairs of a title and one line."""
        rendering = self.rendering.describe()
        # An actor of an earlier --draft is used as it is, which a user may not expect.
        if self.learning is None and self.untrained is not None:
            (title, actor), *rest = rendering
            advice = f"'dubfew adapt {shlex.quote(str(self.untrained))}' trains it"
            return [(title, f"{actor}, learned before without training ({advice})"), *rest]
        if self.learning is None:
            return rendering
        learning = dict(self.learning.describe())
        is_measured = self.learning.is_measured and self.rendering.is_measured
        # Training stops early where held-out frames no longer improve.
        limit = "at most " if self.learning.steps else ""
        # The render's plan cannot know these before the actor is learned.
        changed = {
            "Face": learning["Face"],
            "Time": limit + format_estimate(self.seconds, is_measured=is_measured),
        }
        if self.learning.steps and self.rendering.preview_start is not None:
            learning["Training"] += " (--draft leaves it out, which is enough for a preview)"
        actor = f"{learning['Actor']}, learned from the scene first"
        before = [("Actor", actor), ("Part", learning["Part"]), ("Training", learning["Training"])]
        rest = [(title, changed.get(title, line)) for title, line in rendering if title != "Actor"]
        return [*before, *rest]


@document_options(DubOptions)
def plan_dub(
    scene: Path | str,
    sound: Path | str,
    options: DubOptions | None = None,
    *,
    registry: Registry | None = None,
    **overrides: Any,
) -> DubPlan:
    """Plan a dub from the headers of its files and the length of its sound.

    ``dubfew.plan_dub`` is this function; its documentation lists the errors.

    Args:
        scene: video to dub.
        sound: new speech.
        options: the options below as one object; those given as keywords override it.
        registry: registry that holds the actors; default: the user's own.
    """
    options = merge_options(DubOptions, options, overrides)
    registry = registry or Registry()
    scene = Path(scene)
    known = find_known_actor(scene, options, registry)
    learn, render = make_learn_options(scene, options), make_render_options(scene, sound, options)
    if known is not None:
        rendering = plan_render_of(known.actor, known.number, known.config, render, registry)
        is_draft = dict(known.config.get("training") or {}).get("steps") == 0
        return DubPlan(None, rendering, scene if is_draft and options.actor is None else None)
    learning = plan_adapt(scene, learn, registry=registry)
    config = _expected_config(scene, learning)
    rendering = plan_render_of(learning.actor, learning.revision, config, render, registry)
    return DubPlan(learning, rendering)


def _expected_config(scene: Path, learning: AdaptPlan) -> dict[str, Any]:
    """The part of an actor's config that a plan needs, before the actor is learned."""
    is_whole = learning.part_seconds >= learning.footage_seconds
    return {"source": {"path": str(scene.resolve()), "complete": is_whole}}
