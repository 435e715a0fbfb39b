"""What renders of one process keep from each other: loaded actors, and tracks of scenes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from dubfew.progress import ProgressCallback
from dubfew.reconstruction.track import Track
from dubfew.registry import Registry
from dubfew.registry.policy import RenderPurpose
from dubfew.registry.revision import Revision
from dubfew.render.actor_matching import FaceChoice
from dubfew.render.job import RenderJob
from dubfew.render.load import LoadedActor, load_checked_actor, open_actor
from dubfew.render.scene import track_scene
from dubfew.utils.files import sha256_file

Part = TypeVar("Part")

# Actors that are kept: a mouth's network and 48 references take about 60 MB.
MAX_KEPT_ACTORS = 4
# Tracks of scenes that are kept: a minute of one takes 22 MB.
MAX_KEPT_TRACKS = 8


class RenderCache:
    """Keeps the last actors and tracks of renders, in memory alone.

    Everything is known by its content: another revision of an actor, or a file that was changed, is
    loaded or tracked anew. The registry is asked in every render whether the actor still exists and
    whether their consent covers it. For one render at a time.
    """

    def __init__(self) -> None:
        self._actors: OrderedDict[Hashable, LoadedActor] = OrderedDict()
        self._tracks: OrderedDict[Hashable, tuple[Track, str]] = OrderedDict()

    def load_actor(
        self,
        name: str,
        revision: int | None,
        registry: Registry,
        purpose: RenderPurpose,
        speech: Path | None,
    ) -> LoadedActor:
        """Load an actor as `load_actor` does, or take the kept one."""
        try:
            stored, note = open_actor(name, revision, registry, purpose)
        except BaseException:
            # Whatever the reason, somebody who may not be rendered does not stay in memory.
            self.clear()
            raise
        loaded = _keep(
            self._actors,
            (_revision_key(stored), speech),
            MAX_KEPT_ACTORS,
            lambda: load_checked_actor(stored, note, registry, speech),
        )
        return replace(loaded, revision=stored, consent_note=note)

    def track_scene(
        self, job: RenderJob, choice: FaceChoice, progress: ProgressCallback
    ) -> tuple[Track, str]:
        """Track the scene of a job as `track_scene` does, or take the kept track.

        Args:
            job: the render.
            choice: which face the user wants.
            progress: function that is called with the state of the work.
        """
        scene = job.sources.scene
        key = (
            sha256_file(scene),
            _revision_key(job.actor.revision),
            choice,
            job.options.segmenter,
            job.sources.scene_info.log_curve,
            job.sources.scene_info.sample_aspect,
        )
        return _keep(
            self._tracks,
            key,
            MAX_KEPT_TRACKS,
            lambda: track_scene(scene, job.actor, choice, job.parser, progress),
        )

    def clear(self) -> None:
        """Forget everything."""
        self._actors.clear()
        self._tracks.clear()


def _revision_key(revision: Revision) -> Hashable:
    """Return what a revision is known by: its place and the content of its files."""
    return revision.actor, tuple((row.name, row.sha256) for row in revision.files())


def _keep(
    kept: OrderedDict[Hashable, Part], key: Hashable, limit: int, make: Callable[[], Part]
) -> Part:
    """Return the part of a key, made if it is not kept; forget those that were not used longest."""
    if key not in kept:
        kept[key] = make()
    kept.move_to_end(key)
    while len(kept) > limit:
        kept.popitem(last=False)
    return kept[key]
