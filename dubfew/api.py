"""The functions of ``import dubfew``: adapt, render, record_motion, evaluate and track.

Each checks its options, imports its pipeline, which takes seconds because of torch, and calls it.
Importing this module imports nothing heavy.
"""

from __future__ import annotations

import functools
import inspect
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias, TypeVar, Union, cast

from dubfew.adapt.options import DEFAULT_FOOTAGE_SECONDS, AdaptOptions
from dubfew.dubbing.options import DubOptions
from dubfew.errors import DubfewError
from dubfew.evaluate.options import EvaluateOptions
from dubfew.progress import LOAD_STAGE, Progress, ProgressCallback, no_progress
from dubfew.reconstruction.options import TrackOptions
from dubfew.render.input_files import check_input_files
from dubfew.render.options import RenderOptions
from dubfew.takes.options import MotionOptions
from dubfew.utils.files import check_input_file
from dubfew.utils.job_progress import JobProgress
from dubfew.utils.options import document_options, merge_options

if TYPE_CHECKING:
    from dubfew.adapt.pipeline import AdaptResult
    from dubfew.adapt.plan import AdaptPlan
    from dubfew.dubbing.pipeline import DubResult
    from dubfew.dubbing.plan import DubPlan
    from dubfew.evaluate.compare import EvaluationResult
    from dubfew.media import Audio, Frames
    from dubfew.reconstruction.detection.clip_detections import ClipDetections
    from dubfew.reconstruction.track import Track
    from dubfew.registry import Registry
    from dubfew.render.cache import RenderCache
    from dubfew.render.cast import Cast
    from dubfew.render.cast_pipeline import CastResult
    from dubfew.render.pipeline import RenderResult
    from dubfew.render.plan import RenderPlan
    from dubfew.takes.take import Take


Function = TypeVar("Function", bound=Callable[..., Any])
# Videos and sounds that functions take: paths, file objects, and what is in memory.
VideoSource: TypeAlias = Union["Path", str, "Frames", BinaryIO]
SoundSource: TypeAlias = Union["Path", str, "Audio", "tuple[Any, int]", BinaryIO]


def _accept_memory(*names: str) -> Callable[[Function], Function]:
    """Make a decorator that passes videos and sounds in memory on as temporary files.

    An output that is a file object gets the content of a temporary file.

    Args:
        *names: arguments of the function that are files; those that are paths stay as they are.
    """

    def decorate(function: Function) -> Function:
        parameters = inspect.signature(function).parameters.values()
        positional = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]

        @functools.wraps(function)
        def wrapper(*arguments: Any, **keywords: Any) -> Any:
            given = {**dict(zip(positional, arguments, strict=False)), **keywords}
            in_memory = {name: given[name] for name in names if not _is_path(given.get(name))}
            target = given.get("out")
            if _is_path(target):
                target = None
            if not in_memory and target is None:
                return function(*arguments, **keywords)
            # Imported here: most calls name files, and this imports numpy and PyAV.
            from dubfew.media.in_memory import receive_file, store_in_files

            _check_named(function.__name__, given, in_memory)
            with store_in_files(in_memory) as files, receive_file(target) as out:
                given.update(files)
                if out is not None:
                    given["out"] = out
                return function(**given)

        return wrapper  # type: ignore[return-value]

    return decorate


def _is_path(value: Any) -> bool:
    """Tell whether an argument is a path, or not given."""
    return value is None or isinstance(value, str | os.PathLike)


def _check_named(function: str, given: dict[str, Any], in_memory: dict[str, Any]) -> None:
    """Refuse footage in memory without an id: files are what an actor is named after."""
    options = given.get("options")
    named = given.get("actor") or getattr(options, "actor", None)
    if function in ("adapt", "dub") and in_memory.keys() & {"video", "scene"} and named is None:
        raise DubfewError("footage in memory has no file name: give the actor's id as actor=...")


@document_options(AdaptOptions)
@_accept_memory("video")
def adapt(
    video: VideoSource,
    options: AdaptOptions | None = None,
    *,
    registry: Registry | None = None,
    on_plan: Callable[[AdaptPlan], None] | None = None,
    progress: ProgressCallback = no_progress,
    **overrides: Any,
) -> AdaptResult:
    """Learn an actor from a few seconds of footage and store them in the registry.

    Args:
        video: footage of the actor, who may not be alone in it: a path, a file object, or
            ``dubfew.Frames`` in memory, which need ``actor``.
        options: the options below as one object; those given as keywords override it.
        registry: registry that stores the actor; default: the user's own, in DUBFEW_HOME.
        on_plan: function that is called with the plan of the work, see `plan_adapt`, before the
            work begins. An exception that it raises prevents the work.
        progress: function that is called with the state of every stage of the work.

    Returns:
        The stored actor's id and revision, and measurements of the training.

    Raises:
        TypeError: A keyword is not the name of an option.
        DubfewError: An option has a value that is not allowed.
        MediaError: The footage cannot be read.
        NoFaceError: The footage shows no face, or no face that can be learned from.
        WrongPersonError: The id exists, and the face is not that actor's.
        ArtefactError: The method, prior or speech model does not exist or is damaged.
        AssetError: The head model does not exist, or its files are not registered.
        ConsentError: The consent record is malformed or not valid today, its subject is a minor,
            or there is no record and the registry's policy requires one.
        RegistryError: The id cannot be used, or the registry cannot be written.
        AuditError: The audit log cannot be written.
        MissingDependencyError: The segmenter is not installed, or its weights cannot be downloaded.

    Example::

        import dubfew

        dubfew.adapt("mary.mp4", method="full", steps=300)
        options = dubfew.AdaptOptions(method="full", steps=300)
        dubfew.adapt("mary.mp4", options, actor="mary-2")
    """
    # Check before the import, so that a mistake shows at once.
    video = cast("Path | str", video)  # what was in memory is in a file by now
    options = merge_options(AdaptOptions, options, overrides)
    check_input_file(Path(video))
    from dubfew.adapt.precheck import check_adapt_request
    from dubfew.registry import Registry

    registry = registry or Registry()
    check_adapt_request(Path(video), options, registry)
    progress(Progress(LOAD_STAGE, 0))
    if on_plan is not None:
        on_plan(plan_adapt(video, options, registry=registry))
    with _footage_detected_ahead(Path(video), options):
        from dubfew.adapt import pipeline

        if not options.add:
            return pipeline.adapt(video, options, registry=registry, progress=progress)
    from dubfew.adapt.precheck import resolve_actor_id
    from dubfew.render.coverage import describe_gain, measure_actor_coverage

    before = measure_actor_coverage(resolve_actor_id(Path(video), options), registry=registry)
    result = pipeline.adapt(video, options, registry=registry, progress=progress)
    after = measure_actor_coverage(result.actor, result.revision, registry=registry)
    return replace(result, gained=describe_gain(before, after))


def _footage_detected_ahead(video: Path, options: AdaptOptions) -> AbstractContextManager[None]:
    """Look for the people of footage that is learned whole while torch is imported."""
    if "torch" in sys.modules or options.start is not None or options.add:
        return nullcontext()
    from dubfew.media import probe
    from dubfew.reconstruction.detection.detected_ahead import detecting_ahead

    is_short = 0 < probe(video).duration <= (options.seconds or DEFAULT_FOOTAGE_SECONDS)
    return detecting_ahead(video) if is_short else nullcontext()


@document_options(AdaptOptions)
def plan_adapt(
    video: Path | str,
    options: AdaptOptions | None = None,
    *,
    registry: Registry | None = None,
    **overrides: Any,
) -> AdaptPlan:
    """Tell what `adapt` would do: which part of the footage it uses, and how long it takes.

    Only the header of the footage is read.

    Args:
        video: footage of the actor.
        options: the options below as one object; those given as keywords override it.
        registry: registry that would store the actor; default: the user's own, in DUBFEW_HOME.

    Returns:
        The plan; its ``describe()`` has a line for each fact.

    Raises:
        TypeError: A keyword is not the name of an option.
        DubfewError: An option has a value that is not allowed.
        MediaError: The footage cannot be read.
        RegistryError: The id cannot be used.

    Example::

        import dubfew

        print(dubfew.plan_adapt("mary.mp4").seconds)
    """
    options = merge_options(AdaptOptions, options, overrides)
    from dubfew.adapt import plan

    return plan.plan_adapt(video, options, registry=registry)


@document_options(RenderOptions)
@_accept_memory("video", "audio", "driver")
def render(
    actor: str,
    options: RenderOptions | None = None,
    *,
    registry: Registry | None = None,
    cache: RenderCache | None = None,
    on_plan: Callable[[RenderPlan], None] | None = None,
    progress: ProgressCallback = no_progress,
    **overrides: Any,
) -> RenderResult:
    """Make an actor speak new audio in any footage of theirs.

    ``video`` and ``driver`` may also be file objects or ``dubfew.Frames``; ``audio`` may be a file
    object, ``dubfew.Audio`` or a pair of samples and rate; and ``out`` may be a file object, which
    receives an MP4. ``dubfew.read_frames`` gives the frames of an output as arrays.

    Args:
        actor: id of the actor in the registry.
        options: the options below as one object; those given as keywords override it.
        registry: registry that holds the actor; default: the user's own, in DUBFEW_HOME.
        cache: actors and tracks that renders of this process keep from each other, see
            ``dubfew.Session``; None keeps nothing.
        on_plan: function that is called with the plan of the work, see `plan_render`, before the
            work begins. An exception that it raises prevents the work.
        progress: function that is called with the state of every stage of the work.

    Returns:
        The output file, with measurements of the work.

    Raises:
        TypeError: A keyword is not the name of an option.
        DubfewError: An option has a value that is not allowed, options contradict each other, or
            the transcript does not match the audio.
        ActorNotFoundError: The actor does not exist, or was deleted during the work; then no
            output is left.
        ConsentError: The actor's consent does not cover this use.
        SuspendedError: The actor is suspended, or was suspended during the work; then no output is
            left.
        AuditError: The audit log cannot be written; then no output is left.
        MediaError: A file cannot be read or written.
        NoFaceError: The scene shows no face.
        WrongPersonError: The face in the scene is not that of the actor.
        MissingDependencyError: A package that a transcript, recognition or the segmenter needs is
            not installed.

    Example::

        import dubfew

        dubfew.render("mary", video="scene.mp4", audio="dub.wav", out="out.mp4")
        options = dubfew.RenderOptions(audio="dub.wav", lossless=True)
        for scene in ("a.mp4", "b.mp4"):
            dubfew.render("mary", options, video=scene, out=f"dubbed-{scene}")
        # From arrays to arrays.
        scene = dubfew.Frames(images, fps=25)
        result = dubfew.render("mary", video=scene, audio=(samples, 48000), out="out.mp4")
        dubbed = [frame.to_rgb() for frame in dubfew.read_frames(result.output)]
    """
    options = merge_options(RenderOptions, options, overrides)
    check_input_files(options)
    from dubfew.registry import Registry
    from dubfew.render.precheck import check_render_request

    registry = registry or Registry()
    check_render_request(actor, options, registry)
    progress(Progress(LOAD_STAGE, 0))
    if on_plan is not None:
        on_plan(plan_render(actor, options, registry=registry))
    with _scene_detected_ahead(actor, options, registry):
        from dubfew.render import pipeline

        return pipeline.render(actor, options, registry=registry, cache=cache, progress=progress)


def _scene_detected_ahead(
    actor: str, options: RenderOptions, registry: Registry
) -> AbstractContextManager[None]:
    """Look for the people of a scene while torch is imported; where it is, nothing is gained.

    An excerpt, a smaller version and the actor's own footage are what is tracked otherwise.
    """
    scene = options.video
    if "torch" in sys.modules or scene is None or options.preview or options.proxy is not None:
        return nullcontext()
    from dubfew.reconstruction.detection.detected_ahead import detecting_ahead

    source = registry.open(actor, options.revision).config["source"]
    return detecting_ahead(Path(cast("Path | str", scene)), source["sha256"])


@document_options(RenderOptions)
def render_cast(
    cast: Cast | Path | str,
    options: RenderOptions | None = None,
    *,
    registry: Registry | None = None,
    progress: ProgressCallback = no_progress,
    **overrides: Any,
) -> CastResult:
    """Make several actors speak in one scene: one decode, one encode, a watermark for each mouth.

    Options for one mouth alone, such as ``audio`` and ``face``, are refused: the cast says them.

    Args:
        cast: the roles, as a ``dubfew.Cast`` or the file of one.
        options: the options below as one object; those given as keywords override it.
        registry: registry that holds the actors; default: the user's own, in DUBFEW_HOME.
        progress: function that is called with the state of every stage of the work.

    Returns:
        The output file, with measurements of the work.

    Raises:
        TypeError: A keyword is not the name of an option.
        DubfewError: The cast or an option has a value that is not allowed, or two roles have one
            face.
        ActorNotFoundError: An actor does not exist, or was deleted during the work; then no output
            is left.
        ConsentError: An actor's consent does not cover this use.
        SuspendedError: An actor is suspended; then no output is left.
        MediaError: A file cannot be read or written.
        NoFaceError: The scene shows no face.
        WrongPersonError: A face is not that of its actor.

    Example::

        import dubfew

        mary = dubfew.CastRole("mary", (dubfew.CastLine("mary.wav"),))
        john = dubfew.CastRole("john", (dubfew.CastLine("john.wav", start=3.2),), face="1")
        dubfew.render_cast(dubfew.Cast((mary, john)), video="scene.mp4", out="out.mp4")
    """
    options = merge_options(RenderOptions, options, overrides)
    progress(Progress(LOAD_STAGE, 0))
    from dubfew.render import cast_pipeline

    return cast_pipeline.render_cast(cast, options, registry=registry, progress=progress)


@document_options(DubOptions)
@_accept_memory("scene", "sound")
def dub(
    scene: VideoSource,
    sound: SoundSource,
    options: DubOptions | None = None,
    *,
    registry: Registry | None = None,
    on_plan: Callable[[DubPlan], None] | None = None,
    progress: ProgressCallback = no_progress,
    **overrides: Any,
) -> DubResult:
    """Dub a scene in one call: learn its actor from the scene itself, then render the new sound.

    The actor is stored under the name of the scene's file, and is not learned again where this
    scene has taught them before.

    Args:
        scene: video to dub: a path, a file object, or ``dubfew.Frames`` in memory, which need
            ``actor``.
        sound: new speech: a path, a file object, ``dubfew.Audio``, or samples and their rate.
        options: the options below as one object; those given as keywords override it.
        registry: registry that holds the actors; default: the user's own, in DUBFEW_HOME.
        on_plan: function that is called with the plan of the work, see `plan_dub`, before the
            work begins. An exception that it raises prevents the work.
        progress: function that is called with the state of every stage of the work.

    Returns:
        The output file, and what was learned for it.

    Raises:
        TypeError: A keyword is not the name of an option.
        DubfewError: An option has a value that is not allowed, or `adapt` or `render` fails; their
            documentation lists the errors. An actor who was learned before an error stays stored.

    Example::

        import dubfew

        print(dubfew.dub("scene.mp4", "german.wav", draft=True).rendered.output)
    """
    # What was in memory is in files by now.
    scene, sound = cast("Path | str", scene), cast("Path | str", sound)
    options = merge_options(DubOptions, options, overrides)
    for path in (scene, sound):
        check_input_file(Path(path))
    from dubfew.dubbing.precheck import check_dub_request
    from dubfew.registry import Registry

    registry = registry or Registry()
    check_dub_request(Path(scene), Path(sound), options, registry)
    progress(Progress(LOAD_STAGE, 0))
    if on_plan is not None:
        on_plan(plan_dub(scene, sound, options, registry=registry))
    from dubfew.dubbing import pipeline

    return pipeline.dub(scene, sound, options, registry=registry, progress=progress)


@document_options(DubOptions)
def plan_dub(
    scene: Path | str,
    sound: Path | str,
    options: DubOptions | None = None,
    *,
    registry: Registry | None = None,
    **overrides: Any,
) -> DubPlan:
    """Tell what `dub` would do: whether the actor is learned first, and what is rendered.

    Args:
        scene: video to dub.
        sound: new speech.
        options: the options below as one object; those given as keywords override it.
        registry: registry that holds the actors; default: the user's own, in DUBFEW_HOME.

    Returns:
        The plan; its ``describe()`` has a line for each fact.

    Raises:
        TypeError: A keyword is not the name of an option.
        DubfewError: An option has a value that is not allowed.
        ActorNotFoundError: The named actor does not exist.
        MediaError: A file cannot be read.

    Example::

        import dubfew

        print(dubfew.plan_dub("scene.mp4", "german.wav").seconds)
    """
    options = merge_options(DubOptions, options, overrides)
    from dubfew.dubbing import plan

    return plan.plan_dub(scene, sound, options, registry=registry)


@document_options(RenderOptions)
def plan_render(
    actor: str,
    options: RenderOptions | None = None,
    *,
    registry: Registry | None = None,
    **overrides: Any,
) -> RenderPlan:
    """Tell what `render` would do: from what, how long the output is, how long the work takes.

    Headers are read, and the level of a new sound; nothing is tracked. Whose face is like the actor
    is only known during the work.

    Args:
        actor: id of the actor in the registry.
        options: the options below as one object; those given as keywords override it.
        registry: registry that holds the actor; default: the user's own, in DUBFEW_HOME.

    Returns:
        The plan; its ``describe()`` has a line for each fact.

    Raises:
        TypeError: A keyword is not the name of an option.
        DubfewError: An option has a value that is not allowed.
        ActorNotFoundError: The actor does not exist.
        MediaError: A file cannot be read.

    Example::

        import dubfew

        plan = dubfew.plan_render("mary", video="scene.mp4", audio="dub.wav")
        print(plan.length_note or "sound and picture fit")
    """
    options = merge_options(RenderOptions, options, overrides)
    from dubfew.render import plan

    return plan.plan_render(actor, options, registry=registry)


@document_options(TrackOptions)
@_accept_memory("video")
def track(
    video: VideoSource,
    options: TrackOptions | None = None,
    *,
    on_detection: Callable[[ClipDetections], None] | None = None,
    progress: ProgressCallback = no_progress,
    **overrides: Any,
) -> Track:
    """Reconstruct one face of a clip: head, pose, expression and camera of every frame.

    Args:
        video: the clip: a path, a file object, or ``dubfew.Frames`` in memory.
        options: the options below as one object; those given as keywords override it. ``head``
            may also be a loaded ``HeadModel``.
        on_detection: function that is called with everyone who was detected, before one of them
            is fitted.
        progress: function that is called every ten frames.

    Returns:
        A track with one row per frame; rows of frames without this face have ``valid`` False.

    Raises:
        TypeError: A keyword is not the name of an option.
        DubfewError: An option has a value that is not allowed, or no face fits ``face``.
        MediaError: The file cannot be read as video.
        NoFaceError: No frame shows a face.
        AssetError: The head model, or MICA where it is asked for, is not registered.
        MissingDependencyError: The segmenter is not installed, or its weights cannot be downloaded.

    Example::

        import dubfew

        track = dubfew.track("mary.mp4", method="photometric")
        track.save("mary.safetensors")
    """
    video = cast("Path | str", video)  # what was in memory is in a file by now
    options = merge_options(TrackOptions, options, overrides)
    check_input_file(Path(video))
    progress(Progress(LOAD_STAGE, 0))
    from dubfew.reconstruction import tracking

    whole = JobProgress(progress, tracking.estimate_track_stages(video, options))
    found = tracking.track_video(video, options, on_detection=on_detection, progress=whole)
    whole.finish()
    return found


@document_options(MotionOptions)
@_accept_memory("source")
def record_motion(
    source: VideoSource | SoundSource,
    options: MotionOptions | None = None,
    *,
    progress: ProgressCallback = no_progress,
    **overrides: Any,
) -> Take:
    """Predict the mouth motion of a sound, or read it off a filmed mouth, as a take to edit.

    No actor is needed: every render makes the motion its actor's own, and then applies the edits.

    Args:
        source: a sound file or a video: a path, a file object, ``dubfew.Audio``, samples and their
            rate, or ``dubfew.Frames``.
        options: the options below as one object; those given as keywords override it.
        progress: function that is called with the state of the work.

    Returns:
        The take; its ``save()`` writes the file that ``dubfew.render(motion=...)`` takes.

    Raises:
        TypeError: A keyword is not the name of an option.
        DubfewError: An option has a value that is not allowed, or the transcript does not match the
            audio.
        MediaError: The file cannot be read.
        NoFaceError: The video shows no face.
        ArtefactError: The file of the speech model is another one, or damaged.
        MissingDependencyError: A package that a transcript or recognition needs is not installed.

    Example::

        import dubfew

        take = dubfew.record_motion("line.wav")
        take = take.edit(dubfew.MotionEdit("close", start=3.2, end=3.3))
        take.save("line.motion")
        dubfew.render("mary", audio="line.wav", motion="line.motion")
    """
    source = cast("Path | str", source)  # what was in memory is in a file by now
    options = merge_options(MotionOptions, options, overrides)
    check_input_file(Path(source))
    progress(Progress(LOAD_STAGE, 0))
    from dubfew.takes import record

    return record.record_motion(source, options, progress=progress)


@document_options(EvaluateOptions)
def evaluate(
    reference: Path | str,
    output: Path | str,
    options: EvaluateOptions | None = None,
    *,
    track: Track | None = None,
    progress: ProgressCallback = no_progress,
    **overrides: Any,
) -> EvaluationResult:
    """Compare a rendered video with the original, frame by frame.

    Both videos are read as streams; no frame is kept.

    Args:
        reference: the original video.
        output: the rendered video, of the same size. If one video is longer, its rest is ignored.
        options: the options below as one object; those given as keywords override it.
        track: track of the reference, if it is known already. Its mouth mask is the region in which
            a change is allowed.
        progress: function that is called with the state of the stages "track", "landmarks",
            "compare" and "lip sync".

    Returns:
        One value per metric; see ``dubfew.evaluate.metrics``.

    Raises:
        TypeError: A keyword is not the name of an option.
        MediaError: A file cannot be read as video.
        DubfewError: The videos differ in size, or an option has a value that is not allowed.
        NoFaceError: No frame of the reference shows a face.
        AssetError: A file of weights does not hold them.
        MissingDependencyError: ``listen`` is set and PocketSphinx is not installed.

    Example::

        import dubfew

        print(dubfew.evaluate("scene.mp4", "out.mp4").psnr_mouth)
    """
    options = merge_options(EvaluateOptions, options, overrides)
    for path in (reference, output):
        check_input_file(Path(path))
    progress(Progress(LOAD_STAGE, 0))
    from dubfew.evaluate import judge

    return judge.judge_output(
        Path(reference), Path(output), options, track=track, progress=progress
    )
