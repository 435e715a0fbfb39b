from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from dubfew.data.samples import collate_samples, make_sample
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.references.inputs import make_frame_inputs, select_motion_window
from dubfew.references.reference_agreement import AGREEING, rate_shown
from dubfew.references.resampled_planes import dilate
from dubfew.references.warping import push_pull_fill, warp_references
from tests.data.people import toy_footage


@pytest.fixture(scope="module")
def footage():
    return toy_footage()


def error(picture, sample) -> float:
    painted = sample.inputs.alpha * sample.inputs.mesh_mask
    return float(((picture - sample.target).abs() * painted).sum() / painted.sum() / 3)


def test_a_frame_warped_onto_itself_is_itself(footage):
    sample = make_sample(footage, 5, np.array([5]), load_head_model(), 2)
    assert error(warp_references(sample.inputs).blend_references(sample.inputs), sample) < 2e-3


def test_the_mesh_carries_another_frame_into_place(footage):
    head = load_head_model()
    bank = np.array([11])
    sample = make_sample(footage, 3, bank, head, 2)
    warped = error(warp_references(sample.inputs).blend_references(sample.inputs), sample)
    pasted = torch.from_numpy(footage.images[bank]).permute(0, 3, 1, 2).float() / 255
    assert warped < 0.5 * error(pasted, sample)


def test_nothing_inside_the_mask_reaches_the_inputs(footage):
    head, bank = load_head_model(), np.array([8, 9, 10])

    def inputs(image):
        scores = np.zeros(2, np.float32)
        motion = select_motion_window(footage.motion, 2)
        mesh, hull = footage.vertices[2], footage.hulls[2]
        return make_frame_inputs(head, mesh, hull, image, motion, footage, bank[:2], scores)

    seen = inputs(footage.images[2])
    inside = (seen.alpha[0, 0] > 0).numpy()
    other = np.where(inside[..., None], 255 - footage.images[2], footage.images[2])
    changed = inputs(other)
    for field in dataclasses.fields(seen):
        torch.testing.assert_close(getattr(seen, field.name), getattr(changed, field.name))


def test_light_of_the_references_is_matched(footage):
    darker = dataclasses.replace(footage, images=(footage.images * 0.9).astype(np.uint8))
    both = dataclasses.replace(
        footage,
        images=np.where(np.arange(24)[:, None, None, None] < 12, footage.images, darker.images),
    )
    sample = make_sample(both, 4, np.array([16, 17]), load_head_model(), 2)
    warped = warp_references(sample.inputs)
    assert error(warped.colors[:, 0], sample) < 0.6 * error(
        warped.colors[:, 0] - warped.color_correction[:, 0], sample
    )


def test_the_background_at_the_silhouette_does_not_tint_the_mouth(footage):
    sample = make_sample(footage, 5, np.array([5]), load_head_model(), 2)
    # The mesh of a turned face lies a few pixels outside of the cheek: there is a gray wall.
    mask = sample.inputs.mesh_mask
    edge = torch.nn.functional.max_pool2d(1 - mask, 5, 1, 2) * mask
    scene = torch.where(edge > 0, 0.5 * sample.inputs.scene, sample.inputs.scene)
    walled = dataclasses.replace(sample.inputs, scene=scene)
    assert float((edge * (sample.inputs.alpha <= 0)).sum()) > 100
    light, usual = (warp_references(each).color_correction for each in (walled, sample.inputs))
    tint = (light - usual)[:, 0] * (sample.inputs.alpha > 0)
    assert float(tint.abs().max()) < 1e-3


@pytest.mark.parametrize("where", ["reference", "scene"])
def test_a_wall_beside_a_turned_head_does_not_tint_the_mouth(footage, where):
    """Reference or scene show a gray wall where the other one has a cheek."""
    inputs = make_sample(footage, 5, np.array([5]), load_head_model(), 2).inputs
    skin = torch.tensor([0.70, 0.52, 0.47])[None, :, None, None]
    right = torch.linspace(-1, 1, inputs.scene.shape[-1]) > 0.25
    wall = torch.where(right, torch.tensor(0.5), skin)
    scene, reference = (wall if where == each else skin for each in ("scene", "reference"))
    walled = dataclasses.replace(
        inputs,
        scene=scene.expand_as(inputs.scene),
        references=reference[:, None].expand_as(inputs.references),
    )
    outside = (inputs.alpha <= 0) * inputs.mesh_mask
    # The wall is seen where light is compared, and most of what is compared is skin.
    assert 0.1 < float((outside * right).sum() / outside.sum()) < 0.45
    tint = warp_references(walled).color_correction[:, 0] * (inputs.alpha > 0) * ~right
    # Pixels of the edge between both are half skin. With the wall it was 0.08.
    assert float(tint.abs().max()) < 0.015


def test_the_nearest_is_never_outvoted_by_being_far(footage):
    sample = make_sample(footage, 4, np.array([16, 17]), load_head_model(), 2)
    far = dataclasses.replace(
        sample.inputs, reference_distances=sample.inputs.reference_distances + 100
    )
    torch.testing.assert_close(
        warp_references(far).blend_logits,
        warp_references(sample.inputs).blend_logits,
        atol=1e-2,
        rtol=0,
    )
    assert float(warp_references(far).blend_logits.max()) == 0


def test_batches_are_their_frames(footage):
    head, bank = load_head_model(), np.arange(12, 24)
    parts = [make_sample(footage, row, bank, head, 2) for row in (1, 6)]
    together = collate_samples(parts)
    picture = warp_references(together.inputs).blend_references(together.inputs)
    for i, part in enumerate(parts):
        torch.testing.assert_close(
            picture[i : i + 1], warp_references(part.inputs).blend_references(part.inputs)
        )


def test_push_pull_keeps_a_constant_and_fills_with_it():
    known = (torch.rand(1, 1, 40, 40, generator=torch.Generator().manual_seed(0)) < 0.3).float()
    out = push_pull_fill(torch.full((1, 2, 40, 40), 0.7) * known, known)
    torch.testing.assert_close(out, torch.full((1, 2, 40, 40), 0.7), atol=1e-4, rtol=0)


def test_push_pull_without_known_values_is_finite():
    assert torch.isfinite(push_pull_fill(torch.ones(1, 3, 16, 16), torch.zeros(1, 1, 16, 16))).all()


def test_the_opening_between_the_lips_is_marked(footage):
    head, row = load_head_model(), int(footage.motion[..., 1].std(1).argmax())
    inputs = make_sample(footage, row, np.arange(14, 24), head, 2).inputs
    flag, height = inputs.mouth_interior[0]
    rows = torch.nonzero(flag)[:, 0].float()
    assert 0 < len(rows) < 0.05 * flag.numel()
    assert not height[flag == 0].any()
    # Higher up in the picture is nearer to the upper lip.
    assert torch.corrcoef(torch.stack([rows, height[flag > 0]]))[0, 1] > 0.8


def test_hair_beside_a_jaw_is_not_taken_from_one_turned_reference():
    """One of three has a dark spot at the mask's edge, and one in its middle."""
    size = 40
    skin = torch.tensor([0.8, 0.6, 0.5])[:, None, None]
    colors = skin.expand(1, 3, 3, size, size).clone()
    colors[0, 0, :, 16:24, 4:12] = 0.1
    colors[0, 0, :, 16:24, 20:28] = 0.1
    # The mask is everything but two columns, and soft over three more.
    ramp = torch.arange(size).clamp(max=5).sub(2).clamp(min=0) / 3
    alpha = ramp.expand(1, 1, size, size)
    closed, all_shown = torch.zeros(1, 2, size, size), torch.ones(1, 3, size, size)
    agreement = rate_shown(colors, all_shown, alpha, closed)
    assert agreement[0, 0, 18:22, 6:9].max() == 0
    assert agreement[0, 1:].min() == 1
    # Mouths differ from reference to reference, and rightly.
    assert agreement[0, 0, :, 18:].min() == 1
    assert agreement[0, 0, :10].min() == 1
    # Nor in an opening that reaches to the edge, nor of two references is one right.
    assert rate_shown(colors, all_shown, alpha, closed + 1).min() == 1
    assert rate_shown(colors[:, :2], all_shown[:, :2], alpha, closed).min() == 1
    # Where all three differ, one still counts: there is nothing better.
    colors[0, 2, :, 16:24, 4:12] = 0.99
    assert rate_shown(colors, all_shown, alpha, closed).amax(1).min() == 1
    # Two of three outvote the third.
    colors[0, 1, :, 16:24, 4:12] = 0.1
    agreement = rate_shown(colors, all_shown, alpha, closed)
    assert agreement[0, :2].min() == 1


def test_a_gray_wall_as_bright_as_the_cheek_before_it_is_not_skin():
    """Its levels differ from skin's by less than folds and stubble do; its hue does not."""
    size = 40
    skin, wall = torch.tensor([0.8, 0.6, 0.5]), torch.tensor([0.68, 0.63, 0.58])
    assert (skin - wall).abs().mean() < AGREEING
    colors = skin.view(1, 1, 3, 1, 1).expand(1, 3, 3, size, size).clone()
    colors[0, 0, :, :, 4:12] = wall[:, None, None]
    # Another has a shadow there, of the hue of skin.
    colors[0, 1, :, :, 4:12] *= 0.9
    ramp = torch.arange(size).clamp(max=5).sub(2).clamp(min=0) / 3
    alpha, closed = ramp.expand(1, 1, size, size), torch.zeros(1, 2, size, size)
    all_shown = torch.ones(1, 3, size, size)
    agreement = rate_shown(colors, all_shown, alpha, closed)
    assert agreement[0, 0, :, 6:8].max() == 0
    assert agreement[0, 1:].min() == 1
    # Hues of dark skin are noise.
    assert rate_shown(0.2 * colors, all_shown, alpha, closed).min() == 1


def jaw_before_a_wall() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Colors of three references, two of which show a wall in a column at the mask's edge."""
    size = 40
    skin, wall = torch.tensor([0.8, 0.6, 0.5]), torch.tensor([0.5, 0.5, 0.5])
    colors = skin.view(1, 1, 3, 1, 1).expand(1, 3, 3, size, size).clone()
    colors[0, 1:, :, :, 4:12] = wall[:, None, None]
    ramp = torch.arange(size).clamp(max=5).sub(2).clamp(min=0) / 3
    alpha, closed = ramp.expand(1, 1, size, size), torch.zeros(1, 2, size, size)
    return colors, torch.ones(1, 3, size, size), alpha, closed


def test_a_wall_does_not_outvote_skin():
    """Two turned heads show the wall at the jaw: the third is right, alone."""
    colors, shown, alpha, closed = jaw_before_a_wall()
    for by_mesh in (0.0, 0.3, 0.7):
        shown[0, 1:, :, 4:12] = by_mesh
        found = rate_shown(colors, shown, alpha, closed)
        assert found[0, 0].min() == 1
        assert found[0, 1:, :, 6:10].max() < 0.02
    # A mesh without doubt is believed: hues of skin differ with light.
    assert rate_shown(colors, torch.ones_like(shown), alpha, closed)[0, 1:].min() == 1
    # Where nothing is shown nothing disagrees.
    assert rate_shown(colors, 0 * shown, alpha, closed)[0, 0, :, 16:].max() == 0


def test_skin_that_the_mesh_does_not_know_is_taken_before_the_fill():
    """By the mesh none of the three shows the jaw. One has skin there, one the wall, one hair."""
    colors, shown, alpha, closed = jaw_before_a_wall()
    colors[0, 2, :, :, 4:12] = torch.tensor([0.12, 0.1, 0.1])[:, None, None]
    shown[..., 4:12] = 0
    found = rate_shown(colors, shown, alpha, closed)
    assert found[0, 0, :, 6:10].min() == 1
    assert found[0, 1:, :, 6:10].max() == 0
    # Inside a mouth the mesh is right.
    assert rate_shown(colors, shown, alpha, closed + 1)[..., 6:10].max() == 0


def test_what_lies_above_a_mouth_is_not_compared_with_skin():
    """Above a mouth, inside of the mask's upper edge, one has a nostril and one shows nothing."""
    size = 40
    skin = torch.tensor([0.8, 0.6, 0.5])
    colors = skin.view(1, 1, 3, 1, 1).expand(1, 3, 3, size, size).clone()
    colors[0, 0, :, 8:12, 16:24] *= 0.3
    shown = torch.ones(1, 3, size, size)
    shown[0, 1, 8:12, 16:24] = 0
    ramp = torch.arange(size).clamp(max=5).sub(2).clamp(min=0) / 3
    alpha = ramp[:, None].expand(1, 1, size, size)
    found = rate_shown(colors, shown, alpha, torch.zeros(1, 2, size, size))
    # It is not taken for skin that the mesh overlooked.
    assert found[0, 1, 9:11, 18:22].max() == 0


@pytest.mark.parametrize("reach", [0, 1, 3, 8])
def test_dilation_is_the_largest_value_of_a_square(reach):
    values = torch.randn(2, 3, 20, 17, generator=torch.Generator().manual_seed(0))
    expected = torch.nn.functional.max_pool2d(values, 2 * reach + 1, 1, reach)
    assert torch.equal(dilate(values, reach), expected)


def test_compiled_passes_give_what_torch_gives(footage):
    """Three references in another light than the scene, one of which shows a wall beside a jaw."""
    head, bank = load_head_model(), np.array([11, 15, 19])
    darker = dataclasses.replace(footage, images=(footage.images * 0.85).astype(np.uint8))
    darker.images[19, :, :16] = (30, 60, 200)
    bank_and_scenes = dataclasses.replace(
        footage,
        **{
            name: np.concatenate([getattr(darker, name), getattr(footage, name)])
            for name in ("images", "vertices", "hulls", "key", "motion", "frames")
        },
    )
    sample = collate_samples(
        [make_sample(bank_and_scenes, 24 + row, bank, head, 3) for row in (2, 7)]
    )
    expected = vars(warp_references(sample.inputs))  # gradients are on
    with torch.inference_mode():
        found = vars(warp_references(sample.inputs))
    assert expected["color_correction"].abs().mean() > 0.02
    for name, values in expected.items():
        # Logits are logarithms of what may be nearly 0.
        close = {"atol": 2e-3 if name == "blend_logits" else 2e-5, "rtol": 1e-4}
        torch.testing.assert_close(found[name], values, **close, msg=name)


def test_what_a_mouth_lacks_in_part_is_no_skin(footage):
    """A fill of half skin, half cavity was a gray band in lips that begin to part."""
    inputs = make_sample(footage, 5, np.array([5]), load_head_model(), 2).inputs
    inside = (inputs.alpha > 0).float()
    black = torch.zeros_like(inputs.cavity)
    fills = [
        warp_references(
            dataclasses.replace(inputs, cavity=black, rigid_interior=rigid * inside)
        ).background_fill
        for rigid in (0.0, 0.3, 1.0)
    ]
    torch.testing.assert_close(fills[1], fills[2])
    assert (inside * (fills[0] - fills[1])).sum() > 0.2 * inside.sum()
