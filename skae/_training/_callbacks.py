"""The callbacks that every training has."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from skorch.callbacks import Callback, EarlyStopping, LRScheduler
from skorch.utils import noop
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from ._plan import FACTORS, Plan
from ._trainable import tensors_of

# A plateau divides the learning rate by two after a quarter of the patience.
_PLATEAU_FACTOR, _PLATEAU_PART = 0.5, 0.25


def check_callbacks(callbacks: Sequence[Any] | None, *, validates: bool) -> list[Any]:
    """Return the callbacks of a user as a list, once they are checked.

    Parameters
    ----------
    callbacks : sequence or None
        The parameter of an estimator.
    validates : bool
        Whether there are validation rows.

    Raises
    ------
    TypeError
        If one is no callback of skorch.
    ValueError
        If one monitors validation rows where there are none.
    """
    given = list(callbacks or ())
    for one in given:
        callback = one[1] if isinstance(one, tuple) and len(one) == 2 else one
        kind = callback if isinstance(callback, type) else type(callback)
        if not issubclass(kind, Callback):
            is_of_sklearn = hasattr(kind, "on_fit_task_end")
            raise TypeError(
                "callbacks must be subclasses of skorch.callbacks.Callback, or pairs of a name "
                f"and one, got {one!r}."
                + (" Those of scikit-learn are for set_callbacks." if is_of_sklearn else "")
            )
        monitor = getattr(kind() if callback is kind else callback, "monitor", None)
        if not validates and str(monitor).startswith("valid_"):
            raise ValueError(
                f"The callback {kind.__name__} monitors {monitor!r}, but there are no "
                "validation rows: set early_stopping=True, give X_val to fit, or let it "
                f"monitor {str(monitor).replace('valid', 'train')!r}."
            )
    return given


class DivergedError(Exception):
    """The loss or a weight is no longer finite."""


class FiniteWeights(Callback):
    """Bring back the last good weights when the loss stops being finite.

    The loss of an epoch is measured before each step, so it vouches for the weights at
    the start of the epoch and says nothing yet about those at its end.
    """

    def on_train_begin(self, net: Any, **_: Any) -> None:
        """Copy the weights that are there before the first step."""
        self._diverged = False
        self._current = tensors_of(net.module_)
        # A layer may have infinity in a buffer for a reason, such as a mask.
        buffers = [b for b in net.module_.buffers() if torch.isfinite(b).all()]
        self._to_be_finite = [*net.module_.parameters(), *buffers]
        self._latest = [tensor.detach().clone() for tensor in self._current]
        self._good = net.state.good or [tensor.clone() for tensor in self._latest]

    def on_epoch_end(self, net: Any, **_: Any) -> None:
        """Copy the weights of this epoch; those of the last one are now known to be good."""
        if not math.isfinite(net.history[-1]["train_loss"]):
            self._give_up()
        _copy(self._current, self._good)  # Ctrl-C now would leave the latest as they are
        self._good, self._latest = self._latest, self._good
        net.state.good = self._good

    def on_train_end(self, net: Any, **_: Any) -> None:
        """Look at the weights themselves, since no loss vouches for the last ones.

        After Ctrl-C, bring back those of the last complete epoch first.
        """
        if self._diverged:
            return
        if net.interrupted:
            self.undo_epoch()
        if not all(torch.isfinite(tensor).all() for tensor in self._to_be_finite):
            self._give_up()

    def undo_epoch(self) -> None:
        """Bring back the weights from before the epoch that is not complete."""
        _copy(self._latest, self._current)

    def _give_up(self) -> None:
        self._diverged = True
        _copy(self._good, self._current)
        raise DivergedError


@torch.no_grad()
def diverged(net: Any) -> None:
    """End the training from a callback, with the weights from the start of the last epoch."""
    _copy(net.state.good, tensors_of(net.module_))
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

    #: Its state, which goes from epoch to epoch.
    MEMORY = ("misses_", "dynamic_threshold_", "best_epoch_", "best_model_weights_", "is_over")

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
        if len(net.history) <= net.plan.n_unsettled:
            return
        try:
            super().on_epoch_end(net)
        except KeyboardInterrupt:
            if self.misses_ < self.patience:  # Ctrl-C
                raise
            self.is_over = True


class EndOfTraining(Callback):
    """Ends the training once another callback says so; the last of all."""

    def __init__(self, *others: Any):
        self.others = [one for one in others if one is not None]

    def on_epoch_end(self, net: Any, **_: Any) -> None:
        """Stop as skorch's callbacks do."""
        if any(one.is_over for one in self.others):
            raise KeyboardInterrupt


class Scheduler(LRScheduler):
    """skorch's scheduler, for all optimizers, and without a hook that each batch would call."""

    on_batch_end = Callback.on_batch_end

    def on_train_begin(self, net: Any, **_: Any) -> None:
        """Note the learning rates of all optimizers."""
        super().on_train_begin(net)
        groups = net.module_.parameter_groups()
        self._planned = [group.get("lr", net.plan.learning_rate) for group in groups]

    def on_epoch_end(self, net: Any, **_: Any) -> None:
        """Let the other learning rates change as the first one does."""
        if net.plan.schedule == "plateau" and len(net.history) <= net.plan.n_unsettled:
            return
        super().on_epoch_end(net)
        factor = net.optimizer_.param_groups[0]["lr"] / self._planned[0]
        for optimizer, planned in zip(net.optimizers_[1:], self._planned[1:], strict=True):
            optimizer.param_groups[0]["lr"] = planned * factor


def make_scheduler(plan: Plan, monitor: str) -> Scheduler | None:
    """Return what sets the learning rate by a plan; None if that is constant.

    `monitor` names in the history what "plateau" watches, if the plan says nothing else.
    """
    if plan.schedule == "constant":
        return None
    if plan.schedule == "plateau":
        patience = max(1, round(_PLATEAU_PART * (plan.patience or plan.max_iter)))
        return Scheduler(
            ReduceLROnPlateau,
            monitor=plan.plateau_of or monitor,
            event_name=None,
            factor=_PLATEAU_FACTOR,
            patience=patience,
            threshold=plan.tol,
            threshold_mode="abs",
        )
    factor = partial(_factor, schedule=plan.schedule, n_epochs=plan.max_iter)
    return Scheduler(LambdaLR, event_name=None, lr_lambda=factor)


def _factor(epoch: int, *, schedule: str, n_epochs: int) -> float:
    return FACTORS[schedule](epoch / max(1, n_epochs))


def own_callbacks(
    plan: Plan, *, validates: bool
) -> tuple[FiniteWeights, Scheduler | None, Patience | None]:
    """Return the callbacks that every training by a plan has, in their order.

    `validates` says whether there are validation rows, whose loss then decides.
    """
    monitor = "valid_loss" if validates else "train_loss"
    patience = None
    if plan.patience is not None:
        patience = Patience(plan, monitor, load_best=validates)
    return FiniteWeights(), make_scheduler(plan, monitor), patience


@torch.no_grad()
def _copy(source: list[Tensor], target: list[Tensor]) -> None:
    for value, to in zip(source, target, strict=True):
        to.copy_(value)
