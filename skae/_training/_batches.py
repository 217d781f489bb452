"""The order in which a training goes through its rows."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

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
        n_rows = source.n_rows
        n_batches = -(-n_rows // batch_size)
        shortest, longer = divmod(n_rows, n_batches)
        self.sizes = [shortest + (i < longer) for i in range(n_batches)]
        #: Share of the rows in each batch.
        self.share = torch.tensor(self.sizes, dtype=torch.float32, device=source.device) / n_rows

    def __len__(self) -> int:
        return len(self.sizes)

    def __iter__(self) -> Iterator[Batch]:
        return map(self.source.at, self.places())

    def places(self) -> Iterator[Tensor | slice]:
        """Go through the places of the rows, a batch at a time, in an order drawn anew."""
        if len(self) == 1 or self.generator is None:
            ends = [0, *itertools.accumulate(self.sizes)]
            yield from map(slice, ends, ends[1:])
            return
        source = self.source
        order = torch.randperm(source.n_rows, generator=self.generator, device=source.device)
        yield from order.split(self.sizes)
