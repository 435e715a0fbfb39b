"""Rasterization: from projected triangles to face ids and barycentric coordinates per pixel."""
