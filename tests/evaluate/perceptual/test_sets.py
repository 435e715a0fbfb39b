"""FID and FVD on random weights of the true format."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from dubfew.errors import AssetError
from dubfew.evaluate.metrics import METRICS, FramePair
from dubfew.evaluate.perceptual.i3d import I3D_FRAMES, I3dFeatures
from dubfew.evaluate.perceptual.inception import InceptionFeatures
from tests.evaluate.metrics.examples import (
    MOUTH_BOX,
    noise_frames,
    pair_clips,
    pair_frames,
    talking_head,
)


class TinyI3d(nn.Module):
    """A network with the interface of `i3d_torchscript.pt` and other layers."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(3 * 16, 400)

    def forward(self, x: Tensor, rescale: bool, resize: bool, return_features: bool) -> Tensor:
        if rescale:
            x = x * (2.0 / 255.0) - 1.0
        return self.last(x.mean([3, 4]).flatten(1))


@pytest.fixture
def i3d_file(tmp_path: Path) -> Path:
    path = tmp_path / "i3d_torchscript.pt"
    torch.manual_seed(0)
    torch.jit.script(TinyI3d()).save(str(path))
    return path


def measure(name: str, network: object, pairs: list[FramePair]) -> float:
    measurement = METRICS[name].measure.start(network)
    for pair in pairs:
        measurement.add_frame(pair)
    head = talking_head(4)
    return measurement.compute(pair_clips(head, head))


@pytest.mark.slow
def test_fvd_compares_windows_of_sixteen_frames(i3d_file: Path):
    network = I3dFeatures(i3d_file)
    frames, others = noise_frames(3 * I3D_FRAMES + 5), noise_frames(3 * I3D_FRAMES + 5, seed=1)
    pairs = pair_frames(frames, others)
    # Written out: logits of the face crops of three windows, as two sets.
    sets = []
    for side in (0, 1):
        crops = np.stack([pair.face[side] for pair in pairs])
        windows = [crops[k * 16 : k * 16 + 16] for k in range(3)]
        sets.append(np.concatenate([network(window) for window in windows]).astype(np.float64))
    mean = sets[0].mean(0) - sets[1].mean(0)
    first, second = ((s - s.mean(0)) / math.sqrt(2) for s in sets)
    root = np.linalg.svd(first @ second.T, compute_uv=False).sum()  # trace of the matrix root
    expected = mean @ mean + (first**2).sum() + (second**2).sum() - 2 * root
    assert measure("fvd", network, pairs) == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert measure("fvd", network, pair_frames(frames, frames)) == pytest.approx(0, abs=1e-5)


def test_fvd_of_one_window_and_of_a_broken_one(i3d_file: Path):
    network = I3dFeatures(i3d_file)
    frames = noise_frames(2 * I3D_FRAMES)
    pairs = pair_frames(frames, frames)
    assert math.isnan(measure("fvd", network, pairs[: I3D_FRAMES + 3]))
    # A frame without a face breaks a window, which begins anew after it.
    pairs[5] = FramePair(frames[5], frames[5], None, MOUTH_BOX)
    assert math.isnan(measure("fvd", network, pairs))


def test_another_file_is_no_i3d(tmp_path: Path):
    path = tmp_path / "other.pt"
    torch.jit.script(nn.Linear(2, 2)).save(str(path))
    with pytest.raises(AssetError, match="i3d_torchscript"):
        I3dFeatures(path)


@pytest.fixture
def inception_file(tmp_path: Path) -> Path:
    """The file of FID's Inception with random weights; needs torch-fidelity."""
    try:
        from torch_fidelity import feature_extractor_inceptionv3 as theirs
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"torch-fidelity cannot be imported: {error}")
    path = tmp_path / "inception.pth"
    torch.manual_seed(0)
    blank = tmp_path / "blank.pth"
    # The class loads weights in any case; so its layers are made without its constructor's file.
    original = theirs.torch.load
    theirs.torch.load = lambda *a, **k: {}
    loader = theirs.FeatureExtractorInceptionV3.load_state_dict
    theirs.FeatureExtractorInceptionV3.load_state_dict = lambda self, state: None
    try:
        network = theirs.FeatureExtractorInceptionV3(
            "random", ["2048"], feature_extractor_weights_path=str(blank)
        )
    finally:
        theirs.torch.load = original
        theirs.FeatureExtractorInceptionV3.load_state_dict = loader
    # Weights that neither shrink nor blow up what passes: with others all features would be 0.
    state = network.state_dict()
    for name, value in state.items():
        if name.endswith("conv.weight"):
            state[name] = torch.randn_like(value) * (2 / value[0].numel()) ** 0.5
    torch.save(state, path)
    return path


@pytest.mark.slow
def test_fid_equals_that_of_the_package(inception_file: Path, tmp_path: Path):
    import torch_fidelity

    frames, others = noise_frames(10), [frame // 3 for frame in noise_frames(10, seed=1)]
    pairs = pair_frames(frames, others)
    for side, name in enumerate(("reference", "output")):
        (tmp_path / name).mkdir()
        for index, pair in enumerate(pairs):
            Image.fromarray(pair.face[side]).save(tmp_path / name / f"{index:03}.png")
    expected = torch_fidelity.calculate_metrics(
        input1=str(tmp_path / "reference"),
        input2=str(tmp_path / "output"),
        fid=True,
        cuda=False,
        batch_size=2,
        verbose=False,
        cache=False,
        feature_extractor_weights_path=str(inception_file),
    )["frechet_inception_distance"]
    value = measure("fid", InceptionFeatures(inception_file), pairs)
    assert expected > 0.5
    assert value == pytest.approx(expected, rel=1e-4)


def test_another_file_is_no_inception(tmp_path: Path):
    path = tmp_path / "other.pth"
    torch.save({"fc.weight": torch.zeros(1000, 2048)}, path)
    with pytest.raises(AssetError, match=r"1,008 classes"):
        InceptionFeatures(path)
