"""FLAME, from the files that a user has licensed."""
