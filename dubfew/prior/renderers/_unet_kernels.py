"""Compiled loops around the layers of a `BlendingUNet`, for renders on a CPU.

The same arithmetic as `dubfew.prior.renderers._unet.make_network_input`, `make_fields` and
`dubfew.prior.renderers._base.pack_fields`, to rounding, without arrays between the steps and
without gradients. The kernels release the GIL.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from dubfew.references.inputs import RenderInputs
from dubfew.references.warping import WarpedReferences
from dubfew.utils.jit import njit_cached, njit_cached_fast
from dubfew.utils.kernel_tensors import to_array

# Numbers in single precision: with Python's own, numba would compute in double precision.
ZERO, HALF, ONE, TWO, QUARTER = (np.float32(value) for value in (0, 0.5, 1, 2, 0.25))
# Coefficients of `compute_tanh`, and the argument from which it is constant.
TANH_LIMIT = np.float32(9)
TANH_ABOVE = np.array(
    [9.999999796e-01, 1.338105738e-01, 3.495624845e-03, 2.060964954e-05, 1.335538010e-08],
    np.float32,
)
TANH_BELOW = np.array(
    [1.0, 4.671437304e-01, 2.587712438e-02, 3.285693251e-04, 7.776866578e-07], np.float32
)
# Pixels around the paint whose fields are made: frames sample them between their pixels.
PAINT_MARGIN_PX = 4


def stack_network_input(
    inputs: RenderInputs,
    texture: Tensor,  # [B, C, S, S]
    warped: WarpedReferences,
    gains: tuple[float, float, float],
    max_log2_minification: float,
) -> Tensor:  # [B, N, S, S]
    """Stack the network's input, see `dubfew.prior.renderers._unet.make_network_input`.

    Args:
        inputs: scene, references, mesh and motion of the batch.
        texture: sampled neural texture. [B, C, S, S]
        warped: references in the pose of the scene.
        gains: those on colors, on differences and on the mouth's opening.
        max_log2_minification: largest minification that is distinguished, as a power of two.

    Returns:
        The input, channels last in memory, as convolutions on CPUs take it. [B, N, S, S]
    """
    count, size = inputs.sampling_grid.shape[1], inputs.sampling_grid.shape[2]
    batch, features = texture.shape[:2]
    stacked = torch.empty(batch, size, size, 6 * count + features + 15)
    ratios = torch.empty(batch, size, size, count)
    arguments: list[Any] = [
        to_array(values)
        for values in (
            inputs.scene, inputs.alpha, inputs.mesh_mask, inputs.mouth_interior, inputs.uv,
            inputs.sampling_grid, warped.surroundings, warped.colors, warped.color_correction,
            texture.permute(0, 2, 3, 1),
        )
    ]  # fmt: skip
    arguments += [np.float32(gain) for gain in (*gains, 2.0**max_log2_minification)]
    _stack_kernel(*[*arguments, ratios.numpy(), stacked.numpy()])
    # The ratios of areas: the logarithm of all at once is much faster than one by one.
    mesh = inputs.mesh_mask.permute(0, 2, 3, 1)
    stacked[..., 5 * count + 13 : 6 * count + 13] = ratios.log2_().mul_(-mesh)
    return stacked.permute(0, 3, 1, 2)


def normalize_features(x: Tensor, epsilon: float, activation_gain: float) -> Tensor:
    """Scale each pixel's channels to a root mean square of 1, then apply a SiLU, in one pass.

    Args:
        x: features, fastest with channels last in memory; they may be overwritten, which saves the
            way to other memory. [B, C, s, s]
        epsilon: what is added to mean squares.
        activation_gain: factor on the SiLU.

    Returns:
        The result, channels last in memory. [B, C, s, s]
    """
    features = x.permute(0, 2, 3, 1).contiguous()
    _normalize_kernel(
        features.numpy().reshape(-1, features.shape[-1]),
        np.float32(epsilon),
        np.float32(activation_gain),
    )
    return features.permute(0, 3, 1, 2)


def pack_output(
    output: Tensor,  # [B, 4 (3 K + 4), S / 2, S / 2]
    corrected: Tensor,  # [B, 1, S, S]
    inputs: RenderInputs,
    warped: WarpedReferences,
    reach: float,
    logit_gain: float,
    residual_divisor: float,
) -> Tensor:  # [B, K + 3 + 2 K, S, S]
    """Turn the network's output into packed fields, see `pack_fields`, where mouths are painted.

    Args:
        output: numbers of each cell's four pixels; fastest with channels last in memory.
            [B, 4 (3 K + 4), S / 2, S / 2]
        corrected: how far the output acts at each pixel, 0 to 1. [B, 1, S, S]
        inputs: scene, references, mesh and motion of the batch.
        warped: references in the pose of the scene.
        reach: largest correction of a position, half widths of a reference.
        logit_gain: factor on logits.
        residual_divisor: divisor of the residual.

    Returns:
        The fields, channels last in memory; 0 beyond a rectangle around the paint of all rows.
        [B, K + 3 + 2 K, S, S]
    """
    count, size = inputs.sampling_grid.shape[1:3]
    packed = torch.zeros(len(output), size, size, 3 * count + 3)
    painted = inputs.alpha.amax((0, 1)) > 0
    rows, columns = (_find_extent(painted.any(axis), size) for axis in (1, 0))
    arguments: list[Any] = [
        to_array(values)
        for values in (
            output.permute(0, 2, 3, 1), corrected, warped.blend_logits, warped.color_correction,
            warped.background_fill, inputs.sampling_grid, inputs.mesh_mask,
        )
    ]  # fmt: skip
    arguments += [np.float32(factor) for factor in (reach, logit_gain, 1 / residual_divisor)]
    _pack_kernel(*[*arguments, *rows, *columns, packed.numpy()])
    return packed.permute(0, 3, 1, 2)


def _find_extent(painted: Tensor, size: int) -> tuple[int, int]:
    """First even pixel and even end of what is painted along an axis, with some beside it."""
    places = painted.nonzero()
    if not len(places):
        return 0, 0
    first, last = int(places[0]), int(places[-1])
    first = max(first - PAINT_MARGIN_PX, 0)
    end = last + 1 + PAINT_MARGIN_PX
    return first - first % 2, min(end + end % 2, size)


@njit_cached
def _stack_kernel(
    scene, alpha, mesh, interior, uv, grid, surroundings, colors, correction, texture,
    color_gain, difference_gain, interior_gain, most, ratios, out,
):  # fmt: skip
    """Fill ``ratios`` of areas [B, S, S, K] and all of ``out`` [B, S, S, N] but those."""
    batch, count, size = grid.shape[0], grid.shape[1], grid.shape[2]
    features = texture.shape[3]
    step = TWO / np.float32(size)
    inverse_area = ONE / (step * step)
    least = ONE / most
    for b in range(batch):
        for y in range(size):
            beside = min(y, size - 2)  # the last row has the difference of the one before
            own_y = (np.float32(y) + HALF) * step - ONE
            for x in range(size):
                pixel = out[b, y, x]
                covered = mesh[b, 0, y, x]
                inside = ONE if alpha[b, 0, y, x] > ZERO else ZERO
                outside = (ONE - inside) * covered * difference_gain
                for c in range(3):
                    seen, best = scene[b, c, y, x], colors[b, 0, c, y, x]
                    filled = seen + inside * surroundings[b, c, y, x]
                    pixel[c] = (filled - HALF) * color_gain
                    pixel[3 + c] = (best - HALF) * color_gain
                    for k in range(1, count):
                        difference = colors[b, k, c, y, x] - best
                        pixel[3 * k + 3 + c] = difference * difference_gain
                    pixel[3 * count + 3 + c] = (seen - best) * outside
                    pixel[3 * count + 6 + c] = correction[b, 0, c, y, x] * difference_gain
                place = 3 * count + 9
                pixel[place] = inside * TWO - ONE
                pixel[place + 1] = covered * TWO - ONE
                pixel[place + 2] = (uv[b, y, x, 0] * TWO - ONE) * covered
                pixel[place + 3] = (uv[b, y, x, 1] * TWO - ONE) * covered
                place += 4
                own_x = (np.float32(x) + HALF) * step - ONE
                gain = covered * color_gain
                left = min(x, size - 2)
                for k in range(count):
                    pixel[place + 2 * k] = (grid[b, k, y, x, 0] - own_x) * gain
                    pixel[place + 2 * k + 1] = (grid[b, k, y, x, 1] - own_y) * gain
                    ax = grid[b, k, y, left + 1, 0] - grid[b, k, y, left, 0]
                    ay = grid[b, k, y, left + 1, 1] - grid[b, k, y, left, 1]
                    dx = grid[b, k, beside + 1, x, 0] - grid[b, k, beside, x, 0]
                    dy = grid[b, k, beside + 1, x, 1] - grid[b, k, beside, x, 1]
                    ratio = (ax * dy - ay * dx) * inverse_area
                    ratios[b, y, x, k] = min(max(ratio, least), most)
                place += 3 * count
                for c in range(features):
                    pixel[place + c] = texture[b, y, x, c] * color_gain
                place += features
                for c in range(2):
                    pixel[place + c] = interior[b, c, y, x] * interior_gain


@njit_cached_fast
def compute_tanh(x):
    """Compute the hyperbolic tangent in single precision, right to 4e-7; compilers make vectors.

    A ratio of polynomials in x squared, fitted by least squares of the relative error on [0, 9],
    beyond which the value is 1 to rounding.
    """
    x = min(max(x, -TANH_LIMIT), TANH_LIMIT)
    square = x * x
    above, below = TANH_ABOVE[4], TANH_BELOW[4]
    above = above * square + TANH_ABOVE[3]
    below = below * square + TANH_BELOW[3]
    above = above * square + TANH_ABOVE[2]
    below = below * square + TANH_BELOW[2]
    above = above * square + TANH_ABOVE[1]
    below = below * square + TANH_BELOW[1]
    above = above * square + TANH_ABOVE[0]
    below = below * square + TANH_BELOW[0]
    return x * above / below


@njit_cached_fast
def _normalize_kernel(features, epsilon, activation_gain):
    """Change ``features`` [N, C] in place, see `normalize_features`.

    With another array to write to, the compiler would have to know that the two are not one.
    """
    count, channels = features.shape
    share = ONE / np.float32(channels)
    for n in range(count):
        energy = ZERO
        for c in range(channels):
            energy += features[n, c] * features[n, c]
        scale = HALF / np.sqrt(energy * share + epsilon)
        for c in range(channels):
            # A SiLU is x / 2 (1 + tanh(x / 2)).
            half = features[n, c] * scale
            features[n, c] = half * activation_gain * (ONE + compute_tanh(half))


@njit_cached_fast
def _pack_kernel(
    cells, corrected, base, correction, fill, grid, mesh,
    reach, logit_gain, residual_share, top, bottom, first, end, out,
):  # fmt: skip
    """Fill rows from ``top`` and columns from ``first`` of ``out`` [B, S, S, K + 3 + 2 K]."""
    batch, count, size = grid.shape[0], grid.shape[1], grid.shape[2]
    numbers = 3 * count + 4
    residual = np.empty((3, size, size), np.float32)
    line = np.empty((numbers, size), np.float32)
    beside = np.empty(size, np.float32)
    # Unsigned: numba would look at each index for a negative one.
    begin, stop = np.uint64(first), np.uint64(end)
    for b in range(batch):
        for y in range(max(top - 1, 0), min(bottom + 1, size)):
            place = 2 * (y % 2)
            for c in range(3):
                channel = 4 * (3 * count + 1 + c) + place
                for half in range(size // 2):
                    residual[c, y, 2 * half] = cells[b, y // 2, half, channel]
                    residual[c, y, 2 * half + 1] = cells[b, y // 2, half, channel + 1]
        for y in range(top, bottom):
            place = 2 * (y % 2)
            acts = corrected[b, 0, y]
            for channel in range(3 * count + 1):
                for half in range(first // 2, end // 2):
                    line[channel, 2 * half] = cells[b, y // 2, half, 4 * channel + place]
                    line[channel, 2 * half + 1] = cells[b, y // 2, half, 4 * channel + place + 1]
            # What is finer than a cell leaves the residual, see `blur_residual`.
            above, below = max(y - 1, 0), min(y + 1, size - 1)
            for c in range(3):
                for x in range(size):
                    outer = residual[c, above, x] + residual[c, below, x]
                    beside[x] = QUARTER * outer + HALF * residual[c, y, x]
                target = line[3 * count + 1 + c]
                for x in range(size):
                    outer = beside[max(x - 1, 0)] + beside[min(x + 1, size - 1)]
                    target[x] = QUARTER * outer + HALF * beside[x]
                for x in range(begin, stop):
                    target[x] = compute_tanh(target[x] * residual_share * acts[x])
            for k in range(count + 1, 3 * count + 1):
                for x in range(begin, stop):
                    line[k, x] = compute_tanh(line[k, x] * acts[x]) * reach
            # Blend weights: exponentials are (1 + t) / (1 - t) of t = tanh(x / 2).
            for k in range(count + 1):
                for x in range(begin, stop):
                    line[k, x] = line[k, x] * logit_gain * acts[x] + base[b, k, y, x]
            for x in range(begin, stop):
                beside[x] = line[0, x]
            for k in range(1, count + 1):
                for x in range(begin, stop):
                    beside[x] = max(beside[x], line[k, x])
            for k in range(count + 1):
                for x in range(begin, stop):
                    tangent = compute_tanh((line[k, x] - beside[x]) * HALF)
                    line[k, x] = (ONE + tangent) / (ONE - tangent)
            for x in range(begin, stop):
                beside[x] = line[0, x]
            for k in range(1, count + 1):
                for x in range(begin, stop):
                    beside[x] += line[k, x]
            for x in range(begin, stop):
                covered = mesh[b, 0, y, x]
                share = covered / beside[x]
                # Beside the mesh there is only the fill.
                filled = share * line[count, x] + (ONE - covered)
                for c in range(3):
                    added = filled * fill[b, c, y, x] + line[3 * count + 1 + c, x]
                    for k in range(count):
                        added += share * line[k, x] * correction[b, k, c, y, x]
                    out[b, y, x, count + c] = added
                for k in range(count):
                    out[b, y, x, k] = share * line[k, x]
                    offset = count + 1 + 2 * k
                    out[b, y, x, count + 3 + 2 * k] = grid[b, k, y, x, 0] + line[offset, x]
                    out[b, y, x, count + 4 + 2 * k] = grid[b, k, y, x, 1] + line[offset + 1, x]
