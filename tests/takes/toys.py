"""A toy take: one opening a second, on a mouth that opens as mouths do."""

from __future__ import annotations

import numpy as np

from dubfew.motion.mouth_motion import MouthMotion
from dubfew.speech.viseme_basis import load_viseme_basis
from dubfew.speech.visemes import Phone
from dubfew.takes.take import Take, TakeSource


def toy_motion(seconds: float = 4.0, rate: float = 100, gap: float = 0.1) -> MouthMotion:
    """Openings of ``gap`` at 0.5, 1.5, ... s, and rest at whole seconds."""
    times = np.arange(round(seconds * rate) + 1) / rate
    opening = (gap * np.sin(np.pi * times) ** 2).astype(np.float32)
    # Upper lip, lower lip, width, protrusion, chin.
    controls = np.stack([0.25 * opening, -0.75 * opening, 0 * opening, 0 * opening, -opening], 1)
    displacement = np.tensordot(controls, load_viseme_basis(), axes=1).astype(np.float32)
    unit = MouthMotion(displacement, times).aperture().max() / gap
    return MouthMotion(displacement / unit, times)


def toy_take(seconds: float = 4.0, kind: str = "audio", gap: float = 0.1) -> Take:
    motion = toy_motion(seconds, gap=gap)
    source = TakeSource(kind, "line.wav", "0" * 64, "1" * 64, "de")
    confidence = np.linspace(0, 1, len(motion), dtype=np.float32)
    return Take(motion, confidence, source, (Phone("a", 0.4, 0.6), Phone("m", 0.9, 1.1)))
