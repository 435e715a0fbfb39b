"""Color spaces of OpenColorIO configurations, for footage whose space files do not tag.

A space is stated as ``CONFIG#SPACE``: a configuration, and the name of one of its color spaces.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dubfew.errors import DubfewError
from dubfew.utils.import_utils import import_optional

# What parts a configuration from the name of its color space.
SEPARATOR = "#"
# OpenColorIO's own name of the space that dubfew's linear light has. Every version of the library
# holds a configuration with it, so that the stated one need not name a space so.
_LINEAR_BT709 = "Linear Rec.709 (sRGB)"
# Spaces that an error names at most.
_MAX_LISTED = 8


@dataclass(frozen=True, eq=False)
class OcioSpace:
    """A color space of an OpenColorIO configuration.

    Attributes:
        name: name of the space and of its configuration, for readers.
        decode: code values in [0, 1] to linear light with the primaries of BT.709. [..., 3]
        encode: the inverse of ``decode``. [..., 3]
        is_scene: True if its light is that of a scene, False if it is that of a display.
    """

    name: str
    decode: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    encode: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    is_scene: bool


@lru_cache(maxsize=8)
def load_ocio_space(stated: str) -> OcioSpace:
    """Load a color space of an OpenColorIO configuration.

    Args:
        stated: ``CONFIG#SPACE``. The configuration is a file, or the address of one that
            OpenColorIO brings (``ocio://...``); empty for the one that the environment variable
            ``OCIO`` names.

    Raises:
        MissingDependencyError: OpenColorIO is not installed.
        DubfewError: The configuration cannot be read, has no such space, or does not say how the
            space relates to others.
    """
    address, _, wanted = stated.partition(SEPARATOR)
    ocio: Any = import_optional("PyOpenColorIO")
    if not address and not os.environ.get("OCIO"):
        raise DubfewError(
            f"--input-transform {stated!r} names no configuration, and the environment variable "
            "OCIO is not set: give CONFIG#SPACE, such as 'ocio://default#ACEScct'"
        )
    address = address or os.environ["OCIO"]
    try:
        config = ocio.Config.CreateFromFile(address)
    # In Python a missing file is no case of the library's own Exception.
    except (ocio.Exception, ocio.ExceptionMissingFile) as error:
        raise DubfewError(
            f"OpenColorIO cannot read the configuration {address!r} ({_first_line(error)}): give "
            "a config.ocio, an .ocioz archive or an address such as ocio://studio-config-latest"
        ) from error
    space = config.getColorSpace(wanted)
    if space is None or space.isData():
        raise DubfewError(_describe_missing(wanted, address, config))
    try:
        to_linear = ocio.Config.GetProcessorToBuiltinColorSpace(config, wanted, _LINEAR_BT709)
        from_linear = ocio.Config.GetProcessorFromBuiltinColorSpace(_LINEAR_BT709, config, wanted)
        decode, encode = _make_function(to_linear), _make_function(from_linear)
    except (ocio.Exception, ocio.ExceptionMissingFile) as error:  # of a lookup table
        raise DubfewError(
            f"{space.getName()!r} of {address!r} cannot be brought to linear light and back "
            f"({_first_line(error)}): state another color space"
        ) from error
    is_scene = space.getReferenceSpaceType() == ocio.REFERENCE_SPACE_SCENE
    return OcioSpace(
        f"{space.getName()} of {config.getName() or address}", decode, encode, is_scene
    )


def _make_function(processor: Any) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """Make a function of colors [..., 3] from a processor of OpenColorIO."""
    cpu = processor.getDefaultCPUProcessor()

    def convert(colors: NDArray[np.float64]) -> NDArray[np.float64]:
        flat = np.array(colors, np.float32, order="C").reshape(-1, 3)
        cpu.applyRGB(flat)
        return flat.astype(np.float64).reshape(colors.shape)

    return convert


def _describe_missing(wanted: str, address: str, config: Any) -> str:
    """Say that a configuration has no such color space, and which it has."""
    names = [str(name) for name in config.getColorSpaceNames()]
    words = wanted.lower().split()
    # Those that share a word with the wanted one come first.
    names.sort(key=lambda name: -sum(word in name.lower() for word in words))
    more = f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    return (
        f"no color space {wanted!r} of pictures in {address!r}: there are "
        f"{', '.join(names[:_MAX_LISTED])}{more}"
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
