"""Kinds of files of weights that only measure, one module per family.

To add a family, put a module here that defines ``ASSET_KINDS``, a mapping from kind to
`dubfew.assets.AssetKind`. Modules here must import nothing heavy: `dubfew assets list` loads all.
"""
