"""Renderers: networks that draw an actor's mouth, one module each.

Every module of this package that does not begin with an underscore defines ``RENDERER``, a
`RendererEntry`: a network class and its configuration. Training configurations and stored priors
name a renderer by its module. A new size of the blending U-Net is a new file like ``lite.py``; a
new network is an underscored module beside ``_unet.py`` and a file that makes an entry of it.
Importing this package imports no torch, so names can be listed quickly.

Two families share the table. Subclasses of `Renderer` do not paint but predict fields that blend
an actor's warped references. Subclasses of `PaintingRenderer` draw every pixel of a crop; they are
the renderers of papers. Code that must know the family asks ``isinstance``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dubfew.errors import ArtefactError
from dubfew.utils.extension_table import ExtensionTable
from dubfew.utils.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from dubfew.prior.renderers._base import BlendFields, Renderer, RendererConfig, RendererEntry
    from dubfew.prior.renderers._painting import PaintingRenderer, PaintingRendererConfig
    from dubfew.prior.renderers._unet import BlendingUNet, BlendingUNetConfig

RENDERERS: ExtensionTable[RendererEntry] = ExtensionTable(
    "renderer",
    "dubfew.prior.renderers",
    "RENDERER",
    ArtefactError,
    entry_points="dubfew.renderers",
)


def make_renderer(name: str, overrides: Mapping[str, Any]) -> Any:
    """Build a renderer with fresh weights.

    Args:
        name: an entry of `RENDERERS`.
        overrides: fields of the entry's configuration that differ, as stored in a prior.

    Returns:
        A `Renderer` or a `PaintingRenderer`.

    Raises:
        ArtefactError: The renderer does not exist, or its configuration has no such field or
            value.
    """
    entry = RENDERERS.load(name)
    try:
        return entry.build(overrides)
    except (TypeError, ValueError) as error:
        raise ArtefactError(f"renderer {name!r} does not fit its configuration: {error}") from error


__all__ = [
    "RENDERERS",
    "BlendFields",
    "BlendingUNet",
    "BlendingUNetConfig",
    "PaintingRenderer",
    "PaintingRendererConfig",
    "Renderer",
    "RendererConfig",
    "RendererEntry",
    "make_renderer",
]

__getattr__ = lazy_exports(
    __name__,
    {
        "BlendFields": "_base",
        "BlendingUNet": "_unet",
        "BlendingUNetConfig": "_unet",
        "PaintingRenderer": "_painting",
        "PaintingRendererConfig": "_painting",
        "Renderer": "_base",
        "RendererConfig": "_base",
        "RendererEntry": "_base",
    },
)
