"""Photometric fit: shape, then what a clip shares, then every frame (paper 003, A.1)."""

from dubfew.reconstruction.fitting.photometric.track import fit_photometric

__all__ = ["fit_photometric"]
