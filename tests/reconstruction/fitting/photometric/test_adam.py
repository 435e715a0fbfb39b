"""The fit by a differentiable renderer: right slopes, and steps that lower the same loss."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from dubfew.reconstruction.fitting.methods import TRACKING_METHODS
from dubfew.reconstruction.fitting.photometric import adam
from dubfew.reconstruction.fitting.photometric.adam import AdamFitter, draw_differences
from dubfew.reconstruction.fitting.photometric.fit import PhotometricFitter, estimate_start_pose
from dubfew.reconstruction.fitting.photometric.stages import FRAME_STAGE, JOINT_STAGE
from dubfew.reconstruction.fitting.photometric.terms import find_skin_faces
from tests.reconstruction.fitting.photometric.scene import CAMERA, Scene, write

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene(n=2)


def compare(scene: Scene, values: torch.Tensor, depth: torch.Tensor) -> torch.Tensor:
    views = scene.views()
    return draw_differences(
        scene.head,
        find_skin_faces(scene.head),
        values,
        depth,
        torch.stack([view.image for view in views]),
        torch.from_numpy(np.stack([view.inside_frame for view in views])),
        torch.tensor([[view.left, view.top] for view in views]),
        torch.tensor([view.scale for view in views]),
        CAMERA,
        scene.clip.albedo,
        [scene.clip.lighting] * len(views),
    )


def test_the_true_head_is_drawn_as_it_was_seen(scene: Scene) -> None:
    values, depth = torch.from_numpy(scene.shown.values), torch.from_numpy(scene.shown.depth)
    right = compare(scene, values, depth)
    moved = values.clone()
    moved[..., 0] += 2.0
    # Three colors; views are blurred a little, which drawings are not.
    assert float(right.max()) < 0.02
    assert (compare(scene, moved, depth) > 2 * right).all()


def test_slopes_of_the_drawing_are_differences(scene: Scene) -> None:
    depth = torch.from_numpy(scene.shown.depth)
    values = torch.from_numpy(scene.shown.values).clone()
    values[..., 0] += 1.5
    values.requires_grad_()
    compare(scene, values, depth).sum().backward()
    assert values.grad is not None
    own = float(values.grad[..., 0].sum())
    step = torch.zeros_like(values)
    step[..., 0] = 0.05
    with torch.no_grad():
        ahead, behind = (compare(scene, values + s * step, depth).sum() for s in (1, -1))
    # Pixels change their faces on the way, which gradients do not see.
    assert own == pytest.approx(float(ahead - behind) / 0.1, rel=0.25)


def test_known_poses_are_found_again(scene: Scene) -> None:
    noisy = scene.landmarks(noise=1.0)
    start = estimate_start_pose(scene.head, CAMERA, scene.shape, noisy)
    linked = np.array([False, True])
    stage = replace(FRAME_STAGE, steps=2)
    fitter = AdamFitter(scene.head)
    pose, light = fitter.fit_frames(stage, scene.clip, scene.views(), noisy, start, linked)
    assert scene.error(pose) < 0.8 * scene.error(start)
    assert np.abs(light[:, 0] - scene.clip.lighting[0].numpy()).max() < 0.05
    # What a stage does not optimize stays.
    frozen = replace(stage, steps=1, optimized_parameters=("jaw",))
    last = start.select(slice(1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adam, "ADAM_STEPS_PER_ROUND", 2)
        only, _ = fitter.fit_frames(frozen, scene.clip, scene.views(), noisy, start, linked, last)
    np.testing.assert_allclose(only.translation, start.translation, atol=1e-7)
    assert np.abs(only.jaw - start.jaw).max() > 1e-3


def test_the_clips_own_parameters_move(scene: Scene, monkeypatch) -> None:
    monkeypatch.setattr(adam, "ADAM_STEPS_PER_ROUND", 6)
    noisy, still = scene.landmarks(), np.zeros_like(scene.shape)
    start = estimate_start_pose(scene.head, CAMERA, still, noisy)
    arguments = (scene.views(), noisy, start, still, CAMERA)
    stage = replace(JOINT_STAGE, steps=2)
    seen = []
    clip = AdamFitter(scene.head).fit_clip(stage, *arguments, progress=seen.append)
    newton = PhotometricFitter(scene.head).fit_clip(stage, *arguments)
    # Towards the Gauss-Newton solution of the same loss.
    assert float(clip.shape @ newton.shape) > 0.3 * np.linalg.norm(clip.shape) * np.linalg.norm(
        newton.shape
    )
    assert [progress.done for progress in seen] == [1, 2]


def test_the_method_fits_a_video(scene: Scene, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(adam, "ADAM_STEPS_PER_ROUND", 2)
    video = write(tmp_path / "scene.mkv", scene.pictures())
    before = scene.track(noise=1.0)
    found = TRACKING_METHODS.load("photometric_adam")(
        video,
        before,
        head=scene.head,
        first_frame=0,
        progress=lambda progress: None,
        joint_stage=replace(JOINT_STAGE, num_frames=2, steps=1),
        frame_stage=replace(FRAME_STAGE, steps=1),
    )
    assert found.method == "photometric_adam"
    assert found.lighting.any((1, 2)).all()
    assert not np.array_equal(found.jaw, before.jaw)
