"""``dub``: learn the actor of a scene from the scene itself, then render new sound into it."""
