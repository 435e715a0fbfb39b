"""The method ``photometric_adam``: as ``photometric``, by a differentiable renderer and Adam.

It is the paper's own way, with PyTorch3D where ``DUBFEW_RASTERISER`` names it, and takes many times
as long as ``photometric``.
"""

from __future__ import annotations

from functools import partial

from dubfew.reconstruction.fitting.photometric import fit_photometric
from dubfew.reconstruction.fitting.photometric.adam import AdamFitter

REFINE_TRACK = partial(fit_photometric, fitter_class=AdamFitter, method="photometric_adam")
