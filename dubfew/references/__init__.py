"""References: frames of the actor, selected, warped through the mesh, aligned and sharpened.

This is where the pixels of a rendered mouth come from. Footage is cut into windows
(``cropping.py``), the references of a frame are the windows of nearest mouth and pose
(``selection.py``), and the mesh carries them into the frame (``inputs.py``, ``warping.py``). What
a renderer learns comes on top of that.
"""
