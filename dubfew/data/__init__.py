"""Prepared footage of many people for every trainer: preparation, shards, samples.

``prepare.py`` turns videos into shards, ``shards.py`` opens them, and ``dataset.py`` draws the
samples of a training from them (``sampling.py``). Trainers of the prior and of speech both build on
this package, which imports neither.
"""
