"""Check that an imported actor can be rendered here, before anything of it is stored."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dubfew.adapt.actor_likeness import compare_actors
from dubfew.adapt.artefact import (
    ADAPTER_ADDED_TRACK_FILES,
    ADAPTER_CONFIG_FILE,
    ADAPTER_CROPS_FILE,
    ADAPTER_FACES_FILE,
    ADAPTER_REFERENCES_FILE,
    ADAPTER_STYLE_FILE,
    ADAPTER_TEXTURE_FILE,
    ADAPTER_TRACK_FILE,
    ADAPTER_WEIGHTS_FILE,
    ActorAdapter,
)
from dubfew.adapt.default_revision import find_present_revision
from dubfew.adapt.learned_face import load_actor_adapter
from dubfew.adapt.validation import check_track
from dubfew.errors import ArtefactError, WrongPersonError
from dubfew.prior.checkpoint import Prior, prior_info
from dubfew.prior.locate import find_prior, register_prior_path
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.likeness import Verdict
from dubfew.reconstruction.track import Track
from dubfew.registry import Registry

# Files of a complete actor; an import with others, or without one of these, is refused.
ADAPTER_FILES = frozenset(
    {
        ADAPTER_CONFIG_FILE,
        ADAPTER_WEIGHTS_FILE,
        ADAPTER_TEXTURE_FILE,
        ADAPTER_REFERENCES_FILE,
        ADAPTER_STYLE_FILE,
        ADAPTER_TRACK_FILE,
    }
)


def check_imported_actor(
    actor: str,
    config: Mapping[str, Any],
    files: Mapping[str, bytes],
    *,
    registry: Registry,
    prior: Path | str | None = None,
    new_person: bool = False,
) -> None:
    """Check that an imported actor can be rendered here and is the person who has the id, if any.

    Args:
        actor: id under which it would be stored.
        config: configuration for the registry.
        files: content of the actor's files by name.
        registry: registry that would store it.
        prior: name or folder of the actor's prior, see `check_importable`.
        new_person: True to accept another person under an id that exists.

    Raises:
        ArtefactError: It cannot be rendered, see `check_importable`.
        AssetError: The head model is unknown, or its files are missing.
        WrongPersonError: The id exists, and the import shows somebody else.
    """
    check_importable(config, files, home=registry.home, prior=prior)
    # What cannot be rendered is refused before faces are compared, which takes seconds.
    present = None if new_person else find_present_revision(actor, registry)
    if present is None:
        return
    likeness = compare_actors(load_actor_adapter(present), ActorAdapter.from_files(files))
    if likeness.verdict is Verdict.STRANGER:
        raise WrongPersonError(
            f"{actor!r} exists here, and the import shows somebody else ({likeness}): store it "
            "under another id with --actor, or say --new-person to replace the actor knowingly"
        )
    # Not an error: bad light or a turned head make a person unlike their own footage, too.
    if likeness.verdict is Verdict.UNCLEAR:
        warnings.warn(
            f"the import may show another person than {actor!r} here ({likeness}): check it with "
            "a render before you rely on it",
            stacklevel=2,
        )


def check_importable(
    config: Mapping[str, Any],
    files: Mapping[str, bytes],
    *,
    home: Path,
    prior: Path | str | None = None,
) -> None:
    """Check that an imported actor is complete, undamaged, and adapted on a prior that is here.

    An actor whose prior is missing is refused: it could not be rendered, and a person's likeness
    should not be stored without use. Paths in the actor's files are not opened.

    Args:
        config: configuration for the registry; unused, since the files hold everything needed.
        files: content of the actor's files by name.
        home: home folder of the registry.
        prior: name or folder of the actor's prior; its place is noted for later. None looks among
            the shipped and noted priors.

    Raises:
        ArtefactError: A file is missing, unexpected or damaged, a newer dubfew wrote the actor, or
            the prior is another one or unknown.
        AssetError: The head model is unknown, or its files are missing.
    """
    # Actors of an older dubfew have no pictures of the face.
    optional = {ADAPTER_FACES_FILE, ADAPTER_CROPS_FILE, *ADAPTER_ADDED_TRACK_FILES}
    wrong = sorted((files.keys() ^ ADAPTER_FILES) - optional)
    if wrong:
        problem = "is missing" if wrong[0] in ADAPTER_FILES else "does not belong to one"
        raise ArtefactError(
            f"this is not an actor of 'dubfew adapt': the file {wrong[0][:60]!a} {problem}; "
            "export the actor again"
        )
    # Reading checks every part but the track, whose checks are slower.
    adapter = ActorAdapter.from_files(files)
    try:
        head = load_head_model(adapter.config["head"])
        for data in (adapter.track_bytes, *adapter.added_tracks):
            check_track(Track.from_bytes(data, ADAPTER_TRACK_FILE), head)
    except ValueError as error:
        found = ascii(str(error))[1:-1][:200]
        raise ArtefactError(f"this actor's files are damaged ({found}): adapt anew") from error
    # Merging is the only full check of the delta.
    adapter.merge_with_prior(Prior.load(_resolve_prior(adapter, home, prior)))
    speech = adapter.config.get("speech")
    if speech is not None:
        # The model is a file of the sender's own and no part of an export.
        model = ascii(speech["sha256"])[1:13]
        warnings.warn(
            f"this actor's style belongs to the speech model with SHA-256 {model}, which does not "
            "come along: name it with 'dubfew render --speech'",
            stacklevel=2,
        )


def _resolve_prior(adapter: ActorAdapter, home: Path, prior: Path | str | None) -> str:
    """Find the prior of an actor, as `Prior.load` takes it, and note a given one."""
    expected = adapter.config["prior"]
    own = f"{ascii(expected['name'])[:60]} with SHA-256 {expected['sha256'][:64] or '(none)'!a}"
    # A prior that the user names must be the actor's own; its place is noted for every later use.
    if prior is not None:
        info = prior_info(prior)
        if info.sha256 != expected["sha256"]:
            raise ArtefactError(
                f"this actor was adapted on the prior {own}, given is another "
                f"({info.sha256[:12]}): give that one"
            )
        register_prior_path(home, info)
    found = find_prior(home, expected["sha256"])
    if found is None:
        # The actor's own path of its prior is from another machine and is not followed.
        raise ArtefactError(
            f"this actor was adapted on the prior {own}, which is not known here: get it from "
            "where the actor comes from, and name its folder with --prior"
        )
    return found
