"""Training idioms that the prior, adaptation and the speech model share."""
