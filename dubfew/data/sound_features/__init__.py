"""Features of sound that painting renderers hear, one module each.

Every module of this package that does not begin with an underscore defines ``SOUND_FEATURE``, a
`SoundFeature`. The configuration of a painting renderer names its feature by the module, so that
features never mix. Importing this package imports no torch.
"""

from __future__ import annotations

from dubfew.data.sound_features._base import SoundFeature, cut_sound_window
from dubfew.errors import ArtefactError
from dubfew.utils.extension_table import ExtensionTable

SOUND_FEATURES: ExtensionTable[SoundFeature] = ExtensionTable(
    "sound feature", "dubfew.data.sound_features", "SOUND_FEATURE", ArtefactError
)

__all__ = ["SOUND_FEATURES", "SoundFeature", "cut_sound_window"]
