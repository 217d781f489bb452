"""Many trainings at a time: small modules of equal structure learn as one batch."""

from __future__ import annotations

import itertools
import threading
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary

import numpy as np
import torch

from .._compute import limit_threads, map_parts, worker_threads
from .._config import records_steps
from ._bars import progress_bar
from ._engine import Training
from ._member import Member
from ._memory import FEWEST, Room, room_for
from ._optimizers import Adam
from ._source import Source
from ._stack_training import StackTraining
from ._stream_source import StreamSource
from ._trainable import Trainable


def train_together(
    trainings: Iterable[Training],
    done: Callable[[Training], None],
    *,
    n_batched: int | None = None,
    verbose: bool = False,
) -> None:
    """Train modules of equal structure as one batch; each ends as by `train`.

    Trainings are taken until there are as many as the memory may hold, trained, and given back,
    before the next ones are taken. Those that have no like among these, or that cannot be trained
    as one batch, are given back as they are, without an ending.

    Parameters
    ----------
    trainings : iterable of Training
        With states without a history. Those whose rows are equal share them from now on.
    done : callable
        Called with each training when there is nothing more to do for it here.
    n_batched : int, optional
        How many modules to train as one batch, at most; None is what fits the memory of the
        device, and on a CPU its cache.
    verbose : bool
        Whether to show a progress bar.

    Raises
    ------
    KeyboardInterrupt
        After Ctrl-C, when each training that has begun has its `ending`. They are not given back.
    """
    sources, rooms = SharedSources(), dict[Hashable, Room]()
    groups: dict[Hashable, list[Member]] = defaultdict(list)
    n_threads = torch.get_num_threads()

    def train_groups() -> None:
        stacks: list[list[Member]] = []
        for key, group in groups.items():
            n_at_a_time = _n_at_a_time(group[0], n_threads)
            for_each = max(FEWEST, -(-len(group) // n_at_a_time))
            some = _cut(group, min(rooms[key].in_stack, for_each))
            stacks += [members for members in some if len(members) > 1]
        stacks.sort(key=lambda some: some[0].plan.learning_rate)
        if stacks:
            _train_stacks(stacks, progress)
        trained = [member.training for group in groups.values() for member in group]
        groups.clear()
        stacks.clear()  # done with the members, too
        while trained:
            done(trained.pop(0))

    with _Progress(shown=verbose) as progress:
        for training in trainings:
            sources.take(training)
            key = _group_of(training)
            if key is None:
                done(training)
                continue
            member = Member(training, sources.as_planned(training))
            key = key, member.shapes()
            if key not in rooms:
                n_at_a_time = _n_at_a_time(member, n_threads)
                try:
                    rooms[key] = room_for(member, n_at_a_time, n_batched)
                except Exception:  # its own fit raises it again
                    rooms[key] = Room(1, 1)
            if rooms[key].in_stack == 1:
                done(training)
                continue
            groups[key].append(member)
            del training, member
            if sum(len(group) / rooms[one].in_block for one, group in groups.items()) >= 1:
                train_groups()
        train_groups()


def _n_at_a_time(member: Member, n_threads: int) -> int:
    """Return how many stacks of members like this one are trained at a time."""
    return n_threads if member.source.device.type == "cpu" else 1


def _train_stacks(stacks: list[list[Member]], progress: _Progress) -> None:
    on_cpu = all(some[0].source.device.type == "cpu" for some in stacks)
    n_threads = min(torch.get_num_threads() if on_cpu else 1, len(stacks))
    stop = threading.Event()
    progress.expect(sum(max(one.plan.max_iter for one in some) for some in stacks))
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

    def __init__(self, *, shown: bool):
        self._is_shown = shown
        self._bar: Any = None  # until something is to come
        self._lock = threading.Lock()
        self._n_models: dict[int, int] = {}

    def expect(self, n_epochs: int) -> None:
        """Make room for some more epochs."""
        if self._bar is None:
            self._bar = progress_bar(total=0, unit="epoch", disable=not self._is_shown)
        self._n_models.clear()
        self._bar.total += n_epochs
        self._bar.refresh()

    def update(self, stack: int, n_epochs: int, n_models: int) -> None:
        """Move the bar by some epochs of a stack, in which so many models are still trained."""
        with self._lock:
            self._n_models[stack] = n_models
            self._bar.set_postfix(models=sum(self._n_models.values()), refresh=False)
            self._bar.update(n_epochs)

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *_: Any) -> None:
        if self._bar is not None:
            self._bar.close()


class SharedSources:
    """Sources that several trainings have in common, for as long as one of them has them."""

    def __init__(self) -> None:
        self._known: WeakValueDictionary[Hashable, Source] = WeakValueDictionary()
        self._planned: WeakKeyDictionary[Source, dict[int, Source]] = WeakKeyDictionary()

    def take(self, training: Training) -> None:
        """Let a training have the rows of an earlier one, if they are equal."""
        training.source = self._same(training.source)
        if training.validation is not None:
            training.validation = self._same(training.validation)

    def as_planned(self, training: Training) -> Source:
        """Return the rows as `train` goes through them."""
        source, batch_size = training.source, training.plan.batch_size
        if training.state.module.mixes_rows or source.n_rows > batch_size:
            return source
        sets = self._planned.setdefault(source, {})
        if batch_size not in sets:
            sets[batch_size] = source.as_set(batch_size)
        return sets[batch_size]

    def _same(self, source: Source) -> Source:
        if isinstance(source, StreamSource):  # is not trained with others
            return source
        return self._known.setdefault(source.fingerprint(), source)


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
    if any(isinstance(one, StreamSource) for one in (training.source, training.validation)):
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
