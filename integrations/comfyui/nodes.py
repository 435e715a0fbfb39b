"""Nodes after ComfyUI's V3 schema (``comfy_api.latest``), around dubfew's Python functions.

Files stay files: a video that ComfyUI has on disk is read there, and what is written is never
decoded again on its way. An error of dubfew is shown as its own sentence.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import folder_paths
from comfy.model_management import throw_exception_if_processing_interrupted
from comfy.utils import ProgressBar
from comfy_api.latest import ComfyExtension, Input, InputImpl, io, ui
from typing_extensions import override

import dubfew
from dubfew.errors import ActorNotFoundError
from dubfew.marks import verify_marks
from dubfew.progress import Progress
from dubfew.registry.listing import list_default_revisions
from dubfew.takes.edits import EDIT_RULES

CATEGORY = "video/dubfew"
# Shown in the list of actors where none was learned.
NO_ACTOR = "(learn an actor first)"
# Types of the links between the nodes: the id of an actor, and a `dubfew.Take`.
Actor = io.Custom("DUBFEW_ACTOR")
Motion = io.Custom("DUBFEW_MOTION")
# Resolution of the progress bar.
PROGRESS_STEPS = 1000


class LoadActor(io.ComfyNode):
    """Chooses one of the actors that were learned on this machine."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        names = [row.actor for row in list_default_revisions()] or [NO_ACTOR]
        return io.Schema(
            node_id="DubfewLoadActor",
            display_name="Load Actor (dubfew)",
            category=CATEGORY,
            description="An actor that was learned before, on this machine.",
            inputs=[io.Combo.Input("actor", options=names)],
            outputs=[Actor.Output(display_name="actor")],
        )

    @classmethod
    def execute(cls, actor: str) -> io.NodeOutput:
        if actor not in [row.actor for row in list_default_revisions()]:
            raise ActorNotFoundError(f"no actor {actor!r} is stored here: learn one first")
        return io.NodeOutput(actor)

    @classmethod
    def fingerprint_inputs(cls, actor: str) -> str:
        """Run again after the actor was learned anew."""
        revisions = {row.actor: row.number for row in list_default_revisions()}
        return f"{actor} {revisions.get(actor)}"


class AdaptActor(io.ComfyNode):
    """Learns an actor from a few seconds of video."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DubfewAdaptActor",
            display_name="Learn Actor (dubfew)",
            category=CATEGORY,
            description="Learns one actor from a few seconds in which the actor talks.",
            inputs=[
                io.Video.Input("video", tooltip="Footage of the actor, sharp and from the front."),
                io.String.Input("actor", default="actor", tooltip="Name to store the actor under."),
                io.Boolean.Input(
                    "draft", default=True, tooltip="Seconds of work instead of minutes."
                ),
                io.Float.Input(
                    "seconds", default=4.0, min=1.0, max=60.0, step=0.5, tooltip="Length to use."
                ),
                io.String.Input(
                    "consent", default="", optional=True, tooltip="Path of the consent record."
                ),
            ],
            outputs=[Actor.Output(display_name="actor"), io.String.Output(display_name="report")],
        )

    @classmethod
    def execute(
        cls, video: Input.Video, actor: str, draft: bool, seconds: float, consent: str = ""
    ) -> io.NodeOutput:
        with stored_video(video) as path:
            learned = dubfew.adapt(
                path,
                actor=actor,
                draft=draft,
                seconds=seconds,
                consent=consent or None,
                progress=show_progress(),
            )
        report = f"{learned.actor}, revision {learned.revision}: {learned.frames} frames"
        return io.NodeOutput(learned.actor, "\n".join(filter(None, [report, learned.note])))


class DubScene(io.ComfyNode):
    """Makes an actor speak another line in a scene, and writes the signed file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DubfewDub",
            display_name="Dub (dubfew)",
            category=CATEGORY,
            description="Paints the actor's mouth anew. The file in the output folder is signed "
            "and marked; a node that saves the video again takes the signature off.",
            inputs=[
                Actor.Input("actor"),
                io.Video.Input("scene", tooltip="Footage of the same actor."),
                io.Audio.Input("speech", optional=True, tooltip="Default: the scene's own sound."),
                Motion.Input("motion", optional=True, tooltip="Motion to use, edited or not."),
                io.Boolean.Input("preview", default=False, tooltip="Two seconds only."),
                io.Float.Input("open", default=1.0, min=0.1, max=3.0, step=0.05, optional=True),
                io.Float.Input("offset_ms", default=0.0, min=-1000.0, max=1000.0, optional=True),
                io.String.Input("filename_prefix", default="dubfew/dub"),
            ],
            outputs=[io.Video.Output(display_name="video"), io.String.Output(display_name="note")],
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls,
        actor: str,
        scene: Input.Video,
        preview: bool,
        filename_prefix: str,
        speech: Input.Audio | None = None,
        motion: dubfew.Take | None = None,
        open: float = 1.0,
        offset_ms: float = 0.0,
    ) -> io.NodeOutput:
        width, height = scene.get_dimensions()
        folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(
            filename_prefix, folder_paths.get_output_directory(), width, height
        )
        output = Path(folder) / f"{name}_{counter:05}_.mp4"
        choices: dict[str, Any] = {} if speech is None else {"audio": to_sound(speech)}
        with stored_video(scene) as path, tempfile.TemporaryDirectory() as temporary:
            if motion is not None:
                choices["motion"] = Path(temporary) / "line.motion"
                motion.save(choices["motion"])
            done = dubfew.render(
                actor,
                video=path,
                out=output,
                preview=preview,
                open=open,
                offset=offset_ms,
                progress=show_progress(),
                **choices,
            )
        note = f"{done.edited_frames} of {done.frames} frames painted"
        shown = ui.SavedResult(done.output.name, subfolder, io.FolderType.output)
        return io.NodeOutput(
            InputImpl.VideoFromFile(str(done.output)),
            "\n".join(filter(None, [note, done.note])),
            ui=ui.PreviewVideo([shown]),
        )


class RecordMotion(io.ComfyNode):
    """Predicts the motion of the mouth from a sound."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DubfewMotion",
            display_name="Mouth Motion (dubfew)",
            category=CATEGORY,
            description="Predicts the motion of the mouth from speech, to be edited.",
            inputs=[io.Audio.Input("speech")],
            outputs=[Motion.Output(display_name="motion")],
        )

    @classmethod
    def execute(cls, speech: Input.Audio) -> io.NodeOutput:
        return io.NodeOutput(dubfew.record_motion(to_sound(speech), progress=show_progress()))


class EditMotion(io.ComfyNode):
    """Changes a stretch of a mouth's motion."""

    # Only these need no second take.
    OPERATIONS = tuple(name for name in EDIT_RULES if name != "replace")

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DubfewEditMotion",
            display_name="Edit Motion (dubfew)",
            category=CATEGORY,
            description="Edits are kept as a list and applied at the render.",
            inputs=[
                Motion.Input("motion"),
                io.Combo.Input("operation", options=list(cls.OPERATIONS), default="scale"),
                io.Float.Input(
                    "value",
                    default=1.0,
                    min=-86400.0,
                    max=86400.0,
                    step=0.01,
                    tooltip="scale: a factor; offset, smooth, hold: seconds; open: the gap. close "
                    "has none.",
                ),
                io.Float.Input("start", default=0.0, min=0.0, max=86400.0, step=0.01),
                io.Float.Input(
                    "end", default=0.0, min=0.0, max=86400.0, step=0.01, tooltip="0: to the end."
                ),
            ],
            outputs=[Motion.Output(display_name="motion")],
        )

    @classmethod
    def execute(
        cls, motion: dubfew.Take, operation: str, value: float, start: float, end: float
    ) -> io.NodeOutput:
        edit = dubfew.MotionEdit(
            operation,
            None if operation == "close" else value,
            start=start or None,
            end=end or None,
        )
        return io.NodeOutput(motion.edit(edit))


class VerifyMarks(io.ComfyNode):
    """Reads the marks of a video."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DubfewVerify",
            display_name="Verify Marks (dubfew)",
            category=CATEGORY,
            description="Says whether Content Credentials and watermark are there and intact.",
            inputs=[io.Video.Input("video")],
            outputs=[
                io.Boolean.Output(display_name="intact"),
                io.String.Output(display_name="findings"),
            ],
            # ComfyUI runs only what leads to such a node.
            is_output_node=True,
        )

    @classmethod
    def execute(cls, video: Input.Video) -> io.NodeOutput:
        with stored_video(video) as path:
            report = verify_marks(path, progress=show_progress())
        findings = "\n".join(report.findings)
        return io.NodeOutput(report.intact, findings, ui=ui.PreviewText(findings))


class DubfewExtension(ComfyExtension):
    """The nodes of this pack."""

    @override
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [LoadActor, AdaptActor, DubScene, RecordMotion, EditMotion, VerifyMarks]


async def comfy_entrypoint() -> DubfewExtension:
    """Make the extension; ComfyUI calls this when it loads the pack."""
    return DubfewExtension()


@contextmanager
def stored_video(video: Input.Video) -> Iterator[Path]:
    """Give the file of a video, written to a temporary one where it has none or was trimmed.

    Args:
        video: a link of ComfyUI's type VIDEO.
    """
    source = video.get_stream_source()
    # A trimmed video of a file is still read from the whole file.
    trim = getattr(video, "get_active_trim_window", lambda: (0.0, 0.0))()
    if isinstance(source, str) and not any(trim):
        yield Path(source)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.mp4"
        video.save_to(str(path))
        yield path


def to_sound(audio: Input.Audio) -> tuple[Any, int]:
    """Turn a link of ComfyUI's type AUDIO into samples [n, channels] and their rate.

    Args:
        audio: "waveform" [1, channels, n] in [-1, 1] and "sample_rate" in Hz.

    Raises:
        ValueError: It holds several sounds.
    """
    waveform = audio["waveform"]
    if waveform.shape[0] != 1:
        raise ValueError(f"the audio has {waveform.shape[0]} sounds: give one")
    return waveform[0].T.contiguous().cpu().numpy(), int(audio["sample_rate"])


def show_progress() -> Any:
    """Make the function that moves ComfyUI's progress bar, and stops where the user says so."""
    # Not ComfyAPISync().execution: ComfyUI 0.3.64 has none there, against its own documentation.
    bar = ProgressBar(PROGRESS_STEPS)

    def show(progress: Progress) -> None:
        throw_exception_if_processing_interrupted()
        if progress.fraction is not None:
            bar.update_absolute(round(progress.fraction * PROGRESS_STEPS))

    return show
