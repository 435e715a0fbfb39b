"""Prepared footage of many people, for every trainer: preparation, shards, samples."""
