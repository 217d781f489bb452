"""The order in which a training goes through its rows."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ._batch import Batch
from ._source import Source


class Batches:
    """A source in batches of nearly equal size, none larger than `batch_size`.

    Equal sizes avoid a last batch of a few rows, whose gradient is noise and whose
    batch statistics are none.

    Parameters
    ----------
    source : Source
        What to cut.
    batch_size : int
        Upper bound of the rows in a batch.
    generator : torch.Generator or None
        Source of the order, drawn anew each time the batches are iterated; None keeps
        the rows in their order.
    """

    def __init__(self, source: Source, batch_size: int, generator: torch.Generator | None = None):
        self.source, self.generator = source, generator
        self._in_windows = [_cut(n_rows, batch_size) for n_rows in source.window_sizes()]
        self.sizes = list(itertools.chain.from_iterable(self._in_windows))
        #: Share of the rows in each batch.
        share = torch.tensor(self.sizes, dtype=torch.float32, device=source.device)
        self.share = share / source.n_rows

    def __len__(self) -> int:
        return len(self.sizes)

    def __iter__(self) -> Iterator[Batch]:
        windows = self.source.windows(self.generator)
        for window, sizes in zip(windows, self._in_windows, strict=True):
            yield from map(window.at, self._places(sizes))

    def places(self) -> Iterator[Tensor | slice]:
        """Go through the places of rows in memory, a batch at a time, in an order drawn anew."""
        return self._places(self.sizes)

    def _places(self, sizes: Sequence[int]) -> Iterator[Tensor | slice]:
        if len(self) == 1 or self.generator is None:
            ends = [0, *itertools.accumulate(sizes)]
            return map(slice, ends, ends[1:])
        device = self.source.device
        order = torch.randperm(sum(sizes), generator=self.generator, device=device)
        return iter(order.split(list(sizes)))


def _cut(n_rows: int, batch_size: int) -> list[int]:
    n_batches = -(-n_rows // batch_size)
    shortest, longer = divmod(n_rows, n_batches)
    return [shortest + (i < longer) for i in range(n_batches)]
