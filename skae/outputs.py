"""What the output of a decoder means: the error of an entry, and what is read from it.

An output is a parameter object that stands for `loss` of an autoencoder, by name or given. Its
methods are pure functions of tensors. Any object with the methods `error` and `mean`
will do; `Output` is a base for such a class, and documents all methods.
"""

from __future__ import annotations

from numbers import Real
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from scipy import sparse
from sklearn.base import BaseEstimator, clone
from sklearn.utils._param_validation import Interval
from torch import Tensor, nn

from ._warn import warn

__all__ = ["AbsoluteError", "BinaryCrossEntropy", "Huber", "Output", "SquaredError"]


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

    def check_values(self, X: np.ndarray | sparse.csr_matrix) -> None:
        """Warn of training rows that do not suit this output; of none by default.

        Parameters
        ----------
        X : {array, CSR matrix} of shape (n_samples, n_features)
            Training rows.

        Returns
        -------
        None
        """


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

    def check_values(self, X: np.ndarray | sparse.csr_matrix) -> None:
        """Warn of values that are no probabilities; see `Output.check_values`."""
        if X.min() < 0 or X.max() > 1:
            warn(
                "loss='binary_cross_entropy' expects values between 0 and 1, but X has values "
                f"between {X.min():g} and {X.max():g}; scale them first, for example with "
                "MinMaxScaler.",
            )


#: Outputs by name.
OUTPUTS: dict[str, type[Output]] = {
    "squared_error": SquaredError,
    "absolute_error": AbsoluteError,
    "huber": Huber,
    "binary_cross_entropy": BinaryCrossEntropy,
}


def make_output(loss: Any) -> Any:
    """Return the output that `loss` stands for: by its name, or itself."""
    if isinstance(loss, type):
        name = loss.__name__
        raise ValueError(f"loss is the class {name}; give an instance of it: {name}(...).")
    return OUTPUTS[loss]() if isinstance(loss, str) else loss


class OutputModule(nn.Module):
    """An output in a network, where its numbers are buffers.

    Calling it gives an output with the buffers as its parameters. That of a class from
    outside of this package may do with its parameters what cannot be done with tensors: it is
    kept as a copy instead.

    Parameters
    ----------
    output : Output or object
        As `make_output` returns it.
    """

    def __init__(self, output: Any):
        super().__init__()
        self.kind = type(output)
        self.copy = None
        if self.kind not in OUTPUTS.values():
            self.copy = clone(output, safe=False)
            return
        output._validate_params()
        for name, number in output.get_params().items():
            buffer = torch.tensor(number, dtype=torch.float32)
            self.register_buffer(name, buffer, persistent=False)

    def forward(self) -> Any:
        return self.kind(**self._buffers) if self.copy is None else self.copy
