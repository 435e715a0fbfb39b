"""Video and audio in and out, through PyAV.

`probe` reads a file's properties, `read_frames` decodes it, `VideoWriter` encodes frames with the
same properties, and `read_audio` decodes sound in time with the picture.
"""

from dubfew.media.audio import Audio, AudioSource, read_audio, stream_audio
from dubfew.media.frame import Frame
from dubfew.media.in_memory import Frames
from dubfew.media.info import VideoInfo, probe
from dubfew.media.pixels import ColorTags
from dubfew.media.reading import DamagedMediaWarning, read_frames, read_sample_frames
from dubfew.media.writing import VideoWriter

__all__ = [
    "Audio",
    "AudioSource",
    "ColorTags",
    "DamagedMediaWarning",
    "Frame",
    "Frames",
    "VideoInfo",
    "VideoWriter",
    "probe",
    "read_audio",
    "read_frames",
    "read_sample_frames",
    "stream_audio",
]
