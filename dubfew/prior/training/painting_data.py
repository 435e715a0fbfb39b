"""Clips, textures and validation of a training of a painting renderer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from dubfew.data.clip_dataset import ClipDataset
from dubfew.data.clip_footage import ClipFootage
from dubfew.data.clip_inputs import ClipSample, collate_clip_samples
from dubfew.data.clip_samples import (
    ClipSampleForm,
    SoundFeatureCache,
    compute_clip_mouth_box,
    draw_references,
    make_clip_sample,
    rasterize_clip_sample,
    window_rows,
)
from dubfew.data.clip_shards import open_layout_clips
from dubfew.errors import ArtefactError, DubfewError
from dubfew.prior.recipes import TrainingStage
from dubfew.prior.recipes._base import stage_steps
from dubfew.prior.renderers import PaintingRenderer, PaintingRendererConfig
from dubfew.prior.training.batches import check_held_out_disjoint
from dubfew.prior.training.config import PriorTrainConfig
from dubfew.prior.training.textures import RandomTextures, sample_clip_texture
from dubfew.prior.training.validation import (
    ValidationResult,
    average_metrics,
    measure_mouth,
    to_uint8_images,
)
from dubfew.reconstruction.heads.head_model import HeadModel, load_head_model
from dubfew.references.selection import spread_rows
from dubfew.textures import TEXTURE_SIZE, unwrap_texture

if TYPE_CHECKING:
    from accelerate import Accelerator

# Windows of each held-out person that are painted. More make a validation slower, less noisy.
VALIDATION_WINDOWS = 4
# Frames of a clip whose colors are unwrapped for a texture.
UNWRAPPED_FRAMES = 8


def make_sample_form(
    config: PaintingRendererConfig, stage: TrainingStage | None = None
) -> ClipSampleForm:
    """Make the sizes of samples from a renderer's configuration and a stage of its training.

    Args:
        config: configuration of the renderer.
        stage: part of the training, which may ask for smaller crops and other numbers of frames.
    """
    stage = stage or TrainingStage()
    return ClipSampleForm(
        frames=stage.frames or config.frames,
        references=config.references,
        shrink=config.shrink * stage.shrink,
        sound=config.sound,
        textured=config.texture_channels > 0,
    )


def check_stages(renderer: PaintingRenderer, stages: Iterable[TrainingStage]) -> None:
    """Check that a renderer can paint the crops of every stage of its training.

    Args:
        renderer: the network of the last stage's size.
        stages: parts of the training.

    Raises:
        ArtefactError: The crops of a stage are too small, or of a size that does not fit.
    """
    config = renderer.config
    for stage in stages:
        try:
            # The network itself knows its sizes; on this device it makes no weights.
            with torch.device("meta"):
                type(renderer)(replace(config, shrink=config.shrink * stage.shrink))
        except ArtefactError as error:
            raise ArtefactError(
                f"the training's stage {stage.name} has a {stage.shrink}th of the crop's size: "
                f'{error}; leave it out by "stages" of the loss, which names those to run'
            ) from error


def unwrap_clip_texture(clip: ClipFootage, head: HeadModel, rows: Sequence[int]) -> Tensor:
    """Unwrap the colors of some frames of a clip. RGB in [0, 1], [3, 256, 256]

    Args:
        clip: the person's crops.
        head: head model of the clip.
        rows: frames to use.
    """
    views = ((clip.images[[row]][0], np.asarray(clip.vertices[row])) for row in rows)
    return torch.from_numpy(unwrap_texture(head, views, TEXTURE_SIZE)).permute(2, 0, 1)


class PaintingData:
    """Crops of the training people and the held-out ones, left on the disk.

    Attributes:
        people: crops and header of every training clip.
        head: name of the head model that they were tracked with.
    """

    people: Sequence[tuple[ClipFootage, Mapping[str, Any]]]
    head: str

    def __init__(self, config: PriorTrainConfig, renderer: PaintingRenderer) -> None:
        """Open the data of a training.

        Raises:
            ArtefactError: The renderer cannot paint the crops of one of the recipe's stages.
            DubfewError: The data is missing or of another layout, its clips have several head
                models, or a held-out person is among the training people.
        """
        check_stages(renderer, config.make_recipe().list_stages())
        self.config, self.renderer = config, renderer
        layout = renderer.config.layout
        self.people = open_layout_clips(Path(config.data), layout, config.list_excluded_people())
        self.held_out = open_layout_clips(Path(config.held_out), layout) if config.held_out else []
        check_held_out_disjoint(self.people, self.held_out)
        heads = {clip.head for clip, _ in (*self.people, *self.held_out)}
        if len(heads) > 1:
            raise DubfewError(
                f"the clips were tracked with the head models {', '.join(sorted(heads))}: prepare "
                "all of them with one --head"
            )
        (self.head,) = heads
        # A person may have several clips, and has one texture.
        self.identities = sorted({str(header["identity"]) for _, header in self.people})

    def make_textures(self) -> RandomTextures:
        """Make the random textures of all people."""
        return RandomTextures(self.identities, self.renderer.config.texture_channels)

    def iterate_batches(
        self, stages: tuple[TrainingStage, ...], steps_done: int, accelerator: Accelerator
    ) -> Iterator[tuple[TrainingStage, ClipSample]]:
        """Iterate over this process's batches from a step on, stage by stage.

        Step s of any run consists of the same samples, however they are dealt to processes.

        Args:
            stages: the recipe's stages, in order.
            steps_done: steps of an interrupted run; their samples are skipped.
            accelerator: says which process this is, and how many there are.
        """
        config = self.config
        processes, rank = accelerator.num_processes, accelerator.process_index
        per_step = config.accumulate * processes
        clips = [clip for clip, _ in self.people]
        head = load_head_model(self.head)
        row_of = {identity: row for row, identity in enumerate(self.identities)}
        rows = [row_of[str(header["identity"])] for _, header in self.people]
        begin = 0
        for number, (stage, end) in enumerate(
            zip(stages, stage_steps(stages, config.steps), strict=True)
        ):
            done = max(steps_done, begin) - begin
            steps = end - begin
            begin = end
            if done >= steps:
                continue
            batch = stage.batch or config.batch
            dataset = ClipDataset(
                clips,
                make_sample_form(self.renderer.config, stage),
                steps * per_step * batch,
                seed=config.seed,
                stage=number,
                first_index=done * per_step * batch,
                actor_indices=rows,
            )
            own = range(rank, (steps - done) * per_step, processes)
            loader = DataLoader(
                dataset,
                batch_sampler=[list(range(n * batch, (n + 1) * batch)) for n in own],
                collate_fn=collate_clip_samples,
                num_workers=config.workers,
                # The loader draws a seed for its workers. With torch's own generator a resumed run
                # would go on with other random numbers than an uninterrupted one.
                generator=torch.Generator(),
            )
            for sample in loader:
                yield stage, rasterize_clip_sample(sample.to(accelerator.device), head)

    def make_validator(self, device: torch.device, *, is_main: bool) -> ClipValidator:
        """Make what paints the held-out people; other processes have none of them.

        Args:
            device: device of the rendering.
            is_main: whether this is the process that validates.
        """
        return ClipValidator(self.held_out if is_main else [], self.renderer.config, device)


@dataclass(frozen=True)
class _HeldOutClip:
    """Everything about one held-out clip that does not depend on the renderer."""

    sample: ClipSample
    texture: Tensor  # [C, H, W]


class ClipValidator:
    """Paints held-out people from references of their own clip.

    A renderer with a texture sees the person's unwrapped colors and no learned features: what a
    new actor has before the adaptation.
    """

    def __init__(
        self,
        people: Sequence[tuple[ClipFootage, Mapping[str, Any]]],
        config: PaintingRendererConfig,
        device: torch.device,
    ) -> None:
        """Choose windows and references of each person; the choice stays for all validations."""
        self.device = device
        self.clips: dict[str, _HeldOutClip] = {}
        form = make_sample_form(config)
        features = SoundFeatureCache(config.sound)
        for number, (clip, header) in enumerate(people):
            head = load_head_model(clip.head)
            # A seed of its own for each person: who else is held out does not change the
            # references.
            rng = np.random.default_rng(0)
            last = max(0, len(clip) - form.frames)
            samples = []
            for start in spread_rows(0, last, VALIDATION_WINDOWS):
                rows = window_rows(clip.frames, int(start), form.frames)
                references = draw_references(clip.frames, rows, form.references, rng)
                samples.append(
                    make_clip_sample(clip, rows, references, head, form, features, clip_key=number)
                )
            texture = torch.zeros(config.texture_channels, TEXTURE_SIZE, TEXTURE_SIZE)
            if config.texture_channels:
                spread = spread_rows(0, len(clip) - 1, UNWRAPPED_FRAMES)
                # Nobody trains a texture for them: the first three channels are the footage's
                # colors.
                texture[:3] = unwrap_clip_texture(clip, head, spread.tolist())
            name = str(header.get("file") or number)
            sample = rasterize_clip_sample(collate_clip_samples(samples), head)
            self.clips[name] = _HeldOutClip(sample, texture)

    @torch.no_grad()
    def __call__(self, renderer: PaintingRenderer, textures: nn.Module) -> ValidationResult:
        """Paint all held-out clips and measure the mouths.

        Args:
            renderer: network in evaluation mode.
            textures: of the training people; not used.
        """
        metrics_by_clip, previews = {}, {}
        for name, clip in self.clips.items():
            sample = clip.sample.to(self.device)
            painted = paint_sample(renderer, sample, clip.texture.to(self.device))
            psnr = clip_mouth_psnr(painted, sample)
            boxes = compute_clip_mouth_box(sample.landmarks).flatten(0, 1).cpu().numpy()
            target, shown, scene = (
                to_uint8_images(each.flatten(0, 1))
                for each in (sample.target, painted, sample.inputs.scene)
            )
            measured = [measure_mouth(*each) for each in zip(target, shown, boxes, strict=True)]
            ssim, sharpness = np.array(measured).T
            metrics_by_clip[name] = {
                "psnr": float(psnr.mean()),
                "ssim": float(ssim.mean()),
                # Ratios are averaged by their logarithms: half and twice as sharp are right on
                # average.
                "sharpness": float(np.exp(np.log(sharpness).mean())),
            }
            previews[name] = np.concatenate([target[0], scene[0], shown[0]], 1)
        return ValidationResult(average_metrics(metrics_by_clip), metrics_by_clip, previews)


def paint_sample(renderer: PaintingRenderer, sample: ClipSample, texture: Tensor) -> Tensor:
    """Paint a batch of one person.

    Args:
        renderer: the network.
        sample: batch.
        texture: the person's texture. [C, H, W]

    Returns:
        RGB. [B, T, 3, H, W]
    """
    inputs = sample.inputs
    if len(texture):
        repeated = texture.expand(len(inputs.uv), -1, -1, -1)
        inputs = inputs.with_texture(sample_clip_texture(repeated, inputs.uv, inputs.mesh_mask))
    return renderer(inputs)


def clip_mouth_psnr(painted: Tensor, sample: ClipSample) -> Tensor:
    """Measure the PSNR in the lips' box of each frame.

    Args:
        painted: RGB; clamped to [0, 1] first. [B, T, 3, H, W]
        sample: batch with targets and landmarks.

    Returns:
        PSNR, dB; at most 100. [B, T]
    """
    height, width = painted.shape[-2:]
    box = compute_clip_mouth_box(sample.landmarks)[..., None]
    x = torch.arange(width, device=painted.device) + 0.5
    y = torch.arange(height, device=painted.device) + 0.5
    across = (x >= box[..., 0, :]) & (x < box[..., 2, :])
    down = (y >= box[..., 1, :]) & (y < box[..., 3, :])
    inside = (down[..., :, None] & across[..., None, :])[:, :, None].to(painted)
    squared = ((painted.clamp(0, 1) - sample.target) ** 2 * inside).sum((2, 3, 4))
    count = (3 * inside.sum((2, 3, 4))).clamp(min=1)
    return -10 * torch.log10(squared / count + 1e-10)
