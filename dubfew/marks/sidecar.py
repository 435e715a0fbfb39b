"""Place of a video's Content Credentials: in the file, or beside it."""

from __future__ import annotations

from pathlib import Path

# Containers that can hold credentials, with their media types.
EMBEDDABLE_MEDIA_TYPES = {
    ".mp4": "video/mp4",
    ".m4v": "video/x-m4v",
    ".mov": "video/quicktime",
    ".avi": "video/avi",
}
# Suffix of the credentials beside any other file, where every C2PA reader looks for them.
SIDECAR_SUFFIX = ".c2pa"


def credentials_path(output: Path) -> Path:
    """Return the file that holds the credentials of a video: the video, or a file beside it.

    Example:
        >>> credentials_path(Path("out.mp4")).name, credentials_path(Path("out.mkv")).name
        ('out.mp4', 'out.c2pa')
    """
    return (
        output
        if output.suffix.lower() in EMBEDDABLE_MEDIA_TYPES
        else output.with_suffix(SIDECAR_SUFFIX)
    )
