"""The method ``photometric``: the head is fitted to the pixels of the face as well."""

from __future__ import annotations

from dubfew.reconstruction.fitting.photometric import fit_photometric

REFINE_TRACK = fit_photometric
