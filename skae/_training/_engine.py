"""The one training loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from .._compute import limit_threads, worker_threads
from ._callbacks import DivergedError
from ._net import Net
from ._plan import Plan
from ._source import Source
from ._state import TrainingState


@dataclass
class Training:
    """What `train` takes: where it begins, from which rows, how long and how fast."""

    state: TrainingState
    source: Source
    plan: Plan
    validation: Source | None = None
    callbacks: Sequence[Any] = ()
    tasks: Any = None
    on_epoch_complete: Callable[[TrainingState], None] | None = None


def train(
    state: TrainingState,
    source: Source,
    plan: Plan,
    *,
    validation: Source | None = None,
    callbacks: Sequence[Any] = (),
    tasks: Any = None,
    on_epoch_complete: Callable[[TrainingState], None] | None = None,
) -> TrainingState:
    """Train the module of a state in place, or go on with it.

    Parameters
    ----------
    state : TrainingState
        With a module on the device of `source`. One with a history goes on after its last
        epoch.
    source : Source
        The training rows with their weights.
    plan : Plan
        How long and how fast.
    validation : Source, optional
        If given, their loss decides when to stop, if anything does, and the weights of the
        best epoch come back.
    callbacks : sequence
        skorch's callbacks. One that raises a KeyboardInterrupt ends the training.
    tasks : skae._sklearn_callbacks.FitTasks, optional
        Tells scikit-learn's callbacks of the epochs. It ends the training after one in which its
        `is_over` becomes true.
    on_epoch_complete : callable, optional
        Called with the state after each epoch, when it holds all that is needed to go on from
        there. (At the end the weights of the best epoch may have taken their place.)

    Returns
    -------
    TrainingState
        The same state, with its `ending`. With "diverged" the module holds the weights from
        the start of the last epoch with a finite loss; with "interrupted" (Ctrl-C), which the
        caller is to raise again, those at the end of the last complete epoch.
    """
    module = state.module
    if plan.patience is None:
        validation = None  # which would decide nothing
    if plan.streaming:
        state.history = []
    if not state.history:
        state.set_learning_rate(plan.learning_rate)
    if not (plan.streaming or module.mixes_rows):
        source = source.as_set(plan.batch_size)
    net = Net(
        *(state, plan, validation),
        callbacks=callbacks,
        tasks=tasks,
        on_epoch_complete=on_epoch_complete,
    )
    largest = min(plan.batch_size, source.n_rows)
    n_weights = sum(parameter.numel() for parameter in module.parameters())
    diverged = False
    n_workers = torch.get_num_threads() if plan.shares_parts else 1
    with (
        limit_threads(0 if plan.shares_parts else largest * n_weights, plan.n_threads),
        worker_threads(n_workers),
    ):
        try:
            net.partial_fit(source)
        except DivergedError:
            diverged = True
            net.notify("on_train_end")  # early stopping brings back its best weights
        finally:
            module.eval()
            if net.progress is not None:
                net.progress.close()
    if plan.streaming:
        state.good = None  # the next chunk starts anew
    state.ending = _ending(net, diverged=diverged)
    return state


def _ending(net: Net, *, diverged: bool) -> str:
    if net.interrupted:
        return "interrupted"
    if diverged:
        return "diverged"
    if net.patience is not None and net.patience.is_over:
        return "converged"
    if len(net.state.history) == net.plan.max_iter:
        return "max_iter"
    return "stopped"
