"""The plain autoencoder."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from numbers import Real
from typing import Any, ClassVar

import numpy as np
import torch
from scipy import sparse
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from torch import Tensor, nn

from .._training import Trainable
from .._validation import shape_of
from ..base import FeatureLearner
from ..layers import ACTIVATIONS, make_layers, run, sample_noise
from ..losses import ERRORS, mean_per_sample, squared_weights


class AutoencoderModule(Trainable):
    """The error of the decoded code, plus the penalty on the weights."""

    weight_decay: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        *,
        code_activation: str,
        loss: str,
        weight_decay: float,
    ):
        super().__init__()
        self.encoder = encoder
        self.code_activation = ACTIVATIONS[code_activation]()
        self.decoder = decoder
        self.error = ERRORS[loss]
        self.output_activation = nn.Sigmoid() if loss == "binary_cross_entropy" else nn.Identity()
        self.register_buffer(
            "weight_decay", torch.tensor(weight_decay, dtype=torch.float32), persistent=False
        )
        self._decays = weight_decay > 0
        self._draws = any(hasattr(part, "sample_noise") for part in (encoder, decoder))

    def sample_noise(self, x: Tensor, generator: torch.Generator) -> Any:
        if not self._draws:
            return None
        return tuple(sample_noise(part, x, generator) for part in (self.encoder, self.decoder))

    def loss(self, x: Tensor, noise: Any) -> Tensor:
        return self.reconstruction_loss(x, x, noise)

    def reconstruction_loss(self, source: Tensor, target: Tensor, noise: Any) -> Tensor:
        """Return the loss of reconstructing `target` from `source`, per sample."""
        encoder_noise, decoder_noise = noise if noise is not None else (None, None)
        code = self.code_activation(run(self.encoder, source, encoder_noise))
        output = run(self.decoder, code, decoder_noise)
        loss = mean_per_sample(self.error(output, target))
        if self._decays:
            weights = [p for p in self.parameters() if p.ndim > 1]
            loss = loss + self.weight_decay * squared_weights(weights)
        return loss

    def encode(self, x: Tensor) -> Tensor:
        return self.code_activation(self.encoder(x))

    def decode(self, z: Tensor) -> Tensor:
        return self.output_activation(self.decoder(z))

    def reconstruct(self, x: Tensor) -> Tensor:
        """Return the decoded code of each sample."""
        return self.decode(self.encode(x))

    def reconstruction_error(self, x: Tensor) -> Tensor:
        """Return the error of each entry of the batch."""
        return self.error(self.decoder(self.encode(x)), x)

    def log_score(self, x: Tensor) -> Tensor:
        return -mean_per_sample(self.reconstruction_error(x))


class Autoencoder(FeatureLearner):
    """Autoencoder: codes each row in `n_components` numbers from which it can be rebuilt.

    An encoder maps the features to a code, a decoder maps the code back, and both learn
    together to make the reconstruction error small (Hinton and Salakhutdinov 2006, with
    all layers trained at once).

    Parameters
    ----------
    n_components : int, default=32
        Width of the code. It may exceed the number of features.
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
    DenoisingAutoencoder : Learns the clean input from a corrupted one.
    sklearn.decomposition.PCA : The best linear code.

    Notes
    -----
    The network trains in float32 and is applied in the dtype of the input. To a fit
    whose rows are one batch, a row of weight two and the same row given twice are the
    same; in several batches a repeated row also makes for more steps.

    The bits of a fit do not depend on `n_jobs` as long as one step is small (fewer than
    some 17 million multiply-adds, batch rows times weights), since such a step runs in one thread.
    Larger ones use torch's threads, and matrix products over another number of threads
    can round differently.

    References
    ----------
    G. E. Hinton and R. R. Salakhutdinov, Reducing the Dimensionality of Data with Neural
    Networks, Science 313 (2006).

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skae import Autoencoder
    >>> X = load_digits().data / 16
    >>> autoencoder = Autoencoder(16, max_iter=20, tol=0.01, random_state=0).fit(X)
    >>> autoencoder.transform(X).shape
    (1797, 16)
    >>> autoencoder.reconstruct(X).shape
    (1797, 64)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **FeatureLearner._parameter_constraints,
        "hidden_layers": [tuple, list, HasMethods(["make_encoder", "make_decoder"])],
        "code_activation": [StrOptions(set(ACTIVATIONS))],
        "loss": [StrOptions(set(ERRORS))],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
    }

    module_: AutoencoderModule

    def __init__(
        self,
        n_components: int = 32,
        *,
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
        self.n_components = n_components
        self.hidden_layers = hidden_layers
        self.code_activation = code_activation
        self.loss = loss
        self.weight_decay = weight_decay
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.warm_start = warm_start
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def _make_module(self, n_features: int) -> AutoencoderModule:
        return AutoencoderModule(**self._module_arguments(n_features))

    def _module_arguments(self, n_features: int) -> dict[str, Any]:
        layers = make_layers(self.hidden_layers)
        encoder = layers.make_encoder(n_features, self.n_components)
        return {
            "encoder": encoder,
            "decoder": layers.make_decoder(n_features, self.n_components, encoder),
            "code_activation": self.code_activation,
            "loss": self.loss,
            "weight_decay": self.weight_decay,
        }

    def _check_values(self, X: np.ndarray | sparse.csr_matrix) -> None:
        if self.loss == "binary_cross_entropy" and (X.min() < 0 or X.max() > 1):
            warnings.warn(
                f"{type(self).__name__} with loss='binary_cross_entropy' expects values between 0 "
                f"and 1, but X has values between {X.min():g} and {X.max():g}; scale them first, "
                "for example with MinMaxScaler.",
                stacklevel=5,
            )

    def reconstruct(self, X: Any) -> np.ndarray:
        """Return each row rebuilt from its code.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to rebuild.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            The same as ``inverse_transform(transform(X))``, in the shape of `X`.
        """
        rows = self._read(X, lambda module, x: module.reconstruct(x))
        return rows.reshape(shape_of(X))

    def reconstruction_error(self, X: Any, per_feature: bool = False) -> np.ndarray:
        """Return the error, as `loss` measures it, between rows and their reconstruction.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to rebuild.
        per_feature : bool, default=False
            Whether to give the error of each entry instead of the mean of each row.

        Returns
        -------
        ndarray of shape (n_samples,), or the shape of `X` if `per_feature`
        """
        if per_feature:
            errors = self._read(X, lambda module, x: module.reconstruction_error(x))
            return errors.reshape(shape_of(X))
        return -self.score_samples(X)
