"""Publish a finished output: check that the actor may be rendered, sign the file, log it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dubfew.marks.certificate import SigningIdentity
from dubfew.marks.credentials import RenderProvenance, sign_video
from dubfew.marks.sidecar import credentials_path
from dubfew.registry import Registry
from dubfew.registry.guest import GuestRegistry
from dubfew.registry.policy import RenderPurpose
from dubfew.registry.revision import Revision
from dubfew.utils.files import sha256_file


def sign_and_log(
    file: Path,
    output: Path,
    rendering: RenderProvenance,
    identity: SigningIdentity,
    purpose: RenderPurpose,
    registry: Registry,
    revision: Revision,
    *,
    anyone: bool = False,
    others: Sequence[Revision] = (),
) -> tuple[str, ...]:
    """Sign a finished file and log the render, before the file takes its place.

    The project is not logged, because its title may contain a person's name. With lent actors
    nothing is signed or logged: the facts wait in `GuestRegistry.postponed`.

    Args:
        file: finished video under a temporary name.
        output: name that the video will have.
        rendering: facts about the render that the credentials state.
        identity: certificate and key to sign with.
        purpose: purpose of the render, as the consent record names it.
        registry: registry of the actor.
        revision: revision of the actor that was rendered.
        anyone: whether a face that is not the actor's was allowed.
        others: revisions of the actors whose facts are ``rendering.others``, in that order.

    Returns:
        What the user should know of the credentials.

    Raises:
        ActorNotFoundError: The actor was deleted during the render.
        SuspendedError: The actor was suspended during the render.
        MediaError: The file cannot be signed.
        AuditError: The audit log cannot be written.
    """
    if isinstance(registry, GuestRegistry):
        # The actors' owner signs and logs it, with keys that are not here.
        registry.postponed.append(rendering)
        return ()
    # A render takes minutes: the actor may have been deleted or suspended since it began.
    revisions = (revision, *others)
    for each in revisions:
        each.check_exists()
        registry.check_suspension(each)
    notes = sign_video(file, output, rendering, identity)
    sha256 = sha256_file(file)
    try:
        for facts, each in zip(rendering.mouths, revisions, strict=True):
            _record_render(each, facts, purpose, sha256, anyone)
    except BaseException:
        # An output that is not in the log must not leave its credentials behind.
        beside = credentials_path(output)
        if beside != output:
            beside.unlink(missing_ok=True)
        raise
    return notes


def log_frames(
    rendering: RenderProvenance,
    purpose: RenderPurpose,
    registry: Registry,
    revision: Revision,
    *,
    anyone: bool = False,
) -> None:
    """Log a render whose frames are handed out instead of being written, before the first of them.

    Args:
        rendering: facts about the render.
        purpose: purpose of the render, as the consent record names it.
        registry: registry of the actor.
        revision: revision of the actor that is rendered.
        anyone: whether a face that is not the actor's is allowed.

    Raises:
        ActorNotFoundError: The actor was deleted since the render began.
        SuspendedError: The actor was suspended since the render began.
        AuditError: The audit log cannot be written.
    """
    revision.check_exists()
    registry.check_suspension(revision)
    _record_render(revision, rendering, purpose, None, anyone)


def _record_render(
    revision: Revision,
    facts: RenderProvenance,
    purpose: RenderPurpose,
    output_sha256: str | None,
    anyone: bool,
) -> None:
    """Write the event of one rendered mouth; frames that were handed out have no hash."""
    switched_off = {"no-watermark": not facts.watermark, "anyone": anyone}
    revision.record_event(
        "render",
        output_sha256=output_sha256,
        watermark=facts.watermark,
        drive=facts.drive,
        consent_sha256=facts.consent_sha256,
        use=purpose.use,
        language=purpose.language,
        territory=purpose.territory,
        overrides=[name for name, chosen in switched_off.items() if chosen],
    )
