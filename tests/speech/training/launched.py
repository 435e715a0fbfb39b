"""A toy training, for a launcher: ``python -m tests.speech.training.launched FOLDER``."""

from __future__ import annotations

import sys
from pathlib import Path

from dubfew.data.array_cache import ArrayCache
from dubfew.speech.encoders import load_encoder
from dubfew.speech.training.config import SpeechTrainConfig
from dubfew.speech.training.trainer import TrainedSpeechModel, fit_speech_model
from dubfew.training.accelerator import PlainSettings, configured_accelerator, is_main_process
from tests.speech.clips import TOY_SIZES, spoken_clip

CONFIG = SpeechTrainConfig(steps=2, **{**TOY_SIZES, "scout_steps": 1}, min_correlation=-1.0)


def train(folder: Path) -> TrainedSpeechModel:
    """Train on one clip, with the passages of a folder."""
    with configured_accelerator(PlainSettings()) as accelerator:
        return fit_speech_model(
            [spoken_clip()],
            CONFIG,
            encoder=load_encoder(),
            cache=ArrayCache(folder / "cache"),
            accelerator=accelerator,
            state_folder=folder / "run",
        )


if __name__ == "__main__":
    model = train(Path(sys.argv[1])).model
    if is_main_process():
        model.save(Path(sys.argv[1]) / "model.safetensors")
