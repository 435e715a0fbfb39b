"""What docs/conventions.md promises, one test each, through the rooms that have to keep it."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from dubfew.media import probe, read_frames
from dubfew.reconstruction.heads.head_model import HeadModel, load_head_model
from dubfew.reconstruction.projection import project_head_points
from dubfew.reconstruction.rasterizer.raster import rasterize_mesh
from dubfew.reconstruction.track import Camera, Track
from dubfew.textures import sample_texture

# MediaPipe's landmarks. "Left" is the image's left, the subject's right.
NOSE_TIP, FOREHEAD, CHIN, LEFT_EYE, RIGHT_EYE = 1, 10, 152, 33, 263
NTSC = Fraction(30000, 1001)


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return load_head_model()


@pytest.fixture
def track(head: HeadModel) -> Track:
    """One frame of the mean head, 1 m in front of the camera, facing it."""

    def zeros(*shape: int) -> np.ndarray:
        return np.zeros(shape, np.float32)

    return Track(
        valid=np.ones(1, bool),
        times=np.zeros(1),
        expression=zeros(1, len(head.expression_basis)),
        jaw=zeros(1, 3),
        neck=zeros(1, 3),
        rotation=zeros(1, 3),
        translation=np.float32([[0, 0, 1]]),
        lighting=zeros(1, 9, 3),
        box=zeros(1, 4),
        landmarks=zeros(1, 478, 3),
        confidence=np.ones(1, np.float32),
        shape=zeros(len(head.shape_basis)),
        camera=Camera(1000.0, 320.0, 240.0),
        fps=NTSC,
        width=640,
        height=480,
        head="lite",
        source_sha256="",
    )


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five frames at 30000/1001, red above, blue below."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:24, :, 0] = picture[24:, :, 2] = 255
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=NTSC, options={"crf": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv444p"
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def test_colour_is_rgb(clip: Path) -> None:
    rgb = next(iter(read_frames(clip))).to_rgb()
    assert (rgb.shape, rgb.dtype) == ((48, 64, 3), np.uint8)
    assert rgb[4, 4] == pytest.approx([255, 0, 0], abs=6)
    assert rgb[-4, 4] == pytest.approx([0, 0, 255], abs=6)


def test_fps_is_an_exact_fraction_everywhere(clip: Path, track: Track, tmp_path: Path) -> None:
    info = probe(clip)
    assert info.fps == NTSC
    assert isinstance(info.fps, Fraction)
    track.save(tmp_path / "x.safetensors")
    assert Track.load(tmp_path / "x.safetensors").fps == NTSC


def test_times_are_seconds(clip: Path) -> None:
    times = [frame.time for frame in read_frames(clip)]
    assert times == pytest.approx([index / float(NTSC) for index in range(5)], abs=1e-4)


def test_pixel_centres_lie_at_one_half() -> None:
    corners = np.float32([[1, 1, 1], [3, 1, 1], [3, 2, 1], [1, 2, 1]])
    seen = rasterize_mesh(corners, np.int32([[0, 1, 2], [0, 2, 3]]), 4, 5).face_id >= 0
    expected = np.zeros((4, 5), bool)
    expected[1, 1:3] = True
    np.testing.assert_array_equal(seen, expected)


def test_the_nearer_surface_is_seen_and_nothing_behind_the_camera() -> None:
    triangle = np.float32([[0, 0, 0], [9, 0, 0], [0, 9, 0]])
    vertices = np.concatenate([triangle + np.float32([0, 0, depth]) for depth in (3, 2, -1)])
    faces = np.arange(9, dtype=np.int32).reshape(3, 3)
    assert rasterize_mesh(vertices.astype(np.float32), faces, 4, 4).face_id[1, 1] == 1


def test_head_space_is_metres_x_right_y_up_z_forward(head: HeadModel, track: Track) -> None:
    (points,) = head.vertices(track.shape, track.expression, track.jaw, track.neck)
    assert points[LEFT_EYE, 0] < points[RIGHT_EYE, 0]
    assert points[CHIN, 1] < points[FOREHEAD, 1]
    assert points[NOSE_TIP, 2] > points[[LEFT_EYE, RIGHT_EYE, CHIN, FOREHEAD], 2].max()
    assert 0.07 < head.inter_ocular_distance(track.shape) < 0.11  # between the outer corners


def test_a_head_with_rotation_zero_faces_the_camera(head: HeadModel, track: Track) -> None:
    points = head.vertices(track.shape, track.expression, track.jaw, track.neck)
    (image,) = project_head_points(points, track)
    assert image[LEFT_EYE, 0] < track.camera.cx < image[RIGHT_EYE, 0]
    assert image[FOREHEAD, 1] < image[CHIN, 1]  # the image's y points down
    assert image[NOSE_TIP, 2] < image[[LEFT_EYE, RIGHT_EYE], 2].min()  # nearer: smaller depth


def test_head_to_camera_follows_the_formula(head: HeadModel, track: Track) -> None:
    angle = np.float32([0.1, -0.4, 0.2])
    moved = replace(track, rotation=angle[None], translation=np.float32([[0.1, 0.2, 0.9]]))
    point = np.float32([0.03, -0.02, 0.05])
    length = np.linalg.norm(angle)
    axis = angle / length
    turned = (  # Rodrigues' formula, written out
        point * np.cos(length)
        + np.cross(axis, point) * np.sin(length)
        + axis * axis.dot(point) * (1 - np.cos(length))
    )
    x, y, z = turned * [1, -1, -1] + [0.1, 0.2, 0.9]
    expected = [1000 * x / z + 320, 1000 * y / z + 240, z]
    assert project_head_points(point[None, None], moved)[0, 0] == pytest.approx(expected, rel=1e-4)


def test_uv_has_its_origin_at_the_top_left(head: HeadModel) -> None:
    assert head.uv.min() >= 0
    assert head.uv.max() <= 1
    assert head.uv[FOREHEAD, 1] < head.uv[CHIN, 1]
    assert head.uv[LEFT_EYE, 0] < head.uv[RIGHT_EYE, 0]


def test_texel_centres_lie_at_one_half() -> None:
    texture = torch.arange(8.0).reshape(1, 1, 2, 4)  # 2 rows of 4 texels
    uv = torch.tensor([[[[0.5 / 4, 0.5 / 2], [3.5 / 4, 0.5 / 2], [1.0 / 4, 1.5 / 2]]]])
    sampled = sample_texture(texture, uv, torch.ones(1, 1, 3, dtype=torch.bool))
    assert sampled.flatten().tolist() == pytest.approx([0.0, 3.0, 4.5])
