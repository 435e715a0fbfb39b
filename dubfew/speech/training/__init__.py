"""Training of the speech model from synthetic and filmed speech."""
