"""Head models: FLAME's format and arithmetic, the embedded model ``lite``, FLAME, and MICA."""
