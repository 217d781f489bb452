"""skorch's net, whose data are a `Source` and whose steps are those of a `Trainable`.

skorch brings the order of events, callbacks, early stopping, schedulers and the history.
What is overridden is what takes time: an epoch records its losses with one synchronisation at
its end, and calls the hooks of a batch only where a callback has some.
"""

from __future__ import annotations

import dis
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback, EpochTimer
from skorch.history import History
from torch import Tensor, nn

from .._random import Generator
from ._bars import ProgressBar
from ._batch import Batch
from ._batches import Batches
from ._callbacks import EndOfTraining, FiniteWeights, Patience, Scheduler, own_callbacks
from ._plan import Plan
from ._source import Source
from ._state import TrainingState
from ._steps import RecordedSteps, stepper
from ._trainable import Step

_RAISE = dis.opmap["RAISE_VARARGS"]

_BATCH_HOOKS = ("on_batch_begin", "on_batch_end", "on_grad_computed")


class Net(NeuralNet):
    """Trains the module of a state by a plan; see the file's docstring.

    Parameters
    ----------
    state : TrainingState
        Where the training begins or goes on.
    plan : Plan
        How long and how fast.
    validation : Source or None
        Rows whose loss decides when to stop.
    callbacks : sequence
        Those of the family and of the user.
    tasks : FitTasks or None
        Tells scikit-learn's callbacks.
    on_epoch_complete : callable or None
        Called with the state when it holds what it needs to go on after an epoch.
    """

    def __init__(
        self,
        state: TrainingState,
        plan: Plan,
        validation: Source | None,
        *,
        callbacks: Sequence[Any],
        tasks: Any,
        on_epoch_complete: Callable[[TrainingState], None] | None,
    ):
        self.state = state
        self.plan = plan
        self.validation = validation
        self.on_epoch_complete = on_epoch_complete
        finite, self.scheduler, self.patience = own_callbacks(
            plan, validates=validation is not None
        )
        self.progress = ProgressBar() if plan.verbose else None
        #: Whether a callback has ended the training, or the user by Ctrl-C.
        self.stopped = self.interrupted = False
        in_order = (
            finite,
            EpochTimer() if callbacks else None,
            self.scheduler,
            self.patience,
            *callbacks,
            self.progress,
            tasks if tasks is not None and tasks.is_needed else None,
            EndOfTraining(self.patience, tasks),
        )
        super().__init__(
            state.module,
            criterion=nn.Identity,
            train_split=None,
            max_epochs=0 if state.stopping.get("is_over") else plan.max_iter - len(state.history),
            batch_size=plan.batch_size,
            device=state.generator.device,
            callbacks=[callback for callback in in_order if callback is not None],
            verbose=bool(callbacks),  # without which skorch's own print nothing
        )
        self.initialize()
        self.history_ = History(dict(epoch) for epoch in state.history)
        # The best loss so far, which skorch's callbacks look at.
        curves = {prefix: state.curve(f"{prefix}_loss") for prefix in ("train", "valid")}
        self._best = {prefix: min(curve, default=math.inf) for prefix, curve in curves.items()}
        hooks = {
            hook
            for _, callback in self.callbacks_
            for hook in _BATCH_HOOKS
            if getattr(type(callback), hook, None) is not getattr(Callback, hook)
        }
        self._has_batch_hooks = bool(hooks)
        self._step = Step(state.optimizers, streaming=plan.streaming)
        needs_gradients = "on_grad_computed" in hooks
        if needs_gradients:
            self._step.on_gradients = self._notify_gradients
        self._take_step = stepper(state.module, state.optimizers, may_record=not needs_gradients)
        self._callbacks_of_others = callbacks

    @property
    def _default_callbacks(self) -> list[Any]:
        return []

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what takes steps, so that a callback that keeps the net can be pickled."""
        state = super().__getstate__()
        return {name: v for name, v in state.items() if name not in ("_step", "_take_step")}

    def initialize_optimizer(self, triggered_directly: Any = None) -> Net:
        """Take the optimizers of the state."""
        self.optimizers_ = self.state.optimizers
        self.optimizer_ = self.optimizers_[0]
        return self

    def check_data(self, X: Source, y: Any = None) -> None:
        """Take a source as it is."""

    def get_split_datasets(self, X: Source, y: Any = None, **_: Any) -> tuple[Any, Any]:
        """Return the source and that of the validation rows."""
        return X, self.validation

    def get_iterator(self, dataset: Source, training: bool = False) -> Batches:
        """Return the batches of an epoch."""
        shuffled = training and self.plan.shuffled
        generator = self.state.generator if shuffled else None
        return Batches(dataset, self.plan.batch_size, generator)

    def fit_loop(self, X: Source, y: Any = None, epochs: Any = None, **fit_params: Any) -> Net:
        """Train; note whether Ctrl-C ended it, since skorch tells nobody."""
        try:
            return super().fit_loop(X, y, epochs, **fit_params)
        except KeyboardInterrupt:
            self.interrupted = not self.stopped
            raise

    def notify(self, method_name: str, **cb_kwargs: Any) -> None:
        """Call a hook of all callbacks; note if one of them ends the training."""
        getattr(self, method_name)(self, **cb_kwargs)
        now = None
        try:
            for _, callback in self.callbacks_:
                now = callback
                getattr(callback, method_name)(self, **cb_kwargs)
        except KeyboardInterrupt as error:
            self.stopped = _is_stated(error)
            if not isinstance(now, FiniteWeights):  # which notes the weights of an epoch
                # What these two know of the epoch may be half of it.
                self._hand_over(method_name, whole=not isinstance(now, Scheduler | Patience))
            raise
        self._hand_over(method_name)

    def _hand_over(self, method_name: str, *, whole: bool = True) -> None:
        """Give the callbacks what the state holds, or the state what it needs to go on."""
        state = self.state
        if method_name == "on_train_begin":
            if self.patience is not None:
                self.patience.__dict__.update(state.stopping)
            if self.scheduler is not None and state.schedule:
                self.scheduler.lr_scheduler_.load_state_dict(state.schedule)
        if method_name != "on_epoch_end":
            return
        state.record(self.history[-1])
        if self.patience is not None:
            state.stopping = {name: getattr(self.patience, name) for name in Patience.MEMORY}
        # All but one know what they need by the number of the epoch.
        if self.scheduler is not None and self.plan.schedule == "plateau":
            state.schedule = self.scheduler.lr_scheduler_.state_dict()
        if self.on_epoch_complete is not None and whole:
            self.on_epoch_complete(state)

    def run_single_epoch(
        self, iterator: Batches | None, training: bool, prefix: str, step_fn: Any, **_: Any
    ) -> None:
        """Run an epoch and record its mean losses by name."""
        if iterator is None:
            return
        module = self.module_
        if module.training != training:
            module.train(training)
        # The same noise each time, so that epochs differ by their weights alone.
        generator = self.state.generator if training else Generator(0, self.device)
        n_done = len(self.history) - 1
        step, n_batches, n_planned = self._step, len(iterator), self.plan.max_iter
        step.epoch, step.n_epochs = n_done, n_planned
        step.next_progress, step.accumulated = n_done / n_planned, None
        losses: list[dict[str, Tensor]] = []
        if training:
            self._refresh_recorded_steps()
        for number, batch in enumerate(iterator, start=1):
            if self._has_batch_hooks:
                self.notify("on_batch_begin", batch=batch, training=training)
                self._refresh_recorded_steps()
            if training:
                step.progress = step.next_progress
                step.next_progress = (n_done + number / n_batches) / n_planned
                step.share = self.plan.share(batch.x.shape[0])
            losses.append(step_fn(batch, module.sample_noise(batch, generator)))
            if self._has_batch_hooks:
                self._after_batch(batch, losses[-1], training, prefix)
        if training:
            step.progress = step.next_progress
            module.end_epoch(step)
        self._record(losses, iterator.share, prefix)

    def _refresh_recorded_steps(self) -> None:
        if isinstance(self._take_step, RecordedSteps):
            self._take_step.refresh(thoroughly=bool(self._callbacks_of_others))

    def _after_batch(
        self, batch: Batch, losses: dict[str, Tensor], training: bool, prefix: str
    ) -> None:
        loss = next(iter(losses.values()))
        self.history.record_batch(f"{prefix}_loss", loss.item())
        self.history.record_batch(f"{prefix}_batch_size", batch.x.shape[0])
        self.notify("on_batch_end", batch=batch, training=training, loss=loss, y_pred=None)

    def _record(self, losses: list[dict[str, Tensor]], share: Tensor, prefix: str) -> None:
        """Record the mean losses of an epoch, of which the first is the objective."""
        for place, name in enumerate(losses[0]):
            mean = (torch.stack([loss[name] for loss in losses]) @ share).item()
            if place > 0:
                self.history.record(f"{prefix}_{name}", mean)
                continue
            self.history.record(f"{prefix}_loss", mean)
            self.history.record(f"{prefix}_loss_best", mean < self._best[prefix])
            self._best[prefix] = min(mean, self._best[prefix])
        self.history.record(f"{prefix}_batch_count", len(losses))
        if not self.history[-1]["batches"]:
            self.history.new_batch()  # some of skorch's callbacks look at the last one

    def train_step(self, batch: Batch, noise: Any) -> dict[str, Tensor]:
        """Let the module take a step, recorded if that is possible."""
        return self._take_step(batch, noise, self._step)

    @torch.no_grad()
    def validation_step(self, batch: Batch, noise: Any) -> dict[str, Tensor]:
        """Return the loss of a batch."""
        return {"loss": self.module_.mean_loss(batch, noise)}

    def _notify_gradients(self) -> None:
        parameters = list(self.module_.named_parameters())
        self.notify("on_grad_computed", named_parameters=parameters, X=None, y=None, training=True)


def _is_stated(interrupt: KeyboardInterrupt) -> bool:
    """Whether a ``raise`` statement made it, by which callbacks stop, and not Ctrl-C."""
    last: Any = interrupt.__traceback__
    while last.tb_next is not None:
        last = last.tb_next
    return last.tb_frame.f_code.co_code[last.tb_lasti] == _RAISE
