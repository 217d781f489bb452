"""One of many trainings that go on together."""

from __future__ import annotations

import copy
from collections.abc import Hashable
from typing import Any

from skorch.history import History

from ._callbacks import DivergedError, FiniteWeights, Patience, own_callbacks
from ._engine import Training
from ._source import Source
from ._trainable import Step


class Member:
    """A training in a stack, as skorch's callbacks see it: what a net is to them.

    Parameters
    ----------
    training : Training
        What to train, and how.
    source : Source
        Its rows as the plan wants them.
    """

    def __init__(self, training: Training, source: Source):
        self.training, self.source = training, source
        self.plan, self.state = training.plan, training.state
        # Without patience, validation rows would decide nothing.
        self.validation = None if self.plan.patience is None else training.validation
        self.state.set_learning_rate(self.plan.learning_rate)
        self.module_ = self.state.module
        self.optimizers_: list[Any] = self.state.optimizers
        self.optimizer_ = self.optimizers_[0]
        self.history = History()
        self.verbose = self.interrupted = self._has_begun = False
        self._finite: FiniteWeights | None
        self._patience: Patience | None
        self._finite, scheduler, self._patience = own_callbacks(
            self.plan, validates=self.validation is not None
        )
        self._tasks = training.tasks
        in_order = self._finite, scheduler, self._patience, self._tasks
        self._callbacks = [one.initialize() for one in in_order if one is not None]

    @property
    def is_over(self) -> bool:
        """Whether the training has ended."""
        return self.state.ending is not None

    def shapes(self) -> Hashable:
        """Return what the batches of members have in common that learn together."""
        return self.source.shape(), None if self.validation is None else self.validation.shape()

    @property
    def n_epochs(self) -> int:
        """Number of epochs that are complete."""
        return len(self.history)

    def begin(self) -> None:
        """Note where the training begins, if it does."""
        if self._has_begun:
            return
        for callback in self._callbacks:
            callback.on_train_begin(self)
        self._has_begun = True

    def begin_epoch(self) -> None:
        """Tell of an epoch before its steps."""
        if self._tasks is not None:
            self._tasks.on_epoch_begin(self)

    def draw(self) -> Any:
        """Return what the module would draw first, without drawing it."""
        batch = self.source.between(0, min(self.plan.batch_size, self.source.n_rows))
        return self.module_.train().sample_noise(batch, copy.deepcopy(self.state.generator))

    def end_steps(self) -> None:
        """Let the module end an epoch, before it is validated."""
        n_done, n_epochs = self.n_epochs, self.plan.max_iter
        step = Step(self.optimizers_, epoch=n_done, n_epochs=n_epochs)
        step.progress = step.next_progress = (n_done + 1) / n_epochs
        self.module_.end_epoch(step)

    def end_epoch(self, losses: dict[str, float]) -> None:
        """Record an epoch, and end the training if it is over."""
        number = self.n_epochs + 1
        self.history.new_epoch()
        for name, value in {"epoch": number, **losses}.items():
            self.history.record(name, value)
        try:
            for callback in self._callbacks:
                callback.on_epoch_end(self)
        except DivergedError:
            self.end("diverged")
            return
        self.state.record(self.history[-1])
        if self._patience is not None and self._patience.is_over:
            self.end("converged")
        elif self._tasks is not None and self._tasks.is_over:
            self.end("stopped")
        elif number == self.plan.max_iter:
            self.end("max_iter")

    def end(self, ending: str) -> None:
        """Give the module the weights that it ends with."""
        self.interrupted = ending == "interrupted"
        try:
            if self._finite is not None and self._has_begun:
                self._finite.on_train_end(self)
        except DivergedError:
            ending = "diverged"
        if self._patience is not None and self.history:
            self._patience.on_train_end(self)
        if self._tasks is not None:
            self._tasks.on_train_end(self)
        self.module_.eval()
        self.state.generator = copy.deepcopy(self.state.generator)  # others may go on with it
        self.state.good = self._finite = self._patience = None  # and their copies of the weights
        self._callbacks = []
        self.state.ending = ending

    def undo_epoch(self) -> None:
        """Bring back the weights from before the epoch that is not complete."""
        if self._finite is not None:
            self._finite.undo_epoch()
