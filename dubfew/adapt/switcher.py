"""Several actors in one process, one prior in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy

from dubfew.adapt.artefact import ActorAdapter
from dubfew.prior.checkpoint import Prior
from dubfew.prior.renderers import Renderer


class AdapterSwitcher:
    """A renderer on which actors take turns.

    Memory is that of two renderers, however many actors there are: the prior's own, never
    touched, and the one that is painted with. Not for several threads at a time.
    """

    def __init__(self, prior: Prior) -> None:
        self.prior = prior
        self._renderer = deepcopy(prior.renderer)
        self._is_active = False

    @contextmanager
    def activate(self, adapter: ActorAdapter) -> Iterator[Renderer]:
        """The renderer with an actor's delta merged in; afterwards it is the prior's, bit for bit.

        Raises:
            ArtefactError: the adapter belongs to another prior, or is damaged.
            RuntimeError: another actor is still playing.
        """
        if self._is_active:
            raise RuntimeError("another actor is still playing: let them leave first")
        adapter.check_prior(self.prior)
        self._is_active = True
        try:
            yield adapter.merge_into(self._renderer)
        finally:
            self._restore_prior()
            self._is_active = False

    def _restore_prior(self) -> None:
        own = self.prior.renderer
        if [type(m) for m in self._renderer.modules()] == [type(m) for m in own.modules()]:
            self._renderer.load_state_dict(own.state_dict())
        else:  # a delta that did not fit was left half merged
            self._renderer = deepcopy(own)
