"""MICA's file by its real names; files that are not it."""

import pickle

import numpy as np
import pytest
import torch

from dubfew.errors import AssetError
from dubfew.reconstruction.heads.mica.checkpoint import load_arcface, load_mica
from tests.reconstruction.heads.mica.stored import arcface_weights, mica_file, mica_weights


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    return mica_file(tmp_path_factory.mktemp("mica") / "mica.tar")


@pytest.mark.slow
def test_the_released_layout_loads(released):
    mica = load_mica(released)
    stored = mica_weights()
    own = mica.arcface.state_dict()
    for name in ("conv1.weight", "layer3.29.prelu.weight", "layer4.0.downsample.1.running_var"):
        torch.testing.assert_close(own[name], stored["arcface"][name])
    torch.testing.assert_close(
        mica.mapping.output.weight, stored["flameModel"]["regressor.output.weight"]
    )
    assert mica.template.shape == (5023, 3)
    # FLAME's file has the coefficients last, and MICA's 100 expressions after the shapes.
    np.testing.assert_array_equal(
        mica.shape_basis[17], stored["flameModel"]["generator.shapedirs"][..., 17].numpy()
    )
    assert mica.shape_basis.shape == (300, 5023, 3)
    assert not any(
        p.requires_grad for p in (*mica.arcface.parameters(), *mica.mapping.parameters())
    )
    assert not mica.arcface.training


@pytest.mark.slow
def test_flame_in_the_file_is_not_needed(tmp_path):
    flame = mica_weights()["flameModel"]
    bare = {name: value for name, value in flame.items() if name.startswith("regressor")}
    mica = load_mica(mica_file(tmp_path / "bare.pth", flameModel=bare))
    assert mica.template is None
    assert mica.shape_basis is None


@pytest.mark.slow
@pytest.mark.parametrize("depth", ["r18", "r50"])
def test_plain_arcface_of_any_depth_loads(tmp_path, depth):
    weights = arcface_weights(depth)
    # Before 1.6, PyTorch wrote no zip.
    torch.save(weights, tmp_path / "backbone.pth", _use_new_zipfile_serialization=depth == "r50")
    network = load_arcface(tmp_path / "backbone.pth")
    torch.testing.assert_close(network.fc.weight, weights["fc.weight"])


@pytest.mark.slow
def test_arcface_of_mica(released):
    assert len(load_arcface(released).layer3) == 30


def _without(name):
    weights = arcface_weights()
    del weights[name]
    return weights


def _with(name, value):
    return {**arcface_weights(), name: value}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"arcface": None}, "no part 'arcface'"),
        ({"flameModel": None}, "no part 'flameModel'"),
        ({"arcface": [1, 2]}, "no part 'arcface'"),
        ({"arcface": {}}, r"four layers have \(0, 0, 0, 0\) blocks"),
        ({"arcface": _without("layer2.4.conv2.weight")}, "weight layer2.4.conv2.weight"),
        ({"arcface": _with("fc.weight", torch.zeros(512, 512))}, r"fc.weight .*\[512, 512\]"),
        ({"arcface": _with("fc.bias", torch.full((512,), torch.nan))}, "damaged: weight fc.bias"),
        ({"arcface": _with("fc.bias", "text")}, "weight fc.bias"),
        ({"flameModel": {}}, "weight regressor.network.0.weight"),
        (
            {
                "flameModel": {
                    **mica_weights()["flameModel"],
                    "generator.v_template": torch.zeros(4, 3),
                }
            },
            "its FLAME has shapes",
        ),
    ],
)
def test_wrong_contents_are_named_on_one_line(tmp_path, changes, found):
    with pytest.raises(AssetError, match=found) as caught:
        load_mica(mica_file(tmp_path / "mica.tar", **changes))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04cut off", pickle.dumps({"a": 1}, 2)])
def test_other_files_are_no_weights(tmp_path, content):
    path = tmp_path / "mica.tar"
    path.write_bytes(content)
    with pytest.raises(AssetError, match=r"mica\.tar of https"):
        load_mica(path)


def test_a_cut_file(tmp_path, released):
    path = tmp_path / "mica.tar"
    path.write_bytes(released.read_bytes()[:-5000])
    with pytest.raises(AssetError, match="not a file of weights"):
        load_mica(path)


def test_no_file_and_a_folder(tmp_path):
    with pytest.raises(AssetError, match="no weights at"):
        load_mica(tmp_path / "mica.tar")
    with pytest.raises(AssetError, match="cannot be read"):
        load_mica(tmp_path)


class Harm:
    """What a pickle can do when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.slow
@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_runs_no_code(tmp_path, zipped):
    path, mark = tmp_path / "mica.tar", tmp_path / "ran"
    stored = {**mica_weights(), "validator": Harm(mark)}
    torch.save(stored, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(AssetError, match="not a file of weights"):
        load_mica(path)
    assert not mark.exists()
    torch.load(path, weights_only=False)  # the file would have
    assert mark.exists()


@pytest.mark.slow
def test_arrays_of_objects_run_no_code(tmp_path):
    path, mark = tmp_path / "mica.tar", tmp_path / "ran"
    stored = {**mica_weights(), "validator": np.array([Harm(mark)], object)}
    torch.save(stored, path)
    with pytest.raises(AssetError, match="not a file of weights"):
        load_mica(path)
    assert not mark.exists()
