"""A label for viewers: where it is, what it leaves alone, and what the copy's credentials say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dubfew.cli.app import app
from dubfew.errors import DubfewError
from dubfew.marks.credentials import RenderProvenance, read_credentials, sign_video
from dubfew.marks.disclosure import (
    CREDITS,
    LabelPlan,
    credits_text,
    draw_card,
    draw_label,
    write_labelled,
)
from dubfew.marks.verification import verify_marks
from dubfew.media import read_frames
from dubfew.utils.fonts import load_font
from tests.commands import CommandRunner
from tests.marks.conftest import ID, packets_of, synthetic_clip_as


def test_the_font_has_every_letter_of_the_texts() -> None:
    font = load_font(40)
    missing = font.getmask("\ufffe").getbbox(), bytes(font.getmask("\ufffe"))
    for letter in sorted(set("".join(CREDITS.values())) - {" "}):
        assert (font.getmask(letter).getbbox(), bytes(font.getmask(letter))) != missing, letter


def test_the_letters_are_the_largest_part() -> None:
    picture, mask = draw_label(80)
    assert picture.shape == (80, picture.shape[1], 3)
    assert mask.shape == picture.shape[:2]
    assert mask[40].all()
    assert not mask[0, 0]  # round corners
    ink = picture[..., 0] > 128
    upper, lower = ink[:48].any(1).sum(), ink[48:].any(1).sum()
    assert upper > 1.5 * lower > 0


def test_times_of_the_label() -> None:
    plan = LabelPlan((0.0, 60.0), 5.0)
    assert [plan.is_shown(t) for t in (0.0, 4.99, 5.0, 59.9, 60.0, 64.9, 65.0)] == [
        True,
        True,
        False,
        False,
        True,
        True,
        False,
    ]
    assert LabelPlan(seconds=None).is_shown(1e6)
    with pytest.raises(DubfewError, match="negative"):
        LabelPlan((-1.0,))


def test_text_of_the_credits() -> None:
    assert credits_text("de-AT") == CREDITS["de"]
    assert "künstlicher Intelligenz" in credits_text("de_CH")
    with pytest.raises(DubfewError, match=r"'xx'.*de, en"):
        credits_text("xx")


@pytest.mark.parametrize("language", list(CREDITS))
def test_the_card_holds_the_text(language: str) -> None:
    """Nothing is written beyond the margins, and the text is there."""
    ink = draw_card(320, 240, credits_text(language))[..., 0] > 128
    assert ink.any(1).sum() > 30
    assert not ink[:, :8].any()
    assert not ink[:, -8:].any()
    assert not ink[:8].any()
    assert not ink[-8:].any()


@pytest.fixture(scope="module")
def dub(folder: Path, identity, marked: Path) -> Path:
    """A dub with both marks."""
    path = folder / "dub.mp4"
    path.write_bytes(marked.read_bytes())
    facts = RenderProvenance(marked, None, "audio", "lite", "ab" * 32, None, ID)
    sign_video(path, path, facts, identity)
    return path


@pytest.mark.slow
def test_a_labelled_copy(dub: Path, identity, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    frames, notes = write_labelled(dub, out, LabelPlan((0.0,), 0.4), identity)
    originals, copies = list(read_frames(dub)), list(read_frames(out))
    assert len(copies) == len(originals) == frames
    assert not notes
    assert [frame.stamp for frame in copies] == [frame.stamp for frame in originals]
    size = min(originals[0].width, originals[0].height)
    margin = round(size * 0.05)
    height, width = draw_label(max(32, round(size * 0.1)))[1].shape
    right = originals[0].width - margin
    box = (slice(margin, margin + height), slice(right - width, right))
    for number in (0, 20):  # with the label, and after it
        before, after = (each[number].to_rgb().astype(int) for each in (originals, copies))
        change = np.abs(after - before).max(axis=-1)
        assert (np.median(change[box]) > 30) == (number == 0)
        change[box] = 0
        # Ringing of the encoder beside the label aside.
        assert np.quantile(change, 0.99) < 12
    credentials = read_credentials(out)
    assert credentials is not None
    assert credentials.state == "valid"
    assert credentials.actions == ("c2pa.opened", "c2pa.edited")
    assert credentials.rendering is not None
    assert credentials.rendering["watermark"] == ID
    assert credentials.ingredients[0].generator.startswith("dubfew")
    assert credentials.forbidden_uses == ("cawg.ai_generative_training", "cawg.ai_training")
    report = verify_marks(out)
    assert report.intact, report.findings
    assert "not to be used for: ai_generative_training, ai_training" in report.findings


@pytest.mark.slow
def test_a_card_after_the_last_frame(identity, tmp_path: Path) -> None:
    clip = synthetic_clip_as(tmp_path / "clip.mp4", 5)
    out = tmp_path / "out.mp4"
    runner = CommandRunner()
    result = runner.invoke(
        app, ["disclose", str(clip), "-o", str(out), "--card", "0.4", "--lang", "fr", "--json"]
    )
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout.splitlines()[-1])
    assert told["credits"] == CREDITS["fr"]
    frames = list(read_frames(out))
    assert len(frames) == told["frames"] == 5 + round(0.4 * 25)
    card = frames[-1].to_rgb()
    # Dark paper, and white ink only within the margins.
    assert np.median(card) < 40
    assert card.max() > 200
    steps = np.diff([float(frame.stamp) for frame in frames])
    np.testing.assert_allclose(steps, 0.04, atol=1e-3)
    assert len(packets_of(out)) >= len(frames)
    assert "exists already" in runner.invoke(app, ["disclose", str(clip), "-o", str(out)]).output


def test_without_an_output_the_text_alone(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"x")
    result = CommandRunner().invoke(app, ["disclose", str(clip), "--language", "de"])
    assert result.stdout.strip() == CREDITS["de"]


@pytest.mark.slow
def test_a_picture_without_room_is_refused(identity, tmp_path: Path, monkeypatch) -> None:
    clip = synthetic_clip_as(tmp_path / "clip.mp4", 2)
    monkeypatch.setattr("dubfew.marks.disclosure.MIN_LABEL_PX", 4000)
    with pytest.raises(DubfewError, match="no room"):
        write_labelled(clip, tmp_path / "out.mp4", LabelPlan(), identity)
    assert not (tmp_path / "out.mp4").exists()
