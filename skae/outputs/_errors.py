"""Outputs that measure an error."""

from __future__ import annotations

from numbers import Real
from typing import Any, ClassVar

import numpy as np
import torch.nn.functional as F
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval
from torch import Tensor

from .._warn import warn


class Output(BaseEstimator):
    """What the numbers mean that a decoder gives for each feature.

    Behind some outputs stands a distribution of the entries. These also have the methods
    ``log_prob(output, target)``, the log-probability of each entry in nats, and
    ``sample(output, noise)``, entries drawn from it with the help of uniform random numbers
    between 0 and 1.

    Attributes
    ----------
    n_outputs_per_feature : int
        How many numbers the decoder gives for each feature, 1 if nothing is said. If there
        are more, they are the last axis of what the decoder gives.

    Examples
    --------
    A class of your own says what the error is, and may have parameters. Here errors upwards
    and downwards count differently, so that the reconstruction becomes a quantile:

    >>> import numpy as np
    >>> import torch
    >>> from skae import Autoencoder
    >>> from skae.outputs import Output
    >>> class Pinball(Output):
    ...     def __init__(self, quantile=0.5):
    ...         self.quantile = quantile
    ...
    ...     def error(self, output, target):
    ...         left = target - output
    ...         return torch.maximum(self.quantile * left, (self.quantile - 1) * left)
    >>> X = np.random.default_rng(0).normal(size=(500, 4))
    >>> autoencoder = Autoencoder(
    ...     1, loss=Pinball(0.8), hidden_layers=(), learning_rate=0.01, random_state=0
    ... ).fit(X)
    >>> float((X < autoencoder.reconstruct(X)).mean().round(1))
    0.8
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {}

    n_outputs_per_feature: ClassVar[int] = 1

    def error(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the error of each entry.

        Parameters
        ----------
        output : Tensor of shape (n, n_features)
            What the decoder gives, before any activation.
        target : Tensor of shape (n, n_features)
            What is wanted.

        Returns
        -------
        Tensor of shape (n, n_features)
        """
        raise NotImplementedError

    def mean(self, output: Tensor) -> Tensor:
        """Return the reconstruction that an output stands for: the output itself.

        Parameters
        ----------
        output : Tensor of shape (n, n_features)
            What the decoder gives, before any activation.

        Returns
        -------
        Tensor of shape (n, n_features)
        """
        return output

    def is_outside(self, x: Tensor) -> Tensor | None:
        """Return which rows have values that no distribution of this output gives.

        Parameters
        ----------
        x : Tensor of shape (n, n_features)
            The rows.

        Returns
        -------
        Tensor of bool of shape (n,), or None if there are no such rows
        """
        return None

    def check_values(self, X: np.ndarray | sparse.csr_matrix) -> None:
        """Warn of training rows that do not suit this output, or refuse them; none by default.

        Parameters
        ----------
        X : {array, CSR matrix} of shape (n_samples, n_features)
            Training rows.

        Returns
        -------
        None
        """

    def encoder_input(self, x: Tensor) -> Tensor:
        """Return what the encoder of a variational autoencoder takes: the rows by default.

        Parameters
        ----------
        x : Tensor of shape (n, n_features)
            The rows.

        Returns
        -------
        Tensor of shape (n, n_features)
        """
        return x

    def start(self, variance: np.ndarray) -> dict[str, Tensor]:
        """Return the starts of what is learned of this output together with the network.

        Parameters
        ----------
        variance : ndarray of shape (n_features,)
            Variance of each feature of the training rows.

        Returns
        -------
        dict of Tensor
            By the name of the attribute under which the methods find it; empty by default.
        """
        return {}


def limits(X: Any) -> tuple[float, float]:
    """Return the smallest and the largest value of rows, whatever is missing."""
    if sparse.issparse(X):
        return float(X.nanmin()), float(X.nanmax())
    return float(np.fmin.reduce(X, axis=None)), float(np.fmax.reduce(X, axis=None))


class SquaredError(Output):
    """The squared difference.

    Examples
    --------
    >>> import torch
    >>> from skae.outputs import SquaredError
    >>> SquaredError().error(torch.tensor([[3.0]]), torch.tensor([[1.0]]))
    tensor([[4.]])
    """

    def error(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the squared difference of each entry; see `Output.error`."""
        return F.mse_loss(output, target, reduction="none")


class AbsoluteError(Output):
    """The absolute difference, which a few wrong entries move less than the squared one.

    Examples
    --------
    >>> import torch
    >>> from skae.outputs import AbsoluteError
    >>> AbsoluteError().error(torch.tensor([[3.0]]), torch.tensor([[1.0]]))
    tensor([[2.]])
    """

    def error(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the absolute difference of each entry; see `Output.error`."""
        return F.l1_loss(output, target, reduction="none")


class Huber(Output):
    """Half the squared difference, continued beyond `delta` by its tangent (Huber 1964).

    Parameters
    ----------
    delta : float, default=1.0
        Difference, in the units of `X`, from which on the error is linear.

    References
    ----------
    P. J. Huber, Robust Estimation of a Location Parameter, Annals of Mathematical Statistics
    35 (1964).

    Examples
    --------
    >>> import torch
    >>> from skae import Autoencoder
    >>> from skae.outputs import Huber
    >>> Huber(delta=0.5).error(torch.tensor([[3.0]]), torch.tensor([[1.0]]))
    tensor([[0.8750]])
    >>> Autoencoder(loss=Huber(delta=0.5)).get_params()["loss__delta"]
    0.5
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "delta": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(self, delta: float = 1.0):
        self.delta = delta

    def error(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the error of each entry; see `Output.error`."""
        # As F.huber_loss, which does not take delta as a tensor. The derivative of the result
        # by `near` is 0 everywhere, so that the gradient needs no part of it.
        difference = output - target
        near = difference.detach().clamp(-self.delta, self.delta)
        return near * (difference - 0.5 * near)


class BinaryCrossEntropy(Output):
    """Minus the log-probability of an entry of 0 or 1, of which the output is the logit.

    An entry between 0 and 1 counts as so much of a 1. The reconstruction is the probability
    of a 1.

    Examples
    --------
    >>> import torch
    >>> from skae.outputs import BinaryCrossEntropy
    >>> output = BinaryCrossEntropy()
    >>> output.mean(torch.tensor([[0.0]]))
    tensor([[0.5000]])
    >>> output.error(torch.tensor([[0.0]]), torch.tensor([[1.0]]))
    tensor([[0.6931]])
    """

    def error(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the cross-entropy of each entry, in nats; see `Output.error`."""
        return F.binary_cross_entropy_with_logits(output, target, reduction="none")

    def mean(self, output: Tensor) -> Tensor:
        """Return the probability of a 1; see `Output.mean`."""
        return output.sigmoid()

    def log_prob(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the log-probability of entries of 0 or 1, in nats; see `Output`."""
        return -self.error(output, target)

    def sample(self, output: Tensor, noise: Tensor) -> Tensor:
        """Return entries of 0 or 1, drawn by uniform `noise` between 0 and 1; see `Output`."""
        return (noise < self.mean(output)).to(output.dtype)

    def is_outside(self, x: Tensor) -> Tensor:
        """Return which rows have values that are no probabilities; see `Output.is_outside`."""
        return ((x < 0) | (x > 1)).any(1)

    def check_values(self, X: np.ndarray | sparse.csr_matrix) -> None:
        """Warn of values that are no probabilities; see `Output.check_values`."""
        low, high = limits(X)
        if low < 0 or high > 1:
            warn(
                "The binary cross-entropy expects values between 0 and 1, but X has values "
                f"between {low:g} and {high:g}; scale them first, for example with "
                "MinMaxScaler.",
            )
