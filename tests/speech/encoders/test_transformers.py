"""Encoders of transformers at toy size: their clock, their windows, training and prediction."""

from __future__ import annotations

import builtins
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dubfew.cli.app import app
from dubfew.errors import ArtefactError, MissingDependencyError
from dubfew.media import Audio
from dubfew.media.mel import SPEECH_SAMPLE_RATE_HZ, RecordingChannel, estimate_channel
from dubfew.reconstruction.heads.landmark_indices import MOUTH_POINTS
from dubfew.speech.encoders import ROW_SAMPLES, WHOLE_ENCODER, load_encoder, load_stored_encoder
from dubfew.speech.encoders._windows import ENCODER_OVERLAP_ROWS
from dubfew.speech.encoders.transformers import TransformersEncoder
from dubfew.speech.model import MotionSpace, SpeechModel
from dubfew.speech.network import SpeechEnsemble, SpeechNetworkConfig
from dubfew.speech.training import run
from dubfew.speech.training.config import SpeechTrainConfig
from tests.commands import CommandRunner
from tests.speech.clips import TOY_SIZES
from tests.speech.shards import sample, sound_at, write_shard

pytestmark = pytest.mark.slow

transformers = pytest.importorskip("transformers", reason="pip install 'dubfew[speech-encoders]'")

KINDS = ("wav2vec2", "hubert", "wavlm", "whisper")


def save_toy(folder: Path, kind: str, **sizes: object) -> str:
    """A random encoder of two layers, as save_pretrained writes it."""
    torch.manual_seed(0)
    if kind == "whisper":
        config = transformers.WhisperConfig(
            **{"max_source_positions": 200} | sizes,
            vocab_size=16,
            num_mel_bins=20,
            encoder_layers=2,
            decoder_layers=1,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=16,
            decoder_ffn_dim=16,
            d_model=12,
            max_target_positions=8,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
            decoder_start_token_id=1,
        )
        model = transformers.WhisperModel(config)
    else:
        common = {
            "hidden_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 16,
            "conv_dim": (8,) * 7,
            "num_conv_pos_embeddings": 8,
            "num_conv_pos_embedding_groups": 2,
            **sizes,
        }
        names = {"wav2vec2": "Wav2Vec2", "hubert": "Hubert", "wavlm": "WavLM"}
        config = getattr(transformers, f"{names[kind]}Config")(**common)
        model = getattr(transformers, f"{names[kind]}Model")(config)
    model.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("encoders")
    return {kind: save_toy(folder / kind, kind) for kind in KINDS}


def noise(seconds: float, seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return (0.1 * rng.standard_normal(int(seconds * SPEECH_SAMPLE_RATE_HZ))).astype(np.float32)


@pytest.mark.parametrize("kind", KINDS)
def test_frames_are_centered_on_the_networks_rows(kind: str, tmp_path: Path) -> None:
    # The group norm of the smaller models spreads every change over all of time.
    sizes = {} if kind == "whisper" else {"feat_extract_norm": "layer"}
    encoder = TransformersEncoder(save_toy(tmp_path, kind, **sizes))
    channel = RecordingChannel(-20.0, np.zeros(80, np.float32))
    # The transformer mixes all times; the layers before it show where each frame is centered.
    model: Any = encoder._backbone.model
    local: list[NDArray[np.float64]] = []
    front = model.conv2 if kind == "whisper" else model.feature_extractor
    front.register_forward_hook(lambda *call: local.append(call[2][0].double().numpy()))
    quiet = 0.01 * noise(3.0)
    encoder.encode(quiet, channel).frames(0, 150)
    rows = np.arange(20, 130, 10)
    for row in rows:
        clicked = quiet.copy()
        clicked[row * ROW_SAMPLES + np.array([-40, 40])] += 0.02  # 2.5 ms before and after
        encoder.encode(clicked, channel).frames(0, 150)
    errors = []
    for row, found in zip(rows, local[1:], strict=True):
        change = np.abs(found - local[0]).sum(axis=0)
        assert abs(change.argmax() - row) <= 1
        errors.append((change * np.arange(len(change))).sum() / change.sum() - row)
    assert abs(np.mean(errors)) < 0.1  # 2 ms


@pytest.mark.parametrize("kind", KINDS)
def test_frames_do_not_depend_on_the_requested_ranges(toys: dict[str, str], kind: str) -> None:
    encoder = TransformersEncoder(toys[kind])
    samples = noise(9.0)
    channel = estimate_channel(samples)
    whole = encoder.encode(samples, channel).frames(-20, 480)
    assert whole.shape == (500, encoder.feature_dim)
    assert not whole[:20].any()
    assert not whole[470:].any()
    assert whole[20:470].any(axis=1).all()
    encoded = encoder.encode(samples, channel)
    pieces = [encoded.frames(start, start + 50) for start in range(-20, 480, 50)]
    np.testing.assert_array_equal(np.concatenate(pieces), whole)
    louder = encoder.encode(3 * samples, estimate_channel(3 * samples)).frames(-20, 480)
    np.testing.assert_allclose(louder, whole, atol=2e-3)


@pytest.mark.parametrize("rows", [1, 3, 199, 200, 201, 260, 380, 555])
def test_every_row_is_encoded_once(toys: dict[str, str], rows: int) -> None:
    """With a constant encoder, no seam shows and nothing is doubled."""
    encoder = TransformersEncoder(toys["whisper"])
    ranges: list[tuple[int, int]] = []

    def ones(samples: object, gain: float, start: int, stop: int) -> NDArray[np.float32]:
        ranges.append((start, stop))
        return np.ones((stop - start, encoder.feature_dim), np.float32)

    encoder.encode_rows = ones  # type: ignore[method-assign]
    samples = np.zeros(rows * ROW_SAMPLES, np.float32)
    encoded = encoder.encode(samples, RecordingChannel(-20.0, np.zeros(80, np.float32)))
    np.testing.assert_allclose(encoded.frames(0, rows), 1.0, atol=1e-6)
    assert [start for start, _ in ranges] == [150 * number for number in range(len(ranges))]
    assert [stop for _, stop in ranges] == [min(start + 200, rows) for start, _ in ranges]


@pytest.mark.parametrize("kind", KINDS)
def test_seams_are_gradual(toys: dict[str, str], kind: str, monkeypatch) -> None:
    encoder = TransformersEncoder(toys[kind])
    encoder.window_rows = min(encoder.window_rows, 200)
    samples = noise(14.0)
    encoded = encoder.encode(samples, estimate_channel(samples))
    found = encoded.frames(0, 700)
    starts = encoded._window_starts[1:]
    assert len(starts) >= 3
    # Where one window fades into the next a frame moves by a share of their difference more.
    overlap = min(ENCODER_OVERLAP_ROWS, encoder.window_rows // 4)
    spread = found.std()
    differences = []
    for before, start in zip(encoded._window_starts, starts, strict=False):
        a = encoded._encode_window(before)[start - before :][:overlap]
        b = encoded._encode_window(start)[:overlap]
        differences.append(np.abs(a[: len(b)] - b[: len(a)]).max())
        faded = found[start : start + overlap]
        weight = (np.arange(overlap)[:, None] + 0.5) / overlap
        np.testing.assert_allclose(faded, (1 - weight) * a + weight * b, atol=1e-5)
    assert max(differences) / overlap < 0.1 * spread


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stable", [False, True])
def test_layers_are_the_hidden_states_of_the_whole_model(
    tmp_path: Path, kind: str, stable: bool
) -> None:
    """The layer is the output of so many blocks, without the normalization behind the last."""
    sizes: dict[str, object] = {} if kind == "whisper" else {"do_stable_layer_norm": stable}
    name = save_toy(tmp_path, kind, **sizes)
    samples = noise(1.0)
    whole = TransformersEncoder(name, WHOLE_ENCODER)
    module: Any = whole._backbone.model
    states: list[NDArray[np.float32]] = []
    blocks = module.layers if kind == "whisper" else module.encoder.layers
    for number, block in enumerate(blocks):
        if number == 0:
            block.register_forward_pre_hook(
                lambda _, args, kwargs: states.append(args[0][0, :50].numpy()), with_kwargs=True
            )
        block.register_forward_hook(
            lambda _, args, found: states.append(
                (found[0] if isinstance(found, tuple) else found).reshape(-1, whole.feature_dim)[
                    :50
                ]
            )
        )
    last = whole.encode_rows(samples, 1.0, 0, 50)
    for layer in range(3):
        encoder = TransformersEncoder(name, layer)
        np.testing.assert_allclose(
            encoder.encode_rows(samples, 1.0, 0, 50), states[layer], atol=1e-6
        )
        assert encoder.metadata()["layer"] == layer
    has_norm = kind == "whisper" or stable
    assert np.allclose(last, states[2], atol=1e-6) is not has_norm
    with pytest.raises(ArtefactError, match="no layer 3, expected 0 to 2"):
        TransformersEncoder(name, 3)


def test_models_that_name_no_layer_keep_the_whole_encoder(toys: dict[str, str]) -> None:
    whole = TransformersEncoder(toys["whisper"], WHOLE_ENCODER)
    assert set(whole.metadata()) == {"name", "width", "sha256"}
    stored = load_stored_encoder(whole.metadata())
    assert isinstance(stored, TransformersEncoder)
    assert stored.layer == WHOLE_ENCODER
    layer = load_stored_encoder(TransformersEncoder(toys["whisper"]).metadata())
    assert isinstance(layer, TransformersEncoder)
    assert layer.layer == 1


def test_whispers_own_reader_agrees_with_transformers(toys: dict[str, str]) -> None:
    own = load_encoder(f"whisper:{toys['whisper']}", 0)
    samples, channel = noise(1.0), RecordingChannel(-20.0, np.zeros(80, np.float32))
    found = own.encode(samples, channel).frames(0, 50)
    expected = load_encoder(toys["whisper"], 0).encode(samples, channel).frames(0, 50)
    # Transformers pads the first row with zeros, and the last one with the reflected sound.
    np.testing.assert_allclose(found[2:48], expected[2:48], atol=1e-4)


def model_with(encoder: TransformersEncoder) -> SpeechModel:
    """Make an untrained speech model with this encoder."""
    torch.manual_seed(1)
    config = SpeechNetworkConfig(inputs=encoder.feature_dim, stride=encoder.stride)
    basis = np.linalg.qr(np.random.default_rng(0).standard_normal((len(MOUTH_POINTS) * 3, 8)))[0]
    basis = np.ascontiguousarray(basis.T.reshape(8, -1, 3), np.float32)
    return SpeechModel(
        SpeechEnsemble(config, torch.ones(8)),
        MotionSpace(basis, np.ones(8, np.float32), 0.2),
        encoder,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_prediction_is_the_same_in_chunks_and_after_storage(
    toys: dict[str, str], kind: str, tmp_path: Path
) -> None:
    model = model_with(TransformersEncoder(toys[kind]))
    sound = Audio(noise(9.0), SPEECH_SAMPLE_RATE_HZ)
    whole = model.predict_coefficients(sound, chunk_rows=10_000)
    np.testing.assert_allclose(model.predict_coefficients(sound, chunk_rows=70), whole, atol=1e-4)
    assert np.abs(whole).max() > 0
    model.save(tmp_path / "m.safetensors")
    again = SpeechModel.load(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(
        again.predict_coefficients(sound), model.predict_coefficients(sound)
    )
    for samples in (np.zeros(0), np.zeros(1), np.full(900, np.nan)):
        motion = again.predict(
            Audio(samples.astype(np.float32), SPEECH_SAMPLE_RATE_HZ), np.arange(5) / 25
        )
        assert np.abs(motion.displacement).max() < 0.01


def test_a_model_finds_its_encoder_again_or_names_it(
    toys: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.safetensors"
    moved = Path(save_toy(tmp_path / "here", "hubert"))
    model_with(TransformersEncoder(str(moved))).save(path)
    moved = moved.rename(tmp_path / "there")
    with pytest.raises(ArtefactError, match="here"):
        SpeechModel.load(path)
    assert SpeechModel.load(path, encoder_name=str(moved)).encoder.feature_dim == 16
    other = save_toy(tmp_path / "here", "hubert", intermediate_size=24)
    with pytest.raises(ArtefactError, match="is not the one that the model was trained with"):
        SpeechModel.load(path, encoder_name=other)

    real = builtins.__import__

    def without(name: str, *rest: object, **more: object):
        if name.split(".")[0] == "transformers":
            raise ImportError("No module named 'transformers'")
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.setattr("importlib.import_module", lambda name: without(name))
    with pytest.raises(MissingDependencyError, match=r"dubfew\[speech-encoders\]") as error:
        SpeechModel.load(path)
    assert "\n" not in str(error.value)
    assert load_encoder("mel").feature_dim == 80


def _other_kind(folder: Path) -> None:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))


def _other_hop(folder: Path) -> None:
    save_toy(folder, "wav2vec2", conv_stride=(5, 2, 2, 2, 2, 2, 1))


def _no_weights(folder: Path) -> None:
    save_toy(folder, "hubert")
    (folder / "model.safetensors").unlink()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: None, "no encoder"),
        (lambda folder: folder.mkdir(), "no encoder"),
        (_other_kind, "is a bert, expected wav2vec2, hubert, wavlm, whisper"),
        (_other_hop, "every 10 ms, expected 20 ms"),
        (_no_weights, "no encoder"),
    ],
)
def test_other_folders_are_refused_in_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[Path], None],
    message: str,
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folder = tmp_path / "encoder"
    make(folder)
    with pytest.raises(ArtefactError, match=message) as error:
        load_encoder(str(folder))
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_training_with_an_encoder(
    toys: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("espeakng_loader")
    monkeypatch.setattr(run, "SpeechTrainConfig", partial(SpeechTrainConfig, **TOY_SIZES))
    data = write_shard(tmp_path / "data", [sample("ann", 0, np.arange(60))])
    out = tmp_path / "m.safetensors"
    line = ["speech", "train", "-o", out, "--data", data, "--steps", "1", "--json"]
    line += ["--encoder", toys["wav2vec2"]]
    result = CommandRunner().invoke(app, list(map(str, line)))
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["clips"][0]["clip"] == "ann.mp4"
    model = SpeechModel.load(out)
    assert isinstance(model.encoder, TransformersEncoder)
    motion = model.predict(Audio(sound_at(2.0), SPEECH_SAMPLE_RATE_HZ), np.arange(50) / 25)
    assert np.isfinite(motion.displacement).all()
