"""The tool that trains the distilled encoder, at toy size and from end to end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from dubfew.media.mel import log_mel
from dubfew.motion.mouth_motion import MouthMotion
from dubfew.reconstruction.heads.landmark_indices import MOUTH_POINTS
from dubfew.speech.encoders._distilled_network import DistilledConfig, load_distilled_network
from dubfew.speech.training.speech_clip import SpeechClip
from tools.distill_encoder import __main__ as tool
from tools.distill_encoder.corpus import (
    Utterance,
    load_sounds,
    load_utterances,
    save_sounds,
    save_utterances,
    vary_synthetic,
)
from tools.distill_encoder.learning import (
    WINDOW_ROWS,
    augment_mel_batch,
    cut_window,
    fit_feature_basis,
    learn,
)
from tools.distill_encoder.lips import FEATURE_LEAD_SECONDS, fit_lip_directions
from tools.distill_encoder.teacher import Teacher
from tools.distill_encoder.texts import make_text

pytestmark = pytest.mark.slow

WIDTH = 12
TOY = DistilledConfig(features=6, channels=16, stem_channels=8, kernel=3, dilations=(1, 2))


@pytest.fixture(scope="module")
def whisper(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Random weights of a Whisper of two blocks, with transformers' names."""
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator) / 4

    tensors = {
        "conv1.weight": random(WIDTH, 80, 3),
        "conv1.bias": random(WIDTH),
        "conv2.weight": random(WIDTH, WIDTH, 3),
        "conv2.bias": random(WIDTH),
        # Places that are alike if they are near, as Whisper's are.
        "embed_positions.weight": torch.sin(
            torch.arange(400)[:, None] * torch.linspace(0.005, 0.05, WIDTH) + random(WIDTH)
        ),
    }
    for number in range(2):
        block = f"layers.{number}."
        for name in ("self_attn_layer_norm", "final_layer_norm"):
            tensors[block + name + ".weight"] = 1 + random(WIDTH)
            tensors[block + name + ".bias"] = random(WIDTH)
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            tensors[f"{block}self_attn.{name}.weight"] = random(WIDTH, WIDTH)
            if name != "k_proj":
                tensors[f"{block}self_attn.{name}.bias"] = random(WIDTH)
        tensors[block + "fc1.weight"] = random(4 * WIDTH, WIDTH)
        tensors[block + "fc1.bias"] = random(4 * WIDTH)
        tensors[block + "fc2.weight"] = random(WIDTH, 4 * WIDTH)
        tensors[block + "fc2.bias"] = random(WIDTH)
    path = tmp_path_factory.mktemp("whisper") / "model.safetensors"
    save_file({f"encoder.{name}": tensor for name, tensor in tensors.items()}, path)
    return str(path)


def chirps(seconds: float, seed: int) -> NDArray[np.float32]:
    """Tones that rise and fall, with pauses."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * 16000)) / 16000
    pitch = 300 + 2500 * (1 + np.sin(2 * np.pi * rng.uniform(0.5, 1.5) * time + rng.uniform(0, 6)))
    loud = np.maximum(0, np.sin(2 * np.pi * rng.uniform(1, 3) * time))
    return (0.3 * loud * np.sin(np.cumsum(2 * np.pi * pitch / 16000))).astype(np.float32)


def utterance(seed: int, seconds: float = 4.0) -> Utterance:
    """A teacher that a student can follow: features are sums of bands."""
    mel = log_mel(chirps(seconds, seed))[: int(seconds * 100)]
    mixing = np.random.default_rng(9).standard_normal((80, WIDTH))
    features = mel[::2] @ mixing
    return Utterance(mel.astype(np.float16), None, features.astype(np.float16))


def test_the_place_in_the_window_is_taken_out(whisper: str) -> None:
    teacher = Teacher(whisper, 2)
    sounds = [chirps(1.0, seed) for seed in range(4)]
    near, far = (teacher.encode_at(sounds[0], place) for place in (10, 300))
    assert near.shape == (50, WIDTH)
    before = np.square(near - far).mean()
    teacher.measure_place_mean(sounds, np.random.default_rng(0))
    after = np.square(near - teacher.place_mean[10:60] - far + teacher.place_mean[300:350]).mean()
    assert after < 0.7 * before


def test_utterances_are_stored_as_they_are(whisper: str, tmp_path: Path) -> None:
    sounds = [chirps(1.0, 1), chirps(0.7, 2)]
    save_sounds(tmp_path / "s.safetensors", sounds)
    again = load_sounds(tmp_path / "s.safetensors")
    np.testing.assert_allclose(again[1], sounds[1], atol=1e-4)
    teacher = Teacher(whisper, 2)
    save_utterances(tmp_path / "u.safetensors", again, teacher, np.random.default_rng(0))
    first, second = load_utterances(tmp_path / "u.safetensors")
    assert (len(first.features), len(second.features), len(second.mel)) == (50, 35, 70)
    np.testing.assert_allclose(second.mel, log_mel(again[1])[:70], atol=1e-3)


def test_silence_is_no_utterance() -> None:
    rng = np.random.default_rng(0)
    assert vary_synthetic(np.zeros(16000, np.float32), rng) is None
    found = vary_synthetic(0.01 + 0.01 * chirps(1.0, 0), rng)
    assert found is not None
    assert np.abs(found).max() == pytest.approx(0.7, abs=0.1)


def test_windows_keep_sound_and_features_together() -> None:
    source = utterance(0)
    rows = np.arange(1, 201, dtype=np.float16)
    # Frames 2 r and 2 r + 1 have the number of their row, from 1 on.
    counted = Utterance(
        np.repeat(np.repeat(rows, 2)[:, None], 80, 1), None, np.repeat(rows[:, None], WIDTH, 1)
    )
    edges = set()
    for seed in range(20):
        mel, features, weights = cut_window(counted, np.random.default_rng(seed))
        assert mel.shape == (2 * WINDOW_ROWS, 80)
        np.testing.assert_array_equal(mel[::2, 0], features[:, 0])
        edges.add((weights[0], weights[-1]))
        # Rows without sound have no part in the loss.
        assert not weights[features[:, 0] == 0].any()
    assert edges == {(0.0, 0.0)}  # silence or a cut at either end
    assert len(cut_window(source, np.random.default_rng(0))[1]) == WINDOW_ROWS


def test_augmented_bands_stay_bands() -> None:
    mel = torch.from_numpy(np.stack([utterance(seed).mel[:300] for seed in range(8)])).float()
    found = augment_mel_batch(mel, torch.Generator().manual_seed(1))
    again = augment_mel_batch(mel, torch.Generator().manual_seed(1))
    torch.testing.assert_close(found, again)
    assert found.shape == mel.shape
    assert 0 <= float(found.min()) <= float(found.max()) <= 1.6
    # Sound stays where it is in time.
    kept = [np.corrcoef(a, b)[0, 1] for a, b in zip(mel.amax(2), found.amax(2), strict=True)]
    assert np.median(kept) > 0.8


def test_basis_has_the_directions_of_largest_variance() -> None:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((4000, 3)) * [1, 10, 3] + 5
    basis = fit_feature_basis(
        [Utterance(np.zeros((0, 80), np.float16), None, features.astype(np.float16))], 2
    )
    found = (features - basis.mean) @ basis.projection
    assert np.argmax(np.abs(basis.projection), axis=0).tolist() == [1, 2]
    # Standard deviations 10 and 3 become their square roots, then the mean variance 1.
    assert found.var(axis=0) == pytest.approx([20 / 13, 6 / 13], rel=0.1)


def test_lip_directions_find_the_feature_that_moves_the_lips(whisper: str) -> None:
    teacher = Teacher(whisper, 2)
    rng = np.random.default_rng(0)
    clips = []
    for seed in range(4):
        sound = chirps(5.0, seed)
        rows = teacher.encode(sound, np.random.default_rng(0))
        times = np.arange(110) / 25
        drive = np.interp(times + FEATURE_LEAD_SECONDS, np.arange(len(rows)) * 0.02, rows[:, 3])
        motion = 0.001 * rng.standard_normal((110, len(MOUTH_POINTS), 3))
        motion[:, :, 1] -= (drive - drive.mean())[:, None] * np.linspace(0, 0.1, len(MOUTH_POINTS))
        clips.append(SpeechClip(str(seed), sound, MouthMotion(motion.astype(np.float32), times)))
    directions = fit_lip_directions(clips, teacher, np.random.default_rng(0))
    assert directions.shape == (WIDTH, 8)
    # The first motion is the one that was put in.
    rows = np.concatenate([teacher.encode(clip.samples, rng) for clip in clips])
    assert abs(np.corrcoef(rows @ directions[:, 2], rows[:, 3])[0, 1]) > 0.8


def test_a_student_learns_its_teacher() -> None:
    sources = {"one": [utterance(seed) for seed in range(6)]}
    basis = fit_feature_basis(sources["one"], TOY.features)
    errors: list[float] = []
    network = learn(
        sources,
        {"one": 1.0},
        basis,
        TOY,
        lip_directions=np.eye(WIDTH, 2, dtype=np.float32),
        num_steps=300,
        seed=0,
        report=lambda step, error: errors.append(error),
    )
    assert len(errors) == 6
    assert errors[-1] < 0.8 * errors[0]
    assert not network.training


def test_texts_are_in_their_language() -> None:
    rng = np.random.default_rng(0)
    assert len({make_text("en-us", rng) for _ in range(20)}) > 10
    pytest.importorskip("babel")
    assert any("я" in make_text("ru", rng) for _ in range(10))


def test_the_tool_goes_on_where_it_stopped(
    whisper: str, tmp_path: Path, monkeypatch, capsys
) -> None:
    def speak(rng: np.random.Generator):
        while True:
            yield chirps(3.0, int(rng.integers(1000)))

    for name in ("speak_festival", "speak_flite", "speak_espeak"):
        monkeypatch.setattr(tool, name, speak)
    monkeypatch.setattr(tool, "SPOKEN_MINUTES", dict.fromkeys(tool.SPOKEN_MINUTES, 0.15))
    monkeypatch.setattr(tool, "_MINUTES_PER_FILE", 0.2)
    monkeypatch.setattr(tool, "DistilledConfig", lambda: TOY)
    arguments = [str(tmp_path), "--whisper", whisper, "--steps", "2", "-o", str(tmp_path / "e")]
    assert tool.main(arguments) == 0
    assert load_distilled_network(tmp_path / "e").config == TOY
    assert len(list((tmp_path / "features").iterdir())) == 3
    capsys.readouterr()
    assert tool.main(arguments) == 0
    assert "features" not in capsys.readouterr().err
