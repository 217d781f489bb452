"""Kohonen's online rule: prototypes learn from one row after the other."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from .._training import between
from ._grid import NEIGHBORHOODS, Grid
from ._metrics import distances, prepared

# The learning rate ends at this part of its start.
_LAST_RATE = 0.01

#: A stream has brought enough after this many rows for each unit (Kohonen 2001).
ROWS_PER_UNIT = 500

# Rows over which the mean energy is taken that makes memberships soft.
_MEMORY = 1000


def online_rule(codebook: Tensor, row: Tensor, h: Tensor, rate: float, weight: float) -> Tensor:
    """Return the prototypes after a row: m_i + rate h(i, winner) (x - m_i) (Kohonen 2001).

    Parameters
    ----------
    codebook : Tensor of shape (n_units, n_features)
        The prototypes.
    row : Tensor of shape (1, n_features)
        A row; where an entry is missing, prototypes stay.
    h : Tensor of shape (n_units,)
        The neighbourhood of the winner.
    rate : float
        The learning rate.
    weight : float
        The weight of the row: with 2, the same step twice.
    """
    share = rate * h
    if weight != 1:
        share = 1 - (1 - share) ** weight
    return codebook + (share[:, None] * (row - codebook)).nan_to_num_()


class OnlineLearner:
    """Applies the online rule while the radius and the learning rate fall.

    Parameters
    ----------
    grid : Grid
        The map.
    neighborhood, metric, decay : str
        See `SelfOrganizingMap`.
    radius : tuple of float
        At the start and at the end.
    learning_rate : float
        At the start; a hundredth of it at the end.
    """

    def __init__(
        self,
        grid: Grid,
        neighborhood: str,
        metric: str,
        decay: str,
        radius: tuple[float, float],
        learning_rate: float,
    ):
        self.grid, self.metric, self.decay = grid, metric, decay
        self.radius, self.learning_rate = radius, learning_rate
        self._reach = NEIGHBORHOODS[neighborhood]

    def learn(
        self, codebook: Tensor, x: Tensor, weights: Iterable[float], parts: Iterable[float]
    ) -> Tensor:
        """Change prototypes in place, row by row; return the distances from the winners.

        Parameters
        ----------
        codebook : Tensor of shape (n_units, n_features)
            The prototypes.
        x : Tensor of shape (n, n_features)
            Prepared rows.
        weights, parts : iterable of n floats
            The weight of each row, and what part of the training is over before it.
        """
        positions = self.grid.positions(codebook)
        found = []
        for row, weight, part in zip(x.split(1), weights, parts, strict=True):
            radius = between(*self.radius, part, self.decay)
            rate = between(self.learning_rate, _LAST_RATE * self.learning_rate, part, self.decay)
            to_row = distances(row, codebook, self.metric)[0]
            winner = to_row.argmin()
            found.append(to_row[winner])
            squared = self.grid.squared_distances(positions[winner][None])[0]
            h = self._reach(squared, radius) if radius > 0 else (squared < 0.25).to(x.dtype)
            moved = online_rule(codebook, row, h, rate, weight)
            codebook.copy_(prepared(moved, self.metric))
        return torch.stack(found)


def running_mean(mean: Tensor, values: Tensor, weights: list[float], n_seen: list[float]) -> None:
    """Update a mean in place by one value after the other, forgetting those long past.

    `n_seen` is the sum of all weights up to each value.
    """
    for value, weight, n in zip(values, weights, n_seen, strict=True):
        mean += (value - mean) * min(1.0, weight / min(n, _MEMORY))
