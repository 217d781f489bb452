"""The plain autoencoder."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from numbers import Real
from typing import Any, ClassVar, Self

import numpy as np
import torch
from scipy import sparse
from sklearn.preprocessing import StandardScaler
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from .._convergence import ConvergingEstimator
from .._random import MAX_SEED
from .._training import Source, TrainingState, read
from .._validation import shape_of, validate_rows
from ..base import FeatureLearner
from ..layers import ACTIVATIONS, make_layers
from ..losses import ERRORS
from ._initialisation import pretrain, start_from_pca
from ._module import AutoencoderModule


class Autoencoder(FeatureLearner, ConvergingEstimator):
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
    l1 : float, default=0.0
        Weight of the penalty: the sum of the absolute weights, without the biases.
    ordered : bool, default=False
        Whether to order the components by what they bring (nested dropout, Rippel et al.
        2014): each row keeps, while training, only as many of the first components as is
        drawn for it, small numbers more often (log-uniformly), so that the first k
        components alone rebuild it well. `truncate` then gives the estimator of any
        smaller width.
    init : {"glorot", "pca"}, default="glorot"
        Start of the weights: drawn (Glorot and Bengio 2010), or such that the code is
        that of PCA. The latter needs a linear network, or one hidden layer of at least
        ``2 * n_components`` ReLU units, and `code_activation` "identity". It applies to
        `fit`, not to `partial_fit`.
    pretrain : bool, default=False
        Whether `fit` first trains the layers one by one, each as an estimator of this
        kind on the codes of the layer before (Vincent et al. 2010). For `Dense` layers
        without dropout, batch normalisation and tied weights.
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
    learning_rate_schedule : {"constant", "linear", "exponential", "cosine", "plateau"}, \
default="constant"
        How the learning rate of `fit` goes from epoch to epoch: it stays; it falls over
        `max_iter` epochs to 0 ("linear", "cosine") or to a hundredth ("exponential"); or it
        is halved each time that the loss has not improved by `tol` for a quarter of
        `n_iter_no_change` epochs.
    callbacks : list of skorch.callbacks.Callback, default=None
        Callbacks of skorch, or your own, for `fit`: they see the net in training, with its
        module, optimizer and history, at the begin and end of the training and of each epoch
        (and batch, if they have a method for that, which makes each step slower).
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
    history_ : dict of lists of float
        What was recorded in each epoch, by name: "train_loss", with validation "valid_loss", and
        what callbacks recorded. ``pandas.DataFrame(history_)`` is a table of it.
    n_features_in_ : int
        Number of features seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if `X` has string column names.
    device_ : torch.device
        Where the network is.
    r2_ : float
        Fraction of the variance of the training rows that the reconstruction keeps. Only
        after `fit` with ``init="pca"``.
    r2_pca_ : float
        The same of PCA with as many components.
    explained_reconstruction_ratio_ : ndarray of shape (n_components,)
        Fraction of the variance of the training rows (of the last chunk, after
        `partial_fit`) that the first 1, 2, ... components keep. Only with `ordered`.

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

    O. Rippel, M. Gelbart and R. Adams, Learning Ordered Representations with Nested
    Dropout, ICML 2014.

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
        **ConvergingEstimator._parameter_constraints,
        "hidden_layers": [tuple, list, HasMethods(["make_encoder", "make_decoder"])],
        "code_activation": [StrOptions(set(ACTIVATIONS))],
        "loss": [StrOptions(set(ERRORS))],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "l1": [Interval(Real, 0, None, closed="left")],
        "ordered": ["boolean"],
        "init": [StrOptions({"glorot", "pca"})],
        "pretrain": ["boolean"],
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
        l1: float = 0.0,
        ordered: bool = False,
        init: str = "glorot",
        pretrain: bool = False,
        learning_rate: float = 1e-3,
        batch_size: int | str = "auto",
        max_iter: int = 200,
        tol: float = 1e-4,
        n_iter_no_change: int = 10,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        warm_start: bool = False,
        learning_rate_schedule: str = "constant",
        callbacks: Sequence[Any] | None = None,
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
        self.ordered = ordered
        self.init = init
        self.pretrain = pretrain
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
            "n_components": self.n_components,
            "code_activation": self.code_activation,
            "loss": self.loss,
            "weight_decay": self.weight_decay,
            "l1": self.l1,
            "ordered": self.ordered,
        }

    def _check_values(self, X: np.ndarray | sparse.csr_matrix) -> None:
        if self.loss == "binary_cross_entropy" and (X.min() < 0 or X.max() > 1):
            warnings.warn(
                f"{type(self).__name__} with loss='binary_cross_entropy' expects values between 0 "
                f"and 1, but X has values between {X.min():g} and {X.max():g}; scale them first, "
                "for example with MinMaxScaler.",
                stacklevel=5,
            )

    def _initialise(
        self,
        module: AutoencoderModule,
        source: Source,
        random_state: np.random.RandomState,
        *,
        streaming: bool,
    ) -> None:
        if streaming:
            return
        if self.pretrain:
            pretrain(self, module, source, random_state)
        if self.init == "pca":
            pca = start_from_pca(module, source.X, random_state.randint(MAX_SEED))
            self.r2_pca_ = float(pca.explained_variance_ratio_.sum())

    def _keep(self, state: TrainingState, source: Source) -> None:
        super()._keep(state, source)
        beside_pca = hasattr(self, "r2_pca_")
        if not self.ordered and not beside_pca:
            return
        widths = range(1 if self.ordered else self.n_components, self.n_components + 1)
        total, scaler = np.zeros(len(widths)), StandardScaler(with_mean=False)
        for rows, weight in source.chunks():
            errors = read(self.module_, lambda m, x: m.squared_error_by_width(x, widths), rows)
            weight = np.ones(len(errors)) if weight is None else weight
            total += weight @ errors
            scaler.partial_fit(rows, sample_weight=weight)
        kept = 1 - total / source.total_weight / scaler.var_.sum()
        if self.ordered:
            self.explained_reconstruction_ratio_ = kept
        if beside_pca:
            self.r2_ = float(kept[-1])

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

    def truncate(self, n_components: int) -> Self:
        """Return the fitted estimator of the first `n_components` components.

        Parameters
        ----------
        n_components : int
            Width of the code to keep, at most that of this estimator.

        Returns
        -------
        Autoencoder
            A copy whose codes are the first columns of this one's, and which rebuilds
            rows from these.

        Raises
        ------
        ValueError
            If the components are not ordered, or there are not so many.
        """
        check_is_fitted(self)
        if not self.module_.ordered:
            raise ValueError(
                "truncate needs components in the order of what they bring; fit with ordered=True."
            )
        if not 1 <= n_components <= self._n_features_out:
            raise ValueError(
                f"n_components must be from 1 to {self._n_features_out}, got {n_components}."
            )
        shorter = copy.deepcopy(self)
        shorter.n_components = shorter._n_features_out = n_components
        shorter.module_.n_kept = n_components
        return shorter

    def inpaint(
        self, X: Any, mask: Any, *, fill_value: float = 0.0, max_iter: int = 100, tol: float = 1e-4
    ) -> np.ndarray:
        """Fill in missing entries by what the network makes of the others.

        The missing entries start at `fill_value` and are replaced by their reconstruction
        until they change no more, each row by itself.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows; the values of missing entries (NaN, say) are ignored.
        mask : array-like of bool of shape (n_samples, n_features)
            Where entries are missing.
        fill_value : float, default=0.0
            Value to start from.
        max_iter : int, default=100
            Upper bound of the reconstructions.
        tol : float, default=1e-4
            Largest change of an entry with which a row is done.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            The rows, with the missing entries filled in and the others as they were.

        Raises
        ------
        ValueError
            If `mask` has not the shape of `X`.
        """
        check_is_fitted(self)
        shape = shape_of(X)
        mask = np.asarray(mask, dtype=bool)
        if mask.shape != shape:
            raise ValueError(f"mask has shape {mask.shape}, but X has shape {shape}.")
        known = X.mask(mask, fill_value) if hasattr(X, "iloc") else np.where(mask, fill_value, X)
        filled = validate_rows(self, known, reset=False).copy()
        mask = mask.reshape(filled.shape)
        active = np.flatnonzero(mask.any(axis=1))
        for _ in range(max_iter):
            if not len(active):
                break
            rebuilt = read(self.module_, lambda module, x: module.reconstruct(x), filled[active])
            updated = np.where(mask[active], rebuilt, filled[active])
            change = np.abs(updated - filled[active]).max(axis=1)
            filled[active] = updated
            active = active[change > tol]
        return filled.reshape(shape)
