"""The one training loop."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from skorch.callbacks import EarlyStopping, EpochTimer
from skorch.utils import noop

from .._compute import limit_threads, worker_threads
from ._net import DivergedError, FiniteWeights, Net, ProgressBar, Resumption
from ._plan import Plan
from ._source import Source
from ._state import TrainingState


def train(
    state: TrainingState,
    source: Source,
    plan: Plan,
    *,
    validation: Source | None = None,
    callbacks: Sequence[Any] = (),
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
        skorch's callbacks. A KeyboardInterrupt that one raises ends the training.

    Returns
    -------
    TrainingState
        The same state, with its `ending`. With "diverged" the module holds the weights from
        the start of the last epoch with a finite loss.
    """
    module = state.module
    if plan.patience is None:
        validation = None  # which would decide nothing
    monitor = "train_loss" if validation is None else "valid_loss"
    progress = ProgressBar() if plan.verbose else None
    stopping = None
    if plan.patience is not None:
        stopping = EarlyStopping(
            monitor=monitor,
            patience=plan.patience,
            threshold=plan.tol,
            threshold_mode="abs",
            sink=noop,
            load_best=validation is not None,
        )
    scheduler = plan.make_scheduler(monitor)
    resumption = Resumption(scheduler, stopping)
    timer = EpochTimer() if callbacks else None
    if plan.streaming:
        state.history = []
    if not state.history:
        state.set_learning_rate(plan.learning_rate)
    net = Net(
        state,
        plan,
        validation,
        callbacks=[
            callback
            for callback in (
                FiniteWeights(),
                timer,
                *callbacks,
                progress,
                scheduler,
                stopping,  # raises when it ends the training
                resumption,
            )
            if callback is not None
        ],
        verbose=bool(callbacks),
    )
    largest = min(plan.batch_size, source.n_rows)
    n_weights = sum(parameter.numel() for parameter in module.parameters())
    diverged = False
    n_threads = torch.get_num_threads() if module.maps_parts else 1
    with (
        limit_threads(0 if module.maps_parts else largest * n_weights, module.n_threads(largest)),
        worker_threads(n_threads),
    ):
        try:
            net.partial_fit(source)
        except DivergedError:
            diverged = True
            net.notify("on_train_end")  # early stopping brings back its best weights
        finally:
            resumption.on_epoch_end(net)
            module.eval()
            if progress is not None:
                progress.close()
    state.history = [
        {name: value for name, value in epoch.items() if name != "batches"}
        for epoch in net.history
        if math.isfinite(epoch.get("train_loss", math.nan))
    ]
    if plan.streaming:
        state.good = None  # the next chunk starts anew
    state.ending = _ending(state, plan, net, stopping, diverged=diverged)
    return state


def _ending(
    state: TrainingState, plan: Plan, net: Net, stopping: EarlyStopping | None, *, diverged: bool
) -> str:
    if diverged:
        return "diverged"
    if stopping is not None and stopping.misses_ >= stopping.patience:
        return "converged"
    if len(state.history) == plan.max_iter:
        return "max_iter"
    return "stopped" if net.stopped else "interrupted"
