"""The smallest blending U-Net, for a CPU in real time. The shipped prior is of this size.

Forward pass of one window; weights in half precision:

| renderer | window | references | parameters | GFLOP | weights |
|----------|--------|------------|------------|-------|---------|
| lite     | 160 px | 3          | 0.79 M     | 0.9   | 1.6 MB  |
"""

from __future__ import annotations

from dubfew.prior.renderers._base import RendererEntry
from dubfew.prior.renderers._unet import BlendingUNet, BlendingUNetConfig

RENDERER = RendererEntry(BlendingUNet, BlendingUNetConfig())
