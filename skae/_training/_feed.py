"""The batches and the noise of all modules in a stack, each of them taken or drawn once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from typing import Any

import torch
from torch import Tensor

from .._random import Generator
from ._batch import Batch
from ._batches import Batches
from ._source import Source
from ._trainable import Trainable


class Feed:
    """Goes through the rows of all modules at a time, by batches of equal shapes.

    Modules with the same generator have the same order of rows and the same noise.

    Parameters
    ----------
    sources : sequence of Source
        The rows of each module.
    generators : sequence of Generator
        What each draws from.
    batch_size : int
        Upper bound of the rows in a batch.
    shuffled : bool
        Whether the order of the rows is drawn anew for each epoch.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        generators: Sequence[Generator],
        batch_size: int,
        *,
        shuffled: bool,
    ):
        self._batch_size, self._shuffled = batch_size, shuffled
        keys = [(id(g), id(s)) for s, g in zip(sources, generators, strict=True)]
        by_key = dict(zip(keys, zip(sources, generators, strict=True), strict=True))
        place = {key: number for number, key in enumerate(by_key)}
        self._rows_of = [place[key] for key in keys]
        self._generators = list({id(generator): generator for generator in generators}.values())
        number = {id(generator): i for i, generator in enumerate(self._generators)}
        self._noise_of = [number[id(generator)] for generator in generators]
        #: The rows that there are, and the number of their generator.
        self._rows = [(s.with_own_buffer(), number[id(g)]) for s, g in by_key.values()]
        of_generators = [generator for _, generator in self._rows]
        #: Whether the batches of all members are taken at once.
        self._takes_all = shuffled and self._rows_of == list(range(len(keys))) and len(keys) > 1
        self._takes_all = self._takes_all and len({id(source) for source in sources}) == 1
        self._memory: dict[tuple[int, ...], Tensor] = {}
        #: The rows for which each generator draws the noise.
        self._first_rows = [of_generators.index(i) for i in range(len(self._generators))]

    @property
    def shares_rows(self) -> bool:
        """Whether all modules see the same batches."""
        return len(self._rows) == 1

    @property
    def shares_noise(self) -> bool:
        """Whether all modules see the same noise."""
        return len(self._generators) == 1

    @property
    def share(self) -> Tensor:
        """Share of the rows in each batch."""
        return Batches(self._rows[0][0], self._batch_size).share

    def epoch(self, module: Trainable) -> Iterator[tuple[Batch, Any]]:
        """Go through the rows once.

        Parameters
        ----------
        module : Trainable
            One of the stack, which says what noise a batch needs.

        Yields
        ------
        batch : Batch
            That of all modules, or theirs along a first axis. The next one overwrites it.
        noise : nested tuples and lists of Tensor, or None
            The same.
        """
        # All sources have equally many rows.
        orders = [
            Batches(self._rows[0][0], self._batch_size, one if self._shuffled else None).places()
            for one in self._generators
        ]
        for places in zip(*orders, strict=True):
            batches, stacked = self._batches(places)
            noise = [
                module.sample_noise(batches[first], generator)
                for first, generator in zip(self._first_rows, self._generators, strict=True)
            ]
            yield (
                stacked or self._stacked(batches, self._rows_of),
                noise[0] if self.shares_noise else self._stacked(noise, self._noise_of),
            )

    def _batches(self, places: Sequence[Any]) -> tuple[list[Batch], Batch | None]:
        """Return the batches that there are, and that of all members, if it is there already."""
        if not self._takes_all or isinstance(places[0], slice):
            batches = [source.at(places[number]) for source, number in self._rows]
            return batches, batches[0] if self.shares_rows else None
        source, n_members = self._rows[0][0], len(self._rows)
        rows = source.take(torch.cat([places[number] for _, number in self._rows]))
        stacked = _mapped(rows, lambda one: one.unflatten(0, (n_members, -1)))
        return [_mapped(stacked, itemgetter(i)) for i in range(n_members)], stacked

    def _stacked(self, values: list[Any], numbers: list[int], *place: int) -> Any:
        """Stack the tensors that stand in the same place of nested tuples and lists.

        The next call overwrites them: fresh memory costs more than the stacking.
        """
        first = values[0]
        if isinstance(first, Tensor):
            key = numbers is self._rows_of, *place
            shape = len(numbers), *first.shape
            memory = self._memory.get(key)
            if memory is None or memory.shape != shape:
                memory = self._memory[key] = first.new_empty(shape)
            return torch.stack([values[number] for number in numbers], out=memory)
        if isinstance(first, list | tuple):
            parts = [
                self._stacked(list(same), numbers, *place, i)
                for i, same in enumerate(zip(*values, strict=True))
            ]
            return Batch(*parts) if isinstance(first, Batch) else type(first)(parts)
        return first


def _mapped(batch: Batch, change: Callable[[Any], Any]) -> Batch:
    return Batch._make(None if one is None else change(one) for one in batch)
