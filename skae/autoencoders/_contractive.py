"""The contractive autoencoder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor

from .._random import Generator
from .._training import Batch
from ..layers import keep_number
from ._initialisation import PCAStartAutoencoder, PretrainingAutoencoder
from ._jacobian import estimated_squared_norm, jacobian, only_linear, squared_norm_of_linear
from ._module import AutoencoderModule


class ContractiveModule(AutoencoderModule):
    """The error of the decoded code, plus the squared norm of the code's Jacobian."""

    alpha: Tensor

    def __init__(self, *, alpha: float, penalty: str, n_probes: int, **arguments: Any):
        super().__init__(**arguments)
        self.n_probes = n_probes
        self.penalty = self._cheapest() if penalty == "auto" else penalty
        keep_number(self, "alpha", alpha)

    def _cheapest(self) -> str:
        if only_linear(self) is not None:
            return "closed_form"
        return "exact" if self.n_components <= self.n_probes else "estimate"

    def sample_noise(self, batch: Batch, generator: Generator) -> Any:
        x, probes = batch.x, None
        if self.penalty == "estimate":
            shape = self.n_probes, len(x), self.n_components
            # In a quarter of the time that `torch.randint` takes.
            uniform = generator.uniform(shape, x.dtype)
            probes = torch.copysign(uniform.new_ones(()), uniform - 0.5)
        return probes, super().sample_noise(batch, generator)

    def loss(self, batch: Batch, noise: Any) -> Tensor:
        probes, layer_noise = noise
        return super().loss(batch, layer_noise) + self.alpha * self.squared_norm(batch.x, probes)

    def squared_norm(self, x: Tensor, probes: Tensor | None = None) -> Tensor:
        """Return the squared norm of the Jacobian of each sample, or its estimate by probes."""
        if self.penalty == "closed_form":
            return squared_norm_of_linear(self, x)
        if probes is None:
            return self.jacobian(x).square().flatten(1).sum(1)
        return estimated_squared_norm(self, x, probes)

    def jacobian(self, x: Tensor) -> Tensor:
        """Return the derivative of each code by its sample."""
        return jacobian(self, x)


class ContractiveAutoencoder(PCAStartAutoencoder, PretrainingAutoencoder):
    """Contractive autoencoder: learns a code that changes little where the rows do not.

    To the error is added the squared Frobenius norm of the Jacobian, the derivatives of
    the code by the features. Together with the error, which needs different codes for
    different rows, it leaves the code sensitive in the directions in which the rows vary, and
    flat in the others (Rifai et al. 2011).

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

    See Also
    --------
    DenoisingAutoencoder : Resists changes of the input by training on them.

    Notes
    -----
    The error is a mean over the features, the norm a sum: the weight of Rifai et al.,
    whose error is a sum, is `alpha` times the number of features.

    The norm is that of the encoder at inference: without dropout, and with the running
    statistics of batch normalisation in place of those of the batch, under which a row
    by itself has no derivative. Batch normalisation undoes the shrinkage of the weights
    by the penalty, with a lag that makes inference worse: it is better left out here.

    A code that shrinks while the decoder grows lowers the penalty and learns nothing.
    ``Dense(tied_weights=True)``, as in the paper, or `weight_decay` prevents that.

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
        **PCAStartAutoencoder._parameter_constraints,
        **PretrainingAutoencoder._parameter_constraints,
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
        hidden_layers: Sequence[int] | Any = (128,),
        code_activation: str = "identity",
        loss: str | Any = "squared_error",
        weight_decay: float = 0.0,
        l1: float = 0.0,
        missing_values: str = "refuse",
        mask_as_input: bool = False,
        n_refinements: int = 2,
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
        self.alpha = alpha
        self.penalty = penalty
        self.n_probes = n_probes
        self.init = init
        self.pretrain = pretrain

    def _make_module(self, n_features: int) -> ContractiveModule:
        module = ContractiveModule(
            alpha=self.alpha,
            penalty=self.penalty,
            n_probes=self.n_probes,
            **self._module_arguments(n_features),
        )
        if self.penalty == "closed_form" and only_linear(module) is None:
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
