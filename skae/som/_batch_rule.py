"""Kohonen's batch rule."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import add

import torch
from sklearn.utils import gen_batches
from torch import Tensor

from .._compute import DENSE_NUMBERS, map_parts
from ._grid import Grid, spread
from ._metrics import energies
from ._winners import WinnerSearch

# Multiply-adds, at least, of a part of a batch for a thread to take, and the most parts: in
# smaller ones threads wait for each other between operations, for Python's lock.
_WORK_OF_PART, _MOST_PARTS = 2**26, 16

# A unit that receives less weight than this keeps its prototype.
_NO_WEIGHT = 1e-30

# A unit keeps its prototype, too, if less than this part of its weights is left when their
# signs differ.
_LEAST_PART = 0.1


@dataclass
class Sums:
    """What the rows of an epoch add up to.

    Attributes
    ----------
    rows : Tensor of shape (n_units, n_features)
        The sum of the rows that each unit wins, by their weights.
    weights : Tensor of shape (n_units, 1), or (n_units, n_features) where entries are missing
        The sum of their weights.
    energies : Tensor of shape (n_units,)
        The sum of the energies of their distances, by their weights.
    distance : Tensor of shape ()
        The sum of all distances, by the weights of the rows.
    total : Tensor of shape ()
        The sum of all weights.
    pairs : Tensor of shape (n_units, n_units) or None
        For each unit, the weight of the rows that it wins by the unit that comes second, if
        they are counted.
    """

    rows: Tensor
    weights: Tensor
    energies: Tensor
    distance: Tensor
    total: Tensor
    pairs: Tensor | None = None

    def __add__(self, other: Sums) -> Sums:
        pairs = None if self.pairs is None or other.pairs is None else self.pairs + other.pairs
        return Sums(
            self.rows + other.rows,
            self.weights + other.weights,
            self.energies + other.energies,
            self.distance + other.distance,
            self.total + other.total,
            pairs,
        )


def add_up(
    x: Tensor,
    weight: Tensor | None,
    codebook: Tensor,
    metric: str,
    *,
    gaps: bool,
    count_pairs: bool = False,
) -> Sums:
    """Return the sums over rows by the units that win them.

    The rows are shared out to threads.

    Parameters
    ----------
    x : Tensor of shape (n, n_features)
        Prepared rows.
    weight : Tensor of shape (n,) or None
        Their weights; None for 1.
    codebook : Tensor of shape (n_units, n_features)
        Prepared prototypes.
    metric : str
        See `SelfOrganizingMap`.
    gaps : bool
        Whether entries of the rows may be missing.
    count_pairs : bool
        Whether to count the pairs of the two nearest units.
    """
    search = WinnerSearch(codebook, metric)

    def sums(part: slice) -> Sums:
        return _sums(x[part], None if weight is None else weight[part], search, gaps, count_pairs)

    n_parts = _n_parts(len(x) * codebook.numel()) if x.device.type == "cpu" else 1
    if count_pairs:  # each part has a matrix of units by units
        n_parts = min(n_parts, max(1, DENSE_NUMBERS // len(codebook) ** 2))
    return reduce(add, map_parts(sums, gen_batches(len(x), -(-len(x) // n_parts))))


def _n_parts(work: int) -> int:
    """Return a power of two, which most numbers of threads divide.

    It does not depend on that of the threads, and so neither do the bits.
    """
    return min(_MOST_PARTS, 2 ** max(0, (work // _WORK_OF_PART).bit_length() - 1))


def _sums(
    x: Tensor, weight: Tensor | None, search: WinnerSearch, gaps: bool, count_pairs: bool
) -> Sums:
    n_units = len(search.codebook)
    winners, distances, seconds = search(x, gaps=gaps, seconds=count_pairs)
    pairs = None
    if seconds is not None:
        both = torch.bincount(winners * n_units + seconds, weight, minlength=n_units**2)
        pairs = both.view(n_units, n_units).to(x.dtype)
    energy = energies(distances, search.metric)
    known = (~x.isnan()).to(x.dtype) if gaps else None
    x = x.nan_to_num() if gaps else x
    if weight is not None:
        distances, energy, x = weight * distances, weight * energy, weight[:, None] * x
        known = None if known is None else weight[:, None] * known
    if known is None:
        weights = torch.bincount(winners, weight, minlength=n_units)[:, None].to(x.dtype)
    else:  # the weights differ by feature
        weights = torch.zeros_like(search.codebook).index_add_(0, winners, known)
    return Sums(
        rows=torch.zeros_like(search.codebook).index_add_(0, winners, x),
        weights=weights,
        energies=x.new_zeros(n_units).index_add_(0, winners, energy),
        distance=distances.sum(),
        total=x.new_full((), len(x)) if weight is None else weight.sum(),
        pairs=pairs,
    )


def batch_rule(
    sums: Sums, codebook: Tensor, grid: Grid, neighborhood: str, radius: float
) -> Tensor:
    """Return the prototypes after an epoch: means by the neighbourhood (Kohonen 2001).

    m_i = sum_j h(i, j) s_j / sum_j h(i, j) n_j, where s_j is the sum of the rows that unit j wins,
    n_j their number or weight, and h the neighbourhood.

    Parameters
    ----------
    sums : Sums
        Those of an epoch over all rows.
    codebook : Tensor of shape (n_units, n_features)
        The prototypes by which the rows were won. A unit that nothing reaches keeps its own.
    grid : Grid
        The map.
    neighborhood : str
        A key of `NEIGHBORHOODS`.
    radius : float
        That of the neighbourhood. With 0 this is a step of Lloyd's k-means.

    Returns
    -------
    Tensor of shape (n_units, n_features)
    """
    n_features = sums.rows.shape[1]
    both = torch.cat([sums.rows, sums.weights], dim=1)
    received = spread(grid, neighborhood, radius, both)
    rows, weights = received[:, :n_features], received[:, n_features:]
    enough = weights > _NO_WEIGHT
    if neighborhood == "mexican_hat":  # weights of both signs may have no mean
        size = spread(grid, neighborhood, radius, sums.weights, absolute=True)
        enough &= weights > _LEAST_PART * size
    return torch.where(enough, rows / weights, codebook)
