"""Visibility: frames whose mouth is turned away, cut off or occluded."""
