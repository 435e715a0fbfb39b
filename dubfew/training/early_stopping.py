"""Keep the weights of the best validation, and say when to stop."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class EarlyStopping:
    """Keep a copy of some modules' weights at the step with the best score.

    The first score is always kept, so a training is never worse than its start.

    Args:
        modules: modules whose weights are kept together.
        patience_steps: steps without a gain after which to stop.
        min_gain: least rise of the score that counts as a gain for the patience. Weights are kept
            for any better score.

    Attributes:
        best_step: step of the kept weights; None before the first.
        best_score: score of that step; None if it has none.

    Example:
        >>> from torch import nn
        >>> stopping = EarlyStopping([nn.Linear(1, 1)], patience_steps=20)
        >>> stopping.update(0, 30.0), stopping.update(10, 31.5), stopping.update(20, 31.4)
        (True, True, False)
        >>> stopping.best_step, stopping.is_exhausted(20), stopping.is_exhausted(30)
        (10, False, True)
    """

    def __init__(
        self, modules: Sequence[nn.Module], patience_steps: int, min_gain: float = 0.0
    ) -> None:
        self.modules = tuple(modules)
        self.patience_steps = patience_steps
        self.min_gain = min_gain
        self.best_step: int | None = None
        self.best_score: float | None = None
        # Step and score of the last gain, from which patience and the next gain are counted.
        self._gain_step: int | None = None
        self._gain_score: float | None = None
        self._states: list[dict[str, Tensor]] = []

    def update(self, step: int, score: float) -> bool:
        """Keep the weights if the score is higher than the best so far.

        Args:
            step: steps done.
            score: validation score; higher is better.

        Returns:
            Whether the weights were kept.
        """
        if self.best_score is not None and not score > self.best_score:
            return False
        self.keep(step)
        self.best_score = score
        if self._gain_score is None or not score < self._gain_score + self.min_gain:
            self._gain_step, self._gain_score = step, score
        return True

    def keep(self, step: int) -> None:
        """Keep the weights whatever they are worth, for a training without a validation."""
        self.best_step, self.best_score = step, None
        self._states = [
            {name: value.detach().clone() for name, value in module.state_dict().items()}
            for module in self.modules
        ]

    def is_exhausted(self, step: int) -> bool:
        """Return whether the last gain is ``patience_steps`` steps ago or more."""
        return self._gain_step is not None and step - self._gain_step >= self.patience_steps

    def restore(self) -> None:
        """Load the kept weights into the modules.

        Raises:
            RuntimeError: No weights were kept yet.
        """
        if self.best_step is None:
            raise RuntimeError("no weights were kept: call update or keep first")
        for module, state in zip(self.modules, self._states, strict=True):
            module.load_state_dict(state)
