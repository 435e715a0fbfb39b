"""What SyncNet is shown of a video, and the figures of whole videos."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import wavfile
from torch import Tensor, nn

from dubfew.evaluate import compare, detect_landmarks
from dubfew.evaluate.lipsync import syncnet
from dubfew.evaluate.lipsync.sync_score import (
    PADDING_GRAY,
    WINDOWS_PER_BATCH,
    batch_windows,
    compute_face_squares,
    crop_syncnet_face,
    find_longest_face_run,
    measure_lip_sync,
    resample_frames,
    stream_audio_frames,
)
from dubfew.evaluate.lipsync.syncnet import (
    EMBEDDING_SIZE,
    LipSyncScore,
    SyncNet,
    load_released_syncnet,
)
from dubfew.media import AudioSource, Frame, VideoInfo, VideoWriter, probe, read_frames
from dubfew.media.mfcc import mfcc

CLIP = "clips/grid_bbaf2n.mpg"
SIZE = 64  # px, of the videos made here
FPS = [Fraction(25), Fraction(50), Fraction(30000, 1001), Fraction(24), Fraction(12), Fraction(30)]


def grey(level: int = 0, index: int = 0, fps: Fraction | int = 25) -> Frame:
    return Frame.from_rgb(np.full((SIZE, SIZE, 3), level, np.uint8), index, fps)


def faces(count: int) -> np.ndarray:
    """Landmarks of a face that fills the middle of the picture and stays there. [N, 478, 3]"""
    rng = np.random.default_rng(0)
    return np.tile(rng.uniform(16, 48, (1, 478, 3)).astype(np.float32), (count, 1, 1))


# --- time ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("fps", FPS)
def test_the_nearest_frame_25_times_a_second(fps: Fraction) -> None:
    count = round(2 * fps)
    frames = [grey(0, index, fps) for index in range(count)]
    shown = [frame.index for frame in resample_frames(frames)]
    assert len(shown) == pytest.approx(count / fps * 25, abs=0.5)
    for tick, index in enumerate(shown):
        nearest = min(abs(frame.stamp - Fraction(tick, 25)) for frame in frames)
        assert abs(frames[index].stamp - Fraction(tick, 25)) == nearest
    if fps == 25:
        assert shown == list(range(count))
    if fps == 50:
        assert shown == list(range(0, count, 2))


def test_a_variable_rate_is_taken_at_its_times() -> None:
    stamps = [Fraction(n, 100) for n in (300, 301, 309, 330, 332)]  # a part of a longer clip
    frames = [grey().with_time(index, stamp) for index, stamp in enumerate(stamps)]
    shown = [frame.index for frame in resample_frames(frames)]
    assert shown == [0, 1, 2, 2, 2, 3, 3, 3, 4]
    assert list(resample_frames([])) == []


# --- picture ------------------------------------------------------------------------------------


def test_the_crop_is_the_papers() -> None:
    rgb = np.zeros((200, 300, 3), np.uint8)
    rgb[50:110, 130:170] = (250, 10, 20)  # a box 60 high about (150, 80)
    frame = Frame.from_rgb(rgb, pix_fmt="yuv444p")
    picture = crop_syncnet_face(frame, np.array([150.0, 80.0, 30.0]))
    assert picture.shape == (3, 224, 224)
    # Rows 50 to 134 and columns 108 to 192: 84 px, and BGR.
    scale = 224 / 84
    inside = picture[:, 5 : int(58 * scale), int(24 * scale) : int(60 * scale)]
    assert inside.mean(dim=(1, 2)).tolist() == pytest.approx([20, 10, 250], abs=4)
    assert picture[:, int(62 * scale) :].max() < 5
    assert picture[:, :, : int(20 * scale)].max() < 5
    assert picture.frac().abs().max() == 0


def test_beyond_the_frame_is_grey() -> None:
    picture = crop_syncnet_face(
        grey(200), np.array([0.0, 10.0, 20.0])
    )  # rows -10 to 46, x from -28
    assert (picture[:, :35] == PADDING_GRAY).all()
    assert (picture[:, :, :100] == PADDING_GRAY).all()
    assert picture[:, 60:, 130:].mean() == pytest.approx(200, abs=2)
    assert (crop_syncnet_face(grey(200), np.array([900.0, 900.0, 20.0])) == PADDING_GRAY).all()


def test_the_box_bridges_gaps_and_passes_over_misfits() -> None:
    marks = faces(40)
    marks[:, :, 0] += np.arange(40, dtype=np.float32)[:, None] / 4
    marks[10:14] = np.nan
    plain = compute_face_squares(marks)
    assert np.diff(plain[8:32, 0]) == pytest.approx(0.25, abs=1e-4)
    assert plain[:, 2] == pytest.approx(plain[0, 2], abs=1e-4)
    marks[20] += 30
    np.testing.assert_allclose(compute_face_squares(marks), plain, atol=0.26)


def test_the_longest_stretch() -> None:
    seen = np.zeros(100, bool)
    assert find_longest_face_run(seen, 25) == (0, 0)
    seen[[3, 4, 5]] = seen[[40, 50, 60]] = seen[[90, 91]] = True
    assert find_longest_face_run(seen, 10) == (40, 61)
    assert find_longest_face_run(seen, 9) == (3, 6)
    assert find_longest_face_run(seen, 35) == (3, 92)


# --- sound --------------------------------------------------------------------------------------


def test_windows_are_those_of_the_whole() -> None:
    count = 2 * WINDOWS_PER_BATCH + 9
    rng = np.random.default_rng(0)
    samples = np.rint(rng.normal(0, 2000, (count, 640)))
    pictures = [torch.full((3, 2, 2), float(number)) for number in range(count)]
    cepstra = mfcc(samples.ravel())
    batches = list(batch_windows(zip(pictures, samples, strict=True)))
    number = 0
    for clip, sound in batches:
        assert len(clip) == len(sound) + 4
        for row in range(len(sound)):
            assert clip[row : row + 5, 0, 0, 0].tolist() == list(range(number, number + 5))
            expected = cepstra[4 * number : 4 * number + 20].T
            np.testing.assert_allclose(sound[row], expected, atol=1e-4)
            number += 1
    # The authors leave out the last window that would be whole.
    assert number == count - 5


@pytest.mark.parametrize(
    ("count", "rows"), [(0, 0), (5, 0), (6, 1), (WINDOWS_PER_BATCH + 5, WINDOWS_PER_BATCH)]
)
def test_too_few_pictures_for_a_window(count: int, rows: int) -> None:
    beats = [(torch.zeros(3, 2, 2), np.zeros(640))] * count
    assert sum(len(sound) for _, sound in batch_windows(beats)) == rows


def test_sound_in_whole_beats(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    samples = np.arange(40_000, dtype=np.int16)[: 16000 * 2 + 100] // 2
    wavfile.write(path, 16000, samples)
    beats = list(stream_audio_frames(path, 1234))
    assert len(beats) == (len(samples) - 1234) // 640
    np.testing.assert_array_equal(np.concatenate(beats), samples[1234 : 1234 + 640 * len(beats)])
    assert list(stream_audio_frames(path, 10**6)) == []


def test_samples_that_no_16_bit_file_has(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    wavfile.write(path, 16000, np.tile(np.float32([np.nan, 3, -3, 0.5]), 400))
    (first, _) = stream_audio_frames(path, 0)
    assert first[:4].tolist() == [0, 32767, -32768, 16384]


# --- whole videos -------------------------------------------------------------------------------


class Loudness(SyncNet):
    """Sees how bright, hears how loud: five numbers for five pictures, five for their sound."""

    def __init__(self) -> None:
        nn.Module.__init__(self)

    def embed_frames(self, pictures: Tensor) -> Tensor:
        level = (pictures[:, :, 60:160, 60:160].mean(dim=(1, 2, 3)) - 128) / 100
        return nn.functional.pad(level.unfold(0, 5, 1), (0, EMBEDDING_SIZE - 5))

    def embed_audio(self, cepstra: Tensor) -> Tensor:
        # Of the four windows that begin in a beat the last two reach into the next; a beat that
        # follows a tone has the last of its pre-emphasis.
        loud = (cepstra[:, 0] > 17).float().unfold(1, 4, 4)[..., :2].mean(dim=2)
        return nn.functional.pad(2 * loud - 1, (0, EMBEDDING_SIZE - 5))


@pytest.fixture
def flashing(tmp_path: Path) -> Callable[..., Path]:
    """A video whose picture is bright while a tone sounds, or so many 1/25 s later."""

    def make(fps: Fraction | int, beats: int, late: int = 0, sound: bool = True) -> Path:
        code = np.random.default_rng(3).integers(0, 2, beats + 40)
        tone = 20000 * np.sin(np.arange(640) * 0.3)
        samples = np.concatenate([tone * bit for bit in code[20 : 20 + beats]])
        wavfile.write(tmp_path / "tone.wav", 16000, samples.astype(np.int16))
        path = tmp_path / "flashes.mkv"
        source = AudioSource(tmp_path / "tone.wav") if sound else None
        with VideoWriter(
            path, VideoInfo(path, SIZE, SIZE, Fraction(fps)), audio=source, lossless=True
        ) as writer:
            for index in range(round(beats * Fraction(fps) / 25)):
                beat = int((index + Fraction(1, 2)) / Fraction(fps) * 25)
                writer.write(grey(28 + 200 * int(code[20 + beat - late]), index, fps))
        return path

    return make


@pytest.mark.slow
@pytest.mark.parametrize(("fps", "late"), [(25, 0), (25, 4), (25, -3), (50, 2), (100, -9)])
def test_an_offset_is_found_in_a_video(flashing: Callable[..., Path], fps: int, late: int) -> None:
    video = flashing(fps, 90, late)
    found = measure_lip_sync(video, faces(probe(video).frames or 90 * fps // 25), Loudness())
    assert found.av_offset == late
    assert found.lse_d < 0.5
    assert found.lse_c > 1


@pytest.mark.slow
def test_only_the_stretch_with_a_face_counts(flashing: Callable[..., Path]) -> None:
    video = flashing(25, 120, 2)
    marks = faces(120)
    marks[:37] = np.nan  # then the sound, too, begins at frame 37
    marks[50:60] = np.nan
    seen = []
    found = measure_lip_sync(video, marks, Loudness(), progress=seen.append)
    assert found.av_offset == 2
    assert found.lse_d < 0.5
    assert (seen[-1].stage, seen[-1].done, seen[-1].total) == ("lip sync", 83, 83)


@pytest.mark.parametrize(
    ("beats", "sound", "face"), [(90, False, True), (90, True, False), (20, True, True)]
)
def test_figures_that_cannot_be_had(
    flashing: Callable[..., Path], beats: int, sound: bool, face: bool
) -> None:
    marks = faces(beats) if face else np.full((beats, 478, 3), np.nan, np.float32)
    found = measure_lip_sync(flashing(25, beats, sound=sound), marks, Loudness())
    assert all(math.isnan(value) for value in vars(found).values())
    assert vars(found).keys() == vars(LipSyncScore()).keys()


@pytest.mark.filterwarnings("ignore:.*not the released")
@pytest.mark.slow
def test_the_shortest_clip_with_figures(flashing: Callable[..., Path], syncnet_file: Path) -> None:
    found = measure_lip_sync(flashing(25, 21), faces(21), load_released_syncnet(syncnet_file))
    assert found.lse_d > 0
    assert found.lse_c >= 0
    assert found.av_offset in range(-15, 16)


@pytest.mark.slow
def test_evaluate_measures_it_when_given_the_weights(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(syncnet, "load_released_syncnet", lambda path: Loudness())
    path = tmp_path / "short.mkv"
    source = AudioSource(shared / CLIP, duration=0.88)
    with VideoWriter(path, probe(shared / CLIP), audio=source, lossless=True) as writer:
        for frame in read_frames(shared / CLIP, stop=22):
            writer.write(frame)
    figures = compare.evaluate(path, path, syncnet="any.model")
    assert figures.frames == 22
    marks = detect_landmarks(path)
    assert measure_lip_sync(path, marks, Loudness()) == LipSyncScore(
        figures.lse_c, figures.lse_d, figures.av_offset
    )
    assert math.isfinite(figures.lse_d)
