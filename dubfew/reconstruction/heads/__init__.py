"""Head models: FLAME's format and arithmetic, the embedded ``lite`` model, FLAME, MICA."""
