"""The maths of a model, as the engine sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ._generator import Generator


class Trainable(nn.Module):
    """A module that can take one batch.

    The engine calls nothing but the methods below. Three rules make one engine serve
    every model, with sample weights, exact reproducibility and many candidates trained
    as one batch:

    - `loss` is a pure function of parameters, batch and noise. It draws no random
      numbers, and gives one loss per sample; a penalty on the weights is added to each.
    - `sample_noise` draws the random numbers that one call of `loss` consumes.
    - every scalar in the objective (a penalty weight, a noise level) is a buffer,
      registered with ``persistent=False`` since it belongs to the parameters of the
      estimator and not to what was learned.
    """

    #: Whether the rows are taken in an order drawn anew for each epoch, or in their own.
    shuffled: bool = True

    def sample_noise(self, x: Tensor, generator: Generator) -> Any:
        """Draw what `loss` consumes for the batch `x`; None if it consumes nothing."""
        return None

    def loss(self, x: Tensor, noise: Any) -> Tensor:
        """Return the loss of each sample of the batch, shape (n,)."""
        raise NotImplementedError

    def training_step(
        self,
        x: Tensor,
        noise: Any,
        weight: Tensor | None,
        optimizers: Sequence[torch.optim.Optimizer],
    ) -> Tensor:
        """Learn from one batch and return its mean loss, a scalar without gradient.

        Only a model that is no plain loss (adversarial training, a map that
        accumulates) overrides this.
        """
        for optimizer in optimizers:
            for group in optimizer.param_groups:  # zero_grad, without its time for profilers
                for parameter in group["params"]:
                    parameter.grad = None
        losses = self.loss(x, noise)
        loss = losses.mean() if weight is None else (weight * losses).mean()
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        return loss.detach()

    def threads_in_a_step(self) -> int:
        """Return how many threads a small step may use without a change in any bit."""
        return 1

    def parameter_groups(self) -> list[list[nn.Parameter]]:
        """Return the parameters of each optimizer, one list per optimizer."""
        return [list(self.parameters())]

    def make_optimizers(self, learning_rate: float) -> list[torch.optim.Optimizer]:
        """Return the optimizers of `training_step`, by default an Adam for each group."""
        return [
            torch.optim.Adam(group, lr=learning_rate, fused=has_fused_steps(group[0].device))
            for group in self.parameter_groups()
        ]

    def end_epoch(self) -> None:
        """Write what the steps of an epoch accumulated; nothing by default."""

    def encode(self, x: Tensor) -> Tensor:
        """Return the code of each sample, deterministic."""
        raise NotImplementedError

    def decode(self, z: Tensor) -> Tensor:
        """Return the input that each code stands for, deterministic."""
        raise NotImplementedError

    def log_score(self, x: Tensor) -> Tensor:
        """Return how normal each sample is, shape (n,), higher = more normal."""
        raise NotImplementedError


def has_fused_steps(device: torch.device) -> bool | None:
    """Whether torch's optimizers step over all parameters at once there; None if they may not."""
    return True if device.type in ("cpu", "cuda") else None


def load_weights(module: Trainable, fitted: Trainable) -> None:
    """Give an untrained module the weights of a fitted one.

    Raises
    ------
    ValueError
        If the two have not the same shape.
    """
    try:
        module.load_state_dict(fitted.state_dict())
    except RuntimeError as error:
        raise ValueError(
            "warm_start=True cannot go on from the last fit, because the shape of the network was "
            "changed since; set warm_start=False to start anew."
        ) from error
