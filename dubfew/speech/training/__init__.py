"""From synthetic and filmed speech to a trained speech model."""
