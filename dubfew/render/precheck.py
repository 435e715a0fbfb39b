"""Checks of a render that need no network: they are done before torch is imported."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dubfew.errors import MediaError
from dubfew.registry import Registry
from dubfew.registry.policy import RenderPurpose
from dubfew.render.corrections import check_corrections
from dubfew.render.input_files import check_input_files, list_input_files
from dubfew.render.options import RenderOptions
from dubfew.render.output_name import check_outputs, resolve_output


def check_render_request(
    actor: str, options: RenderOptions, registry: Registry, revision: int | None = None
) -> None:
    """Check what a user may have mistyped: actor, files, purpose, output.

    Loading the network takes seconds, and `prepare_job` checks the rest after that.

    Args:
        actor: id of the actor in the registry.
        options: options of the render.
        registry: registry that holds the actor.
        revision: number of the revision; None for that of the options.

    Raises:
        DubfewError: The purpose is malformed, or an output cannot be written.
        OutputExistsError: An output exists and may not be replaced.
        ActorNotFoundError: The actor or the revision does not exist.
        ConsentError: The actor's consent does not cover this use.
        SuspendedError: The actor is suspended.
        MediaError: A file does not exist or is empty.
    """
    purpose = RenderPurpose(options.use, options.language, options.territory, options.project)
    check_corrections(options)
    check_input_files(options)
    chosen = registry.open(actor, options.revision if revision is None else revision)
    registry.check_render(chosen, purpose)
    check_render_files(chosen.actor, options, chosen.config)


def check_render_files(actor: str, options: RenderOptions, config: Mapping[str, Any]) -> None:
    """Check that the inputs of a render exist and that its outputs can be written.

    Args:
        actor: id of the actor.
        options: options of the render.
        config: config of the actor, which names their footage.

    Raises:
        DubfewError: Corrections contradict each other, or an output cannot be written.
        OutputExistsError: An output exists and may not be replaced.
        MediaError: A file does not exist or is empty.
    """
    check_corrections(options)
    check_input_files(options)
    given = list_input_files(options)
    scene = resolve_scene_path(given.get("video"), config)
    check_outputs(
        resolve_output(actor, options, scene, given.get("audio"), given.get("driver")),
        None if options.plot is None else Path(options.plot),
        options,
        scene,
        *given.values(),
    )


def resolve_scene_path(video: Path | None, config: Mapping[str, Any]) -> Path:
    """Return the scene to render: the given one, or the footage of the actor.

    Args:
        video: scene that the user named, or None.
        config: configuration of the adapted actor.

    Raises:
        MediaError: The footage of the actor is no longer where it was.
    """
    if video is not None:
        return video
    path = Path(config["source"]["path"])
    if not path.exists():
        raise MediaError(f"the footage {path} is no longer there: give the scene with --video")
    return path
