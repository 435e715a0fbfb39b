"""The last moment before an output takes its place: may it be, is it signed, is it in the log?"""

from __future__ import annotations

from pathlib import Path

from dubfew.marks.certificate import Identity
from dubfew.marks.credentials import Rendering, place_of, sign
from dubfew.registry import Registry
from dubfew.registry.policy import Purpose
from dubfew.registry.revision import Revision
from dubfew.utils.files import sha256_file


def finish(
    file: Path,
    output: Path,
    rendering: Rendering,
    identity: Identity,
    purpose: Purpose,
    registry: Registry,
    stored: Revision,
) -> None:
    """Sign a finished file that is yet to take its place, and log it.

    The project is not logged: its title may be somebody's name.

    Args:
        file: the finished video.
        output: the name it is going to have.
        rendering, identity: see `sign`.
        purpose: what it is for.
        stored: the actor.

    Raises:
        ActorNotFoundError: the actor was deleted meanwhile.
        SuspendedError: the actor was suspended meanwhile.
        MediaError: it cannot be signed.
        AuditError: the audit log cannot be written.
    """
    stored.check()
    registry.check_suspension(stored)
    sign(file, output, rendering, identity)
    try:
        stored.record(
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
        beside = place_of(output)
        if beside != output:
            beside.unlink(missing_ok=True)
        raise
