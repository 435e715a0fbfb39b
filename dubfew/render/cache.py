"""What renders of one process keep from each other: loaded actors, and tracks of scenes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from dubfew.errors import ActorNotFoundError
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

    Args:
        max_actors: number of actors that are kept.
        max_tracks: number of tracks of scenes that are kept.
    """

    def __init__(
        self, *, max_actors: int = MAX_KEPT_ACTORS, max_tracks: int = MAX_KEPT_TRACKS
    ) -> None:
        self._max_actors, self._max_tracks = max_actors, max_tracks
        self._actors: OrderedDict[tuple[Any, ...], LoadedActor] = OrderedDict()
        self._tracks: OrderedDict[tuple[Any, ...], tuple[Track, str]] = OrderedDict()

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
            self._max_actors,
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
            self._max_tracks,
            lambda: track_scene(scene, job.actor, choice, job.parser, progress),
        )

    def forget_absent(self, registry: Registry) -> None:
        """Forget what belongs to revisions that a registry does not have any more.

        Args:
            registry: registry that all renders of this cache use.
        """
        # A key of an actor begins with that of the revision; a track has it as its second part.
        kept = {key[0] for key in self._actors} | {key[1] for key in self._tracks}
        present: set[tuple[Any, ...]] = set()
        for name in {revision[0] for revision in kept}:
            try:
                present |= {_revision_key(each) for each in registry.revisions(name)}
            except ActorNotFoundError:
                continue
        for key in [key for key in self._actors if key[0] not in present]:
            del self._actors[key]
        for key in [key for key in self._tracks if key[1] not in present]:
            del self._tracks[key]

    def clear(self) -> None:
        """Forget everything."""
        self._actors.clear()
        self._tracks.clear()


def _revision_key(revision: Revision) -> tuple[Any, ...]:
    """Return what a revision is known by: its place and the content of its files."""
    return revision.actor, tuple((row.name, row.sha256) for row in revision.files())


def _keep(
    kept: OrderedDict[tuple[Any, ...], Part],
    key: tuple[Any, ...],
    limit: int,
    make: Callable[[], Part],
) -> Part:
    """Return the part of a key, made if it is not kept; forget those that were not used longest."""
    if key not in kept:
        kept[key] = make()
    kept.move_to_end(key)
    while len(kept) > limit:
        kept.popitem(last=False)
    return kept[key]
