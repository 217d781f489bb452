"""What every autoencoder does as an estimator."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import torch
from scipy import sparse
from sklearn.preprocessing import StandardScaler
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from .._compute import limit_threads
from .._convergence import ConvergingEstimator
from .._features import FeatureLearner
from .._missing import has_missing, observed_sums
from .._training import Source, read, to_dense
from .._typed import available_if
from .._validation import shape_of, validate_rows
from ..layers import (
    ACTIVATIONS,
    check_is_module,
    is_from_elsewhere,
    is_positive_int,
    make_layers,
)
from ..outputs import OUTPUTS, make_output
from ._checks import check_network, loss_of_mean
from ._gaps import Gaps
from ._module import AutoencoderModule


class BaseAutoencoder(FeatureLearner, ConvergingEstimator):
    """An autoencoder: an encoder, a decoder, an output, and inference with all three.

    Its parameters are those that all autoencoders have; see `Autoencoder`. A subclass says what
    it minimises: it overrides `_make_module`, and hands what `_module_arguments` returns on to
    its `AutoencoderModule`.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **FeatureLearner._parameter_constraints,
        **ConvergingEstimator._parameter_constraints,
        "hidden_layers": [tuple, list, HasMethods(["make_encoder", "make_decoder"])],
        "code_activation": [StrOptions(set(ACTIVATIONS))],
        "loss": [StrOptions(set(OUTPUTS)), HasMethods(["error", "mean"])],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "l1": [Interval(Real, 0, None, closed="left")],
        "missing_values": [StrOptions({"refuse", "mask"})],
        "mask_as_input": ["boolean"],
        "n_refinements": [Interval(Integral, 0, None, closed="left")],
    }

    module_: AutoencoderModule

    def __init__(
        self,
        n_components: int = 32,
        *,
        hidden_layers: Sequence[int] | Any = (128,),
        code_activation: str = "identity",
        loss: str | Any = "squared_error",
        weight_decay: float = 0.0,
        l1: float = 0.0,
        missing_values: str = "refuse",
        mask_as_input: bool = False,
        n_refinements: int = 2,
        learning_rate: float = 1e-3,
        batch_size: int | str = "auto",
        max_iter: int = 1000,
        tol: float = 1e-4,
        n_iter_no_change: int = 10,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        warm_start: bool = False,
        learning_rate_schedule: str = "constant",
        callbacks: Sequence[Any] | None = None,
        checkpoint: str | os.PathLike | None = None,
        checkpoint_every: int = 1,
        device: str | torch.device = "auto",
        random_state: int | np.random.RandomState | None = None,
        verbose: bool | int = 0,
    ):
        self.n_components = n_components
        self.hidden_layers = hidden_layers
        self.code_activation = code_activation
        self.loss = loss
        self.weight_decay = weight_decay
        self.l1 = l1
        self.missing_values = missing_values
        self.mask_as_input = mask_as_input
        self.n_refinements = n_refinements
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.warm_start = warm_start
        self.learning_rate_schedule = learning_rate_schedule
        self.callbacks = callbacks
        self.checkpoint = checkpoint
        self.checkpoint_every = checkpoint_every
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def _make_module(self, n_features: int) -> AutoencoderModule:
        return AutoencoderModule(**self._module_arguments(n_features))

    def _new_module(self, n_features: int, random_state: np.random.RandomState) -> Any:
        module: Any = super()._new_module(n_features, random_state)
        if is_from_elsewhere(make_layers(self.hidden_layers)) or is_from_elsewhere(self._output()):
            check_network(module, n_features, self._n_encoded(), self._n_decoded())
        return module

    def _module_arguments(self, n_features: int) -> dict[str, Any]:
        output, layers = self._output(), make_layers(self.hidden_layers)
        n_each = getattr(output, "n_outputs_per_feature", 1)
        if not is_positive_int(n_each):
            raise ValueError(
                f"n_outputs_per_feature of {output!r} must be a positive integer, got {n_each!r}."
            )
        if n_each > 1 and (getattr(layers, "tied_weights", False) or hasattr(layers, "shape")):
            raise ValueError(
                f"{output!r} takes {n_each} numbers per feature from the decoder, and "
                f"hidden_layers={layers!r} gives one; use Dense layers without tied_weights."
            )
        encoder, decoder = self._make_parts(layers, n_features, n_each * n_features)
        check_is_module(encoder, "make_encoder of hidden_layers")
        check_is_module(decoder, "make_decoder of hidden_layers")
        return {
            "encoder": encoder,
            "decoder": decoder,
            "n_features": n_features,
            "n_components": self.n_components,
            "code_activation": self.code_activation,
            "output": output,
            "weight_decay": self.weight_decay,
            "l1": self.l1,
            "gaps": self._gaps(n_features),
        }

    def _make_parts(self, layers: Any, n_features: int, n_decoded: int) -> tuple[Any, Any]:
        """Build the encoder and the decoder, which gives `n_decoded` numbers for a row."""
        encoder = self._make_encoder(layers, n_features)
        return encoder, layers.make_decoder(n_decoded, self._n_decoded(), encoder)

    def _gaps(self, n_features: int) -> Gaps | None:
        """Return what fills in missing entries, None if there are to be none."""
        if not self._takes_missing:
            return None
        return Gaps(n_features, mask_as_input=self.mask_as_input, n_refinements=self.n_refinements)

    @property
    def _takes_missing(self) -> bool:
        return self.missing_values == "mask"

    def _make_encoder(self, layers: Any, n_features: int) -> nn.Module:
        layers, n_inputs = self._with_mask(layers, n_features)
        return layers.make_encoder(n_inputs, self._n_encoded())

    def _with_mask(self, layers: Any, n_features: int) -> tuple[Any, int]:
        """Return the layers of the encoder and the number of its inputs.

        There is a second one for each feature if it is told which entries are missing.
        """
        if not (self._takes_missing and self.mask_as_input):
            return layers, n_features
        if getattr(layers, "tied_weights", False):
            raise ValueError(
                "mask_as_input=True does not go with tied_weights in hidden_layers: the encoder "
                "takes two numbers for each feature, the decoder gives one. Leave one of them out."
            )
        if hasattr(layers, "shape"):  # as more channels
            layers = copy.copy(layers)
            layers.shape = (2 * layers.shape[0], *layers.shape[1:])
        return layers, 2 * n_features

    def _output(self) -> Any:
        """Return what the numbers that the decoder gives mean."""
        return make_output(self.loss)

    def _n_encoded(self) -> int:
        """Return how many numbers the encoder gives for a row."""
        return self.n_components

    def _n_decoded(self) -> int:
        """Return how many numbers the decoder takes for a row."""
        return self.n_components

    def _initialise(
        self,
        module: AutoencoderModule,
        source: Source,
        random_state: np.random.RandomState,
        *,
        streaming: bool,
    ) -> None:
        super()._initialise(module, source, random_state, streaming=streaming)
        if learned := dict(module.output.named_parameters(recurse=False)):
            start = self._output().start(moments_of(source)[1])
            for name, parameter in learned.items():
                parameter.data.copy_(start[name])

    def _observe(self, module: AutoencoderModule, source: Source) -> None:
        super()._observe(module, source)
        if module.gaps is not None:
            module.gaps.observe(*observed_sums(source))

    def _check_values(self, X: np.ndarray | sparse.csr_matrix) -> None:
        output = self._output()
        if hasattr(output, "check_values"):
            output.check_values(X)

    def _loss_of_mean(self, source: Source) -> float | None:
        with limit_threads(0):
            return loss_of_mean(self.module_, source)

    def _readable(self, X: Any) -> np.ndarray | sparse.csr_matrix:
        rows = super()._readable(X)
        if self._takes_missing and self.module_.gaps is None and has_missing(rows):
            raise ValueError(
                "X contains NaN, but missing_values was set to 'mask' after the fit, and the "
                "network that was fitted takes complete rows alone; call fit again."
            )
        return rows

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
        """Return the error of the reconstruction of each row.

        It is measured as by `loss`; of a variational autoencoder it is minus the mean
        log-probability per feature, by its `likelihood`, given the mean code.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to rebuild.
        per_feature : bool, default=False
            Whether to give the error of each entry (NaN where that is missing) instead of
            the mean of each row over its observed entries.

        Returns
        -------
        ndarray of shape (n_samples,), or the shape of `X` if `per_feature`
        """
        return self._errors(X, lambda module, x: module.reconstruction_error(x), per_feature)

    def _errors(self, X: Any, error: Callable[[Any, Tensor], Tensor], per_feature: bool) -> Any:
        if per_feature:
            return self._read(X, error).reshape(shape_of(X))
        return self._read(X, lambda module, x: module.mean_error(error(module, x), x))

    @available_if(lambda estimator: estimator._takes_missing)
    def impute(self, X: Any) -> np.ndarray:
        """Fill in missing entries from the reconstruction.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows, with NaN for missing entries.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            The rows, dense, in the shape of `X`; the entries that are not missing are as they were.
        """
        return self._read(X, lambda module, x: module.impute(x)).reshape(shape_of(X))

    def inpaint(
        self, X: Any, mask: Any, *, fill_value: Any = 0.0, max_iter: int = 100, tol: float = 1e-2
    ) -> np.ndarray:
        """Impute missing values from the others, by repeated reconstruction.

        The missing values start at `fill_value` and are replaced by their reconstruction, each
        row by itself, as long as its observed values are rebuilt better each time, by `loss`.
        Of a linear autoencoder, whose reconstruction is a projection as that of PCA, the error
        of the observed values falls until it is the least that any code gives. Of other
        networks it rises after some reconstructions, and that of the missing values with it. A
        network that rebuilds whatever it is given, as one with a code as wide as the rows and
        no noise can, imputes nothing: missing values stay near their start.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows; what stands for missing values (NaN, say) is ignored.
        mask : array-like of bool of shape (n_samples, n_features)
            Where values are missing.
        fill_value : float or array-like of shape (n_features,), default=0.0
            Value to start from, of all features or of each. The means of the training rows are
            a good start, but for networks that learned to rebuild rows with other values
            in place of some (``DenoisingAutoencoder(noise="masking")`` learned it with 0).
        max_iter : int, default=100
            Upper bound of the reconstructions.
        tol : float, default=1e-2
            By what fraction the error of the observed values of a row must fall for another
            reconstruction. With 0 they go on to the least error, which for values with noise
            is seldom better.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            The rows, with the missing values filled in and the others as they were.

        Raises
        ------
        TypeError
            If `X` is a sparse matrix.
        ValueError
            If `mask` has not the shape of `X`, or `fill_value` not that of a row, or if it is
            not finite.
        """
        check_is_fitted(self)
        if sparse.issparse(X) or sparse.issparse(mask):
            raise TypeError(
                "inpaint takes dense rows and a dense mask, but got a sparse matrix; give "
                "X.toarray()."
            )
        shape = shape_of(X)
        mask = np.asarray(mask, dtype=bool)
        if mask.shape != shape:
            raise ValueError(f"mask has shape {mask.shape}, but X has shape {shape}.")
        start = np.asarray(fill_value, dtype=float)
        if start.shape not in ((), shape[1:]) or not np.isfinite(start).all():
            raise ValueError(
                f"fill_value must be a number, or one for each feature in shape {shape[1:]}, all "
                f"finite; got {fill_value!r}."
            )
        start = np.broadcast_to(start, shape[1:]).ravel()
        known = X.mask(mask, 0.0) if hasattr(X, "iloc") else np.where(mask, 0.0, X)
        rows = validate_rows(self, known, reset=False)
        rows = np.where(mask.reshape(rows.shape), rows.dtype.type(np.nan), rows)

        def fill(module: AutoencoderModule, x: Tensor) -> Tensor:
            return module.fill_missing(x, start, max_iter, tol)

        return read(self.module_, fill, rows).reshape(shape)


def kept_variance(module: AutoencoderModule, source: Source, widths: Sequence[int]) -> np.ndarray:
    """Return what fraction of the variance of the rows the first components keep.

    It is 0 for rows that are all equal.

    Parameters
    ----------
    module : AutoencoderModule
        Trained.
    source : Source
        The rows with their weights.
    widths : sequence of int
        Numbers of components.

    Returns
    -------
    ndarray of shape (len(widths),)
    """
    total = np.zeros(len(widths))
    for rows, weight in source.chunks():
        errors = read(module, lambda m, x: m.squared_error_by_width(x, widths), rows)
        total += (np.ones(len(errors)) if weight is None else weight) @ errors
    mean, variance, observed = moments_of(source)
    variance = observed * variance
    # Below this, float32 cannot distinguish the rows.
    least = np.square(np.finfo(np.float32).eps * mean).sum()
    if variance.sum() <= least:
        return np.zeros(len(widths))
    return 1 - total / source.total_weight / variance.sum()


def moments_of(source: Source) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mean and variance of each feature over its observed entries, and their part of all.

    All are by the weights of the rows.
    """
    scaler = StandardScaler()
    for rows, weight in source.chunks():
        scaler.partial_fit(to_dense(rows), sample_weight=weight)
    return scaler.mean_, scaler.var_, scaler.n_samples_seen_ / source.total_weight
