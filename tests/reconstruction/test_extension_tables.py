"""The tables of reconstruction: names without heavy imports, and every entry loads."""

from __future__ import annotations

import inspect
import subprocess
import sys

import numpy as np
import pytest

from dubfew.assets import ASSET_KIND_FAMILIES, AssetKind
from dubfew.errors import AssetError, DubfewError, MissingDependencyError
from dubfew.reconstruction.fitting.methods import TRACKING_METHODS
from dubfew.reconstruction.heads.head_model import HeadModel, load_head_model
from dubfew.reconstruction.heads.loaders import HEAD_LOADERS
from dubfew.reconstruction.rasterizer.backends import RASTERIZER_BACKENDS
from dubfew.reconstruction.rasterizer.base import RasterizedMesh

HEAVY = ("torch", "mediapipe", "numba", "scipy", "dlib")


@pytest.mark.slow
@pytest.mark.parametrize(
    "statement",
    [
        "from dubfew.reconstruction.fitting.methods import TRACKING_METHODS as table",
        "from dubfew.reconstruction.heads.loaders import HEAD_LOADERS as table",
        "from dubfew.reconstruction.rasterizer.backends import RASTERIZER_BACKENDS as table",
        "from dubfew.reconstruction.segmenters import SEGMENTERS as table",
        "from dubfew.reconstruction.face_embeddings import FACE_EMBEDDINGS as table",
        "from dubfew.assets import ASSET_KIND_FAMILIES as table; dict(table)",
    ],
)
def test_names_load_nothing_heavy(statement: str):
    program = (
        f"import sys; {statement}; assert table.names; "
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_tracking_methods():
    assert TRACKING_METHODS.names == ("landmarks", "photometric", "photometric_adam")
    for refine_track in TRACKING_METHODS.values():
        assert {"path", "track", "head", "first_frame", "progress"} <= set(
            inspect.signature(refine_track).parameters
        )
    with pytest.raises(DubfewError, match="depth.*" + ", ".join(TRACKING_METHODS.names)):
        TRACKING_METHODS.load("depth")


@pytest.mark.parametrize("name", HEAD_LOADERS.names)
def test_head_models(name: str):
    try:
        head = load_head_model(name)
    except AssetError as error:
        pytest.skip(str(error))
    assert isinstance(head, HeadModel)
    assert head.name.split("-")[0] == name


@pytest.mark.parametrize("name", RASTERIZER_BACKENDS.names)
def test_rasterizers(name: str):
    vertices = np.array([[0, 0, 1], [8, 0, 1], [0, 8, 1]], np.float32)
    try:
        raster = RASTERIZER_BACKENDS[name](vertices, np.array([[0, 1, 2]], np.int32), 8, 9)
    except MissingDependencyError as error:
        pytest.skip(str(error))
    assert isinstance(raster, RasterizedMesh)
    assert raster.face_id.shape == (8, 9)
    assert raster.coverage[1, 1]
    assert not raster.coverage[7, 7]
    np.testing.assert_allclose(raster.barycentric.sum(-1), raster.coverage, atol=1e-5)


@pytest.mark.parametrize("family", ASSET_KIND_FAMILIES.names)
def test_asset_kinds(family: str):
    for name, kind in ASSET_KIND_FAMILIES[family].items():
        assert name.split("-")[0] == family
        assert isinstance(kind, AssetKind)
        assert kind.license_page.startswith("https://")
