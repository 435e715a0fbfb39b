"""A session: several renders of one actor in one process, without loading anything twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from dubfew import api
from dubfew.progress import ProgressCallback, no_progress
from dubfew.registry import Registry
from dubfew.render.cache import RenderCache
from dubfew.render.options import RenderOptions
from dubfew.utils.options import document_options, merge_options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dubfew.render.pipeline import RenderResult


# Options that may be given as arrays or file objects.
FILE_OPTIONS = ("video", "audio", "driver")


class Session:
    """Keeps an actor, their renderer and the tracks of scenes in memory between renders.

    A second render of a scene, with another line or other options, tracks nothing anew. Everything
    is known by its content: a scene that was changed, or a new revision of the actor, is read
    anew, and every render asks the registry whether the actor still exists and may be rendered.

    For one render at a time. What is kept is in memory alone, and goes with the session.

    Args:
        actor: id of the actor in the registry.
        registry: registry that holds the actor; default: the user's own, in DUBFEW_HOME.

    Raises:
        ActorNotFoundError: The actor does not exist.

    Example::

        import dubfew

        session = dubfew.Session("mary")
        session.render(video="scene.mp4", audio="take1.wav", out="1.mp4")
        session.render(video="scene.mp4", audio="take2.wav", out="2.mp4")  # tracks nothing
        for image in session.frames(video="scene.mp4", audio="take2.wav"):
            show(image)
    """

    def __init__(self, actor: str, *, registry: Registry | None = None) -> None:
        self.actor = actor
        self.registry = registry or Registry()
        self.registry.open(actor)
        self._cache = RenderCache()

    @document_options(RenderOptions)
    def render(
        self,
        options: RenderOptions | None = None,
        *,
        progress: ProgressCallback = no_progress,
        **overrides: Any,
    ) -> RenderResult:
        """Render as ``dubfew.render`` does.

        Args:
            options: the options below as one object; those given as keywords override it.
            progress: function that is called with the state of every stage of the work.

        Returns:
            The output file, with measurements of the work.

        Raises:
            DubfewError: As of ``dubfew.render``.
        """
        return api.render(
            self.actor,
            options,
            registry=self.registry,
            cache=self._cache,
            progress=progress,
            **overrides,
        )

    @document_options(RenderOptions)
    def frames(
        self,
        options: RenderOptions | None = None,
        *,
        progress: ProgressCallback = no_progress,
        **overrides: Any,
    ) -> Iterator[NDArray[np.uint8]]:
        """Render, and give the frames as arrays as soon as each is painted; nothing is written.

        The first frame comes when the scene is tracked, which is at once where this session has
        tracked it before, or where the scene is the actor's own footage. Options for the written
        file and its sound have no effect. The frames have the watermark, and
        the audit log records the render. They have no Content Credentials, which belong to files:
        who writes them to a file is to say how they were made.

        Args:
            options: the options below as one object; those given as keywords override it.
            progress: function that is called with the state of tracking.

        Returns:
            Iterator over the frames, RGB. [H, W, 3] each

        Raises:
            DubfewError: As of ``dubfew.render``; some of them when the first frame is asked for.
        """
        from dubfew.media.in_memory import store_in_files
        from dubfew.render import pipeline

        in_memory = {name: overrides[name] for name in FILE_OPTIONS if name in overrides}
        with ExitStack() as opened:
            # Scenes and sounds in memory are files until the last frame is taken.
            files = opened.enter_context(store_in_files(in_memory))
            options = merge_options(RenderOptions, options, {**overrides, **files})
            painted = pipeline.paint_frames(
                self.actor,
                options,
                registry=self.registry,
                cache=self._cache,
                progress=progress,
            )
            kept = opened.pop_all()

        def iterate() -> Iterator[NDArray[np.uint8]]:
            with kept:
                for frame in painted:
                    yield frame.to_rgb()

        return iterate()
