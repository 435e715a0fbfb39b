"""Transcripts: reading, forced alignment, phoneme recognition, fusion with predicted motion."""
