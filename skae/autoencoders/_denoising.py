"""The denoising autoencoder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from .._random import MAX_SEED, Generator, new_random_state
from .._training import Batch, as_source
from .._validation import shape_of, validate_rows
from ._initialisation import PCAStartAutoencoder, PretrainingAutoencoder
from ._module import AutoencoderModule
from ._noise import NOISES, CorruptedCopies, Corruption
from ._ordering import OrderingAutoencoder


class DenoisingModule(AutoencoderModule):
    """The error of rebuilding a batch from its corrupted copy.

    The score is that of rebuilding a row from itself, or from `copies` if there are any.
    """

    def __init__(self, corruption: Corruption, copies: CorruptedCopies | None, **arguments: Any):
        super().__init__(**arguments)
        self.corruption, self.copies = corruption, copies

    @property
    def mixes_rows(self) -> bool:
        return self.corruption.name == "swap" or super().mixes_rows

    def sample_noise(self, batch: Batch, generator: Generator) -> Any:
        return self.corruption.draw(batch.x, generator), super().sample_noise(batch, generator)

    def loss(self, batch: Batch, noise: Any) -> Tensor:
        drawn, layer_noise = noise
        return self.reconstruction_loss(self.corruption(batch.x, drawn), batch.x, layer_noise)

    def log_score(self, x: Tensor) -> Tensor:
        return -self.mean_error(self.denoising_error(x), x)

    def denoising_error(self, x: Tensor) -> Tensor:
        """Return the mean error of each entry when rebuilt from the copies, if there are any."""
        if self.copies is None:
            return self.reconstruction_error(x)
        error = torch.zeros_like(x)
        for copy in self.copies(x):
            error += self.error_of(self.encode(copy), x)
        return error / len(self.copies.levels)


class DenoisingAutoencoder(OrderingAutoencoder, PCAStartAutoencoder, PretrainingAutoencoder):
    """Denoising autoencoder: learns to rebuild a clean row from a corrupted one.

    Each batch is corrupted anew, and the error is taken against the clean batch, so that
    the code has to know how the features depend on each other (Vincent et al. 2008). A
    wide code is useful here: with noise, copying the input is not the answer. The
    fitted network is applied to clean rows: nothing is corrupted in `transform` or, unless
    `score_draws` says so, in `score_samples`.

    Parameters
    ----------
    n_components : int, default=32
        Width of the code. It may exceed the number of features.
    noise : str, default="gaussian"
        Kind of corruption:

        - "gaussian" adds normal noise with standard deviation `noise_level`;
        - "masking" sets a fraction `noise_level` of the entries to 0; or, with
          ``missing_values="mask"``, has them missing;
        - "salt_and_pepper" sets a fraction `noise_level` of the entries to the smallest
          or the largest value of their column in the batch;
        - "swap" takes a fraction `noise_level` of the entries from another row of the
          batch, in the same column. It suits columns of different kinds and scales.
    noise_level : float, default=0.3
        Standard deviation of the gaussian noise in the units of `X`; for the other kinds
        the fraction of corrupted entries, at most 1.
    noise_schedule : None, "uniform" or array-like of shape (n_levels,), default=None
        Levels of the noise in training, in the units of `noise_level`:

        - None corrupts every row at `noise_level`;
        - "uniform" draws a level for each row of each batch, uniformly from 0 to
          `noise_level`;
        - of several levels, each row of each batch draws one; a level that is listed
          twice is drawn twice as often, and `noise_level` is not used.
    score_draws : int, default=0
        With 0, `score_samples` measures how well a row is rebuilt from itself, and is minus
        `reconstruction_error`. Otherwise it measures how well the row is rebuilt from its
        corrupted copies, and is minus `denoising_error`: the mean over `score_draws`
        copies at `noise_level`, at each of the levels of `noise_schedule`, or at levels in
        equal steps up to `noise_level` if that is "uniform". The noise of the copies is the
        same for every row and in every call. Only for "gaussian" and "masking" noise, which
        need no other rows.
    hidden_layers : tuple of int or object, default=(128,)
        Widths of the hidden layers between features and code, mirrored by the decoder;
        ``()`` for a linear autoencoder. Or an architecture from `skae.layers`, or any
        object with the methods `make_encoder` and `make_decoder`.
    code_activation : str, default="identity"
        Activation of the code: "identity", "relu", "leaky_relu", "elu", "gelu", "silu",
        "softplus", "sigmoid" or "tanh".
    loss : str or object, default="squared_error"
        Error of an entry: "squared_error", "absolute_error", "huber" (with threshold 1)
        or "binary_cross_entropy"; for the last one the reconstruction lies between 0 and
        1, and so should the values of `X`. Or an output from `skae.outputs`, such as
        ``Huber(delta=0.5)``, or any object with the methods `error` and `mean`.
    weight_decay : float, default=0.0
        Weight of the penalty: half the sum of the squared weights, without the biases.
    l1 : float, default=0.0
        Weight of the penalty: the sum of the absolute weights, without the biases.
    missing_values : {"refuse", "mask"}, default="refuse"
        What to do with missing entries of `X`, which are NaN: refuse them, or leave them out of
        the loss and of scores, and give the encoder the mean of the observed training entries of
        the feature in their place.
    mask_as_input : bool, default=False
        With "mask", whether the encoder is also told which entries are missing, by a
        second number for each feature.
    n_refinements : int, default=2
        With "mask", how many times the encoder is then given the reconstruction of missing
        entries in place of their mean, in training and at inference.
    ordered : bool, default=False
        Whether to order the components by what they add (nested dropout, Rippel et al.
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
    max_iter : int, default=1000
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
        module, optimizer and history, at the start and end of the training and of each epoch
        (and batch, if they have a method for that, which makes each step slower). They are
        not copied, so that you can look at them after `fit`, and a pickle contains them. What
        one sets on itself needs a name that ends in an underscore, as in skorch, or it
        cannot be cloned. Of the optimizer, learning rates, betas and eps may be changed.
        Those that score by a data set (`EpochScoring`, `BatchScoring`) do not apply, and those
        of scikit-learn are for `set_callbacks`.
    checkpoint : str or path-like, default=None
        Folder in which `fit` saves the state of the training. If the process ends before the fit
        does, the same call goes on from there, and ends with the same bits as a fit that was not
        interrupted. A folder belongs to one fit: for others it raises a ValueError.
    checkpoint_every : int, default=1
        Number of epochs between two such states.
    device : str or torch.device, default="auto"
        Where to train and apply the network: "auto" (an accelerator if there is one), "cpu",
        "cuda", "mps" or another name that torch knows.
    random_state : int, RandomState instance or None, default=None
        Source of the initial weights, the order of the rows and the noise. The same int
        gives the same bits. None takes fresh entropy and, unlike in scikit-learn, does
        not touch numpy's global generator.
    verbose : bool or int, default=0
        Whether to show a progress bar with the loss and rows per second.

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
        Fraction of the variance of the training rows that the reconstruction keeps; 0 if they
        are all equal. Only after `fit` with ``init="pca"``.
    r2_pca_ : float
        The same of PCA with as many components, from which the first fit started.
    explained_reconstruction_ratio_ : ndarray of shape (n_components,)
        Fraction of the variance of the training rows (of the last chunk, after
        `partial_fit`) that the first 1, 2, ... components keep; 0 if these rows are all
        equal. Only with `ordered`.

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

    The error of rows that are rebuilt from corrupted copies is higher for outliers:

    >>> detector = DenoisingAutoencoder(
    ...     16, noise_schedule=[0.1, 0.3], score_draws=4, max_iter=20, random_state=0, tol=0.01
    ... ).fit(X)
    >>> bool(detector.score(X) > detector.score(1 - X))
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **OrderingAutoencoder._parameter_constraints,
        **PCAStartAutoencoder._parameter_constraints,
        **PretrainingAutoencoder._parameter_constraints,
        "noise": [StrOptions(set(NOISES))],
        "noise_level": [Interval(Real, 0, None, closed="left")],
        "noise_schedule": [StrOptions({"uniform"}), "array-like", None],
        "score_draws": [Interval(Integral, 0, None, closed="left")],
    }

    module_: DenoisingModule

    def __init__(
        self,
        n_components: int = 32,
        *,
        noise: str = "gaussian",
        noise_level: float = 0.3,
        noise_schedule: str | Sequence[float] | None = None,
        score_draws: int = 0,
        hidden_layers: Sequence[int] | Any = (128,),
        code_activation: str = "identity",
        loss: str | Any = "squared_error",
        weight_decay: float = 0.0,
        l1: float = 0.0,
        missing_values: str = "refuse",
        mask_as_input: bool = False,
        n_refinements: int = 2,
        ordered: bool = False,
        init: str = "glorot",
        pretrain: bool = False,
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
        super().__init__(
            n_components,
            hidden_layers=hidden_layers,
            code_activation=code_activation,
            loss=loss,
            weight_decay=weight_decay,
            l1=l1,
            missing_values=missing_values,
            mask_as_input=mask_as_input,
            n_refinements=n_refinements,
            learning_rate=learning_rate,
            batch_size=batch_size,
            max_iter=max_iter,
            tol=tol,
            n_iter_no_change=n_iter_no_change,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            warm_start=warm_start,
            learning_rate_schedule=learning_rate_schedule,
            callbacks=callbacks,
            checkpoint=checkpoint,
            checkpoint_every=checkpoint_every,
            device=device,
            random_state=random_state,
            verbose=verbose,
        )
        self.noise = noise
        self.noise_level = noise_level
        self.noise_schedule = noise_schedule
        self.score_draws = score_draws
        self.ordered = ordered
        self.init = init
        self.pretrain = pretrain

    def _make_module(self, n_features: int) -> DenoisingModule:
        levels = self.noise_level, self.noise_schedule
        corruption = Corruption(self.noise, *levels, hides=self._takes_missing)
        copies = None
        if self.score_draws:
            copies = CorruptedCopies(corruption, self.score_draws, n_features)
        return DenoisingModule(corruption, copies, **self._module_arguments(n_features))

    def denoising_error(self, X: Any, per_feature: bool = False) -> np.ndarray:
        """Return the error of rebuilding rows from their corrupted copies, as `score_draws` says.

        Its mean over the features is minus the score of a row. With ``score_draws=0`` it is
        `reconstruction_error`, for which rows are rebuilt from themselves.

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
        return self._errors(X, lambda module, x: module.denoising_error(x), per_feature)

    def corrupt(
        self, X: Any, random_state: int | np.random.RandomState | None = None
    ) -> np.ndarray:
        """Return the rows as the encoder sees them in training, NaN where it sees nothing.

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
        rows = validate_rows(self, X, reset=False, training=True)
        x = as_source(rows, None, self.device_).all().x
        seed = new_random_state(random_state).randint(MAX_SEED)
        generator = Generator(seed, self.device_)
        corruption = self.module_.corruption
        corrupted = corruption(x, corruption.draw(x, generator))
        return corrupted.cpu().numpy().reshape(shape_of(X))
