"""Switch between actors in one process, with one prior in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy

from dubfew.adapt.artefact import ActorAdapter
from dubfew.prior.checkpoint import Prior
from dubfew.prior.renderers import Renderer


class AdapterSwitcher:
    """One renderer that actors use in turn.

    Memory holds two renderers, however many actors there are: the prior's, which never changes,
    and the one that deltas are merged into. Not for several threads at a time.

    Example:
        switcher = AdapterSwitcher(Prior.load())
        with switcher.activate(mary) as renderer:
            window = renderer(inputs, texture)
    """

    def __init__(self, prior: Prior) -> None:
        """Copy the renderer of a prior; the prior itself stays as it is."""
        self.prior = prior
        self._renderer = deepcopy(prior.renderer)
        self._is_active = False

    @contextmanager
    def activate(self, adapter: ActorAdapter) -> Iterator[Renderer]:
        """Merge an actor's delta into the renderer; afterwards restore the prior bit for bit.

        Args:
            adapter: actor of this switcher's prior.

        Yields:
            The renderer with the actor's weights, the same object for all actors.

        Raises:
            ArtefactError: The adapter belongs to another prior, or is damaged.
            RuntimeError: Another actor is still active.
        """
        if self._is_active:
            raise RuntimeError("another actor is still active: leave its 'with' block first")
        # Before anything changes: a wrong actor leaves the renderer as it is.
        adapter.check_prior(self.prior)
        self._is_active = True
        try:
            # Merging may fail halfway, so that it is inside the block that restores the prior.
            yield adapter.merge_into(self._renderer)
        finally:
            self._restore_prior()
            self._is_active = False

    def _restore_prior(self) -> None:
        """Give the renderer the prior's weights again, copied so that not a bit differs."""
        own = self.prior.renderer
        if [type(m) for m in self._renderer.modules()] == [type(m) for m in own.modules()]:
            self._renderer.load_state_dict(own.state_dict())
        else:  # a delta that did not fit was left half merged
            self._renderer = deepcopy(own)
