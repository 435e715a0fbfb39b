"""The middle blending U-Net, for a CPU without a need for real time.

Forward pass of one window; weights in half precision:

| renderer | window | references | parameters | GFLOP | weights |
|----------|--------|------------|------------|-------|---------|
| base     | 256 px | 4          | 3.1 M      | 5.0   | 6.2 MB  |
"""

from __future__ import annotations

from dubfew.prior.renderers._base import RendererEntry
from dubfew.prior.renderers._unet import BlendingUNet, BlendingUNetConfig

RENDERER = RendererEntry(
    BlendingUNet,
    # One level more than lite, so that the deepest one still sees about the whole window.
    BlendingUNetConfig(window=256, references=4, widths=(40, 64, 112, 160, 192), style=128),
)
