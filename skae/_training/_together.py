"""Many trainings at a time: small modules of equal structure learn as one batch."""

from __future__ import annotations

import itertools
import threading
from collections import defaultdict
from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np
import torch

from .._compute import limit_threads, map_parts, worker_threads
from .._config import records_steps
from ._bars import progress_bar
from ._engine import Training
from ._member import Member
from ._memory import FEWEST, most_in_a_stack
from ._optimizers import Adam
from ._source import Source
from ._stack_training import StackTraining
from ._trainable import Trainable


def train_together(
    trainings: Iterable[Training],
    *,
    n_batched: int | None = None,
    verbose: bool = False,
) -> None:
    """Train modules of equal structure as one batch; each ends as by `train`.

    Those that have no like, or that cannot be trained as one batch, are left as they are,
    without an ending.

    Parameters
    ----------
    trainings : iterable of Training
        With states without a history. Those whose rows are equal share them from now on.
    n_batched : int, optional
        How many modules to train as one batch, at most; None is what fits the memory of the
        device, and on a CPU its cache.
    verbose : bool
        Whether to show a progress bar.

    Raises
    ------
    KeyboardInterrupt
        After Ctrl-C, when each training has its `ending`.
    """
    sources = SharedSources()
    groups: dict[Hashable, list[Member]] = defaultdict(list)
    for training in trainings:
        sources.take(training)
        key = _group_of(training)
        if key is not None:
            member = Member(training, sources.as_planned(training))
            groups[key, member.shapes()].append(member)
    n_threads = torch.get_num_threads()
    stacks: list[list[Member]] = []
    for group in groups.values():
        n_at_a_time = n_threads if group[0].source.device.type == "cpu" else 1
        at_most = n_batched or most_in_a_stack(group[0], n_at_a_time)
        for_each = max(FEWEST, -(-len(group) // n_at_a_time))
        stacks += [some for some in _cut(group, min(at_most, for_each)) if len(some) > 1]
    stacks.sort(key=lambda some: some[0].plan.learning_rate)
    if stacks:
        _train_stacks(stacks, verbose=verbose)


def _train_stacks(stacks: list[list[Member]], *, verbose: bool) -> None:
    on_cpu = all(some[0].source.device.type == "cpu" for some in stacks)
    n_threads = min(torch.get_num_threads() if on_cpu else 1, len(stacks))
    stop = threading.Event()
    with _Progress(stacks, shown=verbose) as progress:
        tasks = [StackTraining(some, stop, progress, may_record=records_steps()) for some in stacks]
        with limit_threads(0), worker_threads(n_threads):
            try:
                map_parts(StackTraining.run, tasks)
            except BaseException:
                stop.set()  # the other threads end after their step
                raise
    if stop.is_set():
        raise KeyboardInterrupt


class _Progress:
    """A bar over the epochs of all stacks, with the number of models in training."""

    def __init__(self, stacks: list[list[Member]], *, shown: bool):
        total = sum(max(one.plan.max_iter for one in some) for some in stacks)
        self._bar = progress_bar(total=total, unit="epoch", disable=not shown)
        self._lock = threading.Lock()
        self._n_models: dict[int, int] = {}

    def update(self, stack: int, n_epochs: int, n_models: int) -> None:
        """Move the bar by some epochs of a stack, in which so many models are still trained."""
        with self._lock:
            self._n_models[stack] = n_models
            self._bar.set_postfix(models=sum(self._n_models.values()), refresh=False)
            self._bar.update(n_epochs)

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *_: Any) -> None:
        self._bar.close()


class SharedSources:
    """Sources that several trainings have in common."""

    def __init__(self) -> None:
        self._known: list[Source] = []
        self._planned: dict[Hashable, Source] = {}

    def take(self, training: Training) -> None:
        """Let a training have the rows of an earlier one, if they are equal."""
        training.source = self._same(training.source)
        if training.validation is not None:
            training.validation = self._same(training.validation)

    def as_planned(self, training: Training) -> Source:
        """Return the rows as `train` goes through them."""
        if training.state.module.mixes_rows:
            return training.source
        key = id(training.source), training.plan.batch_size
        if key not in self._planned:
            self._planned[key] = training.source.as_set(training.plan.batch_size)
        return self._planned[key]

    def _same(self, source: Source) -> Source:
        for known in self._known:
            if known.equals(source):
                return known
        self._known.append(source)
        return source


def _group_of(training: Training) -> Hashable | None:
    """Return what modules have in common that are trained as one; None for one that is not."""
    state, plan = training.state, training.plan
    module, kind = state.module, type(state.module)
    has_plain_steps = (
        kind.training_step is Trainable.training_step and kind.mean_loss is Trainable.mean_loss
    )
    watched = training.callbacks or training.on_epoch_complete is not None
    if not has_plain_steps or watched or state.history:
        return None
    if plan.streaming or plan.shares_parts or plan.plateau_of is not None:
        return None
    if not all(isinstance(optimizer, Adam) for optimizer in state.optimizers):
        return None
    if not all(parameter.requires_grad for parameter in module.parameters()):
        return None
    structure = module.train().structure()
    if structure is None:
        return None
    place = {id(parameter): i for i, parameter in enumerate(module.parameters())}
    optimizers = tuple(
        tuple(place[id(parameter)] for parameter in group["params"])
        for group in module.parameter_groups()
    )
    return structure, optimizers, plan.batch_size, plan.shuffled


def _cut(group: list[Member], at_most: int) -> list[list[Member]]:
    """Cut a group into stacks of nearly equal size.

    Equal learning rates stand side by side: they take a step together, and end at about the same
    time. The slowest come first, so that no thread has to wait for one that it began late.
    """
    n_stacks = -(-len(group) // at_most)
    # In a fixed order: the last bits of a product depend on the place in a stack.
    in_order = sorted(group, key=lambda one: one.plan.learning_rate)
    sizes = [len(part) for part in np.array_split(np.arange(len(group)), n_stacks)]
    starts = [0, *itertools.accumulate(sizes)]
    return [in_order[start:stop] for start, stop in itertools.pairwise(starts)]
