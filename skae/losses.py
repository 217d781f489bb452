"""Pure functions of tensors: means of errors, and penalties."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

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


def powers_of_differences(x: Tensor, others: Tensor, power: int) -> Tensor:
    """Return the sums of the absolute differences of rows, to a power, over what is observed.

    Parameters
    ----------
    x : Tensor of shape (n, n_features)
        Rows, NaN where an entry is missing; each has an observed one.
    others : Tensor of shape (n_others, n_features)
        Complete rows.
    power : int
        1 or 2.

    Returns
    -------
    Tensor of shape (n, n_others)
        As if the observed entries of a row of `x` stood for all.
    """
    observed = ~x.isnan()
    has_gaps = not observed.all()
    total = x.new_zeros(len(x), len(others))
    difference = torch.empty_like(total)
    # Entry by entry, which rounds less than a matrix product, and is quicker than `torch.cdist`
    # by absolute differences where the distances stay in the cache.
    for column, of_others in zip(x.T.unsqueeze(2), others.T.contiguous(), strict=True):
        torch.sub(column, of_others, out=difference)
        difference = difference.abs_() if power == 1 else difference.square_()
        total += difference.nan_to_num_() if has_gaps else difference
    return total * (x.shape[1] / observed.sum(1, keepdim=True)) if has_gaps else total


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


def inverse_multiquadratic(squared: Any, scale: Any) -> Any:
    """Return the kernel ``scale / (scale + squared)`` (Tolstikhin et al. 2018).

    Parameters
    ----------
    squared : Tensor or ndarray
        Squared distances, at least 0.
    scale : float
        The squared length of the kernel.

    Returns
    -------
    Tensor or ndarray
        From 0 to 1, in the shape of `squared`.
    """
    return scale / (scale + squared)


# Lengths of the kernels below, squared and as parts of the mean squared distance of two draws.
_SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


def prior_discrepancy(
    code: Tensor, prior: Tensor, weight: Tensor | None = None, squared_distance: float = 0.0
) -> Tensor:
    """Return the squared maximum mean discrepancy of codes from draws of a prior.

    The kernel is a mean of inverse multiquadratic ones, of several lengths (Tolstikhin et al.
    2018). Unlike `skae.metrics.maximum_mean_discrepancy`, the estimate counts each pair of a row
    with itself: it has a bias, a constant, and so is never negative; and rows have weights.

    Parameters
    ----------
    code, prior : Tensor of shapes (n, n_components) and (n_draws, n_components)
        Codes, and draws of the distribution that they should have.
    weight : Tensor of shape (n,), optional
        Weight of each code.
    squared_distance : float
        Mean squared distance of two draws; 0 stands for that of standard normal ones.

    Returns
    -------
    Tensor
        A scalar.
    """
    squared_distance = squared_distance or 2 * code.shape[1]
    share = torch.full_like(code[:, 0], 1 / len(code))
    if weight is not None:
        share = weight / weight.sum()

    def mean_kernel(x: Tensor, y: Tensor) -> Tensor:
        squared = x.square().sum(1)[:, None] + y.square().sum(1) - 2 * x @ y.T
        squared = squared.clamp_min(0)
        kernels = (inverse_multiquadratic(squared, scale * squared_distance) for scale in _SCALES)
        return sum(kernels, start=squared.new_zeros(())) / len(_SCALES)

    among = share @ mean_kernel(code, code) @ share + mean_kernel(prior, prior).mean()
    return among - 2 * (share @ mean_kernel(code, prior)).mean()


def squared_slopes(score: Callable[..., Tensor], *inputs: Tensor) -> list[Tensor]:
    """Return the squared norm of the gradient of a score by each row of each of its inputs.

    Parameters
    ----------
    score : callable
        Gives the scores of a batch, whose rows do not depend on each other.
    *inputs : Tensor of shape (n, ...)
        Where to take the gradient; it can be differentiated further.

    Returns
    -------
    list of Tensor of shape (n,)
        One for each input.
    """
    scores, pull_back, *_ = torch.func.vjp(score, *inputs)
    gradients = pull_back(torch.ones_like(scores))
    return [gradient.flatten(1).square().sum(1) for gradient in gradients]
