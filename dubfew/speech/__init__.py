"""From audio to mouth motion: encoders, the model, visemes, style, transcripts, training."""
