"""What the measures say of outputs that nobody could tell from the original: their noise."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from dubfew.evaluate.compare import EvaluationResult, evaluate
from dubfew.media import AudioSource, Frame, VideoWriter, probe, read_frames
from dubfew.progress import ProgressCallback, no_progress

# Quality of the original that is encoded again, x264's scale: a delivery over the network.
FLOOR_CRF = 23
# Rows of the noise.
REENCODED, ONE_FRAME_LATE, AGAIN = "re-encoded", "one frame late", "same render again"


def measure_floor(
    reference: Path,
    result: EvaluationResult,
    options: Mapping[str, Any],
    *,
    again: Path | None = None,
    progress: ProgressCallback = no_progress,
) -> dict[str, EvaluationResult]:
    """Measure the original encoded again, one frame late, and a second render.

    Args:
        reference: the original video.
        result: result of the output, whose track and landmarks of the original are used again.
        options: options of `evaluate`, the same as for the output.
        again: the same render made a second time.
        progress: function that is called with the state of each comparison.

    Returns:
        Results by row. That of a second render stands beside that of the first: what they differ
        by is the noise of the renderer.

    Raises:
        MediaError: A file cannot be read as video.
    """
    if result.clips is None:
        raise ValueError("the result has no clips")
    known = {"track": result.track, "landmarks": result.clips.reference_landmarks}
    measured = {**options, **known, "progress": progress}
    # What is spoken in the original is not what the transcript of a dub says.
    if result.same_line is False:
        measured.update(transcript=None, language=None)
    rows = {}
    with tempfile.TemporaryDirectory(prefix="dubfew-floor-") as folder:
        for name, late in ((REENCODED, False), (ONE_FRAME_LATE, True)):
            path = Path(folder) / f"{name.replace(' ', '-')}.mp4"
            _encode_again(reference, path, result.frames, late=late)
            rows[name] = evaluate(reference, path, **measured)
    if again is not None:
        rows[AGAIN] = evaluate(reference, again, **{**options, **known, "progress": progress})
    return rows


def _encode_again(reference: Path, path: Path, frames: int, *, late: bool) -> None:
    """Encode the first frames of a video again, with its sound."""
    info = probe(reference)
    seconds = frames / float(info.fps)
    sound = AudioSource(reference, duration=seconds, pad=False) if info.has_audio else None
    with VideoWriter(path, info, audio=sound, crf=FLOOR_CRF, preset="veryfast") as writer:
        for index, frame in enumerate(_delay(read_frames(reference, stop=frames), late)):
            writer.write(frame.with_time(index, Fraction(index) / info.fps))


def _delay(frames: Iterator[Frame], late: bool) -> Iterator[Frame]:
    """Yield every frame one frame later, the first one twice; or as they are."""
    before = None
    for frame in frames:
        yield before if late and before is not None else frame
        before = frame
