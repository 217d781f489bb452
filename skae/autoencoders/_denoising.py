"""The denoising autoencoder and its kinds of noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from .._training import MAX_SEED, as_rows, new_random_state
from .._validation import validate_rows
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
    hidden_layers : tuple of int or object, default=(128,)
        Widths of the hidden layers between features and code, mirrored by the decoder;
        ``()`` for a linear autoencoder. Or an architecture from `skae.layers`, or any
        object with the methods `make_encoder` and `make_decoder`.
    code_activation : str, default="identity"
        Activation of the code: "identity", "relu", "leaky_relu", "elu", "gelu", "silu",
        "softplus", "sigmoid" or "tanh".
    loss : str, default="squared_error"
        Error of an entry: "squared_error", "absolute_error", "huber" (with threshold 1)
        or "binary_cross_entropy". For the last one the reconstruction lies between 0 and
        1, and so should the values of `X`.
    weight_decay : float, default=0.0
        Weight of the penalty: half the sum of the squared weights, without the biases.
    learning_rate : float, default=1e-3
        Step size of Adam (Kingma and Ba 2015).
    batch_size : int or "auto", default="auto"
        Upper bound of the rows in a batch; rows are spread evenly over the batches.
        "auto" is ``min(200, n_samples)``.
    max_iter : int, default=200
        Upper bound of the epochs.
    tol : float, default=1e-4
        Smallest improvement of the loss that counts for `n_iter_no_change`.
    n_iter_no_change : int, default=10
        Number of epochs without an improvement by `tol` after which the fit stops.
    early_stopping : bool, default=False
        Whether to hold out `validation_fraction` of the rows, to stop by their loss, and
        to keep the weights of the best epoch. Without it the training loss decides.
    validation_fraction : float, default=0.1
        Fraction of the rows to hold out for `early_stopping`.
    warm_start : bool, default=False
        Whether `fit` goes on from the weights of the last fit.
    device : str or torch.device, default="auto"
        Where to train and to read: "auto" (an accelerator if there is one), "cpu",
        "cuda", "mps" or another name that torch knows.
    random_state : int, RandomState instance or None, default=None
        Source of the initial weights, the order of the rows and the noise. The same int
        gives the same bits. None takes fresh entropy and, unlike in scikit-learn, does
        not touch numpy's global generator.
    verbose : bool or int, default=0
        Whether to show a progress bar with the loss.

    Attributes
    ----------
    module_ : torch.nn.Module
        The fitted network, on `device_`.
    n_iter_ : int
        Number of epochs trained.
    loss_curve_ : list of float
        Mean training loss of each epoch.
    validation_loss_curve_ : list of float or None
        Mean loss of the validation rows after each epoch; None without validation.
    n_features_in_ : int
        Number of features seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if `X` has string column names.
    device_ : torch.device
        Where the network is.

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
        **Autoencoder._parameter_constraints,
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
        hidden_layers: Sequence[int] | Any = (128,),
        code_activation: str = "identity",
        loss: str = "squared_error",
        weight_decay: float = 0.0,
        learning_rate: float = 1e-3,
        batch_size: int | str = "auto",
        max_iter: int = 200,
        tol: float = 1e-4,
        n_iter_no_change: int = 10,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        warm_start: bool = False,
        device: str | torch.device = "auto",
        random_state: int | np.random.RandomState | None = None,
        verbose: bool | int = 0,
    ):
        super().__init__(
            n_components,
            hidden_layers=hidden_layers,
            code_activation=code_activation,
            loss=loss,
            weight_decay=weight_decay,
            learning_rate=learning_rate,
            batch_size=batch_size,
            max_iter=max_iter,
            tol=tol,
            n_iter_no_change=n_iter_no_change,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            warm_start=warm_start,
            device=device,
            random_state=random_state,
            verbose=verbose,
        )
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
        """
        check_is_fitted(self)
        x = as_rows(validate_rows(self, X, reset=False, training=True), None, self.device_).all()
        seed = new_random_state(random_state).randint(MAX_SEED)
        generator = torch.Generator(self.device_).manual_seed(seed)
        return self.module_.corrupt(x, self.module_.noise.draw(x, generator)).cpu().numpy()
