"""The rasterizer against a readable reference, and its rules at borders."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dubfew.errors import MissingDependencyError, ShapeError
from dubfew.reconstruction.rasterizer.backends import RASTERIZER_BACKENDS
from dubfew.reconstruction.rasterizer.backends.pytorch3d import image_to_ndc
from dubfew.reconstruction.rasterizer.base import RasterizedMesh
from dubfew.reconstruction.rasterizer.interpolation import interpolate_attributes
from dubfew.reconstruction.rasterizer.raster import rasterize_frames, rasterize_mesh

HAS_PYTORCH3D = importlib.util.find_spec("pytorch3d") is not None


def rasterize_reference(vertices, faces, height, width, cull=False):
    """Rasterize like ``rasterize_mesh``, one face at a time for all pixels at once."""
    rows, columns = np.mgrid[:height, :width] + 0.5
    face_id = np.full((height, width), -1, np.int32)
    barycentric = np.zeros((height, width, 3))
    depth = np.full((height, width), np.inf)
    for index, face in enumerate(faces):
        x, y, z = vertices[face].astype(np.float64).T
        if not np.isfinite(vertices[face]).all() or (z <= 0).any():
            continue
        area = (x[1] - x[0]) * (y[2] - y[0]) - (y[1] - y[0]) * (x[2] - x[0])
        if area == 0 or (cull and area > 0):
            continue
        weights = np.stack(
            [
                ((x[b] - x[a]) * (rows - y[a]) - (y[b] - y[a]) * (columns - x[a])) / area
                for a, b in ((1, 2), (2, 0), (0, 1))
            ],
            axis=-1,
        )
        corrected = weights / z
        total = corrected.sum(-1)
        with np.errstate(divide="ignore"):
            here = (weights >= 0).all(-1) & (1 / total < depth)
        depth[here] = 1 / total[here]
        face_id[here] = index
        barycentric[here] = corrected[here] / total[here][:, None]
    return RasterizedMesh(face_id, barycentric.astype(np.float32))


def random_triangles(seed, count=40, size=48.0):
    """Triangles in general position (no pixel center exactly on an edge)."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform(-0.2, 1.2, (count, 1, 2)) * size
    corners = centres + rng.normal(0, size / 6, (count, 3, 2))
    depth = rng.uniform(0.3, 2.0, (count, 3, 1))
    vertices = np.concatenate([corners, depth], -1).reshape(-1, 3).astype(np.float32)
    return vertices, np.arange(3 * count, dtype=np.int32).reshape(-1, 3)


def sphere(rings=9, sectors=14, centre=(30.0, 22.0), radius=17.0):
    """A closed mesh, seen in perspective-free screen space; outward faces run one way."""
    polar = np.linspace(0, np.pi, rings + 2)[1:-1]
    around = np.arange(sectors) * 2 * np.pi / sectors
    points = [(0.0, 1.0, 0.0)]
    points += [
        (np.sin(p) * np.cos(a), np.cos(p), np.sin(p) * np.sin(a)) for p in polar for a in around
    ]
    points.append((0.0, -1.0, 0.0))
    faces = []
    for ring in range(rings - 1):
        for s in range(sectors):
            a, b = 1 + ring * sectors + s, 1 + ring * sectors + (s + 1) % sectors
            faces += [(a, b, a + sectors), (b, b + sectors, a + sectors)]
    last = len(points) - 1
    for s in range(sectors):
        following = (s + 1) % sectors
        faces.append((0, 1 + following, 1 + s))
        faces.append((last, last - sectors + s, last - sectors + following))
    xyz = np.array(points)
    vertices = np.stack(
        [centre[0] + radius * xyz[:, 0], centre[1] + radius * xyz[:, 1], 3 + xyz[:, 2]], 1
    )
    return vertices.astype(np.float32), np.array(faces, np.int32)


@pytest.mark.parametrize("cull", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_equals_the_readable_reference(seed, cull):
    vertices, faces = random_triangles(seed)
    expected = rasterize_reference(vertices, faces, 40, 56, cull)
    found = rasterize_mesh(vertices, faces, 40, 56, cull_backfaces=cull)
    assert (expected.face_id >= 0).sum() > 100
    np.testing.assert_array_equal(found.face_id, expected.face_id)
    np.testing.assert_allclose(found.barycentric, expected.barycentric, atol=2e-6)


def test_shared_edges_are_drawn_once():
    """On a grid whose edges and corners pass through pixel centers each pixel has one owner."""
    # One face at a time, so that the depth test cannot hide a pixel that two faces claim.
    ticks = np.array([0.5, 3.5, 4.5, 9.5, 11.25, 15.5])
    x, y = np.meshgrid(ticks, ticks)
    vertices = np.stack([x.ravel(), y.ravel(), np.ones(x.size)], 1).astype(np.float32)
    n = len(ticks)
    faces = []
    for r in range(n - 1):
        for c in range(n - 1):
            a = r * n + c
            faces += [(a, a + 1, a + n), (a + 1, a + n, a + n + 1)]  # either winding
    owners = sum(
        rasterize_mesh(vertices, np.array([face], np.int32), 16, 16).coverage.astype(int)
        for face in faces
    )
    assert (owners[1:15, 1:15] == 1).all()
    assert owners.max() == 1


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_closed_mesh_is_watertight(seed):
    """Over a closed surface each ray enters and leaves: front and back faces tile the same area."""
    rng = np.random.default_rng(seed)
    vertices, faces = sphere(centre=rng.uniform(18, 40, 2), radius=rng.uniform(5, 16))
    front = rasterize_mesh(vertices, faces, 48, 64, cull_backfaces=True)
    back = rasterize_mesh(vertices, faces[:, ::-1], 48, 64, cull_backfaces=True)
    np.testing.assert_array_equal(front.coverage, back.coverage)
    hull = front.coverage
    # No hole: each row's covered pixels are one run (a sphere's outline is convex).
    for row in hull:
        assert np.abs(np.diff(np.r_[0, row.astype(int), 0])).sum() in (0, 2)


def test_perspective_correct():
    """A receding plane: its depth interpolated by the weights satisfies the plane's equation."""
    focal, centre = 50.0, 32.0
    plane = np.array([[-1, -1, 2], [1, -1, 2], [1, 1, 8], [-1, 1, 8]], np.float64)
    screen = np.c_[plane[:, :2] / plane[:, 2:] * focal + centre, plane[:, 2]].astype(np.float32)
    faces = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
    raster = rasterize_mesh(screen, faces, 64, 64)
    xyz = interpolate_attributes(raster, faces, plane)
    rows, columns = np.mgrid[:64, :64] + 0.5
    here = raster.coverage
    assert here.sum() > 300
    np.testing.assert_allclose(xyz[here, 0] / xyz[here, 2] * focal + centre, columns[here], 1e-4)
    np.testing.assert_allclose(xyz[here, 1] / xyz[here, 2] * focal + centre, rows[here], 1e-4)
    np.testing.assert_allclose(xyz[here, 2], 3 * xyz[here, 1] + 5, rtol=1e-4)


def test_the_nearest_face_wins_in_any_order():
    near = [(2, 2, 1), (2, 14, 1), (14, 2, 1)]
    far = [(0, 0, 2), (0, 16, 2), (16, 0, 2)]
    faces = np.array([[0, 1, 2], [3, 4, 5]], np.int32)
    assert rasterize_mesh(np.array(near + far, np.float32), faces, 16, 16).face_id[4, 4] == 0
    assert rasterize_mesh(np.array(far + near, np.float32), faces, 16, 16).face_id[4, 4] == 1


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 99), st.integers(-20, 50), st.integers(-20, 50))
def test_window_is_a_slice_of_the_whole(seed, left, top):
    vertices, faces = random_triangles(seed)
    whole = rasterize_mesh(vertices, faces, 120, 120, left=-30, top=-30)
    window = rasterize_mesh(vertices, faces, 17, 23, left=left, top=top)
    cut = np.s_[top + 30 : top + 47, left + 30 : left + 53]
    np.testing.assert_array_equal(window.face_id, whole.face_id[cut])
    np.testing.assert_array_equal(window.barycentric, whole.barycentric[cut])


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(
    arrays(
        np.float32,
        st.tuples(st.integers(3, 12), st.just(3)),
        elements=st.one_of(
            st.floats(-40, 60, width=32),
            st.floats(width=32),  # NaN, infinities, denormals, 1e38
            st.sampled_from([0.0, 0.5, 8.5, -1.0]),
        ),
    ),
    st.integers(0, 2**31),
)
def test_arbitrary_vertices(vertices, seed):
    faces = np.random.default_rng(seed).integers(0, len(vertices), (20, 3)).astype(np.int32)
    raster = rasterize_mesh(vertices, faces, 16, 20)
    here = raster.coverage
    assert raster.face_id.min() >= -1
    assert raster.face_id.max() < len(faces)
    assert not raster.barycentric[~here].any()
    assert np.isfinite(raster.barycentric).all()
    assert (raster.barycentric >= 0).all()
    np.testing.assert_allclose(raster.barycentric[here].sum(-1), 1, atol=1e-5)
    shown = vertices[faces[raster.face_id[here]]]
    assert np.isfinite(shown).all()
    assert (shown[..., 2] > 0).all()


def test_batch_equals_single_frames():
    frames = np.stack([random_triangles(seed)[0] for seed in range(5)])
    faces = random_triangles(0)[1]
    for frame, raster in zip(frames, rasterize_frames(frames, faces, 30, 30), strict=True):
        np.testing.assert_array_equal(raster.face_id, rasterize_mesh(frame, faces, 30, 30).face_id)


def test_interpolate_is_zero_outside_and_exact_on_constants():
    vertices, faces = random_triangles(3)
    raster = rasterize_mesh(vertices, faces, 40, 40)
    values = interpolate_attributes(raster, faces, np.full((len(vertices), 2), 3.0, np.float32))
    np.testing.assert_allclose(values[raster.coverage], 3.0, rtol=1e-6)
    assert not values[~raster.coverage].any()


def test_wrong_shapes_and_indices_are_refused():
    vertices, faces = random_triangles(0, count=2)
    vertices[3:] = [(4, 4, 1), (20, 4, 1), (4, 20, 1)]
    raster = rasterize_mesh(vertices, faces, 48, 48)
    with pytest.raises(ShapeError, match="expected"):
        rasterize_mesh(vertices[:, :2], faces, 8, 8)
    with pytest.raises(ShapeError, match="0 to 5"):
        rasterize_mesh(vertices, faces + 1, 8, 8)
    with pytest.raises(ShapeError, match="0 to 5"):
        rasterize_mesh(vertices, faces - 1, 8, 8)
    with pytest.raises(ShapeError, match="expected"):
        interpolate_attributes(raster, faces, vertices[:, 0])
    with pytest.raises(ShapeError, match="0 to 4"):
        interpolate_attributes(raster, faces, vertices[:5])
    with pytest.raises(ShapeError, match="faces that were rasterized"):
        interpolate_attributes(raster, faces[:1], vertices)


def test_empty_mesh():
    nothing = rasterize_mesh(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32), 4, 5)
    assert not nothing.coverage.any()
    assert nothing.barycentric.shape == (4, 5, 3)


@pytest.mark.parametrize(("height", "width"), [(48, 64), (64, 48), (50, 50)])
def test_pytorch3d_coordinates(height, width):
    """Our pixel centers land on the NDC that PyTorch3D gives its pixels."""

    def pixel_ndc(index, size, other):  # PixToNonSquareNdc of PyTorch3D's rasterizer
        span = 2.0 * size / other if size > other else 2.0
        return -span / 2 + (span * index + span / 2) / size

    column, row = 7, 11
    ndc = image_to_ndc(np.array([[column + 0.5, row + 0.5, 3.0]], np.float32), height, width)[0]
    # Its image is stored from +x (left) to -x and from +y (top) to -y.
    assert ndc[0] == pytest.approx(pixel_ndc(width - 1 - column, width, height), abs=1e-6)
    assert ndc[1] == pytest.approx(pixel_ndc(height - 1 - row, height, width), abs=1e-6)
    assert ndc[2] == 3.0


@pytest.mark.skipif(HAS_PYTORCH3D, reason="PyTorch3D is installed")
def test_missing_pytorch3d_is_an_error_with_a_remedy():
    vertices, faces = random_triangles(0)
    with pytest.raises(MissingDependencyError, match=r"INSTALL\.md"):
        RASTERIZER_BACKENDS["pytorch3d"](vertices, faces, 8, 8)


def test_the_backend_is_chosen_by_name(monkeypatch):
    vertices, faces = random_triangles(0)
    calls = []
    expected = rasterize_mesh(vertices, faces, 8, 8)

    def other(*arguments, **options):
        calls.append(options)
        return expected

    RASTERIZER_BACKENDS.register("other", other)
    try:
        monkeypatch.setenv("DUBFEW_RASTERISER", "other")
        assert rasterize_mesh(vertices, faces, 8, 8, left=2) is expected
    finally:
        RASTERIZER_BACKENDS.unregister("other")
    assert calls == [{"left": 2, "top": 0, "cull_backfaces": False}]
    assert rasterize_mesh(vertices, faces, 8, 8, backend="numba") is not expected
    monkeypatch.setenv("DUBFEW_RASTERISER", "povray")
    with pytest.raises(MissingDependencyError, match="numba or pytorch3d"):
        rasterize_mesh(vertices, faces, 8, 8)


@pytest.mark.skipif(not HAS_PYTORCH3D, reason="needs PyTorch3D")
@pytest.mark.parametrize("cull", [False, True])
def test_pytorch3d_agrees(cull):
    vertices, faces = sphere()
    ours = rasterize_mesh(vertices, faces, 48, 64, left=2, top=1, cull_backfaces=cull)
    theirs = RASTERIZER_BACKENDS["pytorch3d"](
        vertices, faces, 48, 64, left=2, top=1, cull_backfaces=cull
    )
    assert (ours.face_id == theirs.face_id).mean() > 0.999
    same = ours.face_id == theirs.face_id
    np.testing.assert_allclose(ours.barycentric[same], theirs.barycentric[same], atol=1e-3)


@pytest.mark.slow
def test_works_without_a_writable_cache(tmp_path):
    """In a read-only install without a home folder numba cannot store its cache."""
    code = (
        "import numba.core.caching as caching\n"
        "caching.CacheImpl._locator_classes = []\n"
        "import numpy as np\n"
        "from dubfew.reconstruction.rasterizer.raster import rasterize_mesh\n"
        "v = np.array([[0, 0, 1], [8, 0, 1], [0, 8, 1]], np.float32)\n"
        "print(rasterize_mesh(v, np.array([[0, 1, 2]], np.int32), 8, 8).coverage.sum())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 20
