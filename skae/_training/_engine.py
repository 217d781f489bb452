"""The one training loop: skorch's net, its epochs run over tensors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback, EarlyStopping
from skorch.utils import noop
from torch import Tensor, nn
from tqdm.auto import tqdm

from ._data import Batches, Rows
from ._generator import Generator
from ._state import threads_for
from ._trainable import Trainable


@dataclass(frozen=True)
class TrainingResult:
    """What a training left behind, beside the trained module.

    Attributes
    ----------
    loss_curve, validation_loss_curve : list of float
        The mean loss of each complete epoch.
    ending : {"converged", "max_iter", "interrupted", "diverged"}
        Why the training ended.
    optimizer_states : list of dict
        What each optimizer needs to go on.
    """

    loss_curve: list[float]
    validation_loss_curve: list[float]
    ending: str
    optimizer_states: list[dict[str, Any]]


def train(
    module: Trainable,
    rows: Rows,
    *,
    seed: int,
    learning_rate: float,
    batch_size: int,
    max_iter: int,
    validation: Rows | None = None,
    patience: int | None = None,
    tol: float = 0.0,
    optimizer_states: list[dict[str, Any]] | None = None,
    verbose: bool = False,
) -> TrainingResult:
    """Train `module` in place on `rows`.

    Parameters
    ----------
    module : Trainable
        On the device of `rows`.
    rows : Rows
        The training rows with their weights.
    seed : int
        Seed of all that is drawn: the order of the rows and the noise of each step.
    learning_rate : float
        Step size of the optimizers that the module makes.
    batch_size : int
        Upper bound of the rows in a batch.
    max_iter : int
        Upper bound of the epochs.
    validation : Rows, optional
        If given, their loss decides when to stop, and the weights of the best epoch
        come back.
    patience : int, optional
        Number of epochs without an improvement by `tol` after which to stop. None
        runs all epochs.
    tol : float
        Smallest improvement of the loss that counts.
    optimizer_states : list of dict, optional
        The states of an earlier result, to go on from there.
    verbose : bool
        Whether to show a progress bar.

    Returns
    -------
    TrainingResult
        With ending "diverged" the module holds the weights from the start of the last
        epoch with a finite loss.
    """
    generator = Generator(seed, rows.device)
    batches = Batches(rows, batch_size, generator if module.shuffled else None)
    callbacks: list[Callback] = [_FiniteWeights()]
    stopping = None
    if patience is not None:
        stopping = EarlyStopping(
            monitor="train_loss" if validation is None else "valid_loss",
            patience=patience,
            threshold=tol,
            threshold_mode="abs",
            sink=noop,
            load_best=validation is not None,
        )
        callbacks.append(stopping)
    progress = tqdm(total=max_iter * len(batches), unit="batch", disable=not verbose)
    net = _Net(
        module,
        learning_rate=learning_rate,
        optimizer_states=optimizer_states,
        validation=None if validation is None else Batches(validation, batch_size),
        generator=generator,
        progress=progress,
        max_epochs=max_iter,
        device=rows.device,
        callbacks=callbacks,
    )
    diverged = False
    n_weights = sum(parameter.numel() for parameter in module.parameters())
    with threads_for(batches.sizes[0] * n_weights, module.threads_in_a_step()):
        try:
            net.partial_fit(batches)
        except _DivergedError:
            diverged = True
            net.notify("on_train_end")  # early stopping brings back its best weights
        finally:
            module.eval()
            progress.close()
    complete = [epoch for epoch in net.history if math.isfinite(epoch.get("train_loss", math.nan))]
    if diverged:
        ending = "diverged"
    elif stopping is not None and stopping.misses_ >= stopping.patience:
        ending = "converged"
    elif len(complete) == max_iter:
        ending = "max_iter"
    else:
        ending = "interrupted"
    return TrainingResult(
        loss_curve=[epoch["train_loss"] for epoch in complete],
        validation_loss_curve=[epoch["valid_loss"] for epoch in complete if "valid_loss" in epoch],
        ending=ending,
        optimizer_states=[optimizer.state_dict() for optimizer in net.optimizers_],
    )


class _Net(NeuralNet):
    """skorch's net, whose data are `Batches` and whose steps are those of a `Trainable`."""

    def __init__(
        self,
        module: Trainable,
        *,
        learning_rate: float,
        optimizer_states: list[dict[str, Any]] | None,
        validation: Batches | None,
        generator: Generator,
        progress: tqdm,
        **settings: Any,
    ):
        super().__init__(module, criterion=nn.Identity, train_split=None, verbose=0, **settings)
        self.learning_rate = learning_rate
        self.optimizer_states = optimizer_states
        self.validation = validation
        self.generator = generator
        self.progress = progress

    @property
    def _default_callbacks(self) -> list[Any]:
        return []

    def initialize_optimizer(self, triggered_directly: Any = None) -> _Net:
        self.optimizers_ = self.module_.make_optimizers(self.learning_rate)
        for optimizer, state in zip(self.optimizers_, self.optimizer_states or [], strict=False):
            optimizer.load_state_dict(state)
            for group in optimizer.param_groups:
                group["lr"] = self.learning_rate  # it may have changed since
        return self

    def get_split_datasets(self, X: Batches, y: Any = None, **_: Any) -> tuple[Any, Any]:
        return X, self.validation

    def get_iterator(self, dataset: Batches, training: bool = False) -> Batches:
        return dataset

    def run_single_epoch(
        self, iterator: Batches | None, training: bool, prefix: str, step_fn: Any, **_: Any
    ) -> None:
        """Run an epoch without skorch's notes per batch: one synchronisation at its end."""
        if iterator is None:
            return
        if self.module_.training != training:
            self.module_.train(training)
        # The same noise each time, so that epochs differ by their weights alone.
        generator = self.generator if training else Generator(0, self.device)
        losses = []
        for x, weight in iterator:
            noise = self.module_.sample_noise(x, generator)
            losses.append(step_fn(x, noise, weight))
            self.progress.update(training)
        if training:
            self.module_.end_epoch()
        mean = torch.stack(losses) @ iterator.share
        self.history.record(f"{prefix}_loss", loss := mean.item())
        if not self.progress.disable:
            self.progress.set_postfix({f"{prefix}_loss": f"{loss:.4g}"})

    def train_step(self, x: Tensor, noise: Any, weight: Tensor | None) -> Tensor:
        return self.module_.training_step(x, noise, weight, self.optimizers_)

    @torch.no_grad()
    def validation_step(self, x: Tensor, noise: Any, weight: Tensor | None) -> Tensor:
        losses = self.module_.loss(x, noise)
        return losses.mean() if weight is None else (weight * losses).mean()


class _DivergedError(Exception):
    """The loss or a weight is no longer finite."""


class _FiniteWeights(Callback):
    """Bring back the last good weights when the loss stops being finite.

    The loss of an epoch is measured before each step, so it vouches for the weights at
    the start of the epoch and says nothing yet about those at its end.
    """

    def on_train_begin(self, net: _Net, **_: Any) -> None:
        self._state = [*net.module_.parameters(), *net.module_.buffers()]
        self._good = [tensor.detach().clone() for tensor in self._state]
        self._latest = [tensor.clone() for tensor in self._good]

    def on_epoch_end(self, net: _Net, **_: Any) -> None:
        if not math.isfinite(net.history[-1]["train_loss"]):
            _copy(self._good, self._state)
            raise _DivergedError
        self._good, self._latest = self._latest, self._good
        _copy(self._state, self._latest)

    def on_train_end(self, net: _Net, **_: Any) -> None:
        if not all(torch.isfinite(tensor).all() for tensor in self._state):
            _copy(self._good, self._state)
            raise _DivergedError


@torch.no_grad()
def _copy(source: list[Tensor], target: list[Tensor]) -> None:
    for value, to in zip(source, target, strict=True):
        to.copy_(value)
