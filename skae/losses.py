"""Pure functions of tensors: means of errors, and penalties."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def mean_per_sample(error: Tensor) -> Tensor:
    """Return the mean error of each sample.

    Parameters
    ----------
    error : Tensor of shape (n, ...)
        The error of each entry.

    Returns
    -------
    Tensor of shape (n,)
    """
    # A sum and a small division: the gradient of a mean would fill a second tensor of
    # the size of the batch.
    if error.ndim > 2:
        error = error.flatten(1)
    return error.sum(1) / error.shape[1]


def squared_weights(weights: Sequence[Tensor]) -> Tensor:
    """Return half the sum of the squares of all `weights`, the penalty of weight decay."""
    return 0.5 * sum((weight.square().sum() for weight in weights), start=weights[0].new_zeros(()))


def absolute_weights(weights: Sequence[Tensor]) -> Tensor:
    """Return the sum of the absolute values of all `weights`, the L1 penalty."""
    return sum((weight.abs().sum() for weight in weights), start=weights[0].new_zeros(()))


def mean_activity(code: Tensor) -> Tensor:
    """Return the mean absolute code of each sample, shape (n,)."""
    return mean_per_sample(code.abs())


def bernoulli_divergence(target: Tensor, rate: Tensor) -> Tensor:
    """Return KL(`target` || `rate`), the divergence of two probabilities of an event, in nats.

    Parameters
    ----------
    target : Tensor
        Probability that is wanted, between 0 and 1, both exclusive.
    rate : Tensor
        Probability that is found. Where it is 0 or 1 to rounding it is taken as the
        nearest number that keeps the divergence finite.

    Returns
    -------
    Tensor
        In the common shape of both, 0 where they agree.
    """
    eps = torch.finfo(rate.dtype).eps
    rate = rate.clamp(eps, 1 - eps)
    return target * (target / rate).log() + (1 - target) * ((1 - target) / (1 - rate)).log()
