"""Checks of an adaptation that need no network: they are done before torch is imported."""

from __future__ import annotations

from pathlib import Path

from dubfew.adapt.options import AdaptOptions
from dubfew.registry import Registry
from dubfew.registry.consent import ConsentRecord, read_consent, today_utc
from dubfew.registry.names import normalize_actor_id
from dubfew.utils.files import check_input_file


def check_adapt_request(video: Path, options: AdaptOptions, registry: Registry) -> None:
    """Check what a user may have mistyped: footage, id, consent record, home folder.

    Loading the network takes seconds, and ``adapt`` checks the rest after that.

    Args:
        video: footage of the actor.
        options: options of the adaptation.
        registry: registry that stores the actor.

    Raises:
        MediaError: The footage does not exist or is empty.
        RegistryError: The id cannot be used, or the registry cannot be written.
        ConsentError: The consent record is malformed, not filled in or not valid today, or it
            is missing and the registry's policy requires one.
    """
    check_input_file(video)
    name = resolve_actor_id(video, options)
    registry.check_create(name)
    if options.add:
        registry.check_suspension(registry.open(name))
    registry.check_learning(name, resolve_consent(name, options, registry))


def resolve_actor_id(video: Path, options: AdaptOptions) -> str:
    """Return the actor's id: the given one, or the name of the footage's file.

    Args:
        video: footage of the actor.
        options: options of the adaptation; ``actor`` is the id that is asked for.

    Raises:
        RegistryError: The id cannot be used.
    """
    return normalize_actor_id(video.stem if options.actor is None else options.actor)


def resolve_consent(name: str, options: AdaptOptions, registry: Registry) -> ConsentRecord | None:
    """Return the consent record for an adaptation: the given one, or the actor's present one.

    Args:
        name: id of the actor.
        options: options of the adaptation.
        registry: registry that stores the actor.

    Raises:
        ConsentError: The record is malformed, not filled in, of a minor or has ended.
    """
    given = read_given_consent(options)
    # Another person does not inherit what the actor agreed to.
    return given if given is not None or options.new_person else registry.consent(name)


def read_given_consent(options: AdaptOptions) -> ConsentRecord | None:
    """Read the consent record that the user gave, if there is one.

    Raises:
        ConsentError: The record is malformed, not filled in, of a minor or has ended.
    """
    if options.consent is None:
        return None
    record = read_consent(options.consent)
    record.check_new(today_utc(), str(options.consent))
    return record
