"""Whether an actor from elsewhere can be rendered here, before anything of them is stored."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dubfew.adapt.artefact import (
    ADAPTER_CONFIG_FILE,
    ADAPTER_REFERENCES_FILE,
    ADAPTER_STYLE_FILE,
    ADAPTER_TEXTURE_FILE,
    ADAPTER_TRACK_FILE,
    ADAPTER_WEIGHTS_FILE,
    ActorAdapter,
)
from dubfew.adapt.validation import check_track
from dubfew.errors import ArtefactError
from dubfew.prior.checkpoint import Prior, prior_info
from dubfew.prior.locate import find_prior, register_prior_path
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.track import Track

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


def check_importable(
    config: Mapping[str, Any],
    files: Mapping[str, bytes],
    *,
    home: Path,
    prior: Path | str | None = None,
) -> None:
    """See that an actor who comes in is whole, sound, and of a prior that is here.

    An actor whose prior is missing is refused: nobody could render them, and a person's likeness
    is nothing to keep in vain. Paths that the actor's files name are not looked at.

    Args:
        config: as the registry has it; everything needed stands in the files, too.
        files: what is to be stored.
        home: of the registry.
        prior: name or folder of the prior that the actor needs, to be remembered.

    Raises:
        ArtefactError: a file is missing, odd or damaged, the format is newer, or the prior is
            another one or unknown.
        AssetError: the head model is unknown, or its files are missing.
    """
    odd = sorted(files.keys() ^ ADAPTER_FILES)
    if odd:
        missing = odd[0] in ADAPTER_FILES
        raise ArtefactError(
            f"this is not an actor of 'dubfew adapt': the file {odd[0][:60]!a} "
            f"{'is missing' if missing else 'is no part of one'}; export the actor again"
        )
    adapter = ActorAdapter.from_files(files)
    try:
        check_track(
            Track.from_bytes(adapter.track_bytes, ADAPTER_TRACK_FILE),
            load_head_model(adapter.config["head"]),
        )
    except ValueError as error:
        found = ascii(str(error))[1:-1][:200]
        raise ArtefactError(f"this actor's files are damaged ({found}): adapt anew") from error
    adapter.merge_with_prior(Prior.load(_resolve_prior(adapter, home, prior)))
    speech = adapter.config.get("speech")
    if speech is not None:
        model = ascii(speech["sha256"])[1:13]
        warnings.warn(
            f"this actor's style belongs to the speech model with SHA-256 {model}, which does not "
            "come along: name it with 'dubfew render --speech'",
            stacklevel=2,
        )


def _resolve_prior(adapter: ActorAdapter, home: Path, prior: Path | str | None) -> str:
    """What ``Prior.load`` takes for the prior of an actor."""
    wanted = adapter.config["prior"]
    own = f"{ascii(wanted['name'])[:60]} with SHA-256 {wanted['sha256'][:64] or '(none)'!a}"
    if prior is not None:
        info = prior_info(prior)
        if info.sha256 != wanted["sha256"]:
            raise ArtefactError(
                f"this actor was adapted on the prior {own}, given is another "
                f"({info.sha256[:12]}): give that one"
            )
        register_prior_path(home, info)
    found = find_prior(home, wanted["sha256"])
    if found is None:
        raise ArtefactError(
            f"this actor was adapted on the prior {own}, which is not known here: get it from "
            "where the actor comes from, and name its folder with --prior"
        )
    return found
