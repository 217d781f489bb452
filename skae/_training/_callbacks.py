"""The callbacks that every training has."""

from __future__ import annotations

import math
from typing import Any

import torch
from skorch.callbacks import Callback, EarlyStopping
from skorch.utils import noop
from torch import Tensor
from tqdm.auto import tqdm

from ._plan import Plan
from ._trainable import tensors_of


class DivergedError(Exception):
    """The loss or a weight is no longer finite."""


class FiniteWeights(Callback):
    """Bring back the last good weights when the loss stops being finite.

    The loss of an epoch is measured before each step, so it vouches for the weights at
    the start of the epoch and says nothing yet about those at its end.
    """

    def on_train_begin(self, net: Any, **_: Any) -> None:
        """Copy the weights that are there before the first step."""
        self._current = tensors_of(net.module_)
        self._latest = [tensor.detach().clone() for tensor in self._current]
        self._good = net.state.good or [tensor.clone() for tensor in self._latest]

    def on_epoch_end(self, net: Any, **_: Any) -> None:
        """Copy the weights of this epoch; those of the last one are now known to be good."""
        if not math.isfinite(net.history[-1]["train_loss"]):
            _copy(self._good, self._current)
            raise DivergedError
        self._good, self._latest = self._latest, self._good
        _copy(self._current, self._latest)
        net.state.good = self._good

    def on_train_end(self, net: Any, **_: Any) -> None:
        """Look at the weights themselves, since no loss vouches for the last ones."""
        if not all(torch.isfinite(tensor).all() for tensor in self._current):
            _copy(self._good, self._current)
            raise DivergedError


class Patience(EarlyStopping):
    """skorch's early stopping, which lets all callbacks see the last epoch before it stops.

    Parameters
    ----------
    plan : Plan
        With a patience.
    monitor : str
        What is recorded in the history and is to improve.
    load_best : bool
        Whether to bring back the weights of the best epoch at the end.
    """

    #: What it has to remember from epoch to epoch.
    MEMORY = ("misses_", "dynamic_threshold_", "best_epoch_", "best_model_weights_")

    def __init__(self, plan: Plan, monitor: str, load_best: bool):
        super().__init__(
            monitor=monitor,
            patience=plan.patience,
            threshold=plan.tol,
            threshold_mode="abs",
            sink=noop,
            load_best=load_best,
        )
        self.is_over = False

    def on_epoch_end(self, net: Any, **_: Any) -> None:
        """Note whether the patience is over."""
        try:
            super().on_epoch_end(net)
        except KeyboardInterrupt:
            self.is_over = True


class EndOfPatience(Callback):
    """Ends the training once the patience is over; the last of all callbacks."""

    def __init__(self, patience: Patience):
        self.patience = patience

    def on_epoch_end(self, net: Any, **_: Any) -> None:
        """Stop as skorch's callbacks do."""
        if self.patience.is_over:
            raise KeyboardInterrupt


class ProgressBar(Callback):
    """A bar over all batches of a training, with the losses of the last epoch."""

    def on_train_begin(self, net: Any, X: Any = None, **_: Any) -> None:
        """Start the bar."""
        n_batches = len(net.get_iterator(X, training=True))
        self._bar = tqdm(total=net.max_epochs * n_batches, unit="batch")

    def on_batch_end(self, net: Any, training: bool = False, **_: Any) -> None:
        """Move the bar by a batch of training rows."""
        self._bar.update(training)

    def on_epoch_end(self, net: Any, **_: Any) -> None:
        """Show the losses."""
        losses = {name: net.history[-1].get(name) for name in ("train_loss", "valid_loss")}
        self._bar.set_postfix({k: f"{v:.4g}" for k, v in losses.items() if v is not None})

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()


@torch.no_grad()
def _copy(source: list[Tensor], target: list[Tensor]) -> None:
    for value, to in zip(source, target, strict=True):
        to.copy_(value)
