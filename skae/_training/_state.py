"""Everything that a training needs to go on, and nothing else."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .._random import Generator
from ._optimizers import LearningRate, make_optimizers
from ._trainable import Trainable, device_of, tensors_of

# What is recorded of each epoch for skorch and is no result.
_BOOKKEEPING = {"epoch", "dur"} | {
    f"{prefix}_{name}" for prefix in ("train", "valid") for name in ("batch_count", "loss_best")
}


class TrainingState:
    """A module in training, and everything that it needs to go on.

    A training that was stopped after any epoch and goes on from its state ends with the same
    bits as one that was not. `state_dict` holds tensors and plain values, so that it can
    be saved without pickle; `load_state_dict` is for the state of a new module of the same shape.

    Parameters
    ----------
    module : Trainable
        On the device where it is to be trained.
    learning_rate : float
        Step size of the optimizers of groups that state none themselves.
    seed : int
        Seed of all that is drawn: the order of the rows and the noise of each step.

    Attributes
    ----------
    optimizers : list of torch.optim.Optimizer
        One for each group of parameters, with its moments and learning rate.
    generator : Generator
        Both random streams.
    history : list of dict
        For each complete epoch, the mean losses by name, and what callbacks recorded.
    good : list of Tensor or None
        The last weights and buffers of which a finite loss is known.
    schedule, stopping : dict
        The state of the scheduler and of the stopping rule; the latter with the
        weights of the best epoch.
    ending : {"converged", "max_iter", "stopped", "interrupted", "diverged"} or None
        Why the training ended: the loss stopped improving, all epochs are done, a callback
        or Ctrl-C ended it, or the loss stopped being finite.
    """

    def __init__(self, module: Trainable, learning_rate: float, seed: int):
        self.module = module
        self.optimizers: list[LearningRate] = make_optimizers(module, learning_rate)
        self.generator = Generator(seed, device_of(module))
        self.history: list[dict[str, float]] = []
        self.good: list[Tensor] | None = None
        self.schedule: dict[str, Any] = {}
        self.stopping: dict[str, Any] = {}
        self.ending: str | None = None
        self._streams: dict[str, dict[str, Any]] = {}  # of other devices

    def set_learning_rate(self, learning_rate: float) -> None:
        """Set the learning rate of the groups that state none themselves."""
        for optimizer, group in zip(self.optimizers, self.module.parameter_groups(), strict=True):
            optimizer.param_groups[0]["lr"] = group.get("lr", learning_rate)

    def record(self, epoch: Mapping[str, Any]) -> None:
        """Add an epoch to the history; of its batches nothing is kept."""
        self.history.append({name: value for name, value in epoch.items() if name != "batches"})

    def after(self, epoch: Mapping[str, Any]) -> TrainingState:
        """Return the state, to be read, if the training ended with this epoch; a module apart."""
        state = copy.copy(self)
        state.module, state.history = copy.deepcopy(self.module).eval(), list(self.history)
        state.record(epoch)
        return state

    def curve(self, name: str) -> list[float]:
        """Return what the history holds by this name, epoch by epoch."""
        return [epoch[name] for epoch in self.history if name in epoch]

    def curves(self) -> dict[str, list[float]]:
        """Return the numbers in the history by name, but for what skorch counts and times.

        A bool is 0 or 1. NaN stands for an epoch in which a name was not recorded as a number.
        """
        epochs = [
            {
                name: number
                for name, value in epoch.items()
                if (number := _number(value)) is not None
            }
            for epoch in self.history
        ]
        names = {name: None for epoch in epochs for name in epoch if name not in _BOOKKEEPING}
        return {name: [epoch.get(name, math.nan) for epoch in epochs] for name in names}

    def state_dict(self) -> dict[str, Any]:
        """Return the state as nested dicts and lists of tensors and plain values.

        The tensors are those of the state itself, and change when the training goes on.
        """
        return {
            "module": [tensor.detach() for tensor in tensors_of(self.module)],
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "generator": self.generator.state_dict(),
            "history": self.history,
            "good": self.good,
            "schedule": self.schedule,
            "stopping": self.stopping,
            "ending": self.ending,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the state of another training of a module of the same shape."""
        with torch.no_grad():
            for mine, given in zip(tensors_of(self.module), state["module"], strict=True):
                mine.copy_(given)
        for optimizer, given in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(given)
        self.generator.load_state_dict(state["generator"])
        self.history = list(state["history"])
        for name in ("good", "schedule", "stopping", "ending"):
            setattr(self, name, copied(state[name]))  # training writes over it

    def to(self, device: torch.device) -> None:
        """Move the module and all that belongs to it."""
        self.module.to(device)
        for optimizer in self.optimizers:
            optimizer.to(device)
        here, there = self.generator.device.type, torch.device(device).type
        if here != there:
            # The streams of two devices have nothing to do with each other. That of each is
            # kept, so that a pickle goes on where it was on a device of its kind.
            self._streams[here] = self.generator.state_dict()
            self.generator = Generator(self.generator.initial_seed(), device)
            if there in self._streams:
                self.generator.load_state_dict(self._streams.pop(there))
        self.good = None
        self.stopping = {}


def _number(value: Any) -> float | None:
    """Return a number of any kind as a float, and None for everything else."""
    if isinstance(value, Tensor | np.generic) and math.prod(value.shape) == 1:
        value = value.item()
    return float(value) if isinstance(value, Real) else None


def joined(before: dict[str, list[float]], after: dict[str, list[float]]) -> dict[str, list[float]]:
    """Return curves that go on, with NaN for the epochs in which one was not recorded."""

    def lengthened(curves: dict[str, list[float]], name: str) -> list[float]:
        n_epochs = max(map(len, curves.values()), default=0)
        return curves.get(name, [math.nan] * n_epochs)

    return {name: [*lengthened(before, name), *lengthened(after, name)] for name in before | after}


@contextmanager
def restore_on_error(state: TrainingState) -> Iterator[None]:
    """Undo what a failing training did to what it changes in place."""
    before = copied(state.state_dict())
    try:
        yield
    except BaseException:
        state.load_state_dict(before)
        raise


def copied(value: Any) -> Any:
    """Copy the tensors, dicts and lists in a nested state."""
    if isinstance(value, Tensor):
        return value.clone()
    if isinstance(value, dict):
        return {key: copied(one) for key, one in value.items()}
    return [copied(one) for one in value] if isinstance(value, list) else value
