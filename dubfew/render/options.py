"""Options of ``render``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dubfew.adapt.options import device_option, input_transform_option
from dubfew.errors import MediaError
from dubfew.reconstruction.options import face_option, segmenter_option
from dubfew.utils.options import document_fields, option, validate_options

DRIVE_NAMES = ("audio", "video", "self")
# Forms of a speaking style, see `dubfew.speech.style.SpeakingStyle.with_form`.
STYLE_FORMS = ("mouth", "parameters")
FIT_MODES = ("trim", "loop", "hold")
# Runtimes of the network; a precision may follow.
ACCELERATORS = ("torch", "openvino", "openvino-bf16")


@document_fields
@dataclass(frozen=True, kw_only=True)
class RenderOptions:
    """Options of ``dubfew.render`` and ``dubfew render``."""

    video: Path | str | None = option(
        None,
        help="Video to dub (the scene); default: the footage that the actor was adapted on.",
        metavar="V",
    )
    audio: Path | str | None = option(
        None, help="New speech; default: the scene's own sound.", metavar="A"
    )
    proxy: Path | str | None = option(
        None,
        help="Smaller version of the video with the same frames, in which the face is tracked: "
        "the mouth moves as in a render of that version, whatever the size of the video.",
        metavar="V",
    )
    input_transform: str | None = input_transform_option()
    audio_track: int | None = option(
        None,
        help="Number of the sound track that is spoken, from 1, in the audio or in the scene; "
        "default: the main one, or where it has tone, silence or music the one that speaks.",
        metavar="N",
        minimum=1,
    )
    face: str | None = face_option(default="the one that is most like the actor")
    anyone: bool = option(
        False,
        help="Render a face that is not like the actor. The audit log records it.",
    )
    segmenter: str = segmenter_option()
    drive: str = option(
        "audio",
        help="Source of the mouth's motion: the audio, a driver's video, or the scene itself.",
        choices=DRIVE_NAMES,
    )
    driver: Path | str | None = option(
        None, help="Video of another performance, for drive video.", metavar="V"
    )
    motion: Path | str | None = option(
        None,
        help="Mouth motion to render, a file of 'dubfew motion' with its edits. The sound is that "
        "of the audio, or the scene's own.",
        metavar="FILE",
    )
    style: str = option(
        "mouth",
        help="Form of the actor's speaking style: a matrix over the mouth's directions, or one "
        "scale and shift for each parameter of jaw and expression, as in Dubbing for Everyone.",
        choices=STYLE_FORMS,
    )
    transcript: Path | str | None = option(
        None,
        help="Text of the audio (a script, .srt, .vtt or .ttml). It sharpens the timing and needs "
        "the language.",
        metavar="FILE",
    )
    language: str | None = option(
        None,
        help="Language of the audio: en, de-AT, pt-BR. It is checked against the actor's consent.",
        metavar="CODE",
        flags=("--language", "--lang"),
    )
    use: str | None = option(
        None,
        help="Use of the output, as the actor's consent record names it, such as dubbing. It is "
        "checked against the record.",
        metavar="USE",
    )
    territory: str | None = option(
        None,
        help="Country that the output is for, such as AT. It is checked against the record.",
        metavar="CC",
    )
    project: str | None = option(
        None,
        help="Production that the output is for. It is checked against the record.",
        metavar="TEXT",
    )
    recognise: bool = option(
        False,
        help="Recognize phonemes with PocketSphinx, for English speech, and close the lips in "
        "/p b m/ where they are near each other.",
    )
    offset: float = option(
        0.0,
        help="Shift of the new mouth motion against the sound, in milliseconds: a positive number "
        "moves the mouth later, a negative one earlier.",
        metavar="MS",
        minimum=-1000,
        maximum=1000,
    )
    open: float = option(
        1.0,
        help="Factor of how far the mouth opens: 0.7 speaks with smaller openings, 1.2 with larger "
        "ones. Closed lips stay closed. Audio opens no wider than reach allows.",
        metavar="FACTOR",
        minimum=0.1,
        maximum=3,
    )
    reach: float = option(
        1.0,
        help="Widest mouth that audio may open, as a multiple of the widest in the actor's "
        "footage. Wider openings are compressed, and keep their differences.",
        metavar="R",
        minimum=0.1,
        maximum=10,
    )
    fit: str | None = option(
        None,
        help="Treatment of audio that is longer than the video: cut the audio (trim), repeat the "
        "video (loop), or hold its last frame (hold); default: hold where speech would be cut, "
        "trim where the rest is silent.",
        choices=FIT_MODES,
    )
    preview: bool = option(
        False,
        help="Render two seconds at half the size, from the first speech on, into a file of its "
        "own whose name ends in -preview, with a number from the second one on.",
    )
    into: Path | str | None = option(
        None,
        help="Earlier output of the same scene and sound, of which the passage between from and to "
        "is rendered anew, or the scene itself. Its sound and its frames stay as they are, but for "
        "those up to the next key frame, which are encoded again.",
        metavar="FILE",
    )
    from_seconds: float | None = option(
        None,
        help="Time in seconds at which the passage or the preview begins; default of a preview: "
        "the first speech.",
        metavar="T",
        flags=("--from",),
        minimum=0,
        unit="s",
    )
    to_seconds: float | None = option(
        None,
        help="Time in seconds at which it ends; default of a preview: two seconds later.",
        metavar="T",
        flags=("--to",),
        above=0,
        unit="s",
    )
    mix: str | None = option(
        None,
        help="Sound to mix into the new speech: a sound track of the scene by its number, such as "
        "2 for its ambience or its music and effects, or a file. A gain in dB may follow a colon: "
        "2:-3. The scene's other tracks stay tracks of the output.",
        metavar="TRACK|FILE[:DB]",
    )
    revision: int | None = option(
        None, help="Revision of the actor; default: the one that is used.", metavar="N", minimum=1
    )
    codec: str | None = option(
        None,
        help="Video encoder, by its name in FFmpeg; default: one that suits the scene and the "
        "output's container. hardware: what the machine's graphics processor has, else libx264.",
        metavar="C",
    )
    crf: int | None = option(
        None,
        help="Quality of the encoder: a lower number means better pictures and a larger file.",
        metavar="N",
        minimum=0,
        maximum=63,
        error=MediaError,
    )
    preset: str | None = option(
        None,
        help="Speed of the encoders libx264 and libx265: ultrafast, superfast, veryfast, faster, "
        "fast, medium, slow or slower. Slower ones make a better picture of the same size; "
        "default: superfast for libx264, veryfast for libx265.",
        metavar="NAME",
    )
    like_source: bool = option(
        False,
        help="Encode like the scene: its codec, profile, bit rate and pixel format, where the "
        "output's container takes them.",
    )
    lossless: bool = option(False, help="Encode without any loss.")
    speech: Path | str | None = option(
        None,
        help="Place of the actor's speech model, if it was moved since they were adapted.",
        metavar="FILE",
    )
    plot: Path | str | None = option(
        None,
        help="File to draw the opening of the lips over the sound into: .png, .svg or .pdf.",
        metavar="P",
    )
    report: Path | str | None = option(
        None,
        help="Page (.html) to write about the output: scene and output side by side, warnings, "
        "curves, and the moments to look at first.",
        metavar="FILE",
    )
    debug: Path | str | None = option(
        None,
        help="Video (.mp4, .mov or .mkv) to write about the output: each frame with what was "
        "painted in green, what lies over the face and was kept in red, and why a frame was left.",
        metavar="FILE",
    )
    watermark: bool = option(
        True,
        help="Mark the mouth invisibly. The Content Credentials record it where this is off.",
    )
    post_processing: bool = option(
        True,
        help="Keep the scene's background where both pictures show it; off paints the whole mask.",
    )
    device: str = device_option()
    accelerator: str = option(
        "torch",
        help="Runtime of the network on a CPU: torch, or openvino of the extra of that name, which "
        "gives the same pictures, on some processors sooner. openvino-bf16 is less exact, and "
        "faster where the processor has bfloat16. Where one cannot be had torch computes, and the "
        "result says so.",
        choices=ACCELERATORS,
    )
    out: Path | str | None = option(
        None,
        help="Output file; default: an .mp4 in the working directory that is named after scene, "
        "actor and sound, such as scene-mary-german1.mp4.",
        metavar="OUT",
        flags=("--out", "-o"),
    )
    overwrite: bool = option(
        False,
        help="Replace the output, the plot, the report and the debug video where files of these "
        "names exist.",
    )

    def __post_init__(self) -> None:
        validate_options(self)

    @property
    def chosen_drive(self) -> str:
        """Source of the mouth's motion: "motion" where a file of it is given, or ``drive``."""
        return self.drive if self.motion is None else "motion"
