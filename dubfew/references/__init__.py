"""References: frames of the actor, selected, warped through the mesh and aligned."""
