"""Rasterizers: triangles to face ids and barycentric coordinates."""
