"""People who do not exist: video, sound and the exact Track of a clip, all from a seed."""

from dubfew.synthetic.clip import SyntheticClip, render_clip, write_clip
from dubfew.synthetic.person import SyntheticPerson
from dubfew.synthetic.voice import SyntheticSpeech

__all__ = ["SyntheticClip", "SyntheticPerson", "SyntheticSpeech", "render_clip", "write_clip"]
