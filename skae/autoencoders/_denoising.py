"""The denoising autoencoder and its kinds of noise."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from .._inheritance import inherit_parameters
from .._training import MAX_SEED, as_rows, new_random_state
from .._validation import shape_of, validate_rows
from ._autoencoder import Autoencoder, AutoencoderModule


class Noise(NamedTuple):
    """A kind of corruption: what it draws for a batch, and what it makes of it."""

    draw: Callable[[Tensor, torch.Generator], Any]
    corrupt: Callable[[Tensor, Any, Tensor], Tensor]


def _uniform(x: Tensor, generator: torch.Generator) -> Tensor:
    return torch.rand(x.shape, generator=generator, device=x.device, dtype=x.dtype)


def _normal(x: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)


def _uniform_and_other_row(x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    n_others = max(len(x) - 1, 1)
    step = torch.randint(1, n_others + 1, x.shape, generator=generator, device=x.device)
    own = torch.arange(len(x), device=x.device).view(-1, *[1] * (x.ndim - 1))
    return _uniform(x, generator), (own + step) % len(x)


def _add_gaussian(x: Tensor, normal: Tensor, level: Tensor) -> Tensor:
    return x + level * normal


def _mask(x: Tensor, uniform: Tensor, level: Tensor) -> Tensor:
    return x * (uniform >= level)


def _salt_and_pepper(x: Tensor, uniform: Tensor, level: Tensor) -> Tensor:
    low, high = x.amin(0), x.amax(0)
    return torch.where(uniform < level / 2, low, torch.where(uniform < level, high, x))


def _swap(x: Tensor, draws: tuple[Tensor, Tensor], level: Tensor) -> Tensor:
    uniform, other_row = draws
    return torch.where(uniform < level, x.gather(0, other_row), x)


#: Kinds of noise by name.
NOISES = {
    "gaussian": Noise(_normal, _add_gaussian),
    "masking": Noise(_uniform, _mask),
    "salt_and_pepper": Noise(_uniform, _salt_and_pepper),
    "swap": Noise(_uniform_and_other_row, _swap),
}


class DenoisingModule(AutoencoderModule):
    """The error of rebuilding a batch from its corrupted copy."""

    noise_level: Tensor

    def __init__(self, *, noise: str, noise_level: float, **arguments: Any):
        super().__init__(**arguments)
        self.noise = NOISES[noise]
        self.register_buffer(
            "noise_level", torch.tensor(noise_level, dtype=torch.float32), persistent=False
        )

    def sample_noise(self, x: Tensor, generator: torch.Generator) -> Any:
        return self.noise.draw(x, generator), super().sample_noise(x, generator)

    def loss(self, x: Tensor, noise: Any) -> Tensor:
        draws, layer_noise = noise
        return self.reconstruction_loss(self.corrupt(x, draws), x, layer_noise)

    def corrupt(self, x: Tensor, draws: Any) -> Tensor:
        """Return the batch as the encoder sees it in training."""
        return self.noise.corrupt(x, draws, self.noise_level)


@inherit_parameters
class DenoisingAutoencoder(Autoencoder):
    """Denoising autoencoder: learns to rebuild a clean row from a corrupted one.

    Each batch is corrupted anew, and the error is taken against the clean batch, so that
    the code has to know how the features depend on each other (Vincent et al. 2008). A
    wide code is useful here: with noise, copying the input is not the answer. The
    fitted network reads clean rows: nothing is corrupted in `transform` or
    `score_samples`.

    Parameters
    ----------
    n_components : int, default=32
        Width of the code. It may exceed the number of features.
    noise : str, default="gaussian"
        Kind of corruption:

        - "gaussian" adds normal noise with standard deviation `noise_level`;
        - "masking" sets a fraction `noise_level` of the entries to 0;
        - "salt_and_pepper" sets a fraction `noise_level` of the entries to the smallest
          or the largest value of their column in the batch;
        - "swap" takes a fraction `noise_level` of the entries from another row of the
          batch, in the same column. It suits columns of different kinds and scales.
    noise_level : float, default=0.3
        Standard deviation of the gaussian noise in the units of `X`; for the other kinds
        the fraction of corrupted entries, at most 1.

    Attributes
    ----------
    module_ : torch.nn.Module
        The fitted network, on `device_`.

    See Also
    --------
    Autoencoder : Learns from the rows as they are.

    Notes
    -----
    The validation loss is that of rebuilding corrupted rows, with the same corruption in
    each epoch.

    References
    ----------
    P. Vincent, H. Larochelle, Y. Bengio and P.-A. Manzagol, Extracting and Composing
    Robust Features with Denoising Autoencoders, ICML 2008.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skae import DenoisingAutoencoder
    >>> X = load_digits().data / 16
    >>> autoencoder = DenoisingAutoencoder(
    ...     128, noise="masking", noise_level=0.4, max_iter=20, tol=0.01, random_state=0
    ... ).fit(X)
    >>> autoencoder.transform(X).shape
    (1797, 128)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "noise": [StrOptions(set(NOISES))],
        "noise_level": [Interval(Real, 0, None, closed="left")],
    }

    module_: DenoisingModule

    def __init__(
        self,
        n_components: int = 32,
        *,
        noise: str = "gaussian",
        noise_level: float = 0.3,
        **parameters: Any,
    ):
        super().__init__(n_components, **parameters)
        self.noise = noise
        self.noise_level = noise_level

    def _make_module(self, n_features: int) -> DenoisingModule:
        if self.noise != "gaussian" and self.noise_level > 1:
            raise ValueError(
                f"noise_level is the fraction of corrupted entries for noise={self.noise!r}, so it "
                f"must be at most 1, got {self.noise_level:g}."
            )
        return DenoisingModule(
            noise=self.noise, noise_level=self.noise_level, **self._module_arguments(n_features)
        )

    def corrupt(
        self, X: Any, random_state: int | np.random.RandomState | None = None
    ) -> np.ndarray:
        """Return the rows as the encoder sees them in training.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to corrupt, taken as one batch.
        random_state : int, RandomState instance or None, default=None
            Source of the noise.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            In the shape of `X`.
        """
        check_is_fitted(self)
        x = as_rows(validate_rows(self, X, reset=False, training=True), None, self.device_).all()
        seed = new_random_state(random_state).randint(MAX_SEED)
        generator = torch.Generator(self.device_).manual_seed(seed)
        corrupted = self.module_.corrupt(x, self.module_.noise.draw(x, generator))
        return corrupted.cpu().numpy().reshape(shape_of(X))
