"""The description of a job: which footage, which sound, whose mouth, and the options."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from dubfew.adapt.options import AdaptOptions
from dubfew.dubbing.options import DubOptions
from dubfew.errors import DubfewError
from dubfew.evaluate.options import ComparisonOptions
from dubfew.render.options import RenderOptions
from dubfew.utils.options import list_options

# Kinds of jobs, and the dataclass of their options.
JOB_KINDS: dict[str, type] = {
    "render": RenderOptions,
    "dub": DubOptions,
    "adapt": AdaptOptions,
    "compare": ComparisonOptions,
}
# Most outputs of one comparison: with their original, what a comparison shows at once.
MAX_COMPARED = 5
# What is done where sound and picture differ in length, by the names of other services' interfaces,
# and the value of the option ``fit``. A picture that is longer than its sound always goes on with
# closed lips, which is what they call silence.
SYNC_MODES: dict[str, str] = {
    "cut_off": "trim",
    "silence": "trim",
    "loop": "loop",
    "hold": "hold",
}
# Names that other services have, and dubfew does not.
UNKNOWN_SYNC_MODES = ("bounce", "remap")
# Segments of one job. Each is a pass over the whole scene.
MAX_SEGMENTS = 32
# Containers of an output, by the ending of its file.
CONTAINERS = ("mp4", "mov", "mkv", "webm", "avi", "mxf")
# Options that a description has fields for.
_OWN_FIELDS = frozenset({"video", "audio", "actor", "out", "overwrite"})


@dataclass(frozen=True)
class SceneSegment:
    """A passage of a scene that gets sound of its own; the rest of the scene stays as it is.

    Attributes:
        start: begin in the scene, s.
        end: end in the scene, s; sound that is longer is cut there.
        audio: the new speech.
        face: face in the scene, as the option ``face`` names it; None is the one that is most like
            the actor.
        actor: id of the actor; None is the job's.
    """

    start: float
    end: float
    audio: Path
    face: str | None = None
    actor: str | None = None

    def __post_init__(self) -> None:
        """Check the times."""
        if not (math.isfinite(self.start) and math.isfinite(self.end)):
            raise DubfewError("a segment's start and end are seconds: give finite numbers")
        if not 0 <= self.start < self.end:
            raise DubfewError(
                f"a segment is {self.start:g} s to {self.end:g} s: give 0 or more, and a later end"
            )


@dataclass(frozen=True, kw_only=True)
class JobDescription:
    """One piece of work, complete and independent of the process that does it.

    Attributes:
        kind: "render" (an actor who was learned before), "dub" (learn from the scene, then render),
            "adapt" (learn) or "compare" (outputs with their original).
        actor: id of the actor; None where the kind needs none.
        video: the scene, or the footage to learn from; None is the actor's own footage.
        audio: new speech for the whole scene.
        segments: passages with speech of their own, in place of ``audio``.
        sync_mode: treatment of sound that is longer than the picture, a key of `SYNC_MODES`; None
            leaves it to the option ``fit``.
        container: container of the output, one of `CONTAINERS`.
        cast: file of a cast, in place of ``actor``, ``audio`` and ``segments``; for "render".
        outputs: videos to compare with ``video``, by their labels; for "compare".
        options: further options of the kind by name, as in ``RenderOptions``.

    Example:
        >>> job = JobDescription(kind="render", actor="mary", audio=Path("dub.wav"))
        >>> JobDescription.from_json(job.to_json()) == job
        True
    """

    kind: str = "render"
    actor: str | None = None
    video: Path | None = None
    audio: Path | None = None
    segments: tuple[SceneSegment, ...] = ()
    sync_mode: str | None = None
    container: str = "mp4"
    cast: Path | None = None
    outputs: Mapping[str, Path] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check what needs no file.

        Raises:
            DubfewError: A field does not go with the kind, a segment overlaps another, an option
                is unknown, or its value is not allowed.
        """
        if self.kind not in JOB_KINDS:
            raise DubfewError(
                f"no kind of job {self.kind[:40]!a}: there are {', '.join(JOB_KINDS)}"
            )
        if self.container not in CONTAINERS:
            raise DubfewError(
                f"no container {self.container[:40]!a}: there are {', '.join(CONTAINERS)}"
            )
        self._check_fields()
        self._check_sync_mode()
        self._check_segments()
        known = {each.name for each in list_options(JOB_KINDS[self.kind])} - _OWN_FIELDS
        for name in self.options:
            if name not in known:
                raise DubfewError(
                    f"{self.kind} has no option {name[:40]!a}: there are {', '.join(sorted(known))}"
                )
        # The values check themselves: their dataclass refuses what the command line refuses.
        self.make_options()

    def make_options(self, **more: Any) -> Any:
        """Make the options that the kind's function takes.

        Args:
            **more: options that this process adds, such as ``out``.

        Returns:
            ``RenderOptions``, ``DubOptions``, ``AdaptOptions`` or ``ComparisonOptions``.

        Raises:
            DubfewError: A value is not allowed.
        """
        given = {**self.options}
        if self.sync_mode is not None:
            given["fit"] = SYNC_MODES[self.sync_mode]
        if self.kind == "render":
            given |= {"video": self.video, "audio": self.audio}
        elif self.actor is not None:
            given["actor"] = self.actor
        return JOB_KINDS[self.kind](**{**given, **more})

    def list_files(self) -> list[Path]:
        """List the files that the job reads, each once; what a cast names is not among them."""
        named = [self.video, self.audio, self.cast, *(each.audio for each in self.segments)]
        named += self.outputs.values()
        paths = _list_path_options(JOB_KINDS[self.kind])
        named += [Path(value) for name, value in self.options.items() if name in paths and value]
        return [*dict.fromkeys(each for each in named if each is not None)]

    def list_actors(self) -> list[str]:
        """List the ids of all actors whom the job renders, each once."""
        named = [*(each.actor or self.actor for each in self.segments)] or [self.actor]
        return [*dict.fromkeys(each for each in named if each is not None)]

    def to_json(self) -> str:
        """Write the description as JSON text."""
        fields = dataclasses.asdict(self)
        # As descriptions of an older dubfew, whose text is hashed.
        for name in ("cast", "outputs"):
            if not fields[name]:
                del fields[name]
        return json.dumps(fields, default=str, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> JobDescription:
        """Read what `to_json` wrote.

        Raises:
            DubfewError: The text is no description of a job.
        """
        try:
            found = json.loads(text)
            found = {"cast": None, "outputs": {}, **found}
            found["outputs"] = {label: Path(path) for label, path in found["outputs"].items()}
            for name in ("video", "audio", "cast"):
                found[name] = None if found[name] is None else Path(found[name])
            segments = [{**each, "audio": Path(each["audio"])} for each in found["segments"]]
            return cls(**{**found, "segments": tuple(SceneSegment(**each) for each in segments)})
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DubfewError(f"this is no description of a job: {error}") from None

    def _check_fields(self) -> None:
        """Check that the fields are those of the kind."""
        if self.kind == "compare":
            if self.actor or self.audio or self.segments or self.sync_mode or self.cast:
                raise DubfewError("compare takes an original and its outputs: leave out all others")
            if not 1 <= len(self.outputs) <= MAX_COMPARED:
                raise DubfewError(
                    f"{len(self.outputs)} outputs are given: give 1 to {MAX_COMPARED}"
                )
        elif self.outputs:
            raise DubfewError(f"{self.kind} makes an output: leave out those to compare")
        if self.kind == "adapt" and (self.audio or self.segments or self.sync_mode):
            raise DubfewError("adapt learns from a video alone: leave out sound and segments")
        if self.kind != "render" and self.video is None:
            raise DubfewError(f"{self.kind} needs a video")
        if self.kind == "dub" and (self.audio is None or self.segments):
            raise DubfewError("dub needs one sound for the whole scene: give audio, no segments")
        if self.cast is not None:
            if self.kind != "render" or self.actor or self.audio or self.segments or self.sync_mode:
                raise DubfewError("a cast names actors and sound: leave out all others")
            if self.video is None:
                raise DubfewError("a cast is that of a scene: give the video")
        elif self.kind == "render" and not self.list_actors():
            raise DubfewError("render needs the id of an actor, or a cast")

    def _check_sync_mode(self) -> None:
        """Check the name of the mode."""
        if self.sync_mode is None:
            return
        if self.sync_mode in UNKNOWN_SYNC_MODES:
            raise DubfewError(
                f"dubfew does not change the speed or order of the picture, as {self.sync_mode} "
                f"does: there are {', '.join(SYNC_MODES)}"
            )
        if self.sync_mode not in SYNC_MODES:
            raise DubfewError(
                f"no sync_mode {self.sync_mode[:40]!a}: there are {', '.join(SYNC_MODES)}"
            )
        if self.segments:
            raise DubfewError("segments have a length of their own: leave out sync_mode")

    def _check_segments(self) -> None:
        """Check that the segments go together."""
        if not self.segments:
            return
        if self.audio is not None:
            raise DubfewError("audio is for the whole scene, segments are for parts: give one")
        if self.video is None:
            raise DubfewError("segments are parts of a scene: give the video")
        if len(self.segments) > MAX_SEGMENTS:
            raise DubfewError(
                f"there are {len(self.segments)} segments: give {MAX_SEGMENTS} at most"
            )
        if any(each.actor is None and self.actor is None for each in self.segments):
            raise DubfewError("a segment has no actor, and neither has the job: name one")
        # A render of several passes would paint an overlap twice.
        ordered = sorted(self.segments, key=lambda each: each.start)
        for one, next_one in pairwise(ordered):
            if next_one.start < one.end:
                raise DubfewError(
                    f"segments overlap: one ends at {one.end:g} s, the next begins at "
                    f"{next_one.start:g} s"
                )


def _list_path_options(options_class: type) -> frozenset[str]:
    """The names of the options that are files."""
    return frozenset(each.name for each in list_options(options_class) if Path in each.types)
