"""Sizes of the renderer, as data: one code path for all.

For one window, forward pass; weights in half precision:

| size  | window | references | parameters | GFLOP | weights |
|-------|--------|------------|------------|-------|---------|
| lite  | 160 px | 3          | 0.79 M     | 0.9   | 1.6 MB  |
| base  | 256 px | 4          | 3.1 M      | 5.0   | 6.2 MB  |
| large | 512 px | 5          | 6.4 M      | 21    | 12.8 MB |

``lite`` is for a CPU in real time, ``base`` for a CPU that may take its time, ``large`` for a GPU
and footage whose mouths are that large. The larger a window, the more levels: what the deepest
one sees at once is then about the whole window.
"""

from __future__ import annotations

from dubfew.prior.renderers.unet import BlendingUNetConfig

RENDERER_CONFIGS: dict[str, BlendingUNetConfig] = {
    "lite": BlendingUNetConfig(),
    "base": BlendingUNetConfig(window=256, references=4, widths=(40, 64, 112, 160, 192), style=128),
    "large": BlendingUNetConfig(
        window=512, references=5, widths=(40, 64, 112, 160, 224, 256), style=256
    ),
}
