"""skorch's net, whose data are a `Source` and whose steps are those of a `Trainable`.

skorch brings the order of events, callbacks, early stopping, schedulers and the history.
What is overridden is what takes time: an epoch records its losses with one synchronisation at
its end, and calls the hooks of a batch only where a callback has some.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback
from skorch.history import History
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from tqdm.auto import tqdm

from .._random import Generator
from ._batch import Batch
from ._plan import Plan
from ._source import Batches, Source
from ._state import TrainingState
from ._steps import stepper
from ._trainable import Step, tensors_of

_BATCH_HOOKS = ("on_batch_begin", "on_batch_end", "on_grad_computed")


class Net(NeuralNet):
    """Trains the module of a state by a plan; see the module's docstring."""

    def __init__(
        self,
        state: TrainingState,
        plan: Plan,
        validation: Source | None,
        *,
        callbacks: list[Any],
        verbose: int,
    ):
        super().__init__(
            state.module,
            criterion=nn.Identity,
            train_split=None,
            max_epochs=plan.max_iter - len(state.history),
            batch_size=plan.batch_size,
            device=state.generator.device,
            callbacks=callbacks,
            verbose=verbose,
        )
        self.state = state
        self.plan = plan
        self.validation = validation
        #: Whether a callback, and not the user, has ended the training.
        self.stopped = False
        self.initialize()
        self.history_ = History(dict(epoch) for epoch in state.history)
        self._best: dict[str, float] = {}  # loss, what skorch's callbacks look at
        hooks = {
            hook
            for _, callback in self.callbacks_
            for hook in _BATCH_HOOKS
            if getattr(type(callback), hook, None) is not getattr(Callback, hook)
        }
        self._has_batch_hooks = bool(hooks)
        on_gradients = self._notify_gradients if "on_grad_computed" in hooks else None
        self._step = Step(state.optimizers, streaming=plan.streaming)
        if on_gradients is not None:
            self._step.on_gradients = on_gradients
        self._take_step = stepper(state.module, may_record=on_gradients is None)

    @property
    def _default_callbacks(self) -> list[Any]:
        return []

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

    def notify(self, method_name: str, **cb_kwargs: Any) -> None:
        """Call a hook of all callbacks; note if one of them ends the training."""
        try:
            super().notify(method_name, **cb_kwargs)
        except KeyboardInterrupt:
            self.stopped = True
            raise

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
        step.next_progress = n_done / n_planned
        losses: list[dict[str, Tensor]] = []
        for number, batch in enumerate(iterator, start=1):
            if self._has_batch_hooks:
                self.notify("on_batch_begin", batch=batch, training=training)
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
            self.history.record(f"{prefix}_loss_best", mean < self._best.get(prefix, math.inf))
            self._best[prefix] = min(mean, self._best.get(prefix, math.inf))
        self.history.record(f"{prefix}_batch_count", len(losses))

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


class DivergedError(Exception):
    """The loss or a weight is no longer finite."""


class FiniteWeights(Callback):
    """Bring back the last good weights when the loss stops being finite.

    The loss of an epoch is measured before each step, so it vouches for the weights at
    the start of the epoch and says nothing yet about those at its end.
    """

    def on_train_begin(self, net: Net, **_: Any) -> None:
        """Copy the weights that are there before the first step."""
        self._current = tensors_of(net.module_)
        self._latest = [tensor.detach().clone() for tensor in self._current]
        self._good = net.state.good or [tensor.clone() for tensor in self._latest]

    def on_epoch_end(self, net: Net, **_: Any) -> None:
        """Copy the weights of this epoch; those of the last one are now known to be good."""
        if not math.isfinite(net.history[-1]["train_loss"]):
            _copy(self._good, self._current)
            raise DivergedError
        self._good, self._latest = self._latest, self._good
        _copy(self._current, self._latest)
        net.state.good = self._good

    def on_train_end(self, net: Net, **_: Any) -> None:
        """Look at the weights themselves, since no loss vouches for the last ones."""
        if not all(torch.isfinite(tensor).all() for tensor in self._current):
            _copy(self._good, self._current)
            raise DivergedError


class ProgressBar(Callback):
    """A bar over all batches of a training, with the loss of the last epoch."""

    def on_train_begin(self, net: Net, X: Source, **_: Any) -> None:
        """Start the bar."""
        self._n_batches = len(net.get_iterator(X, training=True))
        self._bar = tqdm(total=net.max_epochs * self._n_batches, unit="batch")

    def on_batch_end(self, net: Net, training: bool = False, **_: Any) -> None:
        """Move the bar by a batch of training rows."""
        self._bar.update(training)

    def on_epoch_end(self, net: Net, **_: Any) -> None:
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


class Resumption(Callback):
    """Hands over between a state and skorch's callbacks what those have to remember."""

    def __init__(self, scheduler: Any, stopping: Any):
        self.scheduler = scheduler
        self.stopping = stopping

    def on_train_begin(self, net: Net, **_: Any) -> None:
        """Give the callbacks what the state holds, after they have started anew."""
        if self.stopping is not None:
            vars(self.stopping).update(net.state.stopping)
        if net.state.schedule:
            self.scheduler.lr_scheduler_.load_state_dict(net.state.schedule)

    def on_epoch_end(self, net: Net, **_: Any) -> None:
        """Note in the state what the callbacks hold."""
        if self.stopping is not None:
            names = ("misses_", "dynamic_threshold_", "best_epoch_", "best_model_weights_")
            net.state.stopping = {name: getattr(self.stopping, name) for name in names}
        scheduler = getattr(self.scheduler, "lr_scheduler_", None)
        if isinstance(scheduler, ReduceLROnPlateau):  # the others know all by the epoch
            net.state.schedule = scheduler.state_dict()
