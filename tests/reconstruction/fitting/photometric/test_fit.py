from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial import procrustes
from scipy.spatial.transform import Rotation

from dubfew.media import Frame
from dubfew.reconstruction.fitting.photometric.fit import PhotometricFitter, estimate_start_pose
from dubfew.reconstruction.fitting.photometric.geometry import HeadProjector, build_normal_equations
from dubfew.reconstruction.fitting.photometric.shading import shade_normals
from dubfew.reconstruction.fitting.photometric.solve import apply_step, solve_chain_step
from dubfew.reconstruction.fitting.photometric.stages import FRAME_STAGE, JOINT_STAGE
from dubfew.reconstruction.fitting.photometric.terms import find_skin_faces
from dubfew.reconstruction.fitting.photometric.views import crop_face_view
from tests.reconstruction.fitting.photometric.scene import CAMERA, FPS, Scene

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene(n=6)


@pytest.fixture(scope="module")
def fitter(scene: Scene) -> PhotometricFitter:
    return PhotometricFitter(scene.head)


def test_slopes_of_vertices_are_their_derivatives(scene: Scene):
    geometry, pose, shape = HeadProjector(scene.head), scene.pose.select(slice(1, 2)), scene.shape
    shown = geometry.project_frames(pose, shape, CAMERA.focal, derivatives="clip")
    count = 9 + pose.expression.shape[1]
    rng = np.random.default_rng(0)
    for place in (0, 1, 2, 3, 5, 6, 9, 9 + int(rng.integers(50)), count, count + len(shape)):
        values = []
        for sign in (-1, 1):
            step = np.zeros(count + len(shape) + 1)
            step[place] = sign * 3e-3
            other = apply_step(pose, step[None, :count])
            focal = CAMERA.focal * np.exp(step[-1])
            values.append(
                geometry.project_frames(
                    other, shape + step[count:-1], focal, derivatives="none"
                ).values
            )
        numeric = (values[1] - values[0]) / 6e-3
        # float32 positions of some 100 px leave 0.005 to the differences.
        scale = np.abs(shown.jacobian[..., place]).max((0, 1)) + 1
        assert (np.abs(numeric - shown.jacobian[..., place]) / scale).max() < 0.01


def test_normal_equations_are_those_of_the_whole_jacobian():
    rng = np.random.default_rng(2)
    faces = rng.integers(0, 12, (7, 3)).astype(np.int32)
    face = rng.integers(0, 7, 40).astype(np.int32)
    barycentric = rng.dirichlet(np.ones(3), 40).astype(np.float32)
    slopes, residual = (rng.standard_normal(s).astype(np.float32) for s in ((40, 3, 5), (40, 3)))
    weight = rng.uniform(0, 1, 40).astype(np.float32)
    by_vertex = rng.standard_normal((12, 5, 8)).astype(np.float32)
    corner = np.einsum("pk,pkvd->pvd", barycentric, by_vertex[faces[face]])
    jacobian = np.einsum("pcv,pvd->pcd", slopes, corner).reshape(-1, 8)
    heavy = np.repeat(weight, 3)
    normal, slope = build_normal_equations(
        face, barycentric, slopes, residual, weight, faces, by_vertex
    )
    assert np.allclose(normal, jacobian.T @ (jacobian * heavy[:, None]), atol=1e-3)
    assert np.allclose(slope, jacobian.T @ (heavy * residual.ravel()), atol=1e-3)


def test_a_chain_is_solved_as_one_system(scene: Scene):
    rng = np.random.default_rng(3)
    n, frames = 9 + scene.pose.expression.shape[1], 3
    roots = rng.standard_normal((frames, n, n))
    normals, slopes = roots @ roots.transpose(0, 2, 1), rng.standard_normal((frames, n))
    pose = scene.pose.select(slice(0, frames))
    still = replace(pose, jaw=0 * pose.jaw, expression=0 * pose.expression)
    still = replace(still, rotation=np.repeat(pose.rotation[:1], 3, 0))
    still = replace(still, translation=np.repeat(pose.translation[:1], 3, 0))
    stage = replace(
        FRAME_STAGE,
        damping=0.0,
        weights=replace(FRAME_STAGE.weights, face_temporal=5.0, head_temporal=7.0),
    )
    linked = np.array([False, True, True])
    step = solve_chain_step(stage, normals, slopes, still, linked, None)
    alone = solve_chain_step(stage, normals, slopes, still, linked & False, None)
    # Nothing but the tie itself pulls here, so tied steps differ less and weigh the same.
    assert np.abs(np.diff(step, axis=0)).sum() < np.abs(np.diff(alone, axis=0)).sum()
    tie = np.concatenate([np.full(3, 7.0), np.full(3, 7.0 / 0.15**2)])
    top = np.diff(step, axis=0)[:, :6] * tie
    left = np.einsum("nij,nj->ni", normals, step)[:, :6] + slopes[:, :6]
    assert np.allclose(left[0], top[0], atol=1e-3)
    assert np.allclose(left[2], -top[1], atol=1e-3)


def test_known_poses_are_found_again(scene: Scene, fitter: PhotometricFitter):
    noisy = scene.landmarks(noise=1.0)
    start = estimate_start_pose(scene.head, CAMERA, scene.shape, noisy)
    linked = np.arange(len(start)) > 0
    pose, light = fitter.fit_frames(FRAME_STAGE, scene.clip, scene.views(), noisy, start, linked)
    before, after = scene.error(start), scene.error(pose)
    assert before > 0.15
    assert after < 0.6 * before
    turned = Rotation.from_matrix(pose.rotation) * Rotation.from_matrix(scene.pose.rotation).inv()
    assert np.degrees(turned.magnitude()).mean() < 0.8
    assert np.abs(light[:, 0] - scene.clip.lighting[0].numpy()).max() < 0.05


def test_light_that_changes_is_followed(scene: Scene, fitter: PhotometricFitter):
    other = scene.clip.lighting.clone()
    other[0] *= 0.8
    other[3] -= 0.3
    linked = np.arange(len(scene.pose)) > 0
    stage = replace(FRAME_STAGE, steps=1)
    _, light = fitter.fit_frames(
        stage, scene.clip, scene.views(other), scene.landmarks(), scene.pose, linked
    )
    # Faces show half of all normals, so that other coefficients can make the same light there.
    normals = torch.from_numpy(scene.shown.values[0][:, 2:])
    normals = normals[normals[:, 2] > 0.3]
    expected = shade_normals(normals, other)
    change = (shade_normals(normals, scene.clip.lighting) - expected).abs().mean()
    for own in light:
        assert (
            shade_normals(normals, torch.from_numpy(own)) - expected
        ).abs().mean() < 0.1 * change


def test_what_frames_share_is_found(scene: Scene, fitter: PhotometricFitter):
    noisy, views = scene.landmarks(noise=1.0), scene.views()
    camera = replace(CAMERA, focal=CAMERA.focal * 0.8)
    still = np.zeros_like(scene.shape)
    start = estimate_start_pose(scene.head, camera, still, noisy)
    clip = fitter.fit_clip(replace(JOINT_STAGE, steps=4), views, noisy, start, still, camera)
    assert abs(np.log(clip.camera.focal / CAMERA.focal)) < 0.9 * abs(np.log(0.8))
    truth = scene.head.rest_vertices(scene.shape)
    # How large a head is cannot be told from how far away it is: compared without size and place.
    before, after = (procrustes(truth, scene.head.rest_vertices(s))[2] for s in (still, clip.shape))
    assert after < 0.8 * before


def test_a_shape_from_elsewhere_stays(scene: Scene, fitter: PhotometricFitter):
    stage = replace(
        JOINT_STAGE,
        optimized_parameters=tuple(
            m for m in JOINT_STAGE.optimized_parameters if m not in ("shape", "focal")
        ),
    )
    clip = fitter.fit_clip(
        replace(stage, steps=1), scene.views(), scene.landmarks(), scene.pose, scene.shape, CAMERA
    )
    assert np.allclose(clip.shape, scene.shape, atol=1e-6)
    assert clip.camera.focal == pytest.approx(CAMERA.focal)


def test_a_hand_over_the_face_is_left_out(scene: Scene, fitter: PhotometricFitter):
    pictures = scene.pictures()
    pictures[:, 120:160, 80:110] = (255, 0, 255)
    boxes, noisy = scene.boxes(), scene.landmarks(noise=1.0)
    views = [crop_face_view(Frame.from_rgb(p, k, FPS), k, boxes[k]) for k, p in enumerate(pictures)]
    start = estimate_start_pose(scene.head, CAMERA, scene.shape, noisy)
    linked = np.arange(len(start)) > 0
    pose, _ = fitter.fit_frames(FRAME_STAGE, scene.clip, views, noisy, start, linked)
    assert scene.error(pose) < 0.7 * scene.error(start)


def test_the_mouths_inside_and_the_neck_are_not_looked_at(scene: Scene):
    part = find_skin_faces(scene.head)
    assert 0.5 < part.mean() < 0.97
    assert not part[scene.head.mouth_filling[0]].any()
    skirt = (scene.head.faces >= 477).any(1)
    assert not part[skirt].any()


def test_a_box_beyond_the_frame_is_marked():
    rgb = np.full((40, 60, 3), 128, np.uint8)
    view = crop_face_view(Frame.from_rgb(rgb, 0, FPS), 0, np.array([-30.0, -30, 30, 30]))
    assert view.inside_frame.mean() == pytest.approx(0.25, abs=0.03)
    far = crop_face_view(Frame.from_rgb(rgb, 0, FPS), 0, np.array([500.0, 500, 560, 560]))
    assert not far.inside_frame.any()
    assert torch.isfinite(far.image).all()
