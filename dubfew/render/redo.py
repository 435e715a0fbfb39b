"""Redo of a passage: new frames between two times, the frames of an earlier output around them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubfew.errors import DubfewError
from dubfew.marks.credentials import read_credentials
from dubfew.media import AudioSource, Frame, VideoInfo, probe, read_frames
from dubfew.media.opening import audio_streams, open_media
from dubfew.media.splicing import KeptPackets, find_kept_packets
from dubfew.motion.mouth_motion import MouthMotion
from dubfew.render.options import RenderOptions
from dubfew.render.tasks import FrameTask
from dubfew.utils.files import sha256_file
from dubfew.utils.smoothstep import smoothstep

# Frames at either end of a passage over which the pictures of the earlier output fade into the new
# ones. Two frames hide what is left of a jump; more would show two mouths at once.
PICTURE_FADE_FRAMES = 2
# Frames over which the motion eases from that without corrections, 0.2 s at 25 frames a second.
MOTION_EASE_FRAMES = 5


@dataclass(frozen=True)
class Passage:
    """A passage of an earlier output that is rendered anew.

    Attributes:
        into: the earlier output, or the scene itself.
        start: begin of the passage, s.
        end: end of the passage, s.
        watermark: id of the watermark of the earlier output, or None if it has none.
        is_scene: whether ``into`` is the scene itself.
        has_same_sound: whether the earlier output's sound is that of this render, so that it stays.
    """

    into: Path
    start: float
    end: float
    watermark: str | None
    is_scene: bool = False
    has_same_sound: bool = False


def resolve_passage(
    options: RenderOptions, scene: VideoInfo, new_sound: Path | None = None
) -> Passage | None:
    """Find the passage that a render redoes, and check that the earlier output can take it.

    Args:
        options: options of the render.
        scene: properties of the scene.
        new_sound: sound of the render, or None for the scene's own.

    Returns:
        The passage; None for a render of the whole scene.

    Raises:
        DubfewError: The earlier output is no output of dubfew, was changed since, or has another
            size than the scene; or the passage begins after its end.
        MediaError: The earlier output cannot be read.
    """
    if options.into is None or options.from_seconds is None or options.to_seconds is None:
        return None
    into = Path(options.into)
    info = probe(into)
    if info.duration and options.from_seconds >= info.duration:
        raise DubfewError(
            f"--from is {options.from_seconds:g}, and {into} ends at {info.duration:.2f} s"
        )
    # The scene itself: the first passage of it that is dubbed.
    if into.samefile(scene.path):
        return Passage(into, options.from_seconds, options.to_seconds, None, is_scene=True)
    credentials = read_credentials(into)
    if credentials is None or credentials.rendering is None or credentials.state == "invalid":
        raise DubfewError(
            f"{into} is no output of dubfew, or was changed since: give --into a file that "
            "'dubfew render' wrote"
        )
    # The mean frame rate is no sign: it differs where the picture is held and the scene's varies.
    if (info.width, info.height) != (scene.width, scene.height):
        raise DubfewError(
            f"{into} has {info.width} x {info.height}, and the scene {scene.width} x "
            f"{scene.height}: name the scene that it was made from"
        )
    if credentials.rendering.get("scene_sha256") != sha256_file(scene.path):
        raise DubfewError(f"{into} was made from another scene than {scene.path}: name that one")
    # A mix or another track, where they are asked for, may be another one than before.
    sha256 = None if new_sound is None else sha256_file(new_sound)
    has_same_sound = (
        options.mix is None
        and options.audio_track is None
        and credentials.rendering.get("sound_sha256") == sha256
    )
    return Passage(
        into,
        options.from_seconds,
        options.to_seconds,
        credentials.rendering.get("watermark"),
        has_same_sound=has_same_sound,
    )


def find_passage_packets(
    passage: Passage | None, weights: NDArray[np.float32], output: Path
) -> KeptPackets | None:
    """Find the packets of the earlier output that can stay around a passage.

    Args:
        passage: the passage; None for a render of the whole scene.
        weights: weight of the new picture of each frame, see `passage_weights`. [N]
        output: file that is written.

    Returns:
        The packets; None where no frame could be kept.
    """
    (rows,) = np.nonzero(weights)
    if passage is None or passage.is_scene or not len(rows):
        return None
    if passage.into.suffix.lower() != output.suffix.lower():
        return None
    kept = find_kept_packets(passage.into, int(rows[0]), int(rows[-1]) + 1)
    return kept if kept is not None and len(kept.stamps) == len(weights) else None


def describe_encoded_frames(passage: Passage | None, kept_frames: int) -> str:
    """Warn in one line that frames outside of a passage were encoded again, or return "".

    Args:
        passage: the passage; None for a render of the whole scene.
        kept_frames: number of frames whose packets were kept.
    """
    if passage is None or passage.is_scene or kept_frames:
        return ""
    return (
        f"all frames of {passage.into} were encoded again, which costs a little quality: it has "
        "other settings (file ending, --codec, --preset), or no key frame near the passage"
    )


def list_passage_sounds(passage: Passage) -> list[AudioSource]:
    """List the sound tracks of an earlier output, which are copied, the main one first.

    Args:
        passage: passage of the earlier output.

    Raises:
        MediaError: The earlier output cannot be read.
    """
    with open_media(passage.into) as container:
        count = len(audio_streams(container))
    return [AudioSource(passage.into, pad=False, track=number + 1) for number in range(count)]


def passage_weights(
    times: NDArray[np.float64],  # [N]
    passage: Passage,
    ease_frames: int,
) -> NDArray[np.float32]:  # [N]
    """Compute how much of each frame is new.

    Args:
        times: presentation time of each frame, s. [N]
        passage: the passage.
        ease_frames: frames over which the weight rises and falls.

    Returns:
        0 outside of the passage; inside it rises linearly to 1 from either end, but not from the
        ends of the video. [N]
    """
    inside = (times >= passage.start) & (times < passage.end)
    (rows,) = np.nonzero(inside)
    weights = np.zeros(len(times), np.float32)
    if not len(rows):
        return weights
    first, last = rows[0], rows[-1]
    rise = (rows - first + 1) / (ease_frames + 1) if first > 0 else np.ones(len(rows))
    fall = (last - rows + 1) / (ease_frames + 1) if last < len(times) - 1 else np.ones(len(rows))
    weights[rows] = np.minimum(np.minimum(rise, fall), 1)
    return weights


def blend_into_passage(
    plain: MouthMotion, corrected: MouthMotion, weights: NDArray[np.float32]
) -> MouthMotion:
    """Ease from the motion without corrections into the corrected one.

    Args:
        plain: motion as a render without corrections has it. N rows
        corrected: motion of this render. N rows
        weights: weight of the corrected motion, see `passage_weights`. [N]
    """
    # The motion starts and ends without a change of speed.
    share = smoothstep(0, 1, weights)[:, None, None]
    difference = corrected.displacement - plain.displacement
    return MouthMotion(plain.displacement + share * difference, corrected.times)


def skip_outside(
    items: Iterable[Frame | FrameTask], weights: NDArray[np.float32]
) -> Iterator[Frame | FrameTask]:
    """Turn the tasks outside of a passage into plain frames, which are not painted.

    Args:
        items: frames and tasks of the whole scene.
        weights: weight of the new picture of each, see `passage_weights`. [N]
    """
    for item, weight in zip(items, weights, strict=False):
        yield item.frame if weight == 0 and isinstance(item, FrameTask) else item


def join_frames(
    painted: Iterable[Frame], passage: Passage, weights: NDArray[np.float32]
) -> Iterator[Frame]:
    """Take frames of the earlier output outside of the passage, and fade at its ends.

    Args:
        painted: frames of this render, all of them.
        passage: the passage.
        weights: weight of the new picture of each frame, see `passage_weights`. [N]

    Yields:
        Frames with the times of ``painted``.

    Raises:
        DubfewError: The earlier output has another number of frames.
    """
    earlier = read_frames(passage.into, whole=True)
    for frame, weight in zip(painted, weights, strict=False):
        old = next(earlier, None)
        if old is None:
            raise _length_error(passage.into)
        if weight == 0:
            yield old.with_time(frame.index, frame.stamp)
        elif weight == 1:
            yield frame
        else:
            yield _mix_frames(old.as_stored(), frame.as_stored(), weight)
    if next(earlier, None) is not None:
        raise _length_error(passage.into)


def _mix_frames(old: Frame, new: Frame, weight: float) -> Frame:
    """Mix two pictures of one size by the weight of the new one, which gives the time."""
    before, after = (each.crop_levels(0, 0, each.width, each.height) for each in (old, new))
    mixed = before + np.float32(weight) * (after - before)
    if not new.is_deep:
        mixed = np.rint(mixed)
    return new.with_patch(0, 0, mixed, np.ones((new.height, new.width), bool))


def _length_error(into: Path) -> DubfewError:
    """Make the error for an earlier output of another length."""
    return DubfewError(
        f"{into} and this render have different numbers of frames: name the same --video, --audio "
        "and --fit as for the earlier output"
    )
