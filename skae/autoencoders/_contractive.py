"""The contractive autoencoder and its ways to measure a Jacobian."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor, nn

from .._inheritance import inherit_parameters
from .._random import Generator
from .._training import Batch
from ._autoencoder import Autoencoder
from ._module import AutoencoderModule

#: The derivative of an activation, by name, as a function of its value.
DERIVATIVES: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": torch.ones_like,
    "relu": lambda code: (code > 0).to(code.dtype),
    "sigmoid": lambda code: code * (1 - code),
    "tanh": lambda code: 1 - code.square(),
}


class ContractiveModule(AutoencoderModule):
    """The error of the decoded code, plus the squared norm of the code's Jacobian."""

    alpha: Tensor

    def __init__(
        self,
        *,
        alpha: float,
        penalty: str,
        n_probes: int,
        code_activation: str,
        **arguments: Any,
    ):
        super().__init__(code_activation=code_activation, **arguments)
        self.activation_name = code_activation
        self.n_probes = n_probes
        self.penalty = self._cheapest() if penalty == "auto" else penalty
        self.register_buffer("alpha", torch.tensor(alpha, dtype=torch.float32), persistent=False)

    @property
    def has_closed_form(self) -> bool:
        """Whether the encoder is one linear layer under an activation of `DERIVATIVES`."""
        return self._linear() is not None and self.activation_name in DERIVATIVES

    def sample_noise(self, batch: Batch, generator: Generator) -> Any:
        x, probes = batch.x, None
        if self.penalty == "estimate":
            shape = self.n_probes, len(x), self.n_components
            signs = torch.randint(0, 2, shape, generator=generator, device=x.device, dtype=x.dtype)
            probes = 2 * signs - 1
        return probes, super().sample_noise(batch, generator)

    def loss(self, batch: Batch, noise: Any) -> Tensor:
        probes, layer_noise = noise
        return super().loss(batch, layer_noise) + self.alpha * self.squared_norm(batch.x, probes)

    def squared_norm(self, x: Tensor, probes: Tensor | None = None) -> Tensor:
        """Return the squared Frobenius norm of the Jacobian of each sample, or its estimate."""
        if self.penalty == "closed_form":
            return self._squared_norm_of_linear(x)
        if self.penalty == "exact":
            return self.jacobian(x).square().flatten(1).sum(1)
        assert probes is not None
        _, pull = self._linearise(x)
        return torch.vmap(pull)(probes).square().flatten(2).sum(2).mean(0)

    def jacobian(self, x: Tensor) -> Tensor:
        """Return the derivative of each code by its sample, shape (n, n_components, ...)."""
        code, pull = self._linearise(x)
        units = torch.eye(code.shape[1], dtype=code.dtype, device=code.device)
        return torch.vmap(lambda unit: pull(unit.expand_as(code)))(units).movedim(0, 1)

    def _linearise(self, x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """Return the code as reading sees it, and a function from `v` to `v` times its Jacobian.

        Samples do not mix there, so that one product serves all samples at once.
        """
        with _reading(self.encoder):
            code, pull, *_ = torch.func.vjp(self.encode, x)
        return code, lambda v: pull(v)[0]

    def _squared_norm_of_linear(self, x: Tensor) -> Tensor:
        linear = self._linear()
        assert linear is not None
        derivative = DERIVATIVES[self.activation_name](self.encode(x))
        return derivative.square() @ linear.weight.square().sum(1)

    def _linear(self) -> nn.Linear | None:
        encoder = self.encoder
        if isinstance(encoder, nn.Sequential) and len(encoder) == 1:
            encoder = encoder[0]
        return encoder if isinstance(encoder, nn.Linear) else None

    def _cheapest(self) -> str:
        if self.has_closed_form:
            return "closed_form"
        return "exact" if self.n_components <= self.n_probes else "estimate"


@contextmanager
def _reading(layers: nn.Module) -> Iterator[None]:
    """Have `layers` work as in reading: no statistics of the batch, nothing random."""
    before = layers.training
    layers.eval()
    try:
        yield
    finally:
        layers.train(before)


@inherit_parameters
class ContractiveAutoencoder(Autoencoder):
    """Contractive autoencoder: learns a code that changes little where the rows do not.

    To the error is added the squared Frobenius norm of the Jacobian, the derivatives of
    the code by the features. Against the error, which wants to tell rows apart, it
    leaves the code sensitive in the directions in which the rows vary, and flat in the
    others (Rifai et al. 2011).

    Parameters
    ----------
    n_components : int, default=32
        Width of the code. It may exceed the number of features.
    alpha : float, default=0.001
        Weight of the penalty, beside the mean error of a feature.
    penalty : str, default="auto"
        How to get the squared norm of the Jacobian of each row:

        - "closed_form": by a formula, at the cost of one more pass through the encoder.
          It needs an encoder of one linear layer (``hidden_layers=()``) and
          `code_activation` "identity", "relu", "sigmoid" or "tanh";
        - "exact": by automatic differentiation, one backward pass per unit of the code;
        - "estimate": by `n_probes` backward passes, each of a sum of the units with
          random signs (Hutchinson 1990). Right in the mean, and so is its gradient;
        - "auto": "closed_form" where it applies, else "exact" if it takes no more passes
          than "estimate" (``n_components <= n_probes``), else "estimate".
    n_probes : int, default=1
        Number of random sums for "estimate". More make each step slower and its
        gradient less noisy.

    Attributes
    ----------
    module_ : torch.nn.Module
        The fitted network, on `device_`.

    See Also
    --------
    DenoisingAutoencoder : Resists changes of the input by training on them.

    Notes
    -----
    The error is a mean over the features, the norm a sum: the weight of Rifai et al.,
    whose error is a sum, is `alpha` times the number of features.

    The norm is that of the encoder as it reads: without dropout, and with the running
    statistics of batch normalisation in place of those of the batch, under which a row
    by itself has no derivative. Batch normalisation takes back what the penalty takes from
    the weights, with a lag that spoils the reading: better do without it here.

    A code that shrinks while the decoder grows lowers the penalty and learns nothing.
    ``Dense(tied_weights=True)``, as in the paper, or `weight_decay` holds against that.

    References
    ----------
    S. Rifai, P. Vincent, X. Muller, X. Glorot and Y. Bengio, Contractive Auto-Encoders:
    Explicit Invariance During Feature Extraction, ICML 2011.

    M. F. Hutchinson, A Stochastic Estimator of the Trace of the Influence Matrix for
    Laplacian Smoothing Splines, Communications in Statistics 19 (1990).

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skae import ContractiveAutoencoder
    >>> from skae.layers import Dense
    >>> X = load_digits().data / 16
    >>> autoencoder = ContractiveAutoencoder(
    ...     code_activation="sigmoid",
    ...     hidden_layers=Dense((), tied_weights=True),
    ...     max_iter=20,
    ...     tol=0.01,
    ...     random_state=0,
    ... ).fit(X)
    >>> autoencoder.jacobian(X[:10]).shape
    (10, 32, 64)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "alpha": [Interval(Real, 0, None, closed="left")],
        "penalty": [StrOptions({"auto", "closed_form", "exact", "estimate"})],
        "n_probes": [Interval(Integral, 1, None, closed="left")],
    }

    module_: ContractiveModule

    def __init__(
        self,
        n_components: int = 32,
        *,
        alpha: float = 1e-3,
        penalty: str = "auto",
        n_probes: int = 1,
        **parameters: Any,
    ):
        super().__init__(n_components, **parameters)
        self.alpha = alpha
        self.penalty = penalty
        self.n_probes = n_probes

    def _make_module(self, n_features: int) -> ContractiveModule:
        module = ContractiveModule(
            alpha=self.alpha,
            penalty=self.penalty,
            n_probes=self.n_probes,
            **self._module_arguments(n_features),
        )
        if self.penalty == "closed_form" and not module.has_closed_form:
            raise ValueError(
                "penalty='closed_form' needs an encoder of one linear layer (hidden_layers=()) and "
                "code_activation 'identity', 'relu', 'sigmoid' or 'tanh', not "
                f"hidden_layers={self.hidden_layers!r} and "
                f"code_activation={self.code_activation!r}; use penalty='auto'."
            )
        return module

    def jacobian(self, X: Any) -> np.ndarray:
        """Return the derivatives of the code of each row by its features.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows at which to differentiate `transform`.

        Returns
        -------
        ndarray of shape (n_samples, n_components, n_features)
        """
        return self._read(X, lambda module, x: module.jacobian(x))
