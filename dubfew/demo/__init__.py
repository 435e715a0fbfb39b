"""``dubfew demo``: the whole way on a bundled clip of a person who does not exist."""

from dubfew.demo.run import ACTOR_CLIP_FILE, DUB_AUDIO_FILE, DemoResult, run_demo

__all__ = ["ACTOR_CLIP_FILE", "DUB_AUDIO_FILE", "DemoResult", "run_demo"]
