"""Subjects of a leak test: actors in a registry of the test's own, so that they can be deleted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from dubfew.adapt import adapt
from dubfew.adapt.artefact import ActorAdapter
from dubfew.data.clip_index import VIDEO_SUFFIXES
from dubfew.errors import DubfewError, MediaError
from dubfew.progress import Progress, ProgressCallback
from dubfew.reconstruction.track import Track
from dubfew.registry import Registry
from dubfew.registry.names import normalize_actor_id

# Fewest people to compare an actor with. With fewer, chance alone puts the actor first too often.
MIN_STRANGERS = 3


@dataclass(frozen=True)
class LeakSubject:
    """One actor of the test, who is adapted or copied, and then deleted.

    Attributes:
        name: id of the actor.
        video: video that shows the actor's true face.
        source_registry: registry to copy the actor from; None for an actor to adapt.
    """

    name: str
    video: Path
    source_registry: Registry | None = None


def collect_subjects(
    videos: Sequence[Path], actors: Sequence[str], registry: Registry | None
) -> list[LeakSubject]:
    """Collect the subjects and check them before any work.

    Args:
        videos: videos of one person each, who are adapted under the video's name.
        actors: ids of actors in the user's registry.
        registry: registry that holds the actors; None for the user's own.

    Returns:
        Subjects in the order of the arguments, the videos first.

    Raises:
        ActorNotFoundError: One of the actors does not exist.
        SuspendedError: Use of an actor is suspended.
        MediaError: A video, or an actor's footage, is not there.
        DubfewError: Two subjects have the same name, or there are none.
    """
    # A video's name becomes the id, so it has to be a valid one.
    found = [LeakSubject(normalize_actor_id(video.stem), video) for video in videos]
    if actors:
        registry = registry or Registry()
    for actor in actors:
        assert registry is not None
        revision = registry.open(actor)
        # A suspended actor may not be used for tests either.
        registry.check_suspension(revision)
        found.append(LeakSubject(revision.actor, Path(revision.config["source"]["path"]), registry))
    for subject in found:
        if not subject.video.is_file():
            advice = "give --actor only while the footage lies where it was adapted from"
            if subject.source_registry is None:
                advice = "check the path"
            raise MediaError(f"{subject.video} is not there: {advice}")
    twice = [name for name, count in Counter(each.name for each in found).items() if count > 1]
    if twice:
        raise DubfewError(f"two are called {twice[0]!r}: give videos of different names")
    if not found:
        raise DubfewError("nobody to test: give videos, or --actor")
    return found


def collect_people_videos(
    subjects: Sequence[LeakSubject], strangers: Sequence[Path]
) -> dict[str, Path]:
    """Collect the video of every person by name, the subjects first.

    Args:
        subjects: actors to delete.
        strangers: videos of other people, or folders of such videos; the subjects' own videos in a
            folder are passed over.

    Returns:
        Videos by name.

    Raises:
        DubfewError: Two people have the same name, or there are too few people.
    """
    crowd = {subject.name: subject.video for subject in subjects}
    # A folder of strangers may hold the subjects' own videos.
    own = {path.resolve() for path in crowd.values()}
    for given in strangers:
        inside = sorted(given.iterdir()) if given.is_dir() else None
        for path in [given] if inside is None else inside:
            if inside is not None and (
                path.suffix.lower() not in VIDEO_SUFFIXES or path.resolve() in own
            ):
                continue
            # Names are the keys of all results.
            if path.stem in crowd:
                raise DubfewError(
                    f"two are called {path.stem!r}: give videos of different names, of everybody "
                    "one"
                )
            crowd[path.stem] = path
    if len(crowd) <= MIN_STRANGERS:
        raise DubfewError(
            f"a leak test compares with strangers, and there are {len(crowd) - 1}: give "
            f"{MIN_STRANGERS} or more besides each actor, as videos or with --stranger"
        )
    return crowd


@contextmanager
def temporary_registry() -> Iterator[tuple[Registry, Path]]:
    """Make a registry that is deleted afterwards.

    Yields:
        The registry, and a path for a copy of it that does not exist yet.
    """
    with TemporaryDirectory(prefix="dubfew-leak-") as folder:
        registry = Registry(Path(folder) / "home", keys=Path(folder) / "keys")
        try:
            yield registry, Path(folder) / "copy"
        finally:
            # After an error actors are left. Their keys are destroyed first, as in any deletion.
            for each in registry.list():
                registry.delete(each.actor)


def enroll_subjects(
    subjects: Sequence[LeakSubject],
    registry: Registry,
    *,
    steps: int | None,
    prior: str | Path | None,
    device: str,
    seed: int,
    progress: ProgressCallback,
) -> dict[str, ActorAdapter]:
    """Adapt or copy all subjects into a registry, and load them from there.

    Args:
        subjects: actors to adapt or copy.
        registry: registry to store them in.
        steps: training steps of each adaptation at most; None for as many as `adapt` makes.
        prior: name or folder of the prior; None for the shipped one.
        device: "cpu" or "cuda".
        seed: seed of the adaptations.
        progress: function that is called with the state of every stage.

    Returns:
        Adapters by the subject's name.

    Raises:
        AuditError: The audit log of the user's registry cannot be written.
    """
    for number, subject in enumerate(subjects, 1):
        if subject.source_registry is not None:
            revision = subject.source_registry.open(subject.name)
            # The use of an actor of the user's is logged before it happens.
            revision.record_event("leak-test")
            files = {name: revision.read(name) for name in revision.file_names()}
            registry.create(subject.name, revision.config, files)
        else:
            adapt(
                subject.video,
                actor=subject.name,
                steps=steps,
                prior=prior,
                device=device,
                seed=seed,
                registry=registry,
                progress=progress,
            )
        progress(Progress("actors", number, len(subjects)))
    return {subject.name: load_stored_adapter(registry, subject.name) for subject in subjects}


def load_stored_adapter(registry: Registry, actor: str) -> ActorAdapter:
    """Load an actor's adapter.

    Args:
        registry: registry that holds the actor.
        actor: id of the actor.

    Raises:
        DubfewError: The actor cannot be opened.
    """
    revision = registry.open(actor)
    return ActorAdapter.from_files({name: revision.read(name) for name in revision.file_names()})


def load_adapter_track(adapter: ActorAdapter) -> tuple[Track, int]:
    """Load the track of an actor's footage, and the number of its first frame in the video."""
    track = Track.from_bytes(adapter.track_bytes, "the actor's track")
    return track, int(adapter.config["source"].get("first", 0))
