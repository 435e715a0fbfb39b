"""What DINet and IPTalker see and move: mean feature maps beside the pictures, as one PNG.

    python -m benchmarks.feature_maps --prior PRIOR --data DATA --out PNG [--clip 0] [--frame 0]

PRIOR is a trained `dinet` or `iptalker`, DATA a folder of ``dubfew prior prepare --layout`` with
the renderer's layout. The row shows the masked frame, one reference, the features of both, those of
the references after the deformation, what is painted, and the true frame. Each map is the mean over
its channels, stretched to its own range, so that maps say where, not how much.

Source: Zhang et al. 2023, "DINet" (arXiv 2303.03988), figure 4; Liu et al. 2025, IPTalker (arXiv
2501.04586), section IV-C, for the mean of F_w.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from dubfew.data.clip_inputs import ClipInputs
from dubfew.data.clip_samples import SoundFeatureCache, draw_references, make_clip_sample
from dubfew.data.clip_shards import open_layout_clips
from dubfew.errors import ArtefactError
from dubfew.prior import Prior
from dubfew.prior.renderers._dinet import DINet
from dubfew.prior.renderers._iptalker import IPTalker
from dubfew.prior.training.painting_data import make_sample_form
from dubfew.reconstruction.heads.head_model import load_head_model


@torch.inference_mode()
def feature_pictures(renderer: DINet | IPTalker, inputs: ClipInputs) -> list[Tensor]:
    """Show the first frame of a batch and its features.

    Args:
        renderer: network in evaluation mode.
        inputs: batch of one window.

    Returns:
        RGB of the masked frame, a reference, the features of the frame, of the references, and of
        the deformed references, and the painting. [3, H, W] each
    """
    given = inputs.scene[:, 0], inputs.references, inputs.sound[:, 0]
    if isinstance(renderer, DINet):
        dinet = renderer.encode(*given)
        maps = [dinet.source, dinet.references, dinet.deformed]
        painted = renderer.decode(dinet)
    else:
        iptalker = renderer.encode(*given)
        maps = [iptalker.source, iptalker.references, iptalker.warped]
        painted = renderer.decode(iptalker)
    size = (painted.shape[-2], painted.shape[-1])
    shown = [mean_map(each, size) for each in maps]
    return [given[0][0], inputs.references[0, 0], *shown, painted[0]]


def mean_map(features: Tensor, size: tuple[int, int]) -> Tensor:
    """Average features [1, C, h, w] over the channels, as a gray picture [3, H, W] from 0 to 1."""
    mean = features.float().mean(1, keepdim=True)
    mean = mean - mean.min()
    stretched = mean / mean.max().clamp(min=1e-8)
    return F.interpolate(stretched, size, mode="nearest")[0].expand(3, -1, -1)


def join_pictures(pictures: Sequence[Tensor]) -> NDArray[np.uint8]:
    """Put pictures [3, H, W] into a row. [H, n W, 3]"""
    row = torch.cat([picture.clamp(0, 1) for picture in pictures], 2)
    return (row.permute(1, 2, 0) * 255).round().byte().numpy()


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prior", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--clip", type=int, default=0, help="number of the clip in DATA")
    parser.add_argument("--frame", type=int, default=0, help="row of the frame in the clip")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args(argv)
    renderer = Prior.load(arguments.prior).renderer
    if not isinstance(renderer, DINet | IPTalker):
        raise ArtefactError(f"{arguments.prior} is neither a dinet nor an iptalker")
    config = renderer.config
    clips = open_layout_clips(arguments.data, config.layout)
    if not 0 <= arguments.clip < len(clips):
        raise ArtefactError(f"--clip is {arguments.clip}: there are {len(clips)}, counted from 0")
    clip = clips[arguments.clip][0]
    if not 0 <= arguments.frame < len(clip):
        raise ArtefactError(f"--frame is {arguments.frame}: there are {len(clip)}")
    rows = np.array([arguments.frame])
    references = draw_references(clip.frames, rows, config.references, np.random.default_rng(0))
    sample = make_clip_sample(
        clip,
        rows,
        references,
        load_head_model(clip.head),
        make_sample_form(config),
        SoundFeatureCache(config.sound),
    )
    row = join_pictures([*feature_pictures(renderer, sample.inputs), sample.target[0, 0]])
    Image.fromarray(row).save(arguments.out)


if __name__ == "__main__":
    main()
