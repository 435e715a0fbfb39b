"""Checks of a dub that need no network: they are done before torch is imported."""

from __future__ import annotations

from pathlib import Path

from dubfew.adapt.default_revision import find_present_revision
from dubfew.adapt.options import AdaptOptions
from dubfew.adapt.precheck import check_adapt_request, resolve_consent
from dubfew.dubbing.options import DubOptions
from dubfew.registry import Registry
from dubfew.registry.names import normalize_actor_id
from dubfew.registry.policy import RenderPurpose
from dubfew.registry.revision import Revision
from dubfew.render.options import RenderOptions
from dubfew.render.precheck import check_render_files, check_render_request
from dubfew.utils.files import check_input_file, sha256_file
from dubfew.utils.options import share_options


def check_dub_request(
    scene: Path, sound: Path, options: DubOptions, registry: Registry
) -> Revision | None:
    """Check what a user may have mistyped, and find out whether the actor is known.

    Args:
        scene: video to dub.
        sound: new speech.
        options: options of the dub.
        registry: registry that holds the actors.

    Returns:
        The revision to render, or None where the actor has to be learned first.

    Raises:
        DubfewError: See ``dubfew.dub``.
    """
    for path in (scene, sound):
        check_input_file(path)
    known = find_known_actor(scene, options, registry)
    render = make_render_options(scene, sound, options)
    if known is not None:
        check_render_request(known.actor, render, registry, known.number)
        return known
    learn = make_learn_options(scene, options)
    check_adapt_request(scene, learn, registry)
    name = normalize_actor_id(str(learn.actor))
    present = find_present_revision(name, registry)
    if present is not None:
        registry.check_suspension(present)
    # The purpose of the render is checked before anything is learned for it.
    purpose = RenderPurpose(render.use, render.language, render.territory, render.project)
    registry.check_purpose(name, resolve_consent(name, learn, registry), purpose)
    check_render_files(name, render, {"source": {"path": str(scene)}})
    return None


def find_known_actor(scene: Path, options: DubOptions, registry: Registry) -> Revision | None:
    """Find the revision to render: that of the named actor, or one that the scene has taught.

    Args:
        scene: video to dub.
        options: options of the dub.
        registry: registry that holds the actors.

    Returns:
        The revision; None where the actor has to be learned first.

    Raises:
        ActorNotFoundError: The named actor does not exist.
    """
    if options.actor is not None:
        return registry.open(options.actor)
    name = normalize_actor_id(scene.stem)
    if find_present_revision(name, registry) is None:
        return None
    sha256 = sha256_file(scene)
    taught = (
        each
        for each in reversed(registry.revisions(name))
        if dict(each.config.get("source") or {}).get("sha256") == sha256
    )
    return next(taught, None)


def make_learn_options(scene: Path, options: DubOptions) -> AdaptOptions:
    """Make the options of the adaptation that a dub begins with.

    Args:
        scene: video to dub.
        options: options of the dub.
    """
    return share_options(options, AdaptOptions, actor=scene.stem)


def make_render_options(scene: Path, sound: Path | str, options: DubOptions) -> RenderOptions:
    """Make the options of the render of a dub.

    Args:
        scene: video to dub.
        sound: new speech.
        options: options of the dub.
    """
    return share_options(options, RenderOptions, video=scene, audio=sound)
