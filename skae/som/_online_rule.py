"""Kohonen's online rule: prototypes learn from one row after the other."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from ._grid import NEIGHBORHOODS, Grid
from ._metrics import distances, prepared

#: The learning rate ends at this part of its start.
LAST_RATE = 0.01

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


def learn_row_by_row(
    codebook: Tensor,
    x: Tensor,
    course: Iterable[tuple[float, float, float]],
    grid: Grid,
    neighborhood: str,
    metric: str,
) -> Tensor:
    """Change prototypes in place, by the online rule for one row after the other.

    Parameters
    ----------
    codebook : Tensor of shape (n_units, n_features)
        The prototypes.
    x : Tensor of shape (n, n_features)
        Prepared rows.
    course : iterable of n tuples of float
        For each row its weight, and the radius and the learning rate when its turn comes.
    grid : Grid
        The map.
    neighborhood, metric : str
        See `SelfOrganizingMap`.

    Returns
    -------
    Tensor of shape (n,)
        The distance of each row from its winner.
    """
    positions, reach = grid.positions(codebook), NEIGHBORHOODS[neighborhood]
    found = []
    for row, (weight, radius, rate) in zip(x.split(1), course, strict=True):
        to_row = distances(row, codebook, metric)[0]
        winner = to_row.argmin()
        found.append(to_row[winner])
        squared = grid.squared_distances(positions[winner][None])[0]
        h = reach(squared, radius) if radius > 0 else (squared < 0.25).to(x.dtype)
        codebook.copy_(prepared(online_rule(codebook, row, h, rate, weight), metric))
    return torch.stack(found)


def running_mean(mean: Tensor, values: Tensor, weights: list[float], n_seen: list[float]) -> None:
    """Update a mean in place by one value after the other, exponentially once there are many.

    `n_seen` is the sum of all weights up to each value.
    """
    for value, weight, n in zip(values, weights, n_seen, strict=True):
        mean += (value - mean) * min(1.0, weight / min(n, _MEMORY))
