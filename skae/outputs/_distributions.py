"""Outputs with a distribution of the entries."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import torch
from scipy import sparse, stats
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor

from ._errors import Output, limits


class Distribution(Output):
    """An output whose error is minus the log-probability of an entry, in nats."""

    def error(self, output: Tensor, target: Tensor) -> Tensor:
        """Return minus the log-probability of each entry, in nats; see `Output.error`."""
        return -self.log_prob(output, target)

    def log_prob(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the log-probability (of values, the log-density) of each entry, in nats."""
        raise NotImplementedError


class Gaussian(Distribution):
    """A normal distribution, of which the output is the mean.

    Parameters
    ----------
    variance : "learned" or float, default="learned"
        Variance of each entry about its mean: one for each feature, learned together with the
        network, or the same number for all.
    min_variance : float, default=1e-4
        What is added to a learned variance, in the squared units of `X`: without a lower
        bound the density of a constant feature grows without end.

    Attributes
    ----------
    log_variance_ : Tensor of shape (n_features,)
        Logarithm of the learned variance before `min_variance` is added; only in a network.

    References
    ----------
    O. Rybkin, K. Daniilidis and S. Levine, Simple and Effective VAE Training with Calibrated
    Decoders, ICML 2021.

    Examples
    --------
    >>> import torch
    >>> from skae.outputs import Gaussian
    >>> Gaussian(variance=4.0).log_prob(torch.tensor([[1.0]]), torch.tensor([[1.0]]))
    tensor([[-1.6121]])
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "variance": [StrOptions({"learned"}), Interval(Real, 0, None, closed="neither")],
        "min_variance": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(self, variance: str | float = "learned", min_variance: float = 1e-4):
        self.variance = variance
        self.min_variance = min_variance

    def start(self, variance: np.ndarray) -> dict[str, Tensor]:
        """Return that of the features as the start of a learned variance; see `Output.start`."""
        if not self._is_learned():
            return {}
        start = np.log(np.maximum(variance, self.min_variance))
        return {"log_variance_": torch.tensor(start, dtype=torch.float32)}

    def log_prob(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the log-density of each entry, in nats; see `Output`."""
        variance = self.noise_variance(output)
        return -0.5 * ((target - output).square() / variance + (2 * math.pi * variance).log())

    def sample(self, output: Tensor, noise: Tensor) -> Tensor:
        """Return normal entries, drawn by uniform `noise` between 0 and 1; see `Output`."""
        return output + self.noise_variance(output).sqrt() * torch.special.ndtri(_inner(noise))

    def noise_variance(self, like: Tensor) -> Tensor:
        """Return the variance about the mean, as a tensor like another that broadcasts to it."""
        if self._is_learned():
            return self.log_variance_.exp() + self.min_variance
        return torch.as_tensor(self.variance, dtype=like.dtype, device=like.device)

    def _is_learned(self) -> bool:
        return isinstance(self.variance, str)


# Logits below which the formulas of the continuous Bernoulli give way to their series.
_NEAR = 0.01


class ContinuousBernoulli(Distribution):
    """A distribution of values between 0 and 1, of which the output is the logit.

    Its density is proportional to that which `BinaryCrossEntropy` would give to values between,
    normalised (Loaiza-Ganem and Cunningham 2019).

    References
    ----------
    G. Loaiza-Ganem and J. P. Cunningham, The Continuous Bernoulli: Fixing a Pervasive Error in
    Variational Autoencoders, NeurIPS 2019.

    Examples
    --------
    >>> import torch
    >>> from skae.outputs import ContinuousBernoulli
    >>> ContinuousBernoulli().mean(torch.tensor([[0.0]]))
    tensor([[0.5000]])
    """

    def log_prob(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the log-density of values between 0 and 1, in nats; see `Output`."""
        # exp(l x) l / (exp(l) - 1) with the logit l; torch's class takes the probability, which
        # float32 cannot tell from 1 where l is above 16.
        half = 0.5 * output
        size = half.abs()
        away = size.clamp(min=_NEAR)
        log_ratio = away.log() - away - torch.log1p(-torch.exp(-2 * away)) + math.log(2)
        near = -size.square() / 6  # the logarithm of half / sinh(half)
        return output * target - half + torch.where(size > _NEAR, log_ratio, near)

    def mean(self, output: Tensor) -> Tensor:
        """Return the mean, which is not the probability; see `Output.mean`."""
        away = torch.where(output.abs() > _NEAR, output, 1.0)
        mean = -1 / torch.expm1(-away) - 1 / away
        return torch.where(output.abs() > _NEAR, mean, 0.5 + output / 12)

    def sample(self, output: Tensor, noise: Tensor) -> Tensor:
        """Return values between 0 and 1, drawn by uniform `noise`; see `Output`."""
        noise, size = _inner(noise), output.abs().clamp(min=_NEAR)
        # From the near end, so that nothing overflows: what is left over is below it.
        quantile = -torch.log1p(noise * torch.expm1(-size)) / size
        far = torch.where(output > 0, 1 - quantile, quantile)
        return torch.where(output.abs() > _NEAR, far, noise)

    def is_outside(self, x: Tensor) -> Tensor:
        """Return which rows have values outside of 0 to 1; see `Output.is_outside`."""
        return ((x < 0) | (x > 1)).any(1)

    def check_values(self, X: np.ndarray | sparse.csr_matrix) -> None:
        """Refuse values outside of 0 to 1; see `Output.check_values`."""
        low, high = limits(X)
        if low < 0 or high > 1:
            raise ValueError(
                "ContinuousBernoulli needs values between 0 and 1, but X has values "
                f"between {low:g} and {high:g}; scale them first, for example with "
                "MinMaxScaler(clip=True)."
            )


class Poisson(Distribution):
    """The distribution of counts, of which the output is the logarithm of the mean.

    The encoder of a variational autoencoder takes ``log(1 + x)``, so that large counts do no harm.

    Examples
    --------
    >>> import torch
    >>> from skae.outputs import Poisson
    >>> Poisson().log_prob(torch.tensor([[0.0]]), torch.tensor([[2.0]]))
    tensor([[-1.6931]])
    """

    def log_prob(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the log-probability of counts, in nats; see `Output`."""
        return target * output - output.exp() - (target + 1).lgamma()

    def encoder_input(self, x: Tensor) -> Tensor:
        """Return ``log(1 + x)``; see `Output.encoder_input`."""
        return x.clamp(min=0).log1p()

    def mean(self, output: Tensor) -> Tensor:
        """Return the mean, the exponential of the output; see `Output.mean`."""
        return output.exp()

    def sample(self, output: Tensor, noise: Tensor) -> Tensor:
        """Return counts, drawn by uniform `noise` between 0 and 1; see `Output`."""
        counts = stats.poisson.ppf(
            _inner(noise).numpy(force=True), self.mean(output).numpy(force=True)
        )
        return torch.from_numpy(counts).to(output)

    def is_outside(self, x: Tensor) -> Tensor:
        """Return which rows have values that are no counts; see `Output.is_outside`."""
        return ((x < 0) | ((x != x.round()) & ~x.isnan())).any(1)

    def check_values(self, X: np.ndarray | sparse.csr_matrix) -> None:
        """Refuse what are no counts; see `Output.check_values`."""
        values = np.asarray(X.data if sparse.issparse(X) else X)
        values = values[~np.isnan(values)]
        if np.any(values < 0) or np.any(values != np.rint(values)):
            raise ValueError(
                "Poisson needs counts, integers of at least 0, but X holds others; choose another "
                "distribution, or round them."
            )


class Categorical(Distribution):
    """Choices of one among several categories, of which the output is the log-odds.

    The rows hold an indicator of each category, of which just one is 1: as `OneHotEncoder`
    makes them of a table, or as the channels of an image. The log-probability of a choice is the
    sum over its indicators.

    Parameters
    ----------
    categories : tuple of int, int or None, default=None
        Where the indicators of a choice stand. A tuple gives the number of categories of each
        of several choices, whose indicators stand one choice after the other. An int is the
        number of categories of all choices, whose indicators stand one category after the
        other, as the channels of an image or signal. None is one choice among all features.

    Examples
    --------
    Two choices, one between two and one among three categories:

    >>> import torch
    >>> from skae.outputs import Categorical
    >>> Categorical(categories=(2, 3)).mean(torch.zeros(1, 5))
    tensor([[0.5000, 0.5000, 0.3333, 0.3333, 0.3333]])
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "categories": [tuple, list, Interval(Integral, 2, None, closed="left"), None],
    }

    def __init__(self, categories: Sequence[int] | int | None = None):
        self.categories = categories

    def log_prob(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the log-probability of each indicator, in nats: 0 for those of 0."""
        return target * self._by_choice(output, lambda odds: odds.log_softmax(1))

    def mean(self, output: Tensor) -> Tensor:
        """Return the probability of each category; see `Output.mean`."""
        return self._by_choice(output, lambda odds: odds.softmax(1))

    def sample(self, output: Tensor, noise: Tensor) -> Tensor:
        """Return indicators, drawn by uniform `noise` between 0 and 1; see `Output`."""
        gumbel = -(-_inner(noise).log()).log()  # the largest sum is drawn as often as it should
        return self._by_choice(
            output + gumbel,
            lambda odds: torch.zeros_like(odds).scatter_(1, odds.argmax(1, keepdim=True), 1),
        )

    def is_outside(self, x: Tensor) -> Tensor:
        """Return which rows are no indicators of one category each; see `Output.is_outside`."""
        totals = self._by_choice(x, lambda one: one.sum(1, keepdim=True).expand_as(one))
        wrong = ((x != 0) & (x != 1)) | (totals != 1)
        return (wrong & ~totals.isnan()).any(1)  # of a choice that is missing, nothing is known

    def check_values(self, X: np.ndarray | sparse.csr_matrix) -> None:
        """Refuse what are no indicators; see `Output.check_values`."""
        self._validate_params()
        n_at_a_time = max(1, 2**22 // X.shape[1])
        for start in range(0, X.shape[0], n_at_a_time):
            rows = X[start : start + n_at_a_time]
            dense = rows if isinstance(rows, np.ndarray) else rows.toarray()
            if not self.is_outside(torch.tensor(dense)).any():
                continue
            raise ValueError(
                f"{self!r} needs for each choice one indicator of 1 among zeros, but X holds "
                "other rows; encode them first, for example with OneHotEncoder, and say in "
                "`categories` where the indicators of a choice stand."
            )

    def _by_choice(self, values: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        """Apply a function of tensors of shape (n, n_categories, ...) to each choice."""
        n_features = values.shape[1]
        if self.categories is None:
            return function(values)
        given = self.categories
        sizes: Any = given if isinstance(given, tuple | list) else [given]
        if any(type(n) is bool or not isinstance(n, Integral) or int(n) < 1 for n in sizes):
            raise ValueError(
                f"categories of Categorical must be positive integers, got {self.categories!r}."
            )
        if isinstance(self.categories, int | np.integer):
            if n_features % self.categories == 0:
                apart = values.unflatten(1, (int(self.categories), -1))
                return function(apart).flatten(1)
        elif sum(sizes) == n_features:
            return torch.cat([function(one) for one in values.split(list(sizes), 1)], 1)
        raise ValueError(
            f"categories={self.categories!r} of Categorical does not add up to the {n_features} "
            "features of X."
        )


def _inner(noise: Tensor) -> Tensor:
    """Return uniform numbers without the two ends, where quantiles are infinite."""
    eps = torch.finfo(noise.dtype).eps
    return noise.clamp(eps, 1 - eps)
