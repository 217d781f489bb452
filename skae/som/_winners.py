"""The search for the nearest prototype of each row."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .._compute import chunk_rows
from ._metrics import distances as all_distances
from ._metrics import distances_to, energies, has_gaps

# The scores of a chunk of rows, as a part of the largest tensor that is usual: they are read
# again at once, and better from the nearest cache.
_PART_OF_CHUNK = 0.25

# Rounding errors of the search, at most, in multiples of that of a squared length.
_ROUNDING = 100


class Found(NamedTuple):
    """What a search finds of each row.

    Attributes
    ----------
    winners : Tensor of int64 of shape (n,)
        The units with the nearest prototypes.
    distances : Tensor of shape (n,)
        The distances from these, exact to rounding.
    seconds : Tensor of int64 of shape (n,) or None
        The units that come second, if asked for.
    """

    winners: Tensor
    distances: Tensor
    seconds: Tensor | None


class WinnerSearch:
    """Finds the nearest prototypes of rows, by a matrix product.

    The nearest prototype w of a row x has the largest x w - w²/2. Less the mean c of all
    prototypes, v = w - c, it has the largest x v - (c + v/2) v, which does not cancel where
    all rows lie far off.

    Parameters
    ----------
    codebook : Tensor of shape (n_units, n_features)
        Prepared prototypes.
    metric : str
        See `SelfOrganizingMap`. With "manhattan" there is no product, and all distances
        are taken.
    """

    def __init__(self, codebook: Tensor, metric: str):
        self.codebook, self.metric = codebook, metric
        centre = codebook.mean(0)
        v = codebook - centre
        self._v = v.T.contiguous()
        self._by_feature = -(centre + v / 2) * v
        self._by_unit = self._by_feature.sum(1)

    def __call__(self, x: Tensor, *, gaps: bool, seconds: bool = False) -> Found:
        """Return the nearest units of prepared rows of shape (n, n_features).

        Parameters
        ----------
        x : Tensor of shape (n, n_features)
            Prepared rows.
        gaps : bool
            Whether entries are missing.
        seconds : bool
            Whether to look for the units that come second as well.
        """
        n_rows, n_units = len(x), len(self.codebook)
        n_at_a_time = min(n_rows, chunk_rows(n_units, x.device, _PART_OF_CHUNK))
        found = torch.empty(1 + seconds, n_rows, dtype=torch.int64, device=x.device)
        buffer = x.new_empty(n_at_a_time, n_units)
        # Few and large operations, between which threads would wait for Python's lock.
        for rows, best in zip(x.split(n_at_a_time), found.split(n_at_a_time, 1), strict=True):
            scores = buffer if len(rows) == n_at_a_time else buffer[: len(rows)]
            self._score(rows, gaps, scores)
            _argmax(scores, best[0])
            if seconds:
                scores.scatter_(1, best[0, :, None], -torch.inf)
                _argmax(scores, best[1])
        nearest = self.codebook.index_select(0, found[0])
        distances = distances_to(x, nearest, self.metric, gaps=gaps)
        return Found(found[0], distances, found[1] if seconds else None)

    def _score(self, x: Tensor, gaps: bool, out: Tensor) -> None:
        """Write what is larger for nearer prototypes, of shape (n, n_units)."""
        if self.metric == "manhattan" or (gaps and self.metric == "cosine"):
            torch.neg(all_distances(x, self.codebook, self.metric), out=out)
        elif gaps:
            torch.mm(x.nan_to_num(), self._v, out=out)
            out.addmm_((~x.isnan()).to(x.dtype), self._by_feature.T)
        else:
            torch.addmm(self._by_unit, x, self._v, out=out)


def _argmax(scores: Tensor, out: Tensor) -> None:
    if scores.device.type == "cpu":  # numpy's is vectorised, torch's takes as long as the product
        np.argmax(scores.numpy(), axis=1, out=out.numpy())
    else:
        torch.argmax(scores, dim=1, out=out)


def nearest(x: Tensor, codebook: Tensor, metric: str) -> tuple[Tensor, Tensor]:
    """Return the nearest unit of each prepared row and its distance, whatever the other rows are.

    The product of a search rounds otherwise for other rows; where that may decide between the
    two nearest prototypes, all distances are taken.
    """
    gaps, search = has_gaps(x), WinnerSearch(codebook, metric)
    exact = metric == "manhattan" or len(codebook) == 1
    winners, found, seconds = search(x, gaps=gaps, seconds=not exact)
    if seconds is None:
        return winners, found
    second = distances_to(x, codebook.index_select(0, seconds), metric, gaps=gaps)
    scale = x.nan_to_num().square().sum(1) + codebook.square().sum(1).max()
    rounding = _ROUNDING * torch.finfo(x.dtype).eps * scale
    unclear = energies(second, metric) - energies(found, metric) <= rounding
    if unclear.any():
        found[unclear], winners[unclear] = all_distances(x[unclear], codebook, metric).min(1)
    return winners, found
