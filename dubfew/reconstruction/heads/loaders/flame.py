"""FLAME, from the licensed files that the user registered with ``dubfew assets add``."""

from __future__ import annotations

from dubfew.reconstruction.heads.flame.assemble import load_registered_flame

HEAD_LOADER = load_registered_flame
