"""Bodies of requests, as pydantic models that are made from the dataclasses of options.

pydantic comes with the extra ``serve``, so the models are made inside functions. Annotations are
evaluated when they are made, so this module has no ``from __future__ import annotations``.
"""

import re
from functools import cache
from pathlib import Path
from typing import Any, Literal

from dubfew.errors import DubfewError
from dubfew.jobs.description import CONTAINERS, JOB_KINDS, SYNC_MODES, JobDescription, SceneSegment
from dubfew.jobs.store import JobStore
from dubfew.utils.options import Option, list_options

# Kinds of jobs that callers can give; comparisons are the page's.
SERVED_KINDS = ("render", "dub", "adapt")
# Options that are files which the caller uploads.
UPLOAD_OPTIONS = frozenset({"consent", "transcript", "driver", "into", "motion"})
# Options that a request may not have: fields of the job, files and devices of the server, files
# beside the output, and what overrides a check of consent or likeness, or leaves out a mark.
SERVER_OPTIONS = frozenset(
    {
        "video",
        "audio",
        "actor",
        "out",
        "overwrite",
        "device",
        "accelerator",
        "speech",
        "prior",
        "replay_data",
        "sync",
        "plot",
        "report",
        "debug",
        "anyone",
        "new_person",
        "watermark",
    }
)
# Options of text that name no file. Any other option of text might, so that a request may not have
# it before somebody has looked.
PLAIN_TEXT_OPTIONS = frozenset(
    {
        "face",
        "language",
        "use",
        "territory",
        "project",
        "mix",  # its form allows a track's number alone
        "codec",
        "preset",
        "head",
    }
)
# Form of the id of an upload.
UPLOAD_PATTERN = r"^[0-9a-f]{32}$"
# Form of the option mix: a sound track of the scene and a gain, no file of the server.
MIX_PATTERN = r"^\d{1,3}(:[+-]?\d{1,3}(\.\d{1,3})?)?$"
# Longest text of a field, characters.
MAX_TEXT_LENGTH = 500
# Latest time in a scene, s: eleven days.
MAX_SECONDS = 1e6
# Largest whole number in a request: JSON of other languages keeps no larger one exactly.
MAX_INTEGER = 2**53 - 1


@cache
def make_request_models() -> dict[str, Any]:
    """Make the model of a job of every kind, by kind."""
    return {kind: _make_job_model(kind) for kind in SERVED_KINDS}


def describe_request(request: Any, store: JobStore, owner: str, device: str) -> JobDescription:
    """Turn the body of a request into a description of a job.

    Args:
        request: an instance of one of the models.
        store: the server's store, which has the uploads.
        owner: who sent the request; their uploads alone can be named.
        device: device that the job will use.

    Raises:
        DubfewError: What was asked for does not go together.
        JobNotFoundError: An upload does not exist, or is another owner's.
    """

    def find(upload: str) -> Path:
        return store.get_upload(upload, owner).path

    # Fields that were left out get the library's defaults, not a copy of them from here.
    given = request.options.model_dump(exclude_none=True) if request.options else {}
    options = {
        name: str(find(value)) if name in UPLOAD_OPTIONS else value for name, value in given.items()
    }
    segments = getattr(request, "segments", None) or []
    return JobDescription(
        kind=request.kind,
        actor=request.actor,
        video=find(request.video) if request.video else None,
        audio=find(request.audio) if getattr(request, "audio", None) else None,
        segments=tuple(
            SceneSegment(each.start, each.end, find(each.audio), each.face, each.actor)
            for each in segments
        ),
        sync_mode=getattr(request, "sync_mode", None),
        container=getattr(request, "container", "mp4"),
        options={**options, "device": device},
    )


def check_upload_name(name: str | None) -> str:
    """Return the ending that the file of an upload gets.

    Args:
        name: name of the file on the caller's machine. Only its ending is used, and only if it is
            letters and digits.

    Example:
        >>> check_upload_name("../../Scene 1.MOV"), check_upload_name("x.$(rm)")
        ('.mov', '.bin')
    """
    found = re.search(r"\.([A-Za-z0-9]{1,5})$", name or "")
    return f".{found[1].lower()}" if found else ".bin"


def _make_job_model(kind: str) -> Any:
    """Make the model of one kind of job."""
    from pydantic import BaseModel, ConfigDict, Field, create_model

    # An unknown field is an error: a misspelled option must not render something else silently. NaN
    # would pass every limit.
    strict = ConfigDict(extra="forbid", allow_inf_nan=False)
    upload: dict[str, Any] = {"pattern": UPLOAD_PATTERN}
    text: dict[str, Any] = {"min_length": 1, "max_length": MAX_TEXT_LENGTH}

    def optional(rules: dict[str, Any], description: str) -> Any:
        return Field(None, description=description, **rules)

    segment_fields: dict[str, Any] = {
        "start": (float, Field(ge=0, le=MAX_SECONDS)),
        "end": (float, Field(ge=0, le=MAX_SECONDS)),
        "audio": (str, Field(**upload)),
        "face": (str | None, optional(text, "Face, as the option face names it.")),
        "actor": (str | None, optional(text, "Default: the job's.")),
    }
    segment = create_model("Segment", __config__=strict, **segment_fields)
    options_fields: dict[str, Any] = {
        each.name: _make_field(each) for each in list_options(JOB_KINDS[kind]) if _is_offered(each)
    }
    options = create_model(f"{kind.capitalize()}Options", __config__=strict, **options_fields)
    # A render alone may leave out the scene (the actor's own footage is dubbed) and the sound.
    is_render = kind == "render"
    fields: dict[str, Any] = {
        "kind": (Literal[kind], Field(description="Kind of the job.")),
        "actor": (str, Field(**text))
        if is_render
        else (str | None, optional(text, "Id of the actor.")),
        "video": (
            str | None if is_render else str,
            optional(upload, "Upload; default: the actor's own footage.")
            if is_render
            else Field(**upload),
        ),
        "options": (options | None, None),
        "webhook": (str | None, optional(text, "URL that is told when the job ends.")),
    }
    if kind != "adapt":
        fields["audio"] = (
            (str | None, optional(upload, "Upload: speech for the whole scene."))
            if is_render
            else (str, Field(**upload))
        )
        fields["sync_mode"] = (
            Literal[tuple(SYNC_MODES)] | None,
            Field(None, description="Treatment of sound that is longer than the picture."),
        )
        fields["container"] = (Literal[CONTAINERS], "mp4")
    # Parts of a scene exist for renders only; one request of endless parts would keep a worker for
    # ever.
    if is_render:
        fields["segments"] = (list[segment] | None, Field(None, max_length=100))  # type: ignore[valid-type]
    model: type[BaseModel] = create_model(f"{kind.capitalize()}Job", __config__=strict, **fields)
    return model


def _is_offered(option: Option) -> bool:
    """Whether a request may have an option."""
    if option.name in SERVER_OPTIONS:
        return False
    if option.choices or not {str, Path} & {*option.types}:
        return True
    return option.name in UPLOAD_OPTIONS | PLAIN_TEXT_OPTIONS


def _make_field(option: Option) -> tuple[Any, Any]:
    """Make type and rules of one option; its default is the library's."""
    from pydantic import Field, StrictBool, StrictFloat, StrictInt, StrictStr

    rules: dict[str, Any] = {"description": option.rules.help}
    kind: Any
    # Files are named by the ids of uploads: a path would let a caller read files of the server.
    if option.name in UPLOAD_OPTIONS:
        kind, rules["pattern"] = StrictStr, UPLOAD_PATTERN
    elif option.choices:
        kind = Literal[option.choices]
    elif option.types[0] is bool:
        # Strict types: "false" as a text would otherwise count as true or false by pydantic's
        # taste.
        kind = StrictBool
    elif option.types[0] in (int, float):
        kind = StrictInt if option.types[0] is int else StrictFloat | StrictInt
        low, high = option.rules.minimum, option.rules.maximum
        rules["gt" if option.rules.above is not None else "ge"] = (
            option.rules.above if option.rules.above is not None else low if low is not None else 0
        )
        rules["le"] = min(MAX_INTEGER, high if high is not None else MAX_INTEGER)
    elif option.types[0] is str or option.types[0] is Path:
        kind = StrictStr
        rules["max_length"] = MAX_TEXT_LENGTH
        if option.name == "mix":
            rules["pattern"] = MIX_PATTERN
    else:
        # Fails when the server starts, so that a new option is never offered without a decision.
        raise DubfewError(f"the option {option.name} has no form in a request")
    return kind | None, Field(None, **rules)
