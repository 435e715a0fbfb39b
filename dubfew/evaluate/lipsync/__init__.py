"""Lip-sync measures: SyncNet's distances and recognized phonemes."""
