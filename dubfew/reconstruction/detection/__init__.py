"""Detection: from a clip's frames to shots, people, and their face landmarks."""
