"""The training of a stack: the loop of `train`, for many modules at a time."""

from __future__ import annotations

import copy
import threading
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .._random import Generator
from ._feed import Feed
from ._member import Member
from ._optimizers import StackedAdam
from ._stack import Stack
from ._steps import RecordedSteps
from ._trainable import Step

# A stack is made anew without the members that have ended when they are this part of it: until
# then their steps cost less than a new recording.
_MOST_ENDED = 0.1


class StackTraining:
    """The training of modules of equal structure, by batches of equal shapes.

    Parameters
    ----------
    members : sequence of Member
        What to train.
    stop : threading.Event
        Set after Ctrl-C; the training then ends after the step that it is in.
    progress : object
        Told of each epoch.
    may_record : bool
        Whether steps may be recorded.
    """

    # None and empty while there is no stack.
    _stack: Any
    _optimizers: list[StackedAdam]
    _take_step: Any
    _released: set[int]
    _before: list[tuple[Generator, dict[str, Any]]] | None

    def __init__(
        self,
        members: Sequence[Member],
        stop: threading.Event,
        progress: Any,
        *,
        may_record: bool,
    ):
        self._members = list(members)
        self._stop, self._progress, self._may_record = stop, progress, may_record
        self._disassemble()

    def run(self) -> None:
        """Train until all members have ended."""
        n_left = max(one.plan.max_iter - one.n_epochs for one in self._members)
        try:
            for member in self._members:
                member.begin()
            while self._members:
                by_name, is_memory_short = self._try_epoch()
                if by_name is None:
                    # Here, what the failed step has computed is no longer in memory.
                    self._undo_epoch()
                    if is_memory_short and len(self._members) > 1:
                        self._run_halves()
                        return
                    for member in self._members:  # which can be trained alone
                        _stop_sharing([member])
                    return
                n_left -= 1
                self._end_epoch(by_name)
        except KeyboardInterrupt:
            self._stop.set()
            for place, member in enumerate(self._members):
                if not member.is_over:
                    member.end("interrupted")
                if place not in self._released:
                    self._release(place)
        self._progress.update(id(self), n_left, 0)

    def _try_epoch(self) -> tuple[dict[str, list[float]] | None, bool]:
        """Train an epoch, if it can be; return its losses, and whether there is not enough memory.

        Only before the first epoch is complete can members be left to be trained alone.
        """
        is_first = self._members[0].n_epochs == 0
        try:
            if self._stack is None:
                if is_first:
                    self._share_generators()
                self._assemble()
            return self._train_epoch(), False
        except (RuntimeError, MemoryError) as error:
            is_memory_short = _is_out_of_memory(error)
            if not (is_first or (is_memory_short and len(self._members) > 1)):
                raise
        return None, is_memory_short

    # -- which members learn together --------------------------------------------------------

    def _share_generators(self) -> None:
        """Let members draw once what they would draw alike: the order of rows, and noise."""
        first: dict[Any, Member] = {}
        for member in self._members:
            # Noise may hold the weights of the rows.
            rows = None if member.source.sample_weight is None else id(member.source)
            seed = member.state.generator.initial_seed()
            one = first.setdefault((rows, seed), member)
            if one is not member and _are_equal(one.draw(), member.draw()):
                member.state.generator = one.state.generator

    def _assemble(self) -> None:
        """Put the modules of the members in a stack."""
        modules = [member.module_.train() for member in self._members]
        self._released = set()
        self._stack = Stack(modules, may_record=self._may_record)
        stacked = dict(zip(modules[0].parameters(), self._stack.parameters(), strict=True))
        self._optimizers = [
            StackedAdam(
                [stacked[parameter] for parameter in group["params"]],
                [member.optimizers_[number] for member in self._members],
            )
            for number, group in enumerate(modules[0].parameter_groups())
        ]
        self._take_step = RecordedSteps(self._stack, self._optimizers)
        plan = self._members[0].plan
        self._feed = Feed(
            [member.source for member in self._members],
            [member.state.generator for member in self._members],
            plan.batch_size,
            shuffled=plan.shuffled,
        )

    def _let_go(self) -> None:
        """Give the members that have ended tensors of their own; go on with the others."""
        for place, member in enumerate(self._members):
            if member.is_over and place not in self._released:
                self._release(place)
        if len(self._released) > _MOST_ENDED * len(self._members):
            for place in set(range(len(self._members))) - self._released:
                self._release(place)
            self._disassemble()  # before there is memory for another one
            self._members = [member for member in self._members if not member.is_over]

    def _release(self, place: int) -> None:
        self._released.add(place)
        if self._stack is not None:
            self._stack.release(place)
        for optimizer in self._optimizers:
            (optimizer.drop if self._members[place].is_over else optimizer.release)(place)

    def _undo_epoch(self) -> None:
        """Leave the members that learn as they were before the epoch, without a stack."""
        if self._before is not None:
            for optimizer in self._optimizers:
                optimizer.undo()
            for generator, before in self._before:
                generator.load_state_dict(before)
            for member in self._members:
                member.undo_epoch()
        for place in set(range(len(self._members))) - self._released:
            self._release(place)
        self._disassemble()
        self._members = [member for member in self._members if not member.is_over]

    def _disassemble(self) -> None:
        self._stack, self._optimizers, self._take_step = None, [], None
        self._before, self._released = None, set()

    def _run_halves(self) -> None:
        """Go on with half as many modules at a time, for the memory is not enough."""
        half = len(self._members) // 2
        halves = self._members[:half], self._members[half:]
        for some in halves:
            _stop_sharing(some)
        for some in halves:
            StackTraining(some, self._stop, self._progress, may_record=self._may_record).run()

    # -- an epoch ---------------------------------------------------------------------------

    def _remember(self) -> None:
        """Note where an epoch begins; the members note their weights themselves."""
        self._before = None
        for optimizer in self._optimizers:
            optimizer.remember()
        generators = {id(one): one for one in (member.state.generator for member in self._members)}
        self._before = [(one, one.state_dict()) for one in generators.values()]

    def _train_epoch(self) -> dict[str, list[float]]:
        """Train an epoch, and return the losses of all members by name."""
        self._remember()
        for optimizer in self._optimizers:
            optimizer.refresh()
        self._share_what(self._feed)
        self._take_step.refresh(thoroughly=False)
        for member in self._members:
            if not member.is_over:
                member.begin_epoch()
        step, losses = Step(()), []
        for batch, noise in self._feed.epoch(self._stack.template):
            if self._stop.is_set():
                raise KeyboardInterrupt
            losses.append(self._take_step(batch, noise, step)["loss"])
        by_name = {"train_loss": _means(losses, self._feed.share)}
        for member in self._members:
            if not member.is_over:
                member.end_steps()
        if self._members[0].validation is not None:
            by_name["valid_loss"] = self._validation_losses()
        return by_name

    def _end_epoch(self, by_name: dict[str, list[float]]) -> None:
        for place, member in enumerate(self._members):
            if not member.is_over:
                member.end_epoch({name: means[place] for name, means in by_name.items()})
        n_active = sum(not member.is_over for member in self._members)
        self._progress.update(id(self), 1, n_active)
        self._let_go()

    @torch.no_grad()
    def _validation_losses(self) -> list[float]:
        sources: list[Any] = [member.validation for member in self._members]
        # The same noise in each epoch; it may hold the weights of the rows.
        generators = {
            None if one.sample_weight is None else id(one): Generator(0, one.device)
            for one in sources
        }
        of_sources = [generators[None if one.sample_weight is None else id(one)] for one in sources]
        plan, module = self._members[0].plan, self._stack.template.eval()
        feed = Feed(sources, of_sources, plan.batch_size, shuffled=False)
        self._share_what(feed)
        losses = [self._stack.mean_loss(batch, noise) for batch, noise in feed.epoch(module)]
        module.train()
        return _means(losses, feed.share)

    def _share_what(self, feed: Feed) -> None:
        self._stack.shares_rows = feed.shares_rows
        self._stack.shares_noise = feed.shares_noise


def _means(losses: list[Tensor], share: Tensor) -> list[float]:
    """Return the mean loss of each member in an epoch, from those of its batches."""
    means: list[float] = torch.stack([own @ share for own in torch.stack(losses, 1)]).tolist()
    return means


def _stop_sharing(members: Sequence[Member]) -> None:
    """Give members generators that no others have."""
    generators = {id(member.state.generator): member.state.generator for member in members}
    own = {name: copy.deepcopy(generator) for name, generator in generators.items()}
    for member in members:
        member.state.generator = own[id(member.state.generator)]


def _are_equal(one: Any, other: Any) -> bool:
    """Whether nested tuples and lists of tensors hold the same numbers."""
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    if isinstance(one, list | tuple):
        return all(map(_are_equal, one, other))
    return one is other  # None


def _is_out_of_memory(error: Exception) -> bool:
    is_certain = isinstance(error, torch.cuda.OutOfMemoryError | MemoryError)
    return is_certain or "can't allocate memory" in str(error)
