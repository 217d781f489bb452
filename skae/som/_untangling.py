"""Adjacent prototypes that change places, so that a map is torn less."""

from __future__ import annotations

import torch
from torch import Tensor

from ._grid import Grid

# Part of all rows that a change of places has to mend.
_LEAST_GAIN = 1e-5


def untangled(grid: Grid, pairs: Tensor) -> Tensor:
    """Return which unit's prototype each unit is to take over.

    A row is torn if its two nearest prototypes do not lie on adjacent units. Two adjacent
    prototypes at a time change places, those that mend the most rows, until no two mend
    any. (Others may not: that mends more rows, but takes prototypes away from those that they
    resemble, and trustworthiness suffers.)

    Parameters
    ----------
    grid : Grid
        The map.
    pairs : Tensor of shape (n_units, n_units)
        For each unit, the weight of the rows that it wins by the unit that comes second.

    Returns
    -------
    Tensor of shape (n_units,)
        A permutation.
    """
    n_units = grid.n_units
    apart = (~grid.adjacent(grid.positions(pairs))).to(pairs.dtype).fill_diagonal_(0)
    ties = pairs + pairs.T
    least = _LEAST_GAIN * float(ties.sum())
    # How much weight prototype i would tear at the place of prototype j, at [i, j].
    torn = ties @ apart
    place = torch.arange(n_units, device=pairs.device)  # of each prototype
    for _ in range(n_units):
        own = torn.diagonal()
        worst = own.nonzero()[:, 0]
        if not len(worst):
            break
        gain = own[worst, None] + own - torn[worst] - torn[:, worst].T
        gain[apart[worst] > 0] = -torch.inf
        best = int(gain.argmax())
        if gain.view(-1)[best] <= least:
            break
        i, j = int(worst[best // n_units]), best % n_units
        torn += torch.outer(ties[:, i] - ties[:, j], apart[j] - apart[i])
        there, back = [i, j], [j, i]
        apart[there] = apart[back]
        apart[:, there] = apart[:, back]
        torn[:, there] = ties @ apart[:, there]
        place[there] = place[back]
    return place.argsort()
