"""Options of ``evaluate``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dubfew.errors import DubfewError
from dubfew.utils.options import document_fields, option, validate_options

# Ways to compare: all beside each other; each against the first one behind a line that moves; or
# the difference of each to the first one.
VIEWS = ("side", "wipe", "difference")


@document_fields
@dataclass(frozen=True, kw_only=True)
class ComparisonOptions:
    """Options of a job that compares outputs with their original."""

    view: str = option(
        "side",
        help="Way to compare: beside each other, each behind a moving line, or by difference.",
        choices=VIEWS,
    )
    measure: bool = option(
        False, help="Also measure every output, and write a page with curves and worst moments."
    )

    def __post_init__(self) -> None:
        validate_options(self)


@document_fields
@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """Options of ``dubfew.evaluate`` and ``dubfew evaluate``."""

    syncnet: Path | str | None = option(
        None,
        help="Weights of SyncNet (syncnet_v2.model), to measure LSE-C and LSE-D as well; default: "
        "those that 'dubfew assets add syncnet' registered, or DUBFEW_SYNCNET names.",
        metavar="FILE",
    )
    listen: bool = option(
        False, help="Compare the mouth with the phonemes that PocketSphinx recognizes."
    )
    inside: bool = option(
        False,
        help="Also measure the inside of the mouth: colors, teeth, sharpness and flicker between "
        "the lips, in all frames, the widest mouths, smiles and turned heads.",
    )
    sheet: Path | str | None = option(
        None,
        help="Also write a picture (.png) of the widest mouths, the original's above.",
        metavar="FILE",
    )
    transcript: Path | str | None = option(
        None,
        help="Text that is spoken in the output, as plain text, .srt, .vtt or .ttml: it says when "
        "the lips have to close. Needs the language.",
        metavar="FILE",
    )
    language: str | None = option(
        None,
        help="Language of the transcript, such as en or de.",
        metavar="CODE",
        flags=("--language", "--lang"),
    )
    floor: bool = option(
        False,
        help="Measure the noise beside the output: the original encoded again, and one frame late.",
    )
    again: Path | str | None = option(
        None,
        help="The same render made a second time, as one more row of the noise.",
        metavar="FILE",
    )
    require: Path | str | None = option(
        None,
        help="Limits per measure (.json): where the output breaks one, the command says where and "
        "ends with exit code 1.",
        metavar="FILE",
    )
    html: Path | str | None = option(
        None, help="Also write a page (.html) with curves and the worst moments.", metavar="FILE"
    )
    crop: str | None = option(
        None,
        help="Part of the output's frames to measure, where it is one picture of several beside "
        "each other.",
        metavar="WIDTHxHEIGHT+LEFT+TOP",
    )
    crop_original: str | None = option(
        None,
        help="The same for the original.",
        metavar="WIDTHxHEIGHT+LEFT+TOP",
    )
    overwrite: bool = option(False, help="Replace the page and the picture where they exist.")

    def __post_init__(self) -> None:
        validate_options(self)
        for crop in (self.crop, self.crop_original):
            if crop is not None:
                from dubfew.evaluate.crops import parse_crop  # not for a command's help

                parse_crop(crop)
        if self.transcript is not None and self.language is None:
            raise DubfewError("--transcript FILE needs --language CODE")
        if self.html is not None and Path(self.html).suffix.lower() != ".html":
            raise DubfewError("--html: a file name that ends in .html is needed")
        if self.sheet is not None and Path(self.sheet).suffix.lower() != ".png":
            raise DubfewError("--sheet: a file name that ends in .png is needed")

    @property
    def measuring(self) -> dict[str, Any]:
        """The options that say what is measured, by name."""
        names = ("syncnet", "listen", "inside", "transcript", "language")
        return {name: getattr(self, name) for name in names}
