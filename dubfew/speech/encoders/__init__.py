"""Audio encoders: what the speech model is shown of a recording."""
