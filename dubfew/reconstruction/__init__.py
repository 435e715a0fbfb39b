"""Reconstruction: from video to a `Track`, the head's shape, pose and expression in every frame."""
