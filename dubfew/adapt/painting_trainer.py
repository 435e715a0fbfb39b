"""Adaptation of painting renderers: their recipe's own loss, on windows of the actor's crops.

Source: Saunders and Namboodiri 2024, "Dubbing for Everyone: Data-Efficient Visual Dubbing using
Neural Rendering Priors" (arXiv 2401.06126), section 3.5: a new texture and the whole network, by
eq. 1, half of every batch from people of the prior's training.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from dubfew.adapt.judges import Judges
from dubfew.adapt.methods import AdaptationMethod, MethodOptions
from dubfew.adapt.trainer import (
    AdaptationTask,
    AdapterTraining,
    StepCallback,
    run_adaptation,
    split_held_out,
)
from dubfew.data.clip_dataset import ClipDataset
from dubfew.data.clip_footage import ClipFootage
from dubfew.data.clip_inputs import ClipSample, collate_clip_samples
from dubfew.data.clip_samples import (
    SoundFeatureCache,
    draw_references,
    find_windows,
    make_clip_sample,
    rasterize_clip_sample,
    window_rows,
)
from dubfew.data.clip_shards import open_layout_clips
from dubfew.errors import ArtefactError
from dubfew.prior.checkpoint import Prior
from dubfew.prior.recipes import TrainingRecipe
from dubfew.prior.renderers import PaintingRendererConfig, make_renderer
from dubfew.prior.training.painting_data import (
    UNWRAPPED_FRAMES,
    clip_mouth_psnr,
    make_sample_form,
    unwrap_clip_texture,
)
from dubfew.prior.training.textures import (
    TEXTURES_FOLDER,
    RandomTextures,
    load_person_texture,
)
from dubfew.progress import ProgressCallback
from dubfew.reconstruction.heads.head_model import HeadModel, load_head_model
from dubfew.references.selection import spread_rows

# Windows of a batch, of the actor and of others together; the paper's number.
PAINTING_BATCH_SIZE = 4
# Share of other people in a batch where they are mixed in.
# Source: Saunders and Namboodiri 2024 (arXiv 2401.06126), section 3.5, ratio 1:1.
DEFAULT_MIXED_SHARE = 0.5
# Steps from one validation to the next, and validations without a gain after which training stops.
# A step costs seconds, and painting networks get better for thousands of them.
VALIDATE_EVERY_STEPS, PATIENCE_VALIDATIONS = 50, 10
# Windows of the held-out end of the footage that are painted in a validation.
HELD_OUT_WINDOWS = 4
# Peak rate (Adam) of textures whose recipe names none: the paper's.
DEFAULT_TEXTURE_RATE = 1e-4


@dataclass(frozen=True)
class MixedPeople:
    """Other people whose windows are mixed into every batch.

    Attributes:
        clips: their crops.
        identities: the person in each of them.
        textures: each person's texture by identity, learned or of unwrapped colors. [C, H, W]
        share: share of their windows in a batch, above 0 and below 1.
    """

    clips: list[ClipFootage]
    identities: list[str]
    textures: dict[str, Tensor]
    share: float = DEFAULT_MIXED_SHARE


def load_mixed_people(
    data: Path, prior: Prior, head: HeadModel, share: float = DEFAULT_MIXED_SHARE
) -> MixedPeople:
    """Open prepared people, each with the texture that the prior's training learned.

    The textures lie beside the prior, in the folder of its training. A person without one gets
    unwrapped colors.

    Args:
        data: folder that ``dubfew prior prepare --layout`` filled.
        prior: prior that is adapted.
        head: head model of the actor.
        share: share of their windows in a batch.

    Raises:
        ArtefactError: The people were tracked with another head model, or a file is damaged.
        DubfewError: The folder has no clips, or other ones.
    """
    config = prior.renderer.config
    opened = open_layout_clips(data, config.layout)
    others = {clip.head for clip, _ in opened} - {head.name}
    if others:
        raise ArtefactError(
            f"the people in {data} were tracked with the head {others.pop()!r}, the actor is with "
            f"{head.name!r}: prepare them with --head {head.name}"
        )
    clips = [clip for clip, _ in opened]
    identities = [str(header["identity"]) for _, header in opened]
    textures: dict[str, Tensor] = {}
    # A prior of the user's own is named by its folder, beside which its training left the textures.
    folder = Path(prior.name).parent / TEXTURES_FOLDER
    for clip, identity in zip(clips, identities, strict=True):
        if not config.texture_channels or identity in textures:
            continue
        learned = load_person_texture(folder, identity)
        if learned is not None and learned.shape == prior.texture.shape:
            textures[identity] = learned
            continue
        textures[identity] = torch.zeros_like(prior.texture)
        rows = spread_rows(0, len(clip) - 1, UNWRAPPED_FRAMES).tolist()
        textures[identity][:3] = unwrap_clip_texture(clip, head, rows)
    return MixedPeople(clips, identities, textures, share)


def train_painting_adapter(
    prior: Prior,
    clip: ClipFootage,
    method: AdaptationMethod,
    options: MethodOptions,
    recipe: TrainingRecipe,
    *,
    steps: int,
    device: str,
    seed: int,
    texture: str = "random",
    mixed: MixedPeople | None = None,
    fresh: bool = False,
    networks: Mapping[str, nn.Module] | None = None,
    progress: ProgressCallback,
    on_step: StepCallback | None = None,
) -> AdapterTraining:
    """Adapt a painting prior to an actor; keep the step that paints held-out frames best.

    Args:
        prior: prior to start from; does not change.
        clip: crops of the actor.
        method: says which weights of the renderer are trained.
        options: options of the method, all of them.
        recipe: computes the loss.
        steps: largest number of steps; 0 measures the start alone.
        device: "cpu" or "cuda", as torch names it.
        seed: seed of the batches and of new weights.
        texture: "random", or "footage" for a texture that starts from unwrapped colors.
        mixed: other people in every batch; None for the actor alone. Their textures are trained
            along and not kept.
        fresh: start from fresh weights instead of the prior's, as a baseline.
        networks: networks of the losses that are not trained along; loaded by default.
        progress: function that is called after every step and every validation.
        on_step: function that is called before the first step and after every step.

    Returns:
        The actor's weights and texture, and how they were measured.
    """
    accelerator = Accelerator(cpu=device == "cpu")
    generator = np.random.default_rng(seed)
    torch.manual_seed(seed)
    config: PaintingRendererConfig = prior.renderer.config
    form = make_sample_form(config, recipe.list_stages()[-1])
    head = load_head_model(clip.head)
    features = SoundFeatureCache(config.sound)
    train_rows, held_out_rows = split_held_out(len(clip))
    # Windows are drawn from the part before the held-out end.
    known = clip.select_frames(train_rows)

    prior_weights = {name: value.clone() for name, value in prior.renderer.state_dict().items()}
    renderer = deepcopy(prior.renderer)
    if fresh:
        new = make_renderer(prior.renderer_name, vars(config))
        renderer.load_state_dict(new.state_dict())
    model = method.make_trainable(renderer, options)
    people = ["actor", *(mixed.textures if mixed is not None else ())]
    textures = RandomTextures(people, config.texture_channels)
    with torch.no_grad():
        if texture == "footage" and config.texture_channels:
            rows = spread_rows(0, len(known) - 1, UNWRAPPED_FRAMES).tolist()
            textures.features[0].zero_()
            textures.features[0][:3] = unwrap_clip_texture(known, head, rows)
        if mixed is not None:
            for row, identity in enumerate(mixed.textures, 1):
                textures.features[row].copy_(mixed.textures[identity])
    starts = find_windows(known.frames, form.frames)
    num_others = round(PAINTING_BATCH_SIZE * mixed.share) if mixed is not None else 0
    others = _make_others(mixed, form, people, steps * num_others, seed) if num_others else None

    def draw_actor_sample() -> ClipSample:
        rows = window_rows(known.frames, int(generator.choice(starts)), form.frames)
        references = draw_references(known.frames, rows, form.references, generator)
        return make_clip_sample(known, rows, references, head, form, features)

    drawn = 0

    def compute_loss(renderer: nn.Module, textures: nn.Module) -> Tensor:
        nonlocal drawn
        samples = [draw_actor_sample() for _ in range(PAINTING_BATCH_SIZE - num_others)]
        if others is not None:
            samples += [others[drawn + k] for k in range(num_others)]
            drawn += num_others
        sample = collate_clip_samples(samples).to(accelerator.device)
        sample = rasterize_clip_sample(sample, head)
        return judges.compute_loss(renderer, sample, textures(sample))

    held_out = _make_held_out(clip, train_rows, held_out_rows, head, form, features)
    validated = (
        None if held_out is None else rasterize_clip_sample(held_out.to(accelerator.device), head)
    )

    @torch.no_grad()
    def measure(renderer: Any, textures: Any) -> float:
        assert validated is not None
        painted = renderer(validated.inputs.with_texture(textures(validated)))
        return float(clip_mouth_psnr(painted, validated).mean())

    judges = Judges(recipe, prior, accelerator, networks)
    best = run_adaptation(
        AdaptationTask(
            compute_loss=compute_loss,
            measure=measure if validated is not None else None,
            texture_rate=float(recipe.defaults.get("texture_rate", DEFAULT_TEXTURE_RATE)),
            betas=recipe.betas,
            max_gradient_norm=recipe.max_gradient_norm,
            # No paper says that the rates of a fine-tuning change.
            rate_factor=lambda step: 1.0,
            train_critics=judges.train_critics,
            validate_every=VALIDATE_EVERY_STEPS,
            patience=PATIENCE_VALIDATIONS,
        ),
        renderer,
        textures,
        model,
        method.learning_rate,
        accelerator,
        steps=steps,
        progress=progress,
        on_step=on_step,
    )
    own = textures.features[0] if config.texture_channels else prior.texture
    return AdapterTraining(
        weights=method.extract_delta(renderer.cpu(), prior_weights),
        texture=own.detach().cpu(),
        best_step=best.stopping.best_step or 0,
        steps_done=best.steps_done,
        psnr_heldout=best.stopping.best_score,
        curve=best.curve,
    )


def _make_others(
    mixed: MixedPeople | None, form: Any, people: list[str], length: int, seed: int
) -> ClipDataset:
    """Make the windows of other people, whose rows of the textures follow the actor's."""
    assert mixed is not None
    known = {identity: row for row, identity in enumerate(people)}
    rows = [known.get(identity, 0) for identity in mixed.identities]
    return ClipDataset(mixed.clips, form, max(1, length), seed=seed, stage=1, actor_indices=rows)


def _make_held_out(
    clip: ClipFootage,
    train_rows: np.ndarray,
    held_out_rows: np.ndarray,
    head: HeadModel,
    form: Any,
    features: SoundFeatureCache,
) -> ClipSample | None:
    """Make windows of the held-out end, with references from the rest; None without an end."""
    if not len(held_out_rows):
        return None
    tail = np.arange(len(train_rows), len(clip))
    rng = np.random.default_rng(0)
    last = max(int(tail[0]), len(clip) - form.frames)
    samples = []
    for start in spread_rows(int(tail[0]), last, HELD_OUT_WINDOWS):
        rows = window_rows(clip.frames, int(start), form.frames)
        references = draw_references(clip.frames, rows, form.references, rng, train_rows)
        samples.append(make_clip_sample(clip, rows, references, head, form, features))
    return collate_clip_samples(samples)
