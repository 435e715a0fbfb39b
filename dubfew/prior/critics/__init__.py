"""Critics: networks that tell paintings from real frames while a painting renderer is trained.

One module for each system whose paper names one. ``dubfew.prior.discriminator`` is the critic of
the blending renderers.
"""
