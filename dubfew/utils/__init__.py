"""Helpers that know nothing of faces: files, numba, prefetching, HTML, optional imports."""
