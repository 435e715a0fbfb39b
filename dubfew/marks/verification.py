"""Verification of a file's marks: Content Credentials, watermark, and whether they agree."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dubfew.errors import MediaError
from dubfew.marks.credentials import ContentCredentials, read_credentials
from dubfew.marks.detection import DetectedWatermark, find_watermarks
from dubfew.media import probe
from dubfew.progress import ProgressCallback, no_progress


@dataclass(frozen=True)
class MarksReport:
    """Marks that were found in a file.

    Attributes:
        path: the file.
        credentials: its Content Credentials, or None.
        watermark: its watermark, or None; the first one of several mouths.
        intact: whether the credentials are valid, and the watermark is the one that they name, or
            is absent because they record that it was switched off.
        findings: results and problems for a reader, one line each.
    """

    path: Path
    credentials: ContentCredentials | None
    watermark: DetectedWatermark | None
    intact: bool
    findings: tuple[str, ...]


def verify_marks(
    path: Path | str, *, trust: Path | None = None, progress: ProgressCallback = no_progress
) -> MarksReport:
    """Find and compare the Content Credentials and the watermark of a video.

    Args:
        path: a video.
        trust: file of certificates (PEM) whose signers count as known; by default none.
        progress: callback for the progress of the search for the watermark.

    Raises:
        MediaError: The file cannot be read as video and has no credentials, which could show that
            it was damaged after it was signed.
        DubfewError: ``trust`` is not a list of certificates.
    """
    path = Path(path)
    damage: list[str] = []
    credentials = None
    # Damaged credentials are a finding, not an error: the watermark may still be readable.
    try:
        credentials = read_credentials(path, trust=trust)
    except MediaError as error:
        damage.append(str(error))
    except OSError as error:
        raise MediaError(f"{path} cannot be read ({error.strerror}): check the path") from error
    found: list[DetectedWatermark] = []
    try:
        probe(path)
        named = _named_watermarks(credentials)
        found = find_watermarks(path, max(1, len(named)), progress=progress)
    except MediaError as error:
        # A file without credentials that is no video either has nothing to verify.
        if credentials is None:
            raise
        damage.append(f"the watermark cannot be looked for: {error}")
    comparison, is_wrong = _compare_marks(credentials, found)
    findings = [
        *_describe_credentials(credentials),
        *_describe_watermarks(found),
        *comparison,
        *damage,
    ]
    # That of the person who is seen most.
    first = found[0] if found else None
    return MarksReport(path, credentials, first, not (is_wrong or damage), tuple(findings))


def _named_watermarks(credentials: ContentCredentials | None) -> list[str]:
    """The ids that credentials name, one for each mouth that has a watermark."""
    rendering = credentials.rendering if credentials is not None else None
    mouths = (rendering or {}).get("mouths") or [rendering or {}]
    return [str(mouth["watermark"]) for mouth in mouths if mouth.get("watermark")]


def _describe_credentials(credentials: ContentCredentials | None) -> list[str]:
    """Describe credentials in lines for a reader."""
    if credentials is None:
        return ["no Content Credentials"]
    # "valid" does not mean that the signer is who the certificate names; only "trusted" does.
    state = {
        "trusted": "valid, by a signer who is known",
        "valid": "valid: unchanged since it was signed, by a signer whom nobody vouches for",
        "invalid": "INVALID: the file was changed since it was signed, or was signed wrongly",
    }[credentials.state]
    lines = [
        f"Content Credentials in {credentials.place}: {state}",
        f"signed by {credentials.signer or 'nobody named'}, issued by {credentials.issuer or '-'}",
        f"made with {credentials.generator}: {', '.join(credentials.actions) or 'no action'}",
    ]
    if credentials.signed_at:
        authority = "that is known" if credentials.is_time_trusted else "that nobody vouches for"
        lines.append(f"signed at {credentials.signed_at}, by the clock of an authority {authority}")
    # The details are C2PA's own terms, so that they can be looked up.
    lines += [f"problem: {problem}" for problem in credentials.problems]
    if credentials.source_type:
        lines.append(f"source type {credentials.source_type.rpartition('/')[2]}")
    for item in credentials.ingredients:
        own = f"with credentials by {item.generator}" if item.generator else "without credentials"
        lines.append(f"made of {item.title} ({item.relationship}), {own}")
    if credentials.forbidden_uses:
        uses = ", ".join(use.rpartition(".")[2] for use in credentials.forbidden_uses)
        lines.append(f"not to be used for: {uses}")
    if credentials.rendering is not None:
        rendering = credentials.rendering
        consent = rendering.get("consent_sha256") or "none recorded"
        lines.append(f"driven by {rendering.get('drive')}, consent {consent}")
    return lines


def _describe_watermarks(found: list[DetectedWatermark]) -> list[str]:
    """Describe watermarks in lines for a reader."""
    if not found:
        return ["no watermark found"]
    return [
        f"watermark {each.id}: certainty {each.certainty:.1f}, "
        f"{each.corrected} bits corrected, {each.frames} frames"
        for each in found
    ]


def _compare_marks(
    credentials: ContentCredentials | None, found: list[DetectedWatermark]
) -> tuple[list[str], bool]:
    """Compare the two marks; return the result in lines, and whether something is wrong."""
    if credentials is None:
        return (["the credentials were taken off"] if found else ["no marks"]), True
    if credentials.rendering is None:
        return ["the credentials are not those of a rendering of dubfew"], True
    named = _named_watermarks(credentials)
    read = [each.id for each in found]
    # Without a named watermark there must be none; otherwise the ids must be equal.
    invalid = credentials.state == "invalid"
    if not named:
        if read:
            return [f"the credentials name no watermark, the picture has {read[0]}"], True
        return ["the watermark was switched off when this was rendered"], invalid
    if not read:
        return [f"the credentials name the watermark {named[0]}, which cannot be read"], True
    strange = [mark for mark in read if mark not in named]
    if strange:
        return [f"the credentials name another watermark, {named[0]}"], True
    missing = [mark for mark in named if mark not in read]
    # A mouth that speaks for a second is too short to be read.
    lines = [f"the watermark {mark} of another mouth cannot be read" for mark in missing]
    return ["watermark and credentials name the same id", *lines], invalid
