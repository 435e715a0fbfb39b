"""The part of ComfyUI's programming interface that the nodes use, with its rules.

ComfyUI has no package that could be installed. Names, arguments and rules are those of its
``comfy_api.latest`` of November 2026: a schema has distinct ids, ``execute`` takes its inputs by
their ids, outputs come in the schema's order, and AUDIO is a dictionary with "waveform"
[B, C, n] and "sample_rate".
"""

from __future__ import annotations

import inspect
import io as bytes_io
import shutil
import sys
from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import av
import pytest

# Keywords of an input beside its id, by type; anything else is refused, as ComfyUI does.
COMMON = {"display_name", "optional", "tooltip", "lazy", "extra_dict", "raw_link"}
WIDGET = COMMON | {"default", "socketless", "force_input"}
KEYWORDS = {
    "VIDEO": COMMON,
    "AUDIO": COMMON,
    "BOOLEAN": WIDGET | {"label_on", "label_off"},
    "FLOAT": WIDGET | {"min", "max", "step", "round", "display_mode"},
    "STRING": WIDGET | {"multiline", "placeholder", "dynamic_prompts"},
    "COMBO": WIDGET - {"force_input"} | {"options", "upload", "remote"},
}


class InputSocket:
    """An input of a node."""

    def __init__(self, io_type: str, id: str, **keywords: Any) -> None:
        unknown = set(keywords) - KEYWORDS.get(io_type, COMMON)
        if unknown:
            raise TypeError(f"{io_type} has no {unknown}")
        self.io_type, self.id, self.keywords = io_type, id, keywords
        self.optional = keywords.get("optional", False)


@dataclass
class OutputSocket:
    """An output of a node."""

    io_type: str
    id: str | None = None
    display_name: str | None = None
    tooltip: str | None = None
    is_output_list: bool = False


def make_type(io_type: str) -> Any:
    """A type of links with its Input and Output."""
    return SimpleNamespace(
        Input=lambda id, **keywords: InputSocket(io_type, id, **keywords),
        Output=lambda *arguments, **keywords: OutputSocket(io_type, *arguments, **keywords),
    )


@dataclass
class Schema:
    """What a node is called, and what goes in and out."""

    node_id: str
    display_name: str | None = None
    category: str = "sd"
    inputs: list[InputSocket] = field(default_factory=list)
    outputs: list[OutputSocket] = field(default_factory=list)
    description: str = ""
    is_output_node: bool = False

    def validate(self) -> None:
        """Refuse ids that are there twice."""
        double = [
            name for name, count in Counter(each.id for each in self.inputs).items() if count > 1
        ]
        if double:
            raise ValueError(f"ids must be unique: {double}")


class NodeOutput:
    """What a node returns."""

    def __init__(self, *args: Any, ui: Any = None) -> None:
        self.args, self.ui = args, ui


class ComfyNode:
    """Base of all nodes; `run` is what ComfyUI does with a node."""

    @classmethod
    def define_schema(cls) -> Schema:
        raise NotImplementedError

    @classmethod
    def run(cls, **inputs: Any) -> tuple[Any, ...]:
        """Fill in defaults, execute, and check what comes out."""
        schema = cls.define_schema()
        schema.validate()
        known = {each.id: each for each in schema.inputs}
        assert set(inputs) <= set(known), set(inputs) - set(known)
        for name, socket in known.items():
            if name in inputs:
                continue
            if "default" in socket.keywords:
                inputs[name] = socket.keywords["default"]
            else:
                assert socket.optional, f"{name} is missing"
        accepted = inspect.signature(cls.execute).parameters  # type: ignore[attr-defined]
        assert set(known) == set(accepted), "execute takes the inputs by their ids"
        done = cls.execute(**inputs)  # type: ignore[attr-defined]
        assert isinstance(done, NodeOutput)
        assert len(done.args) == len(schema.outputs)
        return done.args


class ComfyExtension(ABC):
    """A pack of nodes."""

    @abstractmethod
    async def get_node_list(self) -> list[type[ComfyNode]]: ...


class VideoFromFile:
    """A video on disk, or a part of it."""

    def __init__(self, path: str, trim: tuple[float, float] = (0.0, 0.0)) -> None:
        self.path, self.trim = path, trim

    def get_stream_source(self) -> str | bytes_io.BytesIO:
        return self.path

    def get_active_trim_window(self) -> tuple[float, float]:
        return self.trim

    def get_dimensions(self) -> tuple[int, int]:
        with av.open(self.path) as container:
            stream = container.streams.video[0]
            return stream.width, stream.height

    def save_to(self, path: str, **_: Any) -> None:
        shutil.copy(self.path, path)


@dataclass
class Progress:
    """The progress bar, and whether the user wants to stop."""

    values: list[tuple[float, float]] = field(default_factory=list)
    is_interrupted: bool = False

    def make_bar(self, total: int) -> Any:
        return SimpleNamespace(update_absolute=lambda value: self.values.append((value, total)))

    def throw_exception_if_processing_interrupted(self) -> None:
        if self.is_interrupted:
            raise InterruptedError("interrupted by the user")


def install_stand_in(monkeypatch: pytest.MonkeyPatch, output: Path) -> Progress:
    """Make ``comfy_api``, ``comfy`` and ``folder_paths`` importable for one test.

    Args:
        monkeypatch: removes them again.
        output: ComfyUI's output folder.

    Returns:
        The progress bar.
    """
    progress = Progress()
    names = ("Video", "Audio", "Boolean", "Float", "String", "Combo")
    io = SimpleNamespace(
        Custom=make_type,
        Schema=Schema,
        NodeOutput=NodeOutput,
        ComfyNode=ComfyNode,
        FolderType=SimpleNamespace(output="output"),
        **{name: make_type(name.upper()) for name in names},
    )

    def save_path(prefix: str, folder: str, *_: int) -> tuple[str, str, int, str, str]:
        place = Path(folder) / Path(prefix).parent
        place.mkdir(parents=True, exist_ok=True)
        name = Path(prefix).name
        counter = 1 + len(list(place.glob(f"{name}_*")))
        return str(place), name, counter, str(Path(prefix).parent), prefix

    modules = {
        "folder_paths": {
            "get_output_directory": lambda: str(output),
            "get_save_image_path": save_path,
        },
        "comfy": {},
        "comfy.model_management": {
            "throw_exception_if_processing_interrupted": (
                progress.throw_exception_if_processing_interrupted
            )
        },
        "comfy.utils": {"ProgressBar": progress.make_bar},
        "comfy_api": {},
        "comfy_api.latest": {
            "ComfyExtension": ComfyExtension,
            "Input": SimpleNamespace(Video=VideoFromFile, Audio=dict),
            "InputImpl": SimpleNamespace(VideoFromFile=VideoFromFile),
            "io": io,
            "ui": SimpleNamespace(
                SavedResult=lambda *arguments: arguments,
                PreviewVideo=lambda files: files,
                PreviewText=lambda text: text,
            ),
        },
    }
    for name, content in modules.items():
        module = ModuleType(name)
        module.__dict__.update(content)
        monkeypatch.setitem(sys.modules, name, module)
    return progress
