"""Whether a new revision of an actor becomes the one that is used."""

from __future__ import annotations

from dubfew.errors import ActorNotFoundError
from dubfew.registry import Registry
from dubfew.registry.revision import Revision

# Difference in held-out PSNR that counts, dB: smaller ones are not seen in the printed number.
LEAST_PSNR_DIFFERENCE_DB = 0.1


def find_present_revision(name: str, registry: Registry) -> Revision | None:
    """Return the revision of an actor that is used at present, or None for a new id.

    Args:
        name: id of the actor.
        registry: registry that may hold it.
    """
    try:
        return registry.open(name)
    except ActorNotFoundError:
        return None


def describe_worse_revision(present: Revision | None, psnr_heldout: float | None) -> str:
    """Explain why a new revision does not become the one that is used.

    Revisions of different footage are measured on different frames; the number is the best that
    there is to compare them by, and `actors use` overrules it.

    Args:
        present: the revision that is used at present, or None.
        psnr_heldout: held-out PSNR of the new revision, dB; None where nothing was held out.

    Returns:
        One line for the user, or "" if the new revision becomes the one that is used.
    """
    training = {} if present is None else present.config.get("training", {})
    former = training.get("psnr_heldout") if isinstance(training, dict) else None
    if present is None or not isinstance(former, (int, float)):
        return ""
    if psnr_heldout is not None and psnr_heldout > former - LEAST_PSNR_DIFFERENCE_DB:
        return ""
    found = "could not be measured" if psnr_heldout is None else f"is worse, {psnr_heldout:.1f} dB"
    return (
        f"the new revision {found} on held-out frames, so revision {present.number} "
        f"({former:.1f} dB) is still the one that is used: 'dubfew actors use' changes that"
    )
