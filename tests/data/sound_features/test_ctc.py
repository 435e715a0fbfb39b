"""Logits of speech recognizers: rates, windows, and files of the true form."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from dubfew.assets import asset_kinds
from dubfew.data.sound_features import cut_sound_window, deepspeech, wav2vec2_ctc
from dubfew.data.sound_features._ctc import halve_logit_rate
from dubfew.data.sound_features.deepspeech import (
    SOUND_FEATURE,
    deepspeech_inputs,
    deepspeech_logits,
    read_graph,
)
from dubfew.data.sound_features.wav2vec2_ctc import (
    LETTER_TOKENS,
    load_letter_recognizer,
    wav2vec2_logits,
)
from dubfew.errors import ArtefactError, AssetError
from dubfew.media.mfcc import mfcc


def noise(count: int) -> np.ndarray:
    return (0.1 * np.random.default_rng(0).standard_normal(count)).astype(np.float32)


def test_pairs_are_averaged_and_a_last_one_stays() -> None:
    found = halve_logit_rate(np.array([[0.0, 1], [2, 3], [8, 9]], np.float32))
    assert found.tolist() == [[1, 2], [8, 9]]


def test_windows_repeat_the_edges_and_may_be_wider() -> None:
    steps = np.tile(np.arange(10, dtype=np.float32)[:, None], (1, 29))
    assert cut_sound_window(SOUND_FEATURE, steps, 4 / 25)[0].tolist() == [2, 3, 4, 5, 6]
    assert cut_sound_window(SOUND_FEATURE, steps, 0.0)[0].tolist() == [0, 0, 0, 1, 2]
    wide = replace(SOUND_FEATURE, length=9, lead_frames=4)
    assert cut_sound_window(wide, steps, 9 / 25)[0].tolist() == [5, 6, 7, 8, 9, 9, 9, 9, 9]


def test_the_input_of_deepspeech() -> None:
    samples = noise(16000)
    rows = deepspeech_inputs(samples)
    cepstra = mfcc(samples * 32767, num_cepstra=26)[::2]
    assert rows.shape == (len(cepstra), 494)
    assert rows.mean() == pytest.approx(0, abs=1e-4)
    assert rows.std() == pytest.approx(1, abs=1e-4)
    # The middle of a row is the row's own cepstra, but for one mean and one deviation.
    middle = rows[20, 9 * 26 : 10 * 26]
    scale = np.polyfit(cepstra[20], middle, 1)
    np.testing.assert_allclose(np.polyval(scale, cepstra[20]), middle, atol=1e-4)
    np.testing.assert_array_equal(rows[20, 10 * 26 : 11 * 26], rows[21, 9 * 26 : 10 * 26])


class FakeSession:
    """Answers as the released graph does: [T, 1, 29], row t all t."""

    def run(self, fetched, feed):
        assert fetched == "logits:0"
        rows = feed["input_node:0"]
        assert rows.shape[0] == 1
        assert feed["input_lengths:0"].tolist() == [rows.shape[1]]
        return np.broadcast_to(np.arange(rows.shape[1])[:, None, None], (rows.shape[1], 1, 29))


def test_every_second_logit_of_deepspeech_is_kept(monkeypatch, tmp_path) -> None:
    path = tmp_path / "output_graph.pb"
    path.touch()
    monkeypatch.setenv("DUBFEW_DEEPSPEECH", str(path))
    monkeypatch.setattr(deepspeech, "_load_session", lambda path: FakeSession())
    found = deepspeech_logits(noise(16000))
    assert found.shape == (25, 29)
    assert found[:, 0].tolist() == list(range(0, 50, 2))


def test_a_file_that_is_no_graph_is_refused(tmp_path) -> None:
    path = tmp_path / "output_graph.pb"
    path.write_bytes(b"no graph")
    with pytest.raises(AssetError, match="DeepSpeech"):
        asset_kinds()["deepspeech"].check(path)
    path.write_bytes(b"input_node input_lengths logits")
    asset_kinds()["deepspeech"].check(path)


def test_without_the_file_the_error_says_where_it_is_had() -> None:
    with pytest.raises(AssetError, match=r"mozilla/DeepSpeech.*assets add deepspeech"):
        deepspeech_logits(noise(1600))


def test_a_graph_of_the_released_form(tmp_path, monkeypatch) -> None:
    """A frozen graph with the released one's tensors; TensorFlow may be absent."""
    tensorflow = pytest.importorskip("tensorflow")
    tf = tensorflow.compat.v1
    graph = tf.Graph()
    with graph.as_default():
        rows = tf.placeholder(tf.float32, [None, None, 494], name="input_node")
        tf.placeholder(tf.int32, [None], name="input_lengths")
        tf.transpose(rows[:, :, :29], [1, 0, 2], name="logits")
    path = tmp_path / "output_graph.pb"
    path.write_bytes(graph.as_graph_def().SerializeToString())
    samples = noise(16000)
    monkeypatch.setenv("DUBFEW_DEEPSPEECH", str(path))
    np.testing.assert_allclose(
        deepspeech_logits(samples), deepspeech_inputs(samples)[::2, :29], atol=1e-6
    )
    path.write_bytes(b"\x00" * 64)
    with pytest.raises(AssetError, match="DeepSpeech"):
        read_graph(path)


@pytest.fixture(scope="module")
def tiny_recognizer(tmp_path_factory):
    """A folder as of wav2vec2-base-960h, with random weights of toy size."""
    transformers = pytest.importorskip("transformers")
    import torch

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("recognizer")
    tokens = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ETAONIHSRDLUMWCFGYPBVK", "'", *"XJQZ"]
    (folder / "vocab.json").write_text(json.dumps({t: k for k, t in enumerate(tokens)}))
    transformers.Wav2Vec2CTCTokenizer(str(folder / "vocab.json")).save_pretrained(folder)
    config = transformers.Wav2Vec2Config(
        vocab_size=32,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        conv_dim=(8,) * 7,
        num_conv_pos_embeddings=8,
        num_conv_pos_embedding_groups=2,
    )
    transformers.Wav2Vec2ForCTC(config).save_pretrained(folder)
    return folder


@pytest.mark.slow
def test_letters_of_wav2vec2(tiny_recognizer, monkeypatch) -> None:
    monkeypatch.setenv("DUBFEW_WAV2VEC2_CTC", str(tiny_recognizer))
    assert wav2vec2_logits(noise(16000)).shape == (25, 29)
    # The columns are DeepSpeech's symbols; the others of the vocabulary are left out.
    token_ids = load_letter_recognizer(str(tiny_recognizer)).token_ids
    assert token_ids[:3] == (0, 4, 27)
    assert len(set(token_ids)) == len(LETTER_TOKENS) == 29
    assert not set(token_ids) & {1, 2, 3}


def test_letters_of_a_long_recording_join(tiny_recognizer, monkeypatch) -> None:
    recognizer = load_letter_recognizer(str(tiny_recognizer))
    samples = noise(4 * 16000)
    whole = recognizer.compute_logits(samples)
    monkeypatch.setattr(wav2vec2_ctc, "_ROWS_PER_PASS", 100)
    parts = recognizer.compute_logits(samples)
    assert parts.shape == whole.shape == (100, 29)
    # Attention reaches beyond a part's context, but hardly.
    assert np.abs(parts - whole).mean() < 0.1 * whole.std()


def test_another_folder_is_refused(tmp_path) -> None:
    pytest.importorskip("transformers")
    with pytest.raises(ArtefactError, match="no recognizer"):
        load_letter_recognizer(str(tmp_path))
