"""Previews: two seconds of a scene at half its size, painted like the whole of it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from dubfew.errors import DubfewError
from dubfew.media import Frame, VideoInfo, VideoWriter, read_frames
from dubfew.media.codecs import choose_encoding
from dubfew.media.info import FIELD_PROGRESSIVE
from dubfew.media.speech_span import read_speech_span
from dubfew.render.sources import RenderSources

# Length of a preview where the user names no end, s: a short sentence. Longer ones take longer to
# wait for than they tell.
PREVIEW_SECONDS = 2.0
# Time before the first sound at which a preview begins, s: the mouth opens before it is heard.
PREVIEW_LEAD_SECONDS = 0.2
# Factor by which pictures are shrunk. At half the size a quarter of the pixels is decoded and
# encoded, and the mouth is still seen.
PREVIEW_SHRINK = 2


@contextmanager
def cut_excerpt(
    sources: RenderSources, start: float | None, end: float | None
) -> Iterator[RenderSources]:
    """Cut the part of a scene that a preview shows, at half its size, into a temporary file.

    Args:
        sources: files of the whole render.
        start: time in the scene at which the preview begins, s; None for the first speech.
        end: time at which it ends, s; None for `PREVIEW_SECONDS` later.

    Yields:
        Sources whose scene is the excerpt; the file is removed at the end of the context.

    Raises:
        DubfewError: The scene ends before ``start``.
        MediaError: The scene cannot be read.
    """
    begin, stop = find_preview_part(sources, start, end)
    fps = float(sources.scene_info.fps)
    first = round(begin * fps)
    count = max(1, round((stop - begin) * fps))
    with tempfile.TemporaryDirectory(prefix="dubfew-preview-") as folder:
        path = Path(folder) / "excerpt.mkv"
        info = shrink_info(sources.scene_info)
        frames = read_frames(sources.scene, start=first, stop=first + count)
        opening = next(frames, None)
        if opening is None:
            raise DubfewError(
                f"the preview would begin at {begin:.1f} s, and {sources.scene} has "
                f"{sources.scene_info.duration:.1f} s: give an earlier --from"
            )
        with VideoWriter(path, info, lossless=True, preset=_fast_preset(path, info)) as writer:
            writer.write(shrink_frame(opening, info))
            for frame in frames:
                writer.write(shrink_frame(frame, info))
        yield replace(
            sources,
            scene=path,
            scene_info=replace(info, path=path, frames=writer.frames, duration=writer.frames / fps),
            # A preview is cut at both ends, whatever the lengths of picture and sound.
            new_sound=None,
            start=float(opening.stamp),
            original=sources.scene,
        )


def find_preview_part(
    sources: RenderSources, start: float | None, end: float | None
) -> tuple[float, float]:
    """Find the part of the scene that a preview shows.

    Without a wish it begins where somebody begins to speak, or early enough for a whole preview.

    Args:
        sources: files of the whole render.
        start: wished begin, s, or None.
        end: wished end, s, or None.

    Returns:
        Begin and end in the scene, s.

    Raises:
        MediaError: The sound cannot be read.
    """
    length = sources.scene_info.duration or PREVIEW_SECONDS
    if start is None:
        start = 0.0
        if sources.audio is not None:
            span = sources.new_sound or read_speech_span(sources.audio, track=sources.audio_track)
            start = max(0.0, min(span.start - PREVIEW_LEAD_SECONDS, length - PREVIEW_SECONDS))
    if end is None:
        end = start + PREVIEW_SECONDS
    return start, max(start, min(end, length))


def shrink_info(info: VideoInfo) -> VideoInfo:
    """Return a video's properties at half its size; sizes stay even, as encoders need."""
    width, height = (max(2, size // PREVIEW_SHRINK // 2 * 2) for size in (info.width, info.height))
    # Lines of two fields are mixed where the height is halved.
    return replace(info, width=width, height=height, field_order=FIELD_PROGRESSIVE)


def shrink_frame(frame: Frame, info: VideoInfo) -> Frame:
    """Shrink a frame to the size that `shrink_info` gives, in its own pixel format.

    Args:
        frame: decoded frame of the scene.
        info: facts of the scene with the smaller size.
    """
    picture = frame.picture.reformat(
        width=info.width, height=info.height, format=frame.pix_fmt, interpolation="AREA"
    )
    return Frame(picture, frame.index, frame.stamp, frame.duration, frame.color, frame.aspect)


def _fast_preset(path: Path, info: VideoInfo) -> str | None:
    """Return the quickest preset where the excerpt's encoder has presets."""
    has_presets = choose_encoding(path, info, lossless=True).codec.encoder == "libx264"
    return "ultrafast" if has_presets else None
