"""Fit the classifiers of a speech model anew, and leave all else as it is:

    python -m tools.refit_classifiers FILE [--data SHARDS] [--out FILE] [--seed 0]

They are the classifier of closures and the detector of speech. Needs espeak-ng (`pip install
'dubfew[speech-train]'`) and some minutes of one core. `dubfew speech train` fits them as its last
step; this is for models that are older than they are.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dubfew.data.array_cache import ArrayCache
from dubfew.speech.model import SpeechModel
from dubfew.speech.network import FeatureProjection, SpeechEnsemble
from dubfew.speech.training.batches import PassageEncoder
from dubfew.speech.training.closure_classifier import fit_closure_classifier
from dubfew.speech.training.config import SpeechTrainConfig
from dubfew.speech.training.examples import (
    TRAINING_VARIANTS,
    recording_from_clip,
    recording_from_utterance,
    synthesize_sentences,
    training_languages,
)
from dubfew.speech.training.shard_clips import load_filmed_clips
from dubfew.speech.training.speech_clip import FilmedSpeech
from dubfew.speech.training.speech_detector import fit_speech_detector
from dubfew.speech.training.vowel_hold import hold_some_vowels
from dubfew.speech.viseme_basis import load_viseme_basis

# Half as many sentences and passages as a training of the networks has: the classifiers have a
# thousand weights, and gain nothing from more.
_NUM_UTTERANCES, _NUM_PASSAGES = 600, 300


def refit_classifiers(
    model: SpeechModel, clips: Sequence[FilmedSpeech] = (), seed: int = 0
) -> SpeechModel:
    """Give a model classifiers that are fitted to synthetic and filmed speech.

    Args:
        model: trained model, with or without classifiers.
        clips: filmed speakers, for the detector of speech; only those that the model learned from.
        seed: seed of voices, sentences and augmentation.
    """
    settings = SpeechTrainConfig(
        seed=seed, num_utterances=_NUM_UTTERANCES, num_synthetic_passages=_NUM_PASSAGES
    )
    rng = np.random.default_rng(seed)
    utterances = synthesize_sentences(
        settings.num_utterances, rng, languages=training_languages(), variants=TRAINING_VARIANTS
    )
    utterances = hold_some_vowels(utterances, settings.held_vowel_fraction, rng)
    basis = load_viseme_basis()
    recordings = [recording_from_utterance(utterance, basis) for utterance in utterances]
    config = dataclasses.replace(model.network.config, hears_closures=True, detects_speech=True)
    network = SpeechEnsemble(config, model.network.opening)
    network.load_state_dict(model.network.state_dict(), strict=False)
    projection = network.projection
    with tempfile.TemporaryDirectory() as folder:
        passages = PassageEncoder(
            model.encoder,
            seed,
            ArrayCache(Path(folder)),
            projection if isinstance(projection, FeatureProjection) else None,
        ).encode_synthetic(recordings, settings.num_synthetic_passages)
    assert network.closure is not None
    fit_closure_classifier(network.closure, passages)
    used = model.training_info.get("clips", {})
    filmed = [recording_from_clip(clip, 0.0) for clip in clips if used.get(clip.name) == "trained"]
    count = settings.num_detector_recordings
    fit_speech_detector(network, model.encoder, [*recordings[:count], *filmed], count, rng)
    return SpeechModel(network, model.space, model.encoder, model.training_info, model.lead)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="speech model, changed in place without --out")
    parser.add_argument("--data", type=Path, help="shards of `dubfew prior prepare`")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    clips = load_filmed_clips(options.data).train if options.data else []
    model = refit_classifiers(SpeechModel.load(options.model), clips, options.seed)
    model.save(options.out or options.model)


if __name__ == "__main__":
    main()
