"""Helpers without knowledge of faces: files, options, compilation, prefetching, HTML, imports."""
