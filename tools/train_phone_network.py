"""Train the small network of phones behind the sound feature ``ctc29_espeak``.

    python -m tools.train_phone_network OUT.safetensors [--seconds 300]

It learns from espeak-ng's speech (extra ``speech-train``) in 24 languages, whose phones and times
are known: connectionist temporal classification, and cross-entropy of every step with the phone of
its time. Held out are the last sentence of each language and the voices that speak only it.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from dubfew.data.sound_features._phone_network import (
    FRAMES_PER_STEP,
    PhoneNetwork,
    save_phone_network,
)
from dubfew.errors import DubfewError
from dubfew.media.mel import MEL_HOP_SAMPLES, estimate_channel, log_mel, num_mel_frames
from dubfew.speech.espeak import get_synthesizer, load_sentences
from dubfew.speech.visemes import VISEME_BY_LETTER, Phone

# ruff: noqa: RUF001 - the letters of the International Phonetic Alphabet look like others.
# Classes of phones, by sound and by the mouth that makes them; class k is logit k + 1, and the
# blank (and silence) is logit 0. Voiced and voiceless look the same and share a class.
PHONE_CLASSES = (
    *("pbɓʙ", "mɱ", "fvɸβʋ", "tdʈɖɗ", "nɳ", "θð", "szɬɮ", "ʃʒʂʐɕʑ", "kɡgɟcq", "ŋɲɴ", "xɣχçʝħʕ"),
    *("hɦʔ", "jʎ", "lɫɭʟ", "ɹɻɚɝ", "rɾɽʀʁ", "wɥʍ", "iɪᵻ", "eɘ", "ɛ", "æ", "aɑɐ", "ʌɜ", "əɨɯɤ"),
    *("ɒɔ", "oɵ", "uʊʉ", "yʏøœɶ"),
)
CLASS_OF_LETTER = {letter: k + 1 for k, letters in enumerate(PHONE_CLASSES) for letter in letters}
# Voices of espeak-ng that learn, and those that are held out; "" is a language's own.
VOICES = ("", "m1", "m3", "m5", "m7", "f1", "f3", "f5", "klatt2", "croak")
HELD_OUT_VOICES = ("f2", "m4")
# Speaking rates, words a minute, and pitches that are drawn from.
RATES, PITCHES = (120, 220), (20, 80)
# Steps of a training sample, 3 s, and samples per batch.
SAMPLE_STEPS, BATCH = 150, 16
# Weight of the steps' cross-entropy beside CTC: it says when, which CTC leaves open.
FRAME_WEIGHT = 1.0
# Largest shift of all bands' level and deviation of the noise on them, in the units of `log_mel`.
LEVEL_SHIFT, BAND_NOISE = 0.1, 0.05
STEP_SECONDS = FRAMES_PER_STEP * MEL_HOP_SAMPLES / 16000


@dataclass(frozen=True)
class Spoken:
    """A sentence: mel bands [T, 80] and the class of every step [ceil(T / 2)]."""

    mel: NDArray[np.float32]
    classes: NDArray[np.int64]


def label_steps(phones: tuple[Phone, ...], count: int) -> NDArray[np.int64]:
    """Find the class of the phone at the time of each step. [count]"""
    ends = np.array([phone.end for phone in phones])
    index = np.searchsorted(ends, np.arange(count) * STEP_SECONDS, side="right")
    classes = np.array([CLASS_OF_LETTER.get(phone.symbol, 0) for phone in phones] + [0])
    return classes[index].astype(np.int64)


def speak_sentences(rng: np.random.Generator, *, held_out: bool, times: int) -> list[Spoken]:
    """Synthesize the sentences of one part, each several times with drawn voices."""
    synthesizer, found = get_synthesizer(), []
    for language, sentences in load_sentences().items():
        for sentence in sentences[-1:] if held_out else sentences[:-1]:
            for _ in range(times):
                try:
                    spoken = synthesizer.synthesize(
                        sentence,
                        language,
                        variant=str(rng.choice(HELD_OUT_VOICES if held_out else VOICES)),
                        words_per_minute=int(rng.integers(*RATES)),
                        pitch=int(rng.integers(*PITCHES)),
                    )
                except DubfewError:
                    continue  # a voice that this build lacks
                samples = spoken.samples
                count = num_mel_frames(len(samples)) // FRAMES_PER_STEP
                mel = log_mel(samples, channel=estimate_channel(samples), start=0, stop=count * 2)
                found.append(Spoken(mel, label_steps(spoken.phones, count)))
    return found


def draw_batch(
    clips: list[Spoken], rng: np.random.Generator
) -> tuple[torch.Tensor, NDArray[np.int64]]:
    """Cut 3 s of random sentences, with a random level and noise. [B, T, 80] and [B, T / 2]"""
    mel = np.zeros((BATCH, SAMPLE_STEPS * FRAMES_PER_STEP, 80), np.float32)
    classes = np.zeros((BATCH, SAMPLE_STEPS), np.int64)
    for row in range(BATCH):
        clip = clips[rng.integers(len(clips))]
        start = int(rng.integers(max(1, len(clip.classes) - SAMPLE_STEPS + 1)))
        part = clip.classes[start : start + SAMPLE_STEPS]
        bands = clip.mel[start * 2 : (start + SAMPLE_STEPS) * 2]
        mel[row, : len(bands)], classes[row, : len(part)] = bands, part
        mel[row] += rng.uniform(-LEVEL_SHIFT, LEVEL_SHIFT) * (mel[row] > 0)
    mel += BAND_NOISE * rng.standard_normal(mel.shape, np.float32)
    return torch.from_numpy(np.maximum(mel, 0)), classes


def collapse(classes: NDArray) -> list[int]:
    """List the phones of a row of steps: runs of one class once, without blanks."""
    kept = [int(c) for k, c in enumerate(classes) if k == 0 or c != classes[k - 1]]
    return [c for c in kept if c]


def compute_loss(network: PhoneNetwork, mel: torch.Tensor, classes: NDArray) -> torch.Tensor:
    """Compute CTC of the phones in order, and the cross-entropy of the steps."""
    logits = network(mel)
    targets = [collapse(row) for row in classes]
    ctc = F.ctc_loss(
        logits.log_softmax(-1).transpose(0, 1),
        torch.tensor([c for row in targets for c in row]),
        torch.full((len(targets),), logits.shape[1]),
        torch.tensor([len(row) for row in targets]),
        zero_infinity=True,
    )
    frames = F.cross_entropy(logits.flatten(0, 1), torch.from_numpy(classes).flatten())
    return ctc + FRAME_WEIGHT * frames


def edit_distance(a: list[int], b: list[int]) -> int:
    """Count the insertions, deletions and replacements from one list to another."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        previous, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (x != y))
    return row[-1]


@torch.inference_mode()
def measure(network: PhoneNetwork, clips: list[Spoken]) -> dict[str, float]:
    """Measure the share of steps with the right class, and the error rate of phones in order."""
    network.eval()
    right = steps = errors = phones = 0
    for clip in clips:
        found = network(torch.from_numpy(clip.mel)[None])[0].argmax(-1).numpy()
        right += int((found == clip.classes).sum())
        steps += len(found)
        expected = collapse(clip.classes)
        errors += edit_distance(collapse(found), expected)
        phones += len(expected)
    network.train()
    return {"frame_accuracy": right / steps, "phone_error_rate": errors / phones}


def main() -> None:
    """Parse arguments, train, measure on what was held out, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="file to write")
    parser.add_argument("--seconds", type=float, default=300, help="processor time; default 300")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    missing = set(VISEME_BY_LETTER) - {""} - set(CLASS_OF_LETTER)
    if missing:
        raise SystemExit(f"letters without a class: {' '.join(sorted(missing))}")
    torch.manual_seed(arguments.seed)
    rng = np.random.default_rng(arguments.seed)
    clips = speak_sentences(rng, held_out=False, times=6)
    others = speak_sentences(rng, held_out=True, times=2)
    print(f"{len(clips)} sentences to learn, {len(others)} held out")
    network = PhoneNetwork()
    optimizer = torch.optim.AdamW(network.parameters(), 2e-3, weight_decay=0.01)
    start, step = time.process_time(), 0
    while (share := (time.process_time() - start) / arguments.seconds) < 1:
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * min(1.0, (step + 1) / 50) * max(0.02, 1 - share)
        loss = compute_loss(network, *draw_batch(clips, rng))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        step += 1
        if step % 100 == 0:
            print(step, round(share, 2), round(float(loss), 3), measure(network, others[:12]))
    found = {name: round(value, 4) for name, value in measure(network, others).items()}
    facts = {"steps": step, "sentences": len(clips), "held_out": found}
    save_phone_network(network, arguments.out, PHONE_CLASSES, facts)
    print(facts)


if __name__ == "__main__":
    main()
