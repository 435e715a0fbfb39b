"""The last moment before an output takes its place: may it be, is it signed, is it in the log?"""

from __future__ import annotations

from pathlib import Path

from dubfew.marks.certificate import SigningIdentity
from dubfew.marks.credentials import RenderProvenance, credentials_path, sign_video
from dubfew.registry import Registry
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
) -> None:
    """Sign a finished file that is yet to take its place, and log it.

    The project is not logged: its title may be somebody's name.

    Args:
        file: the finished video.
        output: the name it is going to have.
        rendering, identity: see `sign_video`.
        purpose: what it is for.
        revision: the actor.

    Raises:
        ActorNotFoundError: the actor was deleted meanwhile.
        SuspendedError: the actor was suspended meanwhile.
        MediaError: it cannot be signed.
        AuditError: the audit log cannot be written.
    """
    revision.check_exists()
    registry.check_suspension(revision)
    sign_video(file, output, rendering, identity)
    try:
        revision.record_event(
            "render",
            output_sha256=sha256_file(file),
            watermark=rendering.watermark,
            drive=rendering.drive,
            consent_sha256=rendering.consent_sha256,
            use=purpose.use,
            language=purpose.language,
            territory=purpose.territory,
            overrides=[] if rendering.watermark else ["no-watermark"],
        )
    except BaseException:
        beside = credentials_path(output)
        if beside != output:
            beside.unlink(missing_ok=True)
        raise
