"""Losses against shifts of the truth and against another mouth shape: SIDGAN's figures 2 and 4.

    python -m benchmarks.shifts --data HELD_OUT --vanilla WAV2LIP --aps APS [--vgg FILE]

The true frames, moved to the right by k px, pretend to be a painting. A loss for training should
hardly see that, since a viewer does not; it should see a mouth of another shape. That is made of
the truth as well: the lower lip and what hangs on it is moved down or up. How far a SyncNet's code
of the face moves says whether the network is shift-invariant, even where it has learned no sync.

HELD_OUT is a folder of ``dubfew prior prepare --layout``; WAV2LIP and APS are SyncNets that
``dubfew prior sync`` trained on other people. Without VGG-19's weights its losses use random ones
and say so: they show what a comparison without places does, not what trained features see.

Source: Muaz et al. 2023, "SIDGAN: High-Resolution Dubbed Video Generation via Shift-Invariant
Learning", figures 2 and 4.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from benchmarks.common import RESULTS, machine, machine_line, markdown_table, write_results
from dubfew.data.clip_footage import ClipFootage
from dubfew.data.clip_samples import SoundFeatureCache, find_windows, shrink_images, window_rows
from dubfew.data.clip_shards import open_layout_clips
from dubfew.data.sound_features._base import CLIP_FPS
from dubfew.prior.losses import Vgg19, contextual_loss, load_vgg19, perceptual_and_style_losses
from dubfew.prior.syncnets import SYNC_FRAMES, SyncNetwork
from dubfew.prior.syncnets._file import load_syncnet
from dubfew.prior.training.sync import select_sync_clips
from dubfew.reconstruction.heads.landmark_indices import INNER_LIPS, OUTER_LIPS

# Shifts to the right, px of a crop of 256 px; SIDGAN's figure 4 goes as far.
SHIFTS_PX = tuple(range(9))
# Displacements of the lower lip downwards, px of a crop of 256 px.
LIP_SHIFTS_PX = (-8, -4, 0, 4, 8)
# Edge of a crop that pixels are counted in.
COUNTED_IN_PX = 256
# The frame of a window that VGG-19 sees: its neighbors look alike, and each takes seconds.
_MIDDLE = SYNC_FRAMES // 2
# Windows of each clip that are measured.
WINDOWS_PER_CLIP = 8
# Landmarks of the lower lip and the chin below it.
LOWER_LIP = (14, 17, 84, 314, 87, 317)
# A loss of a painting [B, 5, 3, H, W] beside the truth, with its sound [B, 5, F, L].
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def shift_frames(frames: Tensor, pixels: int) -> Tensor:
    """Move frames [B, 5, 3, H, W] to the right; the left edge is repeated."""
    if not pixels:
        return frames
    flat = F.pad(frames.flatten(0, 1), (pixels, 0, 0, 0), mode="replicate")
    return flat[..., : frames.shape[-1]].unflatten(0, frames.shape[:2])


def move_lower_lip(frames: Tensor, landmarks: Tensor, pixels: float) -> Tensor:
    """Move the lower lip down, with a falloff as wide as the mouth.

    Args:
        frames: RGB. [B, 5, 3, H, W]
        landmarks: detected landmarks, px. [B, 5, 478, 2]
        pixels: displacement, px; negative closes the mouth.
    """
    height, width = frames.shape[-2:]
    lips = landmarks[..., list(OUTER_LIPS), :].flatten(0, 1)
    reach = (lips[..., 0].amax(1) - lips[..., 0].amin(1))[:, None, None] / 2
    center = landmarks[..., list(LOWER_LIP), :].flatten(0, 1).mean(1)[:, None, None]
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    distance = ((x - center[..., 0]) ** 2 + (2 * (y - center[..., 1])) ** 2) / reach**2
    # The upper lip stays: nothing moves above the middle between the inner lips.
    middle = landmarks[..., list(INNER_LIPS), 1].flatten(0, 1).mean(1)[:, None, None]
    below = ((y - middle) / (0.1 * reach)).clamp(0, 1)
    moved = pixels * torch.exp(-distance) * below
    grid = torch.stack([(x / width * 2 - 1).expand_as(moved), (y - moved) / height * 2 - 1], -1)
    flat = F.grid_sample(frames.flatten(0, 1), grid, padding_mode="border", align_corners=False)
    return flat.unflatten(0, frames.shape[:2])


def compare_face_codes(network: Any, fake: Tensor, truth: Tensor, sound: Tensor) -> Tensor:
    """Compute 1 - cosine of what a SyncNet makes of two windows; it hears nothing for that."""
    return 1 - (network.embed_faces(fake) * network.embed_faces(truth)).sum(1).mean()


def make_losses(syncnets: dict[str, SyncNetwork], vgg: Vgg19, vgg_name: str) -> dict[str, Loss]:
    """Make the losses of figure 4, by their names in the table."""
    losses: dict[str, Loss] = {
        f"sync, {name}": lambda fake, _, sound, network=network: network.renderer_loss(fake, sound)
        for name, network in syncnets.items()
    }

    def perceptual(fake: Tensor, truth: Tensor, sound: Tensor) -> Tensor:
        a, b = fake[:, _MIDDLE], truth[:, _MIDDLE]
        return perceptual_and_style_losses(vgg, a, b, torch.ones_like(a[:, :1]))["perceptual"]

    def contextual(fake: Tensor, truth: Tensor, sound: Tensor) -> Tensor:
        return contextual_loss(vgg, fake[:, _MIDDLE], truth[:, _MIDDLE])

    for name, network in syncnets.items():
        losses[f"sync's face code, {name}"] = partial(compare_face_codes, network)
    losses["L1"] = lambda fake, truth, _: (fake - truth).abs().mean()
    if not vgg_name:
        return losses
    losses[f"perceptual ({vgg_name})"] = perceptual
    losses[f"contextual ({vgg_name})"] = contextual
    return losses


def draw_windows(
    clip: ClipFootage, features: SoundFeatureCache, key: int, count: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Take windows spread over a clip: frames, sound and landmarks."""
    starts = find_windows(clip.frames, SYNC_FRAMES)
    frames, sounds, landmarks = [], [], []
    for place in np.linspace(0, len(starts) - 1, count).round().astype(int):
        rows = window_rows(clip.frames, int(starts[place]), SYNC_FRAMES)
        frames.append(shrink_images(clip.images[rows], 1))
        seconds = clip.frames[rows] / CLIP_FPS - clip.sound_start
        sounds.append(features.cut_windows(key, clip.samples, seconds))
        landmarks.append(torch.from_numpy(np.asarray(clip.landmarks[rows])).float())
    return torch.stack(frames), torch.cat(sounds), torch.stack(landmarks)


@torch.no_grad()
def measure(
    clips: list[ClipFootage], losses: dict[str, Loss], sound: str, count: int
) -> dict[str, dict[str, list[float]]]:
    """Measure all losses under all changes, as means over the clips' windows."""
    features = SoundFeatureCache(sound)
    sums: dict[str, dict[str, NDArray]] = {}
    for key, clip in enumerate(clips):
        frames, heard, landmarks = draw_windows(clip, features, key, count)
        scale = frames.shape[-1] / COUNTED_IN_PX
        changed = {
            "shift": [shift_frames(frames, round(k * scale)) for k in SHIFTS_PX],
            "lip": [move_lower_lip(frames, landmarks, k * scale) for k in LIP_SHIFTS_PX],
        }
        for name, loss in losses.items():
            for kind, pictures in changed.items():
                values = [float(loss(each, frames, heard)) for each in pictures]
                found = sums.setdefault(name, {})
                found[kind] = found.get(kind, 0) + np.array(values) / len(clips)
        print(f"clip {key + 1} of {len(clips)}", file=sys.stderr)
    return {n: {k: v.tolist() for k, v in found.items()} for n, found in sums.items()}


def relative(values: list[float]) -> list[float]:
    """Divide values by their maximum, as the paper's figure does."""
    return [value / max(max(values), 1e-12) for value in values]


def swing(values: list[float]) -> float:
    """Compute by how much a loss moves, as a part of its largest value."""
    return (max(values) - min(values)) / max(max(values), 1e-12)


def document(found: dict[str, dict[str, list[float]]], note: str) -> str:
    """Format the results as Markdown."""
    shifts = [
        [name, *relative(kinds["shift"]), swing(kinds["shift"])] for name, kinds in found.items()
    ]
    lips = [[name, *relative(kinds["lip"]), swing(kinds["lip"])] for name, kinds in found.items()]
    raw = [[name, *kinds["shift"]] for name, kinds in found.items()]
    return "\n\n".join(
        [
            f"Loss against a shift to the right, divided by its maximum. {note}",
            markdown_table(["loss", *(f"{k} px" for k in SHIFTS_PX), "swing"], shifts),
            "Loss against a displacement of the lower lip, divided by its maximum.",
            markdown_table(["loss", *(f"{k:+d} px" for k in LIP_SHIFTS_PX), "swing"], lips),
            "Loss against a shift, as it is.",
            markdown_table(["loss", *(f"{k} px" for k in SHIFTS_PX)], raw),
            "The same for the lower lip.",
            markdown_table(
                ["loss", *(f"{k:+d} px" for k in LIP_SHIFTS_PX)],
                [[name, *kinds["lip"]] for name, kinds in found.items()],
            ),
        ]
    )


def draw_plot(path: Path, found: dict[str, dict[str, list[float]]]) -> None:
    """Draw figure 4: losses of sync on the left, of pictures on the right."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.4), sharey=True)
    for name, kinds in found.items():
        code = "face code" in name
        axis = axes[0 if name.startswith("sync") else 1]
        # Codes are divided by what the lower lip's largest movement does to them.
        values = np.array(kinds["shift"]) / max(kinds["lip"]) if code else relative(kinds["shift"])
        axis.plot(SHIFTS_PX, values, marker="o", ls="--" if code else "-", label=name)
    for axis in axes:
        axis.set_xlabel("shift to the right, px of 256")
        axis.set_ylim(bottom=0)
        axis.legend(fontsize=8)
    axes[0].set_ylabel("loss / its maximum")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def random_vgg() -> Vgg19:
    """Make a VGG-19 of random weights that keep the size of what they are given."""
    torch.manual_seed(0)
    vgg = Vgg19().eval()
    for layer in vgg.features.values():
        torch.nn.init.kaiming_normal_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    return vgg


def main() -> int:
    """Parse arguments, measure, and write the tables and the plot."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="crops of held-out people")
    parser.add_argument("--vanilla", type=Path, required=True, help="SyncNet 'wav2lip'")
    parser.add_argument("--aps", type=Path, required=True, help="SyncNet 'aps'")
    parser.add_argument("--vgg", type=Path, help="VGG-19's weights; random ones by default")
    parser.add_argument("--without-vgg", action="store_true", help="leave its losses out")
    parser.add_argument("--windows", type=int, default=WINDOWS_PER_CLIP, help="of each clip")
    parser.add_argument("--out", type=Path, default=RESULTS, help=f"default {RESULTS}")
    arguments = parser.parse_args()
    (vanilla, info), (aps, other) = (load_syncnet(p) for p in (arguments.vanilla, arguments.aps))
    vgg = load_vgg19(arguments.vgg) if arguments.vgg else random_vgg()
    vgg_name = "VGG-19" if arguments.vgg else "random VGG-19"
    losses = make_losses(
        {"vanilla": vanilla, "APS": aps}, vgg, "" if arguments.without_vgg else vgg_name
    )
    clips = select_sync_clips([clip for clip, _ in open_layout_clips(arguments.data, info.layout)])
    found = measure(clips, losses, vanilla.sound, arguments.windows)
    note = (
        f"{len(clips)} clips, {arguments.windows} windows of each; held-out accuracy of the "
        f"SyncNets: vanilla {info.accuracy}, APS {other.accuracy}. {machine_line()}"
    )
    text = document(found, note)
    write_results(arguments.out, "shifts", text, {"machine": machine(), "losses": found})
    draw_plot(arguments.out / "shifts.png", found)
    print(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
