"""Batches of rows that are read a window at a time."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from ._digest import digest_of_chunks
from ._source import Source, as_source, as_tensor
from ._streams import in_windows, starts_of
from ._tables import to_dense


class StreamSource(Source):
    """Rows of a stream, of which a window at a time is in memory.

    An epoch goes through the pieces of the stream in an order drawn anew, where it can jump to
    them, and shuffles the rows of each window. Weights and conditions of all rows are in memory.

    Parameters are those of `Source`, with a stream of float32 rows as `X`.
    """

    _X: Any

    @property
    def table(self) -> None:
        """Nothing: the rows are in no table."""
        return

    def shape(self) -> Hashable:
        of_table: Any = super().shape()
        return *of_table, self._X.window_rows, tuple(self._X.sizes)

    def _digests(self) -> list[Hashable]:
        return [digest_of_chunks(self._X)]

    def window_sizes(self) -> list[int]:
        full, rest = divmod(self.n_rows, self._X.window_rows)
        return [self._X.window_rows] * full + [rest] * (rest > 0)

    def windows(self, generator: torch.Generator | None) -> Iterator[Source]:
        sizes = np.asarray(self._X.sizes)
        pieces = np.flatnonzero(sizes)
        if generator is not None and self._X.can_jump:
            drawn = torch.randperm(len(pieces), generator=generator, device=self.device)
            pieces = pieces[drawn.cpu().numpy()]
        weight = None if self._weight is None else self._weight.numpy(force=True)
        order, n_done = None, 0
        if weight is not None or self.condition is not None:
            starts = starts_of(self._X.sizes)
            order = np.concatenate([starts[i] + np.arange(sizes[i]) for i in pieces])
        for rows in in_windows(self._X, pieces.tolist()):
            stop = n_done + rows.shape[0]
            some = None if order is None else order[n_done:stop]
            attached = (None if one is None else one[some] for one in (weight, self.condition))
            own_weight, condition = attached
            yield as_source(rows, own_weight, self.device, condition=condition, scaled=False)
            n_done = stop

    def chunks(self) -> Iterator[tuple[np.ndarray | sparse.csr_matrix, np.ndarray | None]]:
        n_done, weight = 0, self.sample_weight
        for rows in self._X:
            stop = n_done + rows.shape[0]
            yield rows, None if weight is None else weight[n_done:stop]
            n_done = stop

    def as_set(self, batch_size: int) -> Source:
        """Return the rows as they are: they are no single batch."""
        return self

    def spread(self) -> Source:
        numbers = self._X.spread(self._X.window_rows)
        weight, condition = (
            None if one is None else one[numbers] for one in (self.sample_weight, self.condition)
        )
        return as_source(self._X.take(numbers), weight, self.device, condition=condition)

    def hold_out(
        self, fraction: float, random_state: np.random.RandomState, batch_size: int = 0
    ) -> tuple[Source, Source]:
        """Split into rows to train on and rows to validate with, by whole pieces.

        Raises
        ------
        ValueError
            If there is one piece only.
        """
        sizes = np.asarray(self._X.sizes)
        first, *others = random_state.permutation(np.flatnonzero(sizes)).tolist()
        if not others:
            raise ValueError(
                "Early stopping holds out whole chunks (of a Parquet file, row groups), but X has "
                "only one; give it in smaller ones, set early_stopping=False, or give X_val."
            )
        held_out, n_wanted = [first], math.ceil(fraction * self.n_rows)
        n_held_out = sizes[first]
        for piece in others[:-1]:
            if n_held_out + sizes[piece] / 2 <= n_wanted:  # which brings it nearer
                held_out.append(piece)
                n_held_out += sizes[piece]
        is_held_out = np.zeros(len(sizes), dtype=bool)
        is_held_out[held_out] = True
        for_validation = np.repeat(is_held_out, sizes)
        return self._part(~for_validation), self._part(for_validation)

    def _part(self, kept: np.ndarray) -> StreamSource:
        attached = (
            None if one is None else one[kept] for one in (self.sample_weight, self.condition)
        )
        weight, condition = attached
        return StreamSource(self._X.select(kept), weight, self.device, condition=condition)

    def _rows(self, index: Tensor) -> Tensor:
        rows = self._X.take(index.numpy(force=True))
        return as_tensor(to_dense(rows)).to(self.device)
