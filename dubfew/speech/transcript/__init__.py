"""What is said, and when: transcripts, their alignment, recognition."""
