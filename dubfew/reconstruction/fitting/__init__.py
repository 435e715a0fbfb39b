"""Fitting: landmarks or pixels to the parameters of a head model."""
