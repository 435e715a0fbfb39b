"""Lip-sync measurements: SyncNet's distances, and agreement with recognized phonemes."""
