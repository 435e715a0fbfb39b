"""A label for viewers: that a video was changed with artificial intelligence.

Machine-readable marks are for programs. Article 50 (4) of the EU's AI Act also asks whoever
publishes a dub of a real person to tell its viewers. The label follows what the Code of Practice on
marking and labelling of AI-generated content (European Commission, 10 June 2026) asks of labels of
one's own: the letters AI are its largest part, words stand beside them, and it is in an upper
corner, at the start and after every break. It is not the Commission's icon.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from dubfew.errors import DubfewError
from dubfew.marks.certificate import SigningIdentity
from dubfew.marks.credentials import sign_edit
from dubfew.media import AudioSource, Frame, VideoWriter, probe, read_frames
from dubfew.media.audio import other_tracks
from dubfew.progress import Progress, ProgressCallback, no_progress
from dubfew.utils.fonts import load_font

# Words of the label, the letters that have to stand out first.
LABEL_WORDS = ("AI", "MODIFIED")
# Height of the label as a share of the picture's shorter side: 108 px of 1080, seen on a phone.
LABEL_SHARE = 0.1
# Smallest height of the label, px: below, the second line cannot be read.
MIN_LABEL_PX = 32
# Distance to the edges of the picture, as a share of its shorter side: within title-safe borders.
MARGIN_SHARE = 0.05
# Time for which the label is shown, s: twice the time that two words take to be seen and read.
LABEL_SECONDS = 5.0
# Height of the lines of the end card, as a share of the picture's height.
CARD_LINE_SHARE = 0.05
# Levels of the label and the card, and of what is written on them.
PAPER, INK = 16, 235

# What the credits say, by language.
CREDITS = {
    "de": "Die Mundbewegungen von Personen in diesem Werk wurden mit künstlicher Intelligenz "
    "verändert, damit sie zur Sprache der Synchronfassung passen.",
    "en": "The mouth movements of people in this work were changed with artificial intelligence "
    "to fit the language of the dub.",
    "es": "Los movimientos de la boca de personas de esta obra se modificaron con inteligencia "
    "artificial para ajustarlos al idioma del doblaje.",
    "fr": "Les mouvements de la bouche de personnes dans cette œuvre ont été modifiés par "
    "intelligence artificielle pour correspondre à la langue du doublage.",
    "it": "I movimenti della bocca di persone in quest'opera sono stati modificati con "
    "l'intelligenza artificiale per adattarli alla lingua del doppiaggio.",
    "pt": "Os movimentos da boca de pessoas nesta obra foram alterados com inteligência "
    "artificial para se ajustarem à língua da dobragem.",
}


@dataclass(frozen=True)
class LabelPlan:
    """Where in a video its label is.

    Attributes:
        starts: times from which the label is shown, s.
        seconds: for how long it is shown each time, s; None shows it throughout.
        card_seconds: length of a card with the credits' text after the last frame, s; 0 for none.
        language: language of the card, one of `CREDITS`.

    Raises:
        DubfewError: A time is negative, or there is no text in the language.
    """

    starts: tuple[float, ...] = (0.0,)
    seconds: float | None = LABEL_SECONDS
    card_seconds: float = 0.0
    language: str = "en"

    def __post_init__(self) -> None:
        if min((*self.starts, self.card_seconds, self.seconds or 0.0)) < 0:
            raise DubfewError("a time of the label is negative: give seconds from the start")
        credits_text(self.language)

    def is_shown(self, time: float) -> bool:
        """Tell whether the label is shown at a time in s."""
        if self.seconds is None:
            return True
        return any(start <= time < start + self.seconds for start in self.starts)


def credits_text(language: str) -> str:
    """Return the sentence for the credits.

    Args:
        language: code of the language, such as "de" or "de-AT".

    Raises:
        DubfewError: There is no text in that language.
    """
    text = CREDITS.get(language.lower().replace("_", "-").split("-")[0])
    if text is None:
        raise DubfewError(
            f"there is no text in {language!r}: choose one of {', '.join(CREDITS)}, and translate"
        )
    return text


def draw_label(height: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Draw the label.

    Args:
        height: its height, px.

    Returns:
        The picture [height, width, 3] and where it covers what is below. [height, width]
    """
    large, small = load_font(round(height * 0.58), bold=True), load_font(round(height * 0.25))
    pad = round(height * 0.1)
    width = round(max(large.getlength(LABEL_WORDS[0]), small.getlength(LABEL_WORDS[1]))) + 3 * pad
    picture = Image.new("L", (width, height), PAPER)
    draw = ImageDraw.Draw(picture)
    draw.text((width / 2, height * 0.36), LABEL_WORDS[0], INK, large, anchor="mm")
    draw.text((width / 2, height * 0.8), LABEL_WORDS[1], INK, small, anchor="mm")
    shape = Image.new("1", (width, height), 0)
    ImageDraw.Draw(shape).rounded_rectangle((0, 0, width - 1, height - 1), radius=pad, fill=1)
    gray = np.asarray(picture)
    return np.repeat(gray[..., None], 3, axis=2), np.array(shape, np.bool_)


def draw_card(width: int, height: int, text: str) -> NDArray[np.uint8]:
    """Draw the card with the credits' text.

    Args:
        width: width of the picture, px.
        height: height of the picture, px.
        text: what it says; lines are broken between words.

    Returns:
        Picture. [height, width, 3]
    """
    picture = Image.new("L", (width, height), PAPER)
    draw = ImageDraw.Draw(picture)
    size = max(8, round(height * CARD_LINE_SHARE))
    font = load_font(size)
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width * (1 - 2 * MARGIN_SHARE):
            lines[-1] = longer
        else:
            lines.append(word)
    draw.multiline_text(
        (width / 2, height / 2), "\n".join(lines), INK, font, "mm", size * 0.4, "center"
    )
    return np.repeat(np.asarray(picture)[..., None], 3, axis=2)


def write_labelled(
    video: Path | str,
    output: Path | str,
    plan: LabelPlan,
    identity: SigningIdentity,
    *,
    codec: str | None = None,
    crf: int | None = None,
    progress: ProgressCallback = no_progress,
) -> tuple[int, tuple[str, ...]]:
    """Write a copy of a video with a label, signed as an edit of the video.

    Frames keep their times, every sound track is copied, and the Content Credentials of the video
    become the history of the copy's. Pixels beside the label are those of the video, encoded again.

    Args:
        video: the finished dub.
        output: file to write.
        plan: when the label is shown.
        identity: the signer.
        codec: codec of the picture, see `VideoWriter`.
        crf: quality, see `VideoWriter`.
        progress: function that is called after every frame.

    Returns:
        Number of frames, those of the card included, and what the user should know.

    Raises:
        MediaError: The video cannot be read, written or signed.
        DubfewError: The picture is too small for a label.
    """
    video, output = Path(video), Path(output)
    info = probe(video)
    width, height = info.square_size
    label = _place_label(width, height)
    sounds = [AudioSource(video, pad=False, track=number) for number in other_tracks(video, 0)]
    notes: list[str] = []

    def sign(file: Path) -> None:
        notes.extend(sign_edit(file, output, video, "A label for viewers was added.", identity))

    count = 0
    with VideoWriter(
        output,
        info,
        audio=sounds or None,
        codec=codec,
        crf=crf,
        carry=video,
        before_publish=sign,
    ) as writer:
        for frame in _edit_frames(read_frames(video), plan, label, info.fps):
            writer.write(frame)
            count += 1
            progress(Progress("label", count, info.frames))
    return count, (*writer.notes, *notes)


@dataclass(frozen=True)
class _PlacedLabel:
    """A label, and where it is in the picture: its picture [h, w, 3] and its shape [h, w]."""

    left: int
    top: int
    picture: NDArray[np.uint8]
    mask: NDArray[np.bool_]

    def put_on(self, frame: Frame) -> Frame:
        """Return a copy of a frame with the label on it."""
        return frame.with_patch(self.left, self.top, self.picture, self.mask)


def _place_label(width: int, height: int) -> _PlacedLabel:
    """Draw the label for a picture, and find its place in the upper right corner."""
    short = min(width, height)
    picture, mask = draw_label(max(MIN_LABEL_PX, round(short * LABEL_SHARE)))
    margin = round(short * MARGIN_SHARE)
    left, top = width - margin - picture.shape[1], margin
    if left < 0 or top + picture.shape[0] > height:
        raise DubfewError(
            f"a picture of {width} x {height} px has no room for a label of {picture.shape[1]} x "
            f"{picture.shape[0]}: label a larger copy"
        )
    return _PlacedLabel(left, top, picture, mask)


def _edit_frames(
    frames: Iterable[Frame], plan: LabelPlan, label: _PlacedLabel, fps: Fraction
) -> Iterator[Frame]:
    """Yield all frames with the label where it is shown, and those of the card after them."""
    last: Frame | None = None
    for frame in frames:
        last = frame
        yield label.put_on(frame) if plan.is_shown(frame.time) else frame
    if last is None or not plan.card_seconds:
        return
    text = draw_card(last.width, last.height, credits_text(plan.language))
    card = last.with_patch(0, 0, text, np.ones(text.shape[:2], np.bool_))
    for number in range(1, max(1, round(plan.card_seconds * fps)) + 1):
        yield card.with_time(last.index + number, last.stamp + number / fps)
