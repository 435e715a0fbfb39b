"""A cast: who of a scene speaks what, for a render of several mouths in one pass."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from dubfew.errors import DubfewError
from dubfew.render.options import RenderOptions
from dubfew.utils.files import check_input_file
from dubfew.utils.import_utils import import_optional

# Roles in one scene. Each takes the memory of an actor, about 200 MB.
MAX_ROLES = 16
# Options that a cast has no use for, because it says so itself or because they are for one mouth.
OPTIONS_OF_ONE_MOUTH = (
    *("audio", "audio_track", "proxy", "face", "anyone", "drive", "driver", "motion", "transcript"),
    *("fit", "preview", "into", "from_seconds", "to_seconds", "revision"),
    *("plot", "debug", "speech"),
)


@dataclass(frozen=True)
class CastLine:
    """One line of a role.

    Attributes:
        audio: the speech.
        start: time in the scene at which the audio begins, s.
        motion: file of ``dubfew motion`` that moves the mouth in place of the audio, or None.
        transcript: text of the audio, which sharpens the timing, or None. It needs the option
            ``language``.
    """

    audio: Path | str
    start: float = 0.0
    motion: Path | str | None = None
    transcript: Path | str | None = None


@dataclass(frozen=True)
class CastRole:
    """One actor of a scene and their lines.

    Attributes:
        actor: id of the actor.
        lines: what the actor says, at least one line. Outside of the lines the face is left as it
            is, to the bit.
        face: face in the scene, as the option ``face`` names it; None is the one that is most like
            the actor.
    """

    actor: str
    lines: tuple[CastLine, ...]
    face: str | None = None


@dataclass(frozen=True)
class Cast:
    """Everybody who speaks in a scene.

    Attributes:
        roles: the actors, each with a face of their own.
        sound: finished mix of the scene, or None to put the lines in place of the scene's sound.
    """

    roles: tuple[CastRole, ...]
    sound: Path | str | None = None

    def __post_init__(self) -> None:
        """Check what needs no file.

        Raises:
            DubfewError: There are no roles or too many, or a role has no line.
        """
        if not 1 <= len(self.roles) <= MAX_ROLES:
            raise DubfewError(f"a cast has {len(self.roles)} roles: give 1 to {MAX_ROLES}")
        for role in self.roles:
            if not role.lines:
                raise DubfewError(f"the role of {role.actor!r} has no lines: give it one")

    def list_files(self) -> list[Path]:
        """List the files that the cast names, each once."""
        lines = [line for role in self.roles for line in role.lines]
        files = [each for line in lines for each in (line.audio, line.motion, line.transcript)]
        named = [self.sound, *files]
        return [*dict.fromkeys(Path(path) for path in named if path is not None)]


def read_cast(path: Path | str) -> Cast:
    """Read a cast from JSON or YAML. Files in it are relative to it.

    Args:
        path: .json or .yaml, see ``docs/studio.md``.

    Raises:
        MediaError: The file, or a file that it names, does not exist.
        DubfewError: The file is no cast.
        MissingDependencyError: The file is YAML, and PyYAML is not installed.
    """
    path = Path(path)
    check_input_file(path)
    try:
        text = path.read_text("utf-8-sig")
        if path.suffix.lower() == ".json":
            content = json.loads(text)
        else:
            yaml = import_optional("yaml")
            try:
                content = yaml.safe_load(text)
            except yaml.YAMLError as error:
                raise ValueError(str(error)) from error
        cast = _make_cast(content, path.parent)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        found = " ".join(str(error).split())[:200]
        raise DubfewError(f"{path} is no cast ({found}): docs/studio.md has an example") from error
    # All files are looked for now: a missing line would be found after an hour otherwise.
    for file in cast.list_files():
        check_input_file(file)
    return cast


def check_cast_options(options: RenderOptions) -> None:
    """Check that no option is given that a cast has no use for.

    Args:
        options: options of a render.

    Raises:
        DubfewError: There is no scene, or an option is for one mouth alone.
    """
    if options.video is None:
        raise DubfewError("a cast is that of a scene: give --video")
    defaults = {each.name: each.default for each in fields(RenderOptions)}
    for name in OPTIONS_OF_ONE_MOUTH:
        if getattr(options, name) != defaults[name]:
            flag = {"from_seconds": "from", "to_seconds": "to"}.get(name, name).replace("_", "-")
            raise DubfewError(f"--{flag} is for one mouth: leave it out beside --cast")


def check_cast_lines(cast: Cast, options: RenderOptions) -> None:
    """Check that a cast and the options of its render fit together.

    Args:
        cast: the cast.
        options: options of the render.

    Raises:
        DubfewError: A transcript has no language, or stands beside a motion or recognition; or a
            finished mix is to be mixed again.
    """
    if cast.sound is not None and options.mix is not None:
        raise DubfewError(
            "--mix adds to the lines, and the cast has a finished sound: leave out one"
        )
    for role in cast.roles:
        for line in role.lines:
            if line.transcript is None:
                continue
            if options.language is None:
                raise DubfewError("the cast has transcripts: give their --language")
            if options.recognise or line.motion is not None:
                other = "a motion" if line.motion is not None else "--recognise"
                raise DubfewError(f"{line.transcript} stands beside {other}: leave out one")


def _make_cast(content: Any, folder: Path) -> Cast:
    """Make a cast from parsed JSON."""
    _check_keys(content, {"roles", "sound"}, "the cast")
    roles = []
    for role in content["roles"]:
        _check_keys(role, {"actor", "face", "audio", "motion", "transcript", "lines"}, "a role")
        given = role.get("lines")
        if (given is None) == ("audio" not in role):
            raise ValueError("a role needs either audio for the whole scene, or lines")
        # A role with one sound is a role of one line that begins with the scene.
        if given is None:
            given = [{key: role[key] for key in ("audio", "motion", "transcript") if key in role}]
        lines = []
        for line in given:
            _check_keys(line, {"audio", "start", "motion", "transcript"}, "a line")
            start = float(line.get("start", 0))
            if not (math.isfinite(start) and start >= 0):
                raise ValueError(f"a line starts at {start:g} s: give 0 or more")
            others = [folder / line[k] if line.get(k) else None for k in ("motion", "transcript")]
            lines.append(CastLine(folder / line["audio"], start, *others))
        lines.sort(key=lambda each: each.start)
        face = None if role.get("face") is None else str(role["face"])
        roles.append(CastRole(str(role["actor"]), tuple(lines), face))
    sound = None if content.get("sound") is None else folder / str(content["sound"])
    return Cast(tuple(roles), sound)


def _check_keys(found: Mapping[str, Any], known: set[str], name: str) -> None:
    """Refuse what is no mapping, and keys that nobody knows."""
    if not isinstance(found, Mapping):
        raise ValueError(f"{name} is {str(found)[:40]!a}: expected names and values")
    unknown = found.keys() - known
    if unknown:
        first = ascii(sorted(map(str, unknown))[0])
        raise ValueError(f"{name} has {first}: there are {', '.join(sorted(known))}")
