"""FLAME's files -> a head that the rest of dubfew works with."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import sparse

from dubfew.assets import add_asset, remove_asset
from dubfew.errors import AssetError, ShapeError
from dubfew.motion.extraction import estimate_rest_points, motion_from_track
from dubfew.motion.retargeting import retarget_mouth
from dubfew.reconstruction.crop import compute_track_regions
from dubfew.reconstruction.fitting.point_rig import PointRig
from dubfew.reconstruction.heads.flame.assemble import (
    build_flame_head,
    load_flame_uv_layout,
    read_eyelid_bases,
)
from dubfew.reconstruction.heads.flame.attach import closest_barycentric
from dubfew.reconstruction.heads.flame.landmarks import (
    IBUG_51_MEDIAPIPE_IDS,
    read_ibug_embedding,
    read_mediapipe_embedding,
)
from dubfew.reconstruction.heads.flame.masks import read_flame_masks
from dubfew.reconstruction.heads.flame.model import NUM_FLAME_VERTICES, FlameModel, read_flame_model
from dubfew.reconstruction.heads.flame.uv import (
    CornerUvLayout,
    map_texels_to_layout,
    read_uv_layout,
)
from dubfew.reconstruction.heads.head_model import HeadModel, load_head_model
from dubfew.reconstruction.heads.head_torch import TorchHeadModel
from dubfew.reconstruction.heads.landmark_indices import INNER_LIPS, MOUTH_POINTS
from dubfew.reconstruction.rasterizer.raster import rasterize_mesh
from dubfew.reconstruction.track import Track
from tests.reconstruction.heads.flame.files import (
    EYEBALL,
    KNOWN,
    bent,
    embedded,
    flame_arrays,
    write_68,
    write_flame,
    write_mediapipe,
)
from tests.reconstruction.test_track import make_track


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> FlameModel:
    return read_flame_model(
        write_flame(tmp_path_factory.mktemp("flame") / "generic_model.pkl", "chumpy")
    )


@pytest.fixture(scope="module")
def head(file: FlameModel) -> HeadModel:
    return build_flame_head(
        file, embedded(KNOWN), eyelid_basis=np.full((2, NUM_FLAME_VERTICES, 3), 1e-3, np.float32)
    )


def opened(head: HeadModel, angle: float = 0.3) -> np.ndarray:
    still = np.zeros((1, len(head.expression_basis)), np.float32)
    return head.vertices(np.zeros(len(head.shape_basis)), still, np.array([[angle, 0, 0]]))[0]


@pytest.mark.parametrize("name", ["2019.pkl", "2023.pkl", "open.npz"])
@pytest.mark.slow
def test_every_form_of_the_file(name: str, tmp_path: Path, file: FlameModel) -> None:
    found = read_flame_model(
        write_flame(tmp_path / name, "chumpy" if name == "2019.pkl" else "plain")
    )
    held = flame_arrays()
    np.testing.assert_allclose(found.template, held["v_template"], atol=1e-7)
    assert found.shape_basis.shape == (300, NUM_FLAME_VERTICES, 3)
    assert found.expression_basis.shape == (100, NUM_FLAME_VERTICES, 3)
    np.testing.assert_allclose(found.expression_basis[3], held["shapedirs"][:, :, 303], atol=1e-7)
    np.testing.assert_allclose(found.pose_basis[10], held["posedirs"][:, :, 10], atol=1e-7)
    np.testing.assert_allclose(found.joint_regressor, held["J_regressor"].toarray(), atol=1e-6)
    for field in dataclasses.fields(FlameModel):
        np.testing.assert_array_equal(getattr(found, field.name), getattr(file, field.name))


def test_other_names_and_the_short_file(tmp_path: Path) -> None:
    held = flame_arrays()
    changes = {
        "weights": None,
        "lbs_weights": held["weights"],
        "f": None,
        "faces": held["f"],
        "kintree_table": None,
        "parents": np.array([-1, 0, 1, 1, 1]),
        **short(),
    }
    found = read_flame_model(write_flame(tmp_path / "a.pkl", "plain", **changes))
    assert (len(found.shape_basis), len(found.expression_basis)) == (10, 10)


def short() -> dict[str, np.ndarray]:
    """A file with ten shapes and ten expressions, which is written and read at once."""
    return {"shapedirs": flame_arrays()["shapedirs"][:, :, :20]}


WRONG = {
    "millimeters": {"v_template": flame_arrays()["v_template"] * 1000},
    "another mesh": {"v_template": np.zeros((10475, 3))},
    "no template": {"v_template": None},
    "few bases": {"shapedirs": np.zeros((NUM_FLAME_VERTICES, 3, 50))},
    "not a number": {"shapedirs": np.full((NUM_FLAME_VERTICES, 3, 400), np.nan)},
    "words": {"shapedirs": np.full((NUM_FLAME_VERTICES, 3, 400), "a")},
    "correctives of another skeleton": {"posedirs": np.zeros((NUM_FLAME_VERTICES, 3, 207))},
    "weights without a sum": {"weights": np.zeros((NUM_FLAME_VERTICES, 5))},
    "another skeleton": {"kintree_table": np.zeros((2, 24))},
    "faces beyond": {"f": np.full((9, 3), NUM_FLAME_VERTICES)},
    "quads": {"f": np.zeros((9, 4))},
    "regressor of another mesh": {"J_regressor": sparse.eye(5).tocsc()},
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_flame(case: str, tmp_path: Path) -> None:
    path = write_flame(tmp_path / "model.pkl", "plain", **{**short(), **WRONG[case]})
    with pytest.raises(AssetError, match=r"model\.pkl") as caught:
        read_flame_model(path)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_the_head_is_flame_and_a_mouth(head: HeadModel, file: FlameModel) -> None:
    np.testing.assert_array_equal(head.template[:NUM_FLAME_VERTICES], file.template)
    np.testing.assert_array_equal(head.faces[: len(file.faces)], file.faces)
    np.testing.assert_array_equal(
        head.expression_basis[:, :NUM_FLAME_VERTICES], file.expression_basis
    )
    assert len(head.template) == NUM_FLAME_VERTICES + 29
    np.testing.assert_allclose(head.skin_weights.sum(1), 1, atol=1e-5)
    assert set(MOUTH_POINTS) <= set(head.landmark_ids.tolist())
    assert 0.06 < head.inter_ocular_distance(np.zeros(300)) < 0.12


def test_landmarks_that_no_embedding_has_lie_where_they_belong(head: HeadModel) -> None:
    lite = load_head_model()
    truth = bent(lite.template[:468].astype(np.float64))
    found = head.landmark_matrix() @ head.template
    error = np.linalg.norm(found - truth, axis=1) * 1000
    known = np.isin(head.landmark_ids, KNOWN)
    assert error[known].max() < 0.001
    assert np.median(error[~known]) < 2
    assert error[~known].max() < 12


def test_with_the_68_points_alone(file: FlameModel, tmp_path: Path) -> None:
    known = read_ibug_embedding(write_68(tmp_path / "landmark_embedding.npy"))
    assert known.ids.tolist() == list(IBUG_51_MEDIAPIPE_IDS)
    other = build_flame_head(file, known)
    truth = bent(load_head_model().template[:468].astype(np.float64))
    error = np.linalg.norm(other.landmark_matrix() @ other.template - truth, axis=1) * 1000
    assert np.median(error) < 2.5


@pytest.mark.slow
def test_the_opening_shows_the_sheet_and_no_skin(head: HeadModel) -> None:
    inside, height = head.mouth_filling
    shown = []
    for angle in (0.0, 0.3):
        points = opened(head, angle)
        image = np.stack(
            [points[:, 0] * 2000 + 200, 200 - points[:, 1] * 2000, 1 - points[:, 2]], 1
        )
        raster = rasterize_mesh(image.astype(np.float32), head.faces, 500, 400)
        shown.append(int((inside[raster.face_id] & raster.coverage).sum()))
    assert shown[0] * 5 < shown[1] > 1500
    ring = head.point_matrix(INNER_LIPS) @ points
    rows = np.nonzero(height)[0]
    assert len(rows) == 18
    assert height[rows].sum() == 0
    upper = np.sort(points[height < 0][:, 1])
    np.testing.assert_allclose(upper, np.sort(ring[1:10, 1]), atol=1e-3)


def test_texture_coordinates_are_those_of_lite(head: HeadModel) -> None:
    lite = load_head_model()
    away = np.abs(head.landmark_matrix() @ head.uv - lite.uv[:468])
    lower = lite.template[:468, 1] < lite.template[2, 1]
    assert away[lower].max() < 0.02
    assert 0 <= head.uv.min() <= head.uv.max() <= 1
    # What lies behind the head covers no texel of the face.
    wide = np.ptp(head.uv[head.faces][..., 0], axis=1) > 0.5
    assert np.ptp(head.uv[head.faces[wide]][..., 1], axis=1).max(initial=0) < 0.01


def test_numpy_torch_and_the_rig_agree(head: HeadModel) -> None:
    rng = np.random.default_rng(3)
    shape, expression = rng.normal(0, 1, 300), rng.normal(0, 1, (2, 100))
    jaw, eyes, lids = rng.normal(0, 0.2, (2, 3)), rng.normal(0, 0.3, (2, 6)), rng.random((2, 2))
    neck = rng.normal(0, 0.2, (2, 3))
    values = (shape, expression, jaw, neck, eyes, lids)
    found = TorchHeadModel(head)(*(torch.tensor(v, dtype=torch.float32) for v in values))
    np.testing.assert_allclose(found.numpy(), head.vertices(*values), atol=2e-6)
    matrix = head.point_matrix(MOUTH_POINTS)
    rig = PointRig(head, matrix).pose_points(shape, jaw, expression).points
    np.testing.assert_allclose(rig, matrix @ head.vertices(shape, expression, jaw), atol=3e-4)


def test_the_rigs_derivatives(head: HeadModel) -> None:
    """Correctives and moving joints are in them; turns about other axes than pitch are small."""
    rng = np.random.default_rng(4)
    rig = PointRig(head, head.point_matrix(MOUTH_POINTS))
    shape = rng.normal(0, 1, 300)
    jaw, expression = np.array([[0.2, 0.0, 0.0]]), rng.normal(0, 1, (1, 100))
    posed = rig.pose_points(shape, jaw, expression)
    slopes = rig.jacobian(posed, np.broadcast_to(np.eye(3), (1, len(MOUTH_POINTS), 3, 3)))
    for column, step in ((0, 1e-5), (3, 1e-3), (40, 1e-3), (90, 1e-3)):
        value = np.concatenate([jaw, expression], 1)
        ends = []
        for sign in (1, -1):
            moved = value.copy()
            moved[0, column] += sign * step
            ends.append(rig.pose_points(shape, moved[:, :3], moved[:, 3:]).points)
        numeric = (ends[0] - ends[1]) / (2 * step)
        np.testing.assert_allclose(slopes[..., column], numeric, atol=2e-6)


def test_a_track_of_flame_serves_mouth_motion_and_back(head: HeadModel) -> None:
    rng = np.random.default_rng(5)
    track = dataclasses.replace(make_track(), head=head.name)
    n = len(track)
    opening = np.linspace(0, 0.25, n)[:, None] * np.array([1, 0, 0])
    track = dataclasses.replace(
        track,
        shape=rng.normal(0, 0.5, 300).astype(np.float32),
        expression=np.zeros((n, 100), np.float32),
        jaw=opening.astype(np.float32),
        valid=np.ones(n, bool),
    )
    motion = motion_from_track(track, head)
    track = dataclasses.replace(track, expression=rng.normal(0, 0.5, (n, 100)).astype(np.float32))
    moved = retarget_mouth(track, head, motion)
    again = motion_from_track(moved, head, rest_points=np.float32(0))
    wanted = motion_from_track(track, head, rest_points=np.float32(0))
    assert again.displacement.shape == wanted.displacement.shape
    # The mouth does what was asked for, and what is not the mouth's stays where it was.
    rest = estimate_rest_points(wanted.displacement)
    error = np.linalg.norm(again.displacement - rest - motion.displacement, axis=-1)
    assert error.mean() < 0.006
    upper = head.point_matrix((168, 33, 263, 105, 334))

    def change(other: Track) -> float:
        points = (upper @ head.vertices(t.shape, t.expression, t.jaw) for t in (track, other))
        return float(np.linalg.norm(next(points) - next(points), axis=-1).mean())

    still = np.zeros_like(track.expression)
    assert change(moved) < 0.8 * change(dataclasses.replace(track, expression=still))
    assert compute_track_regions(track, head).hull.shape == (n, 48, 2)


@pytest.mark.parametrize("turned", [(1, 2), (0, 2), (0, 1)])
def test_a_head_that_looks_elsewhere(file: FlameModel, turned: tuple[int, int]) -> None:
    flipped = file.template.copy()
    flipped[:, turned] *= -1
    with pytest.raises(AssetError, match="y up"):
        build_flame_head(dataclasses.replace(file, template=flipped), embedded(KNOWN))


def test_the_embeddings_own_errors(file: FlameModel, tmp_path: Path) -> None:
    known = embedded(KNOWN)
    beyond = dataclasses.replace(known, face_ids=known.face_ids + 10**6)
    with pytest.raises(AssetError, match="faces"):
        build_flame_head(file, beyond)
    with pytest.raises(AssetError, match="another"):
        read_mediapipe_embedding(write_68(tmp_path / "a.npy"))
    with pytest.raises(AssetError, match="another"):
        read_ibug_embedding(write_mediapipe(tmp_path / "b.npz"))


def test_eyelids_and_masks(tmp_path: Path, head: HeadModel) -> None:
    assert head.eyelid_basis is not None
    assert head.eyelid_basis.shape == (2, NUM_FLAME_VERTICES + 29, 3)
    np.save(tmp_path / "l.npy", np.ones((NUM_FLAME_VERTICES, 3)))
    np.save(tmp_path / "r.npy", np.ones((12, 3)))
    assert read_eyelid_bases(tmp_path / "l.npy", tmp_path / "l.npy").shape == (
        2,
        NUM_FLAME_VERTICES,
        3,
    )
    with pytest.raises(AssetError, match=r"r\.npy"):
        read_eyelid_bases(tmp_path / "l.npy", tmp_path / "r.npy")
    with pytest.raises(ShapeError, match="mouth_faces"):
        dataclasses.replace(head, mouth_faces=np.ones(3, bool))


def test_closest_points_on_triangles() -> None:
    corners = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]])
    points = np.array([[0.2, 0.3, 5], [-1, -1, 0], [2, 0, 1], [0.5, -3, 0], [1, 1, 0]])
    expected = np.array([[0.2, 0.3, 0], [0, 0, 0], [1, 0, 0], [0.5, 0, 0], [0.5, 0.5, 0]])
    found = closest_barycentric(points, np.broadcast_to(corners, (5, 3, 3)))
    np.testing.assert_allclose(found @ corners, expected, atol=1e-9)


def write_obj(path: Path, faces: np.ndarray, seam: int = 3) -> Path:
    """A template in which one vertex has two places in the texture."""
    lines = [f"v {k} 0 0" for k in range(NUM_FLAME_VERTICES)]
    lines += [f"vt {k / NUM_FLAME_VERTICES} 0.25" for k in range(NUM_FLAME_VERTICES)] + [
        "vt 0.9 0.75"
    ]
    order = np.random.default_rng(0).permutation(len(faces))
    second = True
    for face in np.roll(faces[order], 1, axis=1):
        words = []
        for vertex in face:
            place = NUM_FLAME_VERTICES if vertex == seam and second else int(vertex)
            second = second and vertex != seam
            words.append(f"{vertex + 1}/{place + 1}/1")
        lines.append("f " + " ".join(words))
    path.write_text("\n".join(lines))
    return path


@pytest.mark.slow
def test_flames_own_layout_keeps_both_sides_of_a_seam(tmp_path: Path, file: FlameModel) -> None:
    layout = read_uv_layout(write_obj(tmp_path / "template.obj", file.faces), file.faces)
    at_seam = layout.uv[layout.uv_faces[file.faces == 3]]
    assert {tuple(row) for row in at_seam.astype(float).round(3).tolist()} == {
        (0.001, 0.75),
        (0.9, 0.25),
    }
    elsewhere = file.faces != 3
    np.testing.assert_array_equal(layout.uv_faces[elsewhere], file.faces[elsewhere])

    np.savez(tmp_path / "texture.npz", vt=layout.uv * [1, -1] + [0, 1], ft=layout.uv_faces)
    again = read_uv_layout(tmp_path / "texture.npz", file.faces)
    np.testing.assert_allclose(again.uv, layout.uv, atol=1e-6)
    np.testing.assert_array_equal(again.uv_faces, layout.uv_faces)

    with pytest.raises(AssetError, match="another mesh"):
        read_uv_layout(tmp_path / "template.obj", file.faces[:, ::-1] * 0 + [0, 1, 7])
    np.savez(tmp_path / "bad.npz", vt=layout.uv[:5], ft=layout.uv_faces)
    with pytest.raises(AssetError, match="texture coordinates"):
        read_uv_layout(tmp_path / "bad.npz", file.faces)


def test_pictures_in_flames_layout_come_into_the_heads(head: HeadModel) -> None:
    """A layout in which every corner says where its vertex lies in the head's own."""
    own = head.faces[~head.mouth_faces]
    layout = CornerUvLayout(head.uv, own)
    places = map_texels_to_layout(layout, head, 64)
    centers = (np.stack(np.meshgrid(np.arange(64), np.arange(64)), -1) + 0.5) / 64
    away = np.abs(places - centers).max(-1)
    assert np.median(away) < 1e-6  # covered texels; the others have their neighbors'
    assert away.max() < 0.35
    mirrored = dataclasses.replace(layout, uv=1 - head.uv)
    np.testing.assert_allclose(map_texels_to_layout(mirrored, head, 64), 1 - places, atol=1e-5)


@pytest.mark.slow
def test_registered_files_are_the_head_named_flame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DUBFEW_HOME", str(tmp_path / "home"))
    with pytest.raises(AssetError, match=r"flame\.is\.tue\.mpg\.de"):
        load_head_model("flame")
    add_asset("flame", write_flame(tmp_path / "generic_model.pkl", "chumpy", **short()))
    with pytest.raises(AssetError, match="flame-mediapipe"):
        load_head_model("flame")
    add_asset("flame-landmarks", write_68(tmp_path / "landmark_embedding.npy"))
    rough = load_head_model("flame").name
    add_asset("flame-mediapipe", write_mediapipe(tmp_path / "mediapipe.npz"))
    head = load_head_model("flame")
    assert head.name.startswith("flame-")
    assert load_head_model(head.name) is head
    with pytest.raises(AssetError, match=f"{rough}.*{head.name}"):
        load_head_model(rough)
    assert load_flame_uv_layout(head) is None
    add_asset("flame-template", write_obj(tmp_path / "t.obj", flame_arrays()["f"].astype(int)))
    layout = load_flame_uv_layout(head)
    assert layout is not None
    assert len(layout.uv_faces) == len(flame_arrays()["f"])
    remove_asset("flame")
    with pytest.raises(AssetError, match="assets add flame"):
        load_head_model(head.name)


def test_the_same_numbers_as_smplx(head: HeadModel, file: FlameModel) -> None:
    lbs = pytest.importorskip(
        "smplx.lbs", reason="smplx is not installed: pip install --group parity"
    ).lbs
    rng = np.random.default_rng(6)
    n, wide = 4, {"dtype": torch.float32}
    shape, expression = rng.normal(0, 1, 300), rng.normal(0, 1, (n, 100))
    pose = rng.normal(0, 0.3, (n, 15))
    pose[:, :3] = 0  # the root: dubfew keeps it in the head's rotation
    betas = np.concatenate([np.tile(shape, (n, 1)), expression], 1)
    bases = np.concatenate([file.shape_basis, file.expression_basis])
    theirs, joints = lbs(
        torch.tensor(betas, **wide),
        torch.tensor(pose, **wide),
        torch.tensor(file.template)[None],
        torch.tensor(bases).permute(1, 2, 0),
        torch.tensor(file.pose_basis).reshape(36, -1),
        torch.tensor(file.joint_regressor),
        torch.tensor([-1, 0, 1, 1, 1]),
        torch.tensor(file.skin_weights),
    )
    values = (shape, expression, pose[:, 6:9], pose[:, 3:6], pose[:, 9:])
    ours = TorchHeadModel(head)(*(torch.tensor(v, **wide) for v in values))[:, :NUM_FLAME_VERTICES]
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)
    np.testing.assert_allclose(head.vertices(*values)[:, :NUM_FLAME_VERTICES], theirs, atol=2e-6)
    assert joints.shape == (n, 5, 3)


def test_the_same_numbers_as_flame_pytorch(head: HeadModel, tmp_path: Path) -> None:
    """The layer that the FLAME-PyTorch wheel has, on a file in FLAME's format."""
    flame_pytorch = pytest.importorskip(
        "flame_pytorch.flame",
        reason="it is not installed: pip install --no-deps FLAME-PyTorch smplx",
    )
    n, wide = 3, {"dtype": torch.float32}
    known = embedded(KNOWN)
    dense = {
        name: value.toarray() if sparse.issparse(value) else value
        for name, value in flame_arrays().items()
    }
    model, landmarks = tmp_path / "generic_model.pkl", tmp_path / "static.pkl"
    model.write_bytes(pickle.dumps(dense))
    landmarks.write_bytes(
        pickle.dumps({"lmk_face_idx": known.face_ids, "lmk_b_coords": known.barycentric})
    )
    layer = flame_pytorch.FLAME(
        SimpleNamespace(
            flame_model_path=model,
            static_landmark_embedding_path=landmarks,
            batch_size=n,
            use_face_contour=False,
            use_3D_translation=True,
            shape_params=300,
            expression_params=100,
        )
    )
    rng = np.random.default_rng(8)
    shape, expression = rng.normal(0, 1, 300), rng.normal(0, 1, (n, 100))
    neck, jaw, eyes = (rng.normal(0, 0.3, (n, size)) for size in (3, 3, 6))
    theirs, points = layer(
        torch.tensor(np.tile(shape, (n, 1)), **wide),
        torch.tensor(expression, **wide),
        # The root's rotation is 0: dubfew keeps it in the head's.
        torch.tensor(np.concatenate([np.zeros((n, 3)), jaw], 1), **wide),
        torch.tensor(neck, **wide),
        torch.tensor(eyes, **wide),
    )
    ours = head.vertices(shape, expression, jaw, neck, eyes)
    np.testing.assert_allclose(ours[:, :NUM_FLAME_VERTICES], theirs, atol=2e-6)
    corners = theirs[:, flame_arrays()["f"].astype(int)[known.face_ids]]
    expected = (corners * torch.tensor(known.barycentric)[None, ..., None]).sum(2)
    torch.testing.assert_close(points, expected, atol=1e-6, rtol=0)


@pytest.mark.slow
def test_on_the_true_template(shared: Path, file: FlameModel) -> None:
    """FLAME's own mesh and landmarks, of which no licensed base is needed."""
    folder = shared / "flame"
    lines = [line.split() for line in (folder / "head_template_mesh.obj").read_text().splitlines()]
    template = np.array([line[1:4] for line in lines if line[:1] == ["v"]], np.float32)
    faces = [[int(c.split("/")[0]) - 1 for c in line[1:]] for line in lines if line[:1] == ["f"]]
    template -= template.mean(0)
    jaw = np.zeros_like(file.skin_weights)
    jaw[:, 0] = 1
    true = dataclasses.replace(
        file, template=template, faces=np.array(faces, np.int32), skin_weights=jaw
    )
    known = read_mediapipe_embedding(folder / "mediapipe_landmark_embedding.npz")
    assert len(known.ids) == 105
    head = build_flame_head(true, known)
    lite = load_head_model()
    points = head.landmark_matrix() @ head.template
    row = {int(i): k for k, i in enumerate(head.landmark_ids)}
    # Symmetric, as the template is; the chin below, the forehead above, cheeks at the sides.
    for left, right in ((61, 291), (172, 397), (136, 365), (150, 379), (205, 425), (234, 454)):
        mirrored = points[row[right]] * [-1, 1, 1]
        assert np.linalg.norm(points[row[left]] - mirrored) < 0.003
    assert points[row[152], 1] < points[row[17], 1] - 0.03
    assert points[row[10], 1] > points[row[168], 1] + 0.04
    size = head.inter_ocular_distance(np.zeros(300))
    assert size == pytest.approx(0.0894, abs=0.001)
    own = lite.landmark_matrix() @ lite.template
    away = np.linalg.norm((points - points.mean(0)) / size - (own - own.mean(0)) / 0.09, axis=1)
    assert np.median(away) < 0.12
    masks = read_flame_masks(folder / "FLAME_masks.pkl")
    assert len(masks["left_eyeball"]) == EYEBALL
    layout = read_uv_layout(folder / "head_template_mesh.obj", np.array(faces, np.int32))
    assert len(layout.uv) == 5118
    lids = read_eyelid_bases(folder / "l_eyelid.npy", folder / "r_eyelid.npy")
    assert lids[0, :, 1].min() < -0.003 or lids[0, :, 1].max() > 0.003
