"""A small sound adapter and mutations of it, for fuzz_registry.py."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from copy import deepcopy
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from safetensors import SafetensorError
from safetensors.numpy import load, save

from dubfew.adapt.artefact import (
    ADAPTER_CONFIG_FILE,
    ADAPTER_REFERENCES_FILE,
    ADAPTER_STYLE_FILE,
    ADAPTER_TEXTURE_FILE,
    ADAPTER_TRACK_FILE,
    ADAPTER_WEIGHTS_FILE,
    ActorAdapter,
)
from dubfew.adapt.import_check import check_importable
from dubfew.adapt.methods import METHODS
from dubfew.prior.checkpoint import Prior, create_untrained_prior
from dubfew.prior.renderers import BlendingUNetConfig
from dubfew.reconstruction.crop import NUM_HULL_CORNERS
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.heads.landmark_indices import INNER_LIPS, MOUTH_POINTS, OUTER_LIPS
from dubfew.reconstruction.track import Camera, Track
from dubfew.references.footage import Footage
from dubfew.speech.style import SpeakingStyle

# Files of an adapter by name.
Files = dict[str, bytes]
# Function that returns mutated files.
Change = Callable[[Files], Files]
# A renderer with all kinds of layers, as small as possible.
SMALL_CONFIG = BlendingUNetConfig(
    window=64, references=2, texture_channels=5, widths=(8, 8, 8, 8), style=8
)
# Files that hold tensors.
TENSOR_FILES = (
    ADAPTER_WEIGHTS_FILE,
    ADAPTER_TEXTURE_FILE,
    ADAPTER_REFERENCES_FILE,
    ADAPTER_STYLE_FILE,
    ADAPTER_TRACK_FILE,
)
# Numbers that footage does not give; 65504 is the largest of float16.
ODD_NUMBERS = (np.nan, np.inf, -np.inf, 1e30, 65504.0, -1.0, 0.0)
# Paths in the adapter's config, with spaces between the keys.
CONFIG_PATHS = (
    "format_version",
    "prior",
    "prior sha256",
    "prior name",
    "method",
    "options",
    "options rank",
    "options alpha",
    "head",
    "source",
    "source complete",
    "speech",
    "extra",
)
# Types that a safetensors header may name, and two that do not exist.
HEADER_DTYPES = ("F16", "F32", "F64", "BF16", "I64", "U8", "BOOL", "F8_E4M3", "X", "")


class SoundAdapter:
    """An adapter of random numbers on an untrained prior.

    Args:
        folder: empty folder for the prior.

    Attributes:
        files: its files as they are stored.
    """

    def __init__(self, folder: Path) -> None:
        self._home, place = folder / "priors-home", folder / "prior"
        create_untrained_prior(0, SMALL_CONFIG).save(place, {}, "")
        self._prior = Prior.load(place)
        method, head = METHODS["lora"], load_head_model()
        model = method.make_trainable(deepcopy(self._prior.renderer), method.default_options)
        rng = np.random.default_rng(0)
        count, points = 2, len(MOUTH_POINTS)

        def some(*shape: int) -> np.ndarray:
            return rng.random(shape, np.float32)

        references = Footage(
            images=rng.integers(0, 255, (count, 8, 8, 3), np.uint8),
            vertices=some(count, len(head.template), 3),
            hulls=some(count, NUM_HULL_CORNERS, 2),
            key=some(count, 3 * len(OUTER_LIPS + INNER_LIPS) + 3),
            motion=some(count, points, 3),
            frames=np.arange(count),
        )
        per_frame = {name: some(count, 3) for name in ("jaw", "neck", "rotation", "translation")}
        track = Track(
            valid=np.ones(count, bool),
            times=np.arange(count) / 25,
            expression=some(count, len(head.expression_basis)),
            lighting=some(count, 9, 3),
            box=some(count, 4),
            landmarks=some(count, 478, 3),
            confidence=some(count),
            shape=some(len(head.shape_basis)),
            camera=Camera(400.0, 128.0, 128.0),
            fps=Fraction(25),
            width=256,
            height=256,
            head=head.name,
            source_sha256="",
            **per_frame,
        )
        prior = {"name": "own", "sha256": self._prior.sha256}
        source = {"path": "clip.mp4", "sha256": "0" * 64, "complete": True}
        self.files: Files = ActorAdapter(
            config={
                "prior": prior,
                "method": "lora",
                "options": method.default_options,
                "head": head.name,
                "source": source,
            },
            weights=method.extract_delta(model, self._prior.renderer.state_dict()),
            texture=self._prior.texture,
            references=references,
            style=SpeakingStyle.neutral(),
            track_bytes=track.to_bytes(),
        ).to_files()
        check_importable({}, self.files, home=self._home, prior=place)

    def admit(self, files: Files) -> None:
        """Check files as an import does."""
        check_importable({}, files, home=self._home)

    def assert_renders(self, files: Files) -> None:
        """Check that files which passed the import check give a network of finite numbers."""
        adapter = ActorAdapter.from_files(files)
        renderer = adapter.merge_with_prior(self._prior)
        assert all(bool(torch.isfinite(value).all()) for value in renderer.state_dict().values())
        assert bool(torch.isfinite(adapter.texture).all())
        Track.from_bytes(adapter.track_bytes, "track")


def _header(data: bytes) -> tuple[dict[str, Any], bytes]:
    """Split a safetensors file into its header and the tensors' bytes."""
    end = 8 + int.from_bytes(data[:8], "little")
    return json.loads(data[8:end]), data[end:]


def _promised(file: str, which: int, name: str, value: Any) -> Change:
    """Change the header's entry of one tensor, so that it does not fit the bytes."""

    def change(files: Files) -> Files:
        header, body = _header(files[file])
        names = sorted(each for each in header if each != "__metadata__")
        tensor = names[which % len(names)]
        if name == "rename":
            header[str(value)] = header.pop(tensor)
        elif name == "remove":
            del header[tensor]
        else:
            header[tensor][name] = value
        text = json.dumps(header).encode()
        return {**files, file: struct.pack("<Q", len(text)) + text + body}

    return change


def _array(file: str, which: int, change_of: Callable[[np.ndarray], np.ndarray]) -> Change:
    """Change numbers or shape of one tensor; the file itself stays sound."""

    def change(files: Files) -> Files:
        try:
            header, _ = _header(files[file])
            arrays = load(files[file])
            name = sorted(arrays)[which % len(arrays)]
            arrays[name] = np.ascontiguousarray(change_of(arrays[name].copy()))
            return {**files, file: save(arrays, metadata=header.get("__metadata__"))}
        except (SafetensorError, ArithmeticError, ValueError, TypeError):  # see below
            return files

    return change


def _number(place: int, value: float) -> Callable[[np.ndarray], np.ndarray]:
    """Replace one number of a tensor."""

    def change(array: np.ndarray) -> np.ndarray:
        flat = array.reshape(-1)
        if flat.size:
            with np.errstate(all="ignore"):
                flat[place % flat.size] = np.array(value).astype(array.dtype)
        return array

    return change


def _shape(kind: str, length: int) -> Callable[[np.ndarray], np.ndarray]:
    """Change shape or type of a tensor."""
    return {
        "flat": lambda array: array.reshape(-1),
        "cut": lambda array: array[:length],
        "deeper": lambda array: array[None],
        "turned": lambda array: array.T,
        "doubled": lambda array: np.concatenate([np.atleast_1d(array)] * 2),
        "whole": lambda array: array.astype(np.int64),
        "double": lambda array: array.astype(np.float64),
        "half": lambda array: array.astype(np.float16),
    }[kind]


def _configured(steps: list[str], value: Any) -> Change:
    """Replace one value of the config."""

    def change(files: Files) -> Files:
        try:
            config = json.loads(files[ADAPTER_CONFIG_FILE])
            inner = config
            for step in steps[:-1]:
                inner = inner[step]
            inner[steps[-1]] = value
            return {**files, ADAPTER_CONFIG_FILE: json.dumps(config).encode()}
        except (ValueError, TypeError, KeyError):
            return files

    return change


def _bytes(file: str, place: int, value: int, kind: str) -> Change:
    """Flip a bit of a file, cut it off or insert a byte."""

    def change(files: Files) -> Files:
        data = bytearray(files[file])
        at = place % max(1, len(data))
        if kind == "flip" and data:
            data[at] ^= 1 << value % 8
        elif kind == "cut":
            del data[at:]
        elif kind == "longer":
            data[at:at] = bytes([value])
        return {**files, file: bytes(data)}

    return change


def _swapped(one: str, other: str) -> Change:
    """Exchange the content of two files."""
    return lambda files: {**files, one: files[other], other: files[one]}


def adapter_mutations() -> st.SearchStrategy[Change]:
    """Return a strategy of one to three mutations in a row."""
    files = st.sampled_from((ADAPTER_CONFIG_FILE, *TENSOR_FILES))
    tensors = st.sampled_from(TENSOR_FILES)
    which = st.integers(0, 100)
    sizes = st.integers(-1, 9) | st.sampled_from([1 << 31, 1 << 32, 1 << 40, 1 << 63, 1 << 70])
    scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30)
    values = scalars | st.lists(scalars, max_size=3) | st.dictionaries(st.text(), scalars)
    paths = st.sampled_from([each.split() for each in CONFIG_PATHS])
    promises = st.one_of(
        st.tuples(st.just("shape"), st.lists(sizes, max_size=4)),
        st.tuples(st.just("dtype"), st.sampled_from(HEADER_DTYPES)),
        st.tuples(st.just("data_offsets"), st.lists(sizes, min_size=1, max_size=3)),
        st.tuples(st.just("rename"), st.text(max_size=80)),
        st.tuples(st.just("remove"), st.none()),
    )
    kinds = ["flat", "cut", "deeper", "turned", "doubled", "whole", "double", "half"]
    arrays = st.builds(_number, st.integers(0, 1 << 20), st.sampled_from(ODD_NUMBERS)) | st.builds(
        _shape, st.sampled_from(kinds), st.integers(0, 3)
    )
    change = st.one_of(
        st.builds(lambda f, w, p: _promised(f, w, *p), tensors, which, promises),
        st.builds(_array, tensors, which, arrays),
        st.builds(_configured, paths, values),
        st.builds(
            _bytes,
            files,
            st.integers(0, 3000) | st.integers(0, 1 << 20),
            st.integers(0, 255),
            st.sampled_from(["flip", "flip", "cut", "longer"]),
        ),
        st.builds(_swapped, files, files),
        st.builds(lambda f: lambda files: {k: v for k, v in files.items() if k != f}, files),
        st.builds(lambda name: lambda files: {**files, name: b""}, st.text(max_size=30)),
    )

    def together(changes: list[Change]) -> Change:
        def apply(sound: Files) -> Files:
            for each in changes:
                try:
                    sound = each(sound)
                except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
                    continue  # an earlier change left nothing to change in this way
            return sound

        return apply

    return st.lists(change, min_size=1, max_size=3).map(together)
