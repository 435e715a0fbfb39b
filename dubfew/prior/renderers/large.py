"""The largest blending U-Net, for a GPU and footage with mouths of several hundred pixels.

Forward pass of one window; weights in half precision:

| renderer | window | references | parameters | GFLOP | weights |
|----------|--------|------------|------------|-------|---------|
| large    | 512 px | 5          | 6.4 M      | 21    | 12.8 MB |
"""

from __future__ import annotations

from dubfew.prior.renderers._base import RendererEntry
from dubfew.prior.renderers._unet import BlendingUNet, BlendingUNetConfig

RENDERER = RendererEntry(
    BlendingUNet,
    # One level more than base, so that the deepest one still sees about the whole window.
    BlendingUNetConfig(window=512, references=5, widths=(40, 64, 112, 160, 224, 256), style=256),
)
