"""What a user should know of a take before it is rendered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dubfew.render.sources import RenderSources
from dubfew.speech.model_info import shipped_speech_model_path
from dubfew.takes.take import Take
from dubfew.utils.files import sha256_file


def describe_take(
    take: Take | None, sources: RenderSources, config: Mapping[str, Any]
) -> tuple[str, ...]:
    """Describe where a take does not belong to the sound or to the actor, one line each.

    Args:
        take: the take, or None.
        sources: files of the render.
        config: config of the actor.
    """
    if take is None or take.source.kind != "audio":
        return ()
    lines = []
    sound = sources.audio
    # A scene may be as large as a disk: it is known by its name.
    is_own = sound is not None and (
        sound.name == take.source.name
        if sound == sources.filmed
        else sha256_file(sound) == take.source.sha256
    )
    if not is_own:
        heard = "silent" if sound is None else f"of {sound.name}"
        lines.append(
            f"the motion was predicted from {take.source.name}, and the sound is {heard} "
            "(--audio names the sound)"
        )
    reference = config.get("speech")
    own_model = reference["sha256"] if reference else sha256_file(shipped_speech_model_path())
    if take.source.speech_model != own_model:
        lines.append(
            "the motion was predicted by another speech model than the actor's style belongs to: "
            "'dubfew motion --update' predicts it anew and keeps the edits"
        )
    return tuple(lines)
