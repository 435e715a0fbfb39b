"""Demonstration: adapt to a bundled clip of a synthetic person and dub it."""

from dubfew.demo.run import ACTOR_CLIP_FILE, DUB_AUDIO_FILE, DemoResult, run_demo

__all__ = ["ACTOR_CLIP_FILE", "DUB_AUDIO_FILE", "DemoResult", "run_demo"]
