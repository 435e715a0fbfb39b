"""Motion of the mouth, independent of a head model: measured, and transferred to a head."""
