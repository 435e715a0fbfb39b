"""Audio: in time with the picture, at its own rate, and copied where possible."""

from __future__ import annotations

import itertools
import tracemalloc
import wave
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from scipy.signal import correlate

from dubfew.errors import MediaError
from dubfew.media import (
    AudioSource,
    Frame,
    VideoInfo,
    VideoWriter,
    probe,
    read_audio,
    read_frames,
    stream_audio,
)
from tests.media.pictures import sine, smooth_rgb


def lag(found: np.ndarray, expected: np.ndarray, most: int) -> int:
    """Find the delay of ``found``, in samples, by correlation."""
    n = min(len(found), len(expected))
    score = correlate(found[:n], expected[:n], method="fft")[n - 1 - most : n + most]
    return int(np.argmax(score)) - most


def bursts(seconds: float, rate: int, seed: int = 0) -> np.ndarray:
    """Band-limited noise with pauses: has one best alignment."""
    rng = np.random.default_rng(seed)
    noise = np.convolve(rng.standard_normal(round(seconds * rate)), np.ones(9) / 9, "same")
    gate = rng.random(len(noise) // (rate // 10) + 1) > 0.4
    gate[0] = True
    gate = np.repeat(gate, rate // 10)[: len(noise)]
    return (0.4 * noise * gate).astype(np.float32)


def packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


def stream_of(path: Path) -> tuple[str, int, int]:
    with av.open(str(path)) as container:
        context = container.streams.audio[0].codec_context
        return context.codec.canonical_name, context.sample_rate, context.channels


def dub(path: Path, audio: AudioSource, count: int = 25) -> Sequence[str]:
    """Write a small video with the sound; returns the writer's notes."""
    with VideoWriter(path, VideoInfo(path, 32, 32, Fraction(25)), audio=audio) as writer:
        for number in range(count):
            writer.write(Frame.from_rgb(smooth_rgb(32, 32, number), number, 25))
    return writer.notes


class TestReading:
    @pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 48000, 96000])
    def test_any_rate(self, make_wav, rate: int) -> None:
        audio = read_audio(make_wav(sine(1.25, rate)[None], rate))
        assert audio.rate == 16000
        assert audio.samples.dtype == np.float32
        assert len(audio.samples) == 20000
        assert audio.duration == 1.25
        middle = slice(500, -500)
        assert np.abs(audio.samples[middle] - sine(1.25, 16000)[middle]).max() < 0.01

    @pytest.mark.parametrize(
        "codec", ["pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le"]
    )
    def test_any_depth(self, make_wav, codec: str) -> None:
        expected = sine(0.5, 16000)
        found = read_audio(make_wav(expected[None], 16000, codec=codec)).samples
        assert np.abs(found - expected).max() < (0.01 if codec == "pcm_u8" else 1e-4)

    @pytest.mark.parametrize("rate", [16000, 44100])
    def test_nan_and_infinity_are_silence(self, make_wav, rate: int) -> None:
        holed = sine(1.0, rate)
        holed[rate // 2 : rate // 2 + 400] = np.nan
        holed[[100, 200]] = np.inf, -np.inf
        found = read_audio(make_wav(holed[None], rate, codec="pcm_f32le")).samples
        assert np.isfinite(found).all()
        apart = np.ones(16000, bool)
        apart[[*range(300), *range(7950, 8450)]] = False
        assert np.abs(found - sine(1.0, 16000))[apart][:-500].max() < 0.01

    def test_one_sample_may_vanish_at_another_rate(self, make_wav) -> None:
        one = np.ones((1, 1), np.float32)
        assert len(read_audio(make_wav(one, 44100)).samples) == 0
        assert len(read_audio(make_wav(one, 8000)).samples) == 2

    def test_channels_are_mixed_without_changing_loudness(self, make_wav) -> None:
        tone = sine(0.5, 16000)
        for layout, channels in (("stereo", 2), ("5.1", 6), ("7.1", 8)):
            same = np.repeat(tone[None], channels, 0)
            found = read_audio(make_wav(same, 16000, layout=layout)).samples
            assert np.abs(found - tone).max() < 1e-3
        left = np.stack([tone, 0 * tone])
        found = read_audio(make_wav(left, 16000, layout="stereo")).samples
        assert np.abs(found - tone / 2).max() < 1e-3

    def test_center_counts_most_and_lfe_not_at_all(self, make_wav) -> None:
        tone = sine(0.25, 16000)
        loud = []
        for channel in range(6):  # FL FR FC LFE BL BR
            one = np.zeros((6, len(tone)), np.float32)
            one[channel] = tone
            loud.append(np.abs(read_audio(make_wav(one, 16000, layout="5.1")).samples).max())
        assert loud[3] == 0
        assert loud[2] == max(loud)

    @pytest.mark.parametrize("block", [1, 160, 7001, 100_000])
    def test_streaming_gives_the_same(self, make_wav, block: int) -> None:
        path = make_wav(bursts(0.7, 44100)[None], 44100)
        whole = read_audio(path).samples
        blocks = list(stream_audio(path, 16000, block))
        assert all(len(part) == block for part in blocks[:-1])
        assert np.array_equal(np.concatenate(blocks), whole)

    def test_memory_does_not_grow(self, make_wav) -> None:
        path = make_wav(sine(20.0, 16000)[None], 16000)
        tracemalloc.start()
        for _ in stream_audio(path, 16000, 8000):
            pass
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 500_000  # the whole is 1.3 MB

    @pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
    @pytest.mark.parametrize("delay", [0.0, 0.48])
    def test_sound_stands_where_the_picture_is(self, make_video, name: str, delay: float) -> None:
        expected = bursts(1.5, 48000)
        path = make_video(name, count=25, audio=expected[None], audio_delay=delay)
        found = read_audio(path, 48000).samples
        late = lag(
            found, np.concatenate([np.zeros(round(delay * 48000), np.float32), expected]), 2500
        )
        # Milliseconds of the container's clock; TS keeps the encoder's 21 ms of priming.
        assert abs(late) <= (1100 if name == "a.ts" else 60)

    def test_picture_that_begins_later_cuts_the_sound(self, make_video) -> None:
        expected = bursts(1.5, 48000)
        path = make_video("a.mkv", count=25, ticks=range(10, 35), audio=expected[None])
        found = read_audio(path, 48000).samples
        assert abs(lag(found, expected[19200:], 2500)) <= 60

    def test_a_gap_becomes_silence(self, tmp_path: Path) -> None:
        path = tmp_path / "gap.mkv"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("pcm_s16le", rate=16000, layout="mono")
            for start in (0, 24000):
                frame = av.AudioFrame.from_ndarray(sine(0.5, 16000)[None], "fltp", "mono")
                frame.sample_rate, frame.pts, frame.time_base = 16000, start, Fraction(1, 16000)
                for packet in stream.encode(frame):
                    packet.pts = packet.dts = start
                    packet.time_base = Fraction(1, 16000)
                    container.mux(packet)
        found = read_audio(path).samples
        assert len(found) == 32000
        assert np.abs(found[8100:23900]).max() == 0
        assert np.abs(found[24100:]).max() > 0.4


class TestBadInput:
    def test_video_without_sound(self, make_video) -> None:
        with pytest.raises(MediaError, match="has no sound"):
            read_audio(make_video())

    def test_no_samples(self, tmp_path: Path) -> None:
        path = tmp_path / "empty.wav"
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16000)
        with pytest.raises(MediaError, match="holds no samples"):
            read_audio(path)
        with pytest.raises(MediaError, match="holds no samples"):
            dub(tmp_path / "out.mp4", AudioSource(path))

    def test_no_samples_beside_a_picture(self, make_video, tmp_path: Path) -> None:
        path = make_video(audio=np.zeros((1, 0), np.float32), name="a.mkv")
        if not probe(path).has_audio:
            pytest.skip("the muxer left the empty track out")
        with pytest.raises(MediaError, match="no samples"):
            read_audio(path)
        with pytest.raises(MediaError, match="no samples"):
            dub(tmp_path / "out.webm", AudioSource(path))

    def test_missing_and_folder(self, tmp_path: Path) -> None:
        with pytest.raises(MediaError, match="no file at"):
            read_audio(tmp_path / "a.wav")
        with pytest.raises(MediaError, match="is a folder"):
            read_audio(tmp_path)

    def test_truncated(self, make_wav) -> None:
        path = make_wav(sine(1.0, 16000)[None], 16000)
        path.write_bytes(path.read_bytes()[:16044])
        assert read_audio(path).duration == pytest.approx(0.5, abs=0.01)

    @pytest.mark.parametrize(
        ("options", "match"),
        [
            ({"start": -1.0}, "start -1.0 s"),
            ({"duration": -1.0}, "duration -1.0 s"),
            ({"loop": True}, "give a duration"),
        ],
    )
    def test_source_settings(self, make_wav, tmp_path: Path, options: dict, match: str) -> None:
        wav = make_wav(sine(0.2, 8000)[None], 8000)
        with pytest.raises(MediaError, match=match):
            dub(tmp_path / "a.mp4", AudioSource(wav, **options))

    def test_loop_of_nothing(self, make_wav, tmp_path: Path) -> None:
        wav = make_wav(sine(0.2, 8000)[None], 8000)
        with pytest.raises(MediaError, match=r"ends before 3\.0 s"):
            dub(tmp_path / "a.mp4", AudioSource(wav, start=3.0, duration=1.0, loop=True))
        assert not (tmp_path / "a.mp4").exists()


class TestMuxing:
    @pytest.mark.parametrize("name", ["out.mp4", "out.mov", "out.mkv"])
    def test_aac_is_copied(self, make_video, tmp_path: Path, name: str) -> None:
        source = make_video(count=25, audio=bursts(1.0, 48000)[None])
        dub(tmp_path / name, AudioSource(source))
        assert packets(tmp_path / name) == packets(source)
        late = lag(
            read_audio(tmp_path / name, 48000).samples, read_audio(source, 48000).samples, 2500
        )
        assert abs(late) <= (60 if name == "out.mkv" else 0)

    def test_aac_from_a_transport_stream(self, make_video, tmp_path: Path) -> None:
        source = make_video("in.ts", count=25, audio=bursts(1.0, 48000)[None])
        dub(tmp_path / "out.mp4", AudioSource(source))
        assert abs(len(read_audio(tmp_path / "out.mp4").samples) - 16000) < 1000

    @pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000, 96000])
    @pytest.mark.parametrize(
        ("name", "codec"),
        [("a.mp4", "aac"), ("a.mov", "pcm_s16le"), ("a.mkv", "pcm_s16le"), ("a.webm", "opus")],
    )
    def test_wav_goes_into_anything(self, make_wav, tmp_path, rate, name, codec) -> None:
        expected = bursts(1.0, rate)
        dub(tmp_path / name, AudioSource(make_wav(expected[None], rate)))
        out_codec, out_rate, channels = stream_of(tmp_path / name)
        assert (out_codec, channels) == (codec, 1)
        assert out_rate == (48000 if codec == "opus" else rate)
        found = read_audio(tmp_path / name, rate).samples
        assert len(found) == pytest.approx(rate, abs=1100 if rate < 44100 else 2100)
        assert abs(lag(found, expected, rate // 20)) <= max(2, rate // 900)
        n = min(len(found), rate)
        assert np.corrcoef(found[:n], expected[:n])[0, 1] > 0.8 or name == "a.webm"

    @pytest.mark.parametrize("name", ["a.mp4", "a.webm"])
    def test_nan_and_infinity_can_be_encoded(self, make_wav, tmp_path: Path, name: str) -> None:
        holed = bursts(1.0, 48000)
        holed[24000:26000] = np.nan
        holed[100] = np.inf
        dub(tmp_path / name, AudioSource(make_wav(holed[None], 48000, codec="pcm_f32le")))
        assert read_audio(tmp_path / name).duration == pytest.approx(1.0, abs=0.05)

    def test_odd_rates_go_to_the_next_that_the_codec_has(self, make_wav, tmp_path: Path) -> None:
        expected = bursts(1.0, 37800)
        dub(tmp_path / "a.mp4", AudioSource(make_wav(expected[None], 37800)))
        assert stream_of(tmp_path / "a.mp4")[1] == 44100
        assert abs(lag(read_audio(tmp_path / "a.mp4", 37800).samples, expected, 2000)) <= 2

    @pytest.mark.slow
    @pytest.mark.parametrize("layout", ["stereo", "5.1", "5.1(side)", "7.1"])
    @pytest.mark.parametrize("name", ["a.mp4", "a.webm", "a.mkv"])
    def test_channels_are_kept(self, make_wav, tmp_path: Path, layout: str, name: str) -> None:
        count = {"stereo": 2, "7.1": 8}.get(layout, 6)
        tones = np.stack([sine(1.0, 48000, 200 + 100 * n) for n in range(count)])
        dub(tmp_path / name, AudioSource(make_wav(tones, 48000, layout=layout)))
        assert stream_of(tmp_path / name)[2] == count
        assert read_audio(tmp_path / name).duration == pytest.approx(1.0, abs=0.05)

    @pytest.mark.parametrize(
        ("layout", "name", "channels", "said"),
        [
            ("5.1.2", "a.mp4", 8, "the 8 channels of sound.wav go out as 7.1"),
            (
                "7.1.4",
                "a.mp4",
                8,
                "the 12 channels of sound.wav are mixed to 7.1, without TBL and TBR",
            ),
            ("quad(side)", "a.webm", 4, "the 4 channels of sound.wav go out as quad"),
            ("3.1", "a.webm", 6, "the 4 channels of sound.wav go out as 5.1"),
            ("7.0", "a.webm", 8, "the 7 channels of sound.wav go out as 7.1"),
        ],
    )
    def test_layouts_that_the_encoder_lacks_are_said(
        self, make_wav, tmp_path: Path, layout: str, name: str, channels: int, said: str
    ) -> None:
        count = av.AudioLayout(layout).nb_channels
        tones = np.stack([sine(0.2, 48000, 200 + 100 * n) for n in range(count)])
        sound = AudioSource(make_wav(tones, 48000, layout=layout))
        notes = dub(tmp_path / name, sound, count=5)
        assert [said in note for note in notes] == [True]
        assert stream_of(tmp_path / name)[2] == channels

    @pytest.mark.parametrize(
        ("start", "duration", "loop", "pad", "seconds"),
        [
            (0.0, None, False, True, 1.0),
            (0.3, None, False, True, 0.7),
            (0.0, 0.4, False, True, 0.4),
            (0.5, 0.25, False, True, 0.25),
            (0.0, 2.5, True, True, 2.5),
            (0.75, 2.0, True, True, 2.0),
            (0.0, 2.0, False, True, 2.0),
            (0.5, 2.0, False, False, 0.5),
        ],
    )
    @pytest.mark.parametrize("name", ["a.mp4", "a.avi"])
    def test_start_duration_loop_pad(
        self, make_wav, tmp_path, start, duration, loop, pad, seconds, name
    ) -> None:
        rate = 16000
        source = bursts(1.0, rate)
        part = source[round(start * rate) :]
        expected = np.concatenate([part] * 10) if loop else np.append(part, np.zeros(10 * rate))
        expected = expected[: round(seconds * rate)].astype(np.float32)
        audio = AudioSource(make_wav(source[None], rate), start, duration, loop, pad)
        dub(tmp_path / name, audio)
        found = read_audio(tmp_path / name, rate).samples
        # AAC comes in packets of 1024 samples.
        assert 0 <= len(found) - len(expected) < (1024 if name == "a.mp4" else 1)
        n = len(expected)
        if name == "a.avi":
            assert np.abs(found[:n] - expected).max() < 1e-3
        else:
            assert np.corrcoef(found[:n], expected)[0, 1] > 0.85

    @pytest.mark.slow
    def test_leading_part_is_copied_too(self, make_video, tmp_path: Path) -> None:
        source = make_video(count=50, audio=bursts(2.0, 48000)[None])
        dub(tmp_path / "out.mp4", AudioSource(source, duration=1.0))
        part, whole = packets(tmp_path / "out.mp4"), packets(source)
        assert part == whole[: len(part)]
        assert read_audio(tmp_path / "out.mp4").duration == pytest.approx(1.0, abs=0.05)

    @pytest.mark.slow
    def test_padding_is_the_callers_choice(self, make_video, tmp_path: Path) -> None:
        source = make_video(count=25, audio=bursts(1.0, 48000)[None])
        for pad, copied, seconds in ((False, True, 1.0), (True, False, 3.0)):
            dub(tmp_path / "out.mp4", AudioSource(source, duration=3.0, pad=pad))
            assert (packets(tmp_path / "out.mp4") == packets(source)) == copied
            assert read_audio(tmp_path / "out.mp4").duration == pytest.approx(seconds, abs=0.05)

    @pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "a.webm", "a.avi"])
    def test_click_stays_on_its_frame(self, make_wav, tmp_path: Path, name: str) -> None:
        """A flash and a click at the same moment, through the whole room."""
        sound = np.zeros(48000, np.float32)
        sound[round(0.6 * 48000) :][:480] = 0.8
        path = tmp_path / name
        info = VideoInfo(path, 64, 64, Fraction(25))
        audio = AudioSource(make_wav(sound[None], 48000))
        with VideoWriter(path, info, audio=audio) as writer:
            for number in range(25):
                level = 255 if number == 15 else 0
                picture = np.full((64, 64, 3), level, np.uint8)
                writer.write(Frame.from_rgb(picture, number, 25))
        seen = max(read_frames(path), key=lambda frame: frame.to_rgb().mean()).time
        found = int(np.argmax(np.abs(read_audio(path, 48000).samples) > 0.3)) / 48000
        assert seen == 0.6
        assert found == pytest.approx(0.6, abs=0.003)

    def test_long_sound_beside_a_short_picture(self, make_wav, tmp_path: Path) -> None:
        wav = make_wav(sine(4.0, 16000)[None], 16000)
        dub(tmp_path / "a.mp4", AudioSource(wav), count=3)
        assert len(list(itertools.islice(read_frames(tmp_path / "a.mp4"), 9))) == 3
        assert read_audio(tmp_path / "a.mp4").duration == pytest.approx(4.0, abs=0.07)
