"""Verification of a file's marks: Content Credentials, watermark, and whether they agree."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dubfew.errors import MediaError
from dubfew.marks.credentials import ContentCredentials, read_credentials
from dubfew.marks.detection import DetectedWatermark, find_watermark
from dubfew.media import probe
from dubfew.progress import ProgressCallback, no_progress


@dataclass(frozen=True)
class MarksReport:
    """Marks that were found in a file.

    Attributes:
        path: the file.
        credentials: its Content Credentials, or None.
        watermark: its watermark, or None.
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
    found = None
    try:
        probe(path)
        found = find_watermark(path, progress=progress)
    except MediaError as error:
        if credentials is None:
            raise
        damage.append(f"the watermark cannot be looked for: {error}")
    comparison, is_wrong = _compare_marks(credentials, found)
    findings = [
        *_describe_credentials(credentials),
        *_describe_watermark(found),
        *comparison,
        *damage,
    ]
    return MarksReport(path, credentials, found, not (is_wrong or damage), tuple(findings))


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
    # The details are C2PA's own terms, so that they can be looked up.
    lines += [f"problem: {problem}" for problem in credentials.problems]
    if credentials.source_type:
        lines.append(f"source type {credentials.source_type.rpartition('/')[2]}")
    for item in credentials.ingredients:
        own = f"with credentials by {item.generator}" if item.generator else "without credentials"
        lines.append(f"made of {item.title} ({item.relationship}), {own}")
    if credentials.rendering is not None:
        rendering = credentials.rendering
        consent = rendering.get("consent_sha256") or "none recorded"
        lines.append(f"driven by {rendering.get('drive')}, consent {consent}")
    return lines


def _describe_watermark(found: DetectedWatermark | None) -> list[str]:
    """Describe a watermark in lines for a reader."""
    if found is None:
        return ["no watermark found"]
    return [
        f"watermark {found.id}: certainty {found.certainty:.1f}, "
        f"{found.corrected} bits corrected, {found.frames} frames"
    ]


def _compare_marks(
    credentials: ContentCredentials | None, found: DetectedWatermark | None
) -> tuple[list[str], bool]:
    """Compare the two marks; return the result in lines, and whether something is wrong."""
    if credentials is None:
        return (["the credentials were taken off"] if found else ["no marks"]), True
    rendering = credentials.rendering
    if rendering is None:
        return ["the credentials are not those of a rendering of dubfew"], True
    named = rendering.get("watermark")
    # Without a named watermark there must be none; otherwise the two ids must be equal.
    invalid = credentials.state == "invalid"
    if named is None:
        if found is not None:
            return [f"the credentials name no watermark, the picture has {found.id}"], True
        return ["the watermark was switched off when this was rendered"], invalid
    if found is None:
        return [f"the credentials name the watermark {named}, which cannot be read"], True
    if found.id != named:
        return [f"the credentials name another watermark, {named}"], True
    return ["watermark and credentials name the same id"], invalid
