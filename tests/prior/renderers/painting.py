"""Checks that the networks of all painting renderers share."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn import functional as F

from dubfew.adapt.methods import METHODS

# Rows, columns, references. Networks are convolutions, so crops smaller than the layout will do.
HEIGHT, WIDTH, REFERENCES = 48, 32, 2


def make_inputs(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Two masked frames, references of each and their sound, all of noise."""
    generator = torch.Generator().manual_seed(seed)
    source = torch.rand(2, 3, HEIGHT, WIDTH, generator=generator)
    source[:, :, HEIGHT // 3 :, 4:-4] = 0
    return (
        source,
        torch.rand(2, REFERENCES, 3, HEIGHT, WIDTH, generator=generator),
        torch.randn(2, 80, 16, generator=generator),  # mel16,
    )


def shaken(network: nn.Module) -> nn.Module:
    """Random changes everywhere, as after some training: layers that start at zero carry on."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return network


def parameters_without_gradient(network: nn.Module) -> list[str]:
    """Names of the trainable parameters that the sum of squares of a painting does not move."""
    network.zero_grad()
    network.paint_frames(*make_inputs()).square().sum().backward()
    trained = [(n, p) for n, p in network.named_parameters() if p.requires_grad]
    assert trained
    return [n for n, p in trained if p.grad is None or not p.grad.any()]


def check_lora(network: nn.Module) -> None:
    """Updates of every layer get a gradient, begin as nothing, and can be merged."""
    method = METHODS.load("lora")
    options = method.complete_options({"rank": 2})
    plain = shaken(network).eval()
    inputs = make_inputs()
    with torch.no_grad():
        before = plain.paint_frames(*inputs)
    model = method.make_trainable(copy.deepcopy(plain), options)
    with torch.no_grad():
        torch.testing.assert_close(model.paint_frames(*inputs), before, atol=1e-5, rtol=0)
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                nn.init.normal_(parameter, std=0.2)
    layers = [
        n for n, m in plain.named_modules() if isinstance(m, nn.Conv1d | nn.Conv2d | nn.Linear)
    ]
    trained = [n for n, p in model.named_parameters() if p.requires_grad]
    assert len(trained) == 2 * len(layers)
    assert parameters_without_gradient(model) == []
    weights = method.extract_delta(model, plain.state_dict())
    with torch.no_grad():
        after = model.paint_frames(*inputs)
        assert (after - before).abs().max() > 1e-3
        merged = method.apply_delta(copy.deepcopy(plain), weights, options)
        torch.testing.assert_close(merged.paint_frames(*inputs), after, atol=1e-4, rtol=0)


def learn_from_sound(network: nn.Module, steps: int) -> tuple[float, float]:
    """Train on two frames that differ in nothing but their sound and their mouths.

    Returns:
        The mean absolute error inside the mask after the last step, and the least error of a
        network that does not hear.
    """
    torch.manual_seed(2)
    face = F.interpolate(torch.rand(1, 3, 6, 4), (HEIGHT, WIDTH), mode="bilinear")
    mask = torch.zeros(1, 1, HEIGHT, WIDTH)
    mask[..., HEIGHT // 3 :, 4:-4] = 1
    # Mouths are the face, moved to either side.
    targets = torch.cat([face.roll(3, 3), face.roll(-3, 3)])
    source = (face * (1 - mask)).expand(2, -1, -1, -1)
    references = face[:, None].expand(2, REFERENCES, -1, -1, -1)
    sound = torch.randn(2, 80, 16)
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)

    def error(painted: torch.Tensor) -> torch.Tensor:
        return ((painted - targets).abs() * mask).sum() / (6 * mask.sum())

    for _ in range(steps):
        loss = error(network.paint_frames(source, references, sound))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    deaf = error(targets.mean(0, keepdim=True))
    return float(loss.detach()), float(deaf)
