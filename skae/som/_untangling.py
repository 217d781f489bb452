"""Prototypes that change places, so that a map is torn less."""

from __future__ import annotations

import torch
from torch import Tensor

from ._grid import Grid

# Part of all rows that a change of places has to mend.
_LEAST_GAIN = 1e-5

# Part by which it may lengthen the links of the two prototypes. With none, half as many rows are
# mended; with no bound, prototypes leave those that they resemble, and trustworthiness suffers.
_STRETCH = 0.1


def untangled(grid: Grid, pairs: Tensor, prototypes: Tensor) -> Tensor:
    """Return which unit's prototype each unit is to take over.

    A row is torn if its two nearest prototypes do not lie on adjacent units. Two prototypes
    at a time change places, those that mend the most rows, until no two of them mend any
    without lengthening the links between adjacent prototypes.

    Parameters
    ----------
    grid : Grid
        The map.
    pairs : Tensor of shape (n_units, n_units)
        For each unit, the weight of the rows that it wins by the unit that comes second.
    prototypes : Tensor of shape (n_units, n_features)
        The prototype of each unit.

    Returns
    -------
    Tensor of shape (n_units,)
        A permutation.
    """
    adjacent = grid.adjacent(grid.positions(pairs))
    tears = _Assignment(pairs + pairs.T, (~adjacent).to(pairs.dtype).fill_diagonal_(0))
    links = _Assignment(torch.cdist(prototypes, prototypes), adjacent.to(pairs.dtype))
    least = _LEAST_GAIN * float(tears.between.sum())
    place = torch.arange(grid.n_units, device=pairs.device)  # of each prototype
    for _ in range(grid.n_units):
        worst = tears.cost.diagonal().nonzero()[:, 0]
        if not len(worst):
            break
        mended = tears.saved_by_exchange(worst)
        length = links.cost.diagonal()
        mended[-links.saved_by_exchange(worst) > _STRETCH * (length[worst, None] + length)] = 0
        best = int(mended.argmax())
        if mended.view(-1)[best] <= least:
            break
        i, j = int(worst[best // grid.n_units]), best % grid.n_units
        for one in (tears, links):
            one.exchange(i, j)
        place[[i, j]] = place[[j, i]]
    return place.argsort()


class _Assignment:
    """A sum over pairs of prototypes, of what is between them where their places are related.

    Parameters
    ----------
    between, related : Tensor of shape (n_units, n_units)
        Symmetric: of prototypes, and (0 or 1, not to themselves) of the places they have now.
    """

    def __init__(self, between: Tensor, related: Tensor):
        self.between, self.related = between, related
        #: What prototype i would cost at the place of prototype j, at [i, j].
        self.cost = between @ related

    def saved_by_exchange(self, rows: Tensor) -> Tensor:
        """Return what is saved where a prototype of `rows` and another one change places."""
        own = self.cost.diagonal()
        saved = own[rows, None] + own - self.cost[rows] - self.cost[:, rows].T
        return saved - 2 * self.between[rows] * self.related[rows]  # they stay as related

    def exchange(self, i: int, j: int) -> None:
        """Let two prototypes change places."""
        related, there, back = self.related, [i, j], [j, i]
        of_either = self.between[:, i] - self.between[:, j]
        self.cost += torch.outer(of_either, related[j] - related[i])
        related[there] = related[back]
        related[:, there] = related[:, back]
        self.cost[:, there] = self.between @ related[:, there]
