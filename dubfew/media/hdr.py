"""Static metadata of HDR pictures: the mastering display, and the brightest light (HDR10)."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np

# Code points of transfer characteristics (ITU-T H.273): perceptual quantizer and hybrid log-gamma.
TRANSFER_PQ, TRANSFER_HLG = 16, 18
# Steps of chromaticities and of luminances in the bit streams of H.264 and H.265 (SMPTE ST 2086).
_CHROMATICITY_STEPS, _LUMINANCE_STEPS = 50_000, 10_000


@dataclass(frozen=True)
class HdrMetadata:
    """Static HDR metadata of a video (SMPTE ST 2086, CTA-861.3).

    Attributes:
        primaries: x and y of red, green and blue, and of the white point; empty if not stated.
        luminance: least and greatest of the mastering display, cd/m2; empty if not stated.
        max_content_light: brightest pixel, cd/m2; 0 if not stated.
        max_average_light: brightest mean of a frame, cd/m2; 0 if not stated.
    """

    primaries: tuple[tuple[Fraction, Fraction], ...] = ()
    luminance: tuple[Fraction, ...] = ()
    max_content_light: int = 0
    max_average_light: int = 0

    @classmethod
    def from_picture(cls, picture: av.VideoFrame) -> HdrMetadata | None:
        """Read the metadata that a decoded picture carries; None if it carries none."""
        display: Any = picture.side_data.get("MASTERING_DISPLAY_METADATA")
        light: Any = picture.side_data.get("CONTENT_LIGHT_LEVEL")
        if display is None and light is None:
            return None
        primaries: tuple[tuple[Fraction, Fraction], ...] = ()
        luminance: tuple[Fraction, ...] = ()
        if display is not None:
            # FFmpeg's struct: ten rationals, then whether primaries and luminances are known.
            numbers = np.frombuffer(bytes(display)[:88], np.int32).tolist()
            pairs = zip(numbers[0:20:2], numbers[1:20:2], strict=True)
            values = [Fraction(top, bottom or 1) for top, bottom in pairs]
            if numbers[20]:
                primaries = tuple(zip(values[0:8:2], values[1:8:2], strict=True))
            if numbers[21]:
                luminance = tuple(values[8:10])
        content = average = 0
        if light is not None:
            content, average = np.frombuffer(bytes(light)[:8], np.uint32).tolist()
        return cls(primaries, luminance, content, average)

    def describe_for_encoder(self) -> dict[str, str]:
        """Return the parameters by which x264 and x265 write the metadata.

        Returns:
            ``master-display`` and ``max-cll`` (as x265 names them), where they are known.
        """
        found = {}
        if self.primaries and self.luminance:
            red, green, blue, white = self.primaries
            points = "".join(
                f"{name}({round(x * _CHROMATICITY_STEPS)},{round(y * _CHROMATICITY_STEPS)})"
                for name, (x, y) in (("G", green), ("B", blue), ("R", red), ("WP", white))
            )
            least, most = (round(value * _LUMINANCE_STEPS) for value in self.luminance)
            found["master-display"] = f"{points}L({most},{least})"
        if self.max_content_light or self.max_average_light:
            found["max-cll"] = f"{self.max_content_light},{self.max_average_light}"
        return found
