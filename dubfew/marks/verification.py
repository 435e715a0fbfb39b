"""What a file's marks say, and whether they are intact."""

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
    """What was found in a file.

    Attributes:
        path: the file.
        credentials: its Content Credentials, or None.
        watermark: its watermark, or None.
        intact: the credentials are valid, and the watermark is the one that they name, or is
            absent because they say that it was switched off.
        findings: what was found and what is wrong, one line each, for people.
    """

    path: Path
    credentials: ContentCredentials | None
    watermark: DetectedWatermark | None
    intact: bool
    findings: tuple[str, ...]


def verify_marks(
    path: Path | str, *, trust: Path | None = None, progress: ProgressCallback = no_progress
) -> MarksReport:
    """Look for Content Credentials and for the watermark.

    Args:
        path: a video.
        trust: certificates (PEM) whose signers count as known.
        progress: told of the search for the watermark.

    Raises:
        MediaError: the file cannot be read as video, and has no credentials that say it was
            changed.
        DubfewError: ``trust`` is no list of certificates.
    """
    path = Path(path)
    damage: list[str] = []
    credentials = None
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
    said, wrong = _compare_marks(credentials, found)
    findings = [*_describe_credentials(credentials), *_describe_watermark(found), *said, *damage]
    return MarksReport(path, credentials, found, not (wrong or damage), tuple(findings))


def _describe_credentials(credentials: ContentCredentials | None) -> list[str]:
    if credentials is None:
        return ["no Content Credentials"]
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
    lines += [f"problem: {problem}" for problem in credentials.problems]
    if credentials.source_type:
        lines.append(f"source type {credentials.source_type.rpartition('/')[2]}")
    for item in credentials.ingredients:
        own = f"with credentials by {item.generator}" if item.generator else "without credentials"
        lines.append(f"made of {item.title} ({item.relationship}), {own}")
    if credentials.rendering is not None:
        told = credentials.rendering
        consent = told.get("consent_sha256") or "none recorded"
        lines.append(f"driven by {told.get('drive')}, consent {consent}")
    return lines


def _describe_watermark(found: DetectedWatermark | None) -> list[str]:
    if found is None:
        return ["no watermark found"]
    return [
        f"watermark {found.id}: certainty {found.certainty:.1f}, "
        f"{found.corrected} bits corrected, {found.frames} frames"
    ]


def _compare_marks(
    credentials: ContentCredentials | None, found: DetectedWatermark | None
) -> tuple[list[str], bool]:
    """What the two marks say of each other, and whether something is wrong."""
    if credentials is None:
        return (["the credentials were taken off"] if found else ["no marks"]), True
    told = credentials.rendering
    if told is None:
        return ["the credentials are not those of a rendering of dubfew"], True
    named = told.get("watermark")
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
