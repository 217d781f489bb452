"""The training of a stack: the loop of `train`, for many modules at a time."""

from __future__ import annotations

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
        longest, n_epochs = max(member.plan.max_iter for member in self._members), 0
        try:
            for member in self._members:
                member.begin()
            while self._members:
                try:
                    if n_epochs == 0:
                        self._share_generators()
                        self._assemble()
                    self._train_epoch()
                except RuntimeError as error:
                    if n_epochs > 0:
                        raise
                    self._undo_epoch()
                    if _is_out_of_memory(error) and len(self._members) > 1:
                        self._run_halves()
                    return  # what cannot be stacked has no ending yet, and can be trained alone
                n_epochs += 1
                n_active = sum(not member.is_over for member in self._members)
                self._progress.update(id(self), 1, n_active)
                self._let_go()
        except KeyboardInterrupt:
            self._stop.set()
            for place, member in enumerate(self._members):
                if not member.is_over:
                    member.end("interrupted")
                if place not in self._released:
                    self._release(place)
        self._progress.update(id(self), longest - n_epochs, 0)

    # -- who learns together ---------------------------------------------------------------

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
            if self._members:
                self._assemble()

    def _release(self, place: int) -> None:
        self._released.add(place)
        if self._stack is not None:
            self._stack.release(place)
        for optimizer in self._optimizers:
            (optimizer.drop if self._members[place].is_over else optimizer.release)(place)

    def _undo_epoch(self) -> None:
        for place, member in enumerate(self._members):
            self._release(place)  # with what the failed epoch left, which is undone then
            member.restart()
        self._disassemble()

    def _disassemble(self) -> None:
        self._stack, self._optimizers, self._take_step = None, [], None
        self._released = set()

    def _run_halves(self) -> None:
        """Train half as many modules at a time, for the memory is not enough."""
        half = len(self._members) // 2
        again = [Member(member.training, member.source) for member in self._members]
        for some in (again[:half], again[half:]):
            StackTraining(some, self._stop, self._progress, may_record=self._may_record).run()

    # -- an epoch ---------------------------------------------------------------------------

    def _train_epoch(self) -> None:
        for optimizer in self._optimizers:
            optimizer.refresh()
        self._share_what(self._feed)
        self._take_step.refresh(thoroughly=False)
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
        for place, member in enumerate(self._members):
            if not member.is_over:
                member.end_epoch({name: means[place] for name, means in by_name.items()})

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


def _are_equal(one: Any, other: Any) -> bool:
    """Whether nested tuples and lists of tensors hold the same numbers."""
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    if isinstance(one, list | tuple):
        return all(map(_are_equal, one, other))
    return one is other  # None


def _is_out_of_memory(error: RuntimeError) -> bool:
    is_of_cuda = isinstance(error, torch.cuda.OutOfMemoryError)
    return is_of_cuda or "can't allocate memory" in str(error)
