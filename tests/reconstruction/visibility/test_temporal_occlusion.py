from __future__ import annotations

import numpy as np

from dubfew.reconstruction.visibility.temporal_occlusion import (
    PATCH_HEIGHT_PX,
    PATCH_WIDTH_PX,
    detect_occluded_frames,
    extract_face_patch,
)

N = 80


def face_patches() -> tuple[np.ndarray, np.ndarray]:
    """Make patches of one face whose mouth opens and closes while the light changes."""
    rng = np.random.default_rng(0)
    face = 140 + 25 * rng.standard_normal((PATCH_HEIGHT_PX // 4, PATCH_WIDTH_PX // 4, 3)).repeat(
        4, 0
    ).repeat(4, 1)
    opening = np.round(3 + 3 * np.sin(np.arange(N) / 2)).astype(int)
    frames = np.repeat(face[None], N, 0)
    for row, size in enumerate(opening):
        frames[row, 36 - size // 2 : 36 + size, 10:22] = 60
    frames *= np.linspace(0.7, 1.2, N)[:, None, None, None]
    frames += rng.normal(0, 2, frames.shape)
    return np.clip(frames, 0, 255).astype(np.uint8), np.repeat(
        rng.uniform(0, 100, (1, 478, 3)).astype(np.float32), N, 0
    )


def test_a_hidden_mouth_is_found_and_a_talking_one_is_not():
    patches, landmarks = face_patches()
    assert not detect_occluded_frames(patches, landmarks, np.arange(N)).any()
    patches[30:42, 28:, 4:30] = (20, 20, 25)
    found = detect_occluded_frames(patches, landmarks, np.arange(N))
    np.testing.assert_array_equal(np.flatnonzero(found), np.arange(30, 42))


def test_a_short_clip_has_no_occluded_frames():
    patches, landmarks = face_patches()
    patches[2:4] = 0
    assert not detect_occluded_frames(patches[:6], landmarks[:6], np.arange(6)).any()


def test_patches_are_aligned_by_the_upper_face():
    rgb = np.random.default_rng(0).integers(0, 255, (30, 40, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    landmarks = np.random.default_rng(1).uniform(100, 200, (478, 3)).astype(np.float32)
    moved = extract_face_patch(np.roll(rgb, 16, 1), landmarks + np.array([16, 0, 0], np.float32))
    np.testing.assert_allclose(extract_face_patch(rgb, landmarks), moved, atol=2)
    outside = extract_face_patch(rgb, landmarks + 1000)
    assert outside.shape == (PATCH_HEIGHT_PX, PATCH_WIDTH_PX, 3)
