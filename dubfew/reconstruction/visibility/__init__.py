"""Visibility: frames whose mouth is turned away, cut off by the frame's edge, or covered."""
