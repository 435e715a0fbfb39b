"""The cheapest sequence of states over time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def find_cheapest_path(
    costs: NDArray[np.floating],  # [N, S]
    change_costs: NDArray[np.floating] | float,  # [N - 1]
) -> NDArray[np.int64]:  # [N]
    """Choose one state for each time, such that all costs and those of the changes are least.

    Args:
        costs: cost of each state at each time. [N, S]
        change_costs: cost of another state than the one before, at each time from the second on;
            one number where it is always the same, 0 or more. [N - 1]

    Returns:
        Number of the state at each time; of equal ones the state before, then the first. [N]

    Source: Viterbi 1967, Error bounds for convolutional codes and an asymptotically optimum
    decoding algorithm.

    Example:
        >>> costs = np.array([[0, 1], [1, 0], [0, 1]])
        >>> find_cheapest_path(costs, 0.1).tolist(), find_cheapest_path(costs, 2.0).tolist()
        ([0, 1, 0], [0, 0, 0])
    """
    count, states = costs.shape
    if not count:
        return np.zeros(0, np.int64)
    change_costs = np.broadcast_to(change_costs, count - 1)
    total, came_from = costs[0], np.zeros((count, states), np.int64)
    for row in range(1, count):
        changed = total.min() + change_costs[row - 1]
        came_from[row] = np.where(total <= changed, np.arange(states), total.argmin())
        total = np.minimum(total, changed) + costs[row]
    path = np.empty(count, np.int64)
    path[-1] = total.argmin()
    for row in range(count - 1, 0, -1):
        path[row - 1] = came_from[row, path[row]]
    return path
