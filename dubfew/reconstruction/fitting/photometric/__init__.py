"""Photometric fit: the head laid onto the pixels of a clip, beginning with a landmark fit.

First what a clip shares (shape, camera, albedo, light) is fitted to some frames together, then what
varies (pose, jaw, expression, light) to every frame.

Source: Saunders and Namboodiri 2024, "Dubbing for Everyone: Data-Efficient Visual Dubbing using
Neural Rendering Priors" (arXiv 2401.06126), appendix A.1.
"""

from typing import TYPE_CHECKING

from dubfew.utils.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from dubfew.reconstruction.fitting.photometric.track import fit_photometric

__all__ = ["fit_photometric"]

__getattr__ = lazy_exports(__name__, {"fit_photometric": "track"})
