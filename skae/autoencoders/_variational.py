"""The variational autoencoder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from .._training import Plan, Source, TrainingState, read
from .._typed import available_if
from .._validation import shape_of
from .._warn import warn
from ..outputs import DISTRIBUTIONS, make_output
from ._base import BaseAutoencoder
from ._evidence import VariationalModule, divergence_from_prior
from ._generative import GenerativeAutoencoder

# Variance of the posterior mean over the rows from which on a component counts as active.
_ACTIVE_VARIANCE = 0.01


class VariationalAutoencoder(GenerativeAutoencoder):
    """Variational autoencoder: a code with a distribution, from which new rows can be drawn.

    The encoder gives a normal distribution of the code of each row, the posterior; the decoder
    gives the distribution of a row for each code. Both learn together to make a lower bound of
    the log-likelihood of the rows large, with a standard normal prior of the code (Kingma and
    Welling 2014). The code of `transform` is the mean of the posterior.

    Parameters
    ----------
    n_components : int, default=32
        Width of the code. It may exceed the number of features.
    beta : float, default=1.0
        Weight of the divergence of the posterior from the prior. More than 1 makes for fewer
        and more independent components (Higgins et al. 2017), less than 1 for a closer fit.
    beta_warmup : int, default=0
        Number of epochs over which `beta` rises to its value in equal steps, so that the
        decoder learns to use the code before the prior pulls at it (Sønderby et al. 2016).
        The stopping rule counts from there on. With `capacity` it is that which rises.
    capacity : float, default=None
        If given, what the code should hold of a row, in nats: the divergence is drawn to
        this value instead of to 0 (Burgess et al. 2018), by the weight `beta`.
    free_bits : float, default=0.0
        Divergence of each component, in nats and in the mean of a batch, below which it costs
        no less (Kingma et al. 2016), so that no component needs to collapse.
    n_importance_samples : int, default=1
        How many codes of each row are drawn in a step. With more than one the bound is the
        importance weighted one (IWAE, Burda et al. 2016): closer to the log-likelihood, and
        slower.
    doubly_reparameterized : bool, default=False
        Whether to take the gradient of the encoder with less variance (Tucker et al. 2019); for
        more than one importance sample.
    n_score_samples : int, default=100
        How many codes of each row `score_samples` and `impute` draw. The bound comes closer to
        the log-likelihood with more of them.
    hidden_layers : tuple of int or object, default=(128,)
        Widths of the hidden layers between features and code, mirrored by the decoder;
        ``()`` for a linear autoencoder. Or an architecture from `skae.layers`, or any
        object with the methods `make_encoder` and `make_decoder`.
    likelihood : str or object, default="gaussian"
        Distribution of a row given its code: "gaussian" (with a variance for each feature
        that is learned), "bernoulli" (for values of 0 and 1, or probabilities),
        "continuous_bernoulli" (for values between 0 and 1), "poisson" (for counts) or
        "categorical" (for indicators). Or an output from `skae.outputs`, such as
        ``Gaussian(variance=0.1)`` or ``Categorical(categories=(3, 5))``, or a subclass of
        `Output` with the methods `log_prob` and `sample`.
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
    kl_per_component_ : ndarray of shape (n_components,)
        Mean divergence of the posterior of the training rows (of the last chunk, after
        `partial_fit`) from the prior, in nats, by component.
    active_components_ : ndarray of bool of shape (n_components,)
        Which components the code uses: those whose posterior mean has a variance above 0.01
        over these rows (Burda et al. 2016).
    noise_variance_ : ndarray of shape (n_features,) or float
        Variance of the rows about what is decoded. Only with a "gaussian" likelihood.
    code_mixture_ : GaussianMixture
        Ten normal distributions, with diagonal covariances, that describe the codes of the
        training rows (of the last chunk, after `partial_fit`), or of 2000 of them.

    Warns
    -----
    UserWarning
        If the loss stops improving with a collapsed posterior: no component is active.

    See Also
    --------
    Autoencoder : Without distributions.

    References
    ----------
    D. P. Kingma and M. Welling, Auto-Encoding Variational Bayes, ICLR 2014.

    I. Higgins, L. Matthey, A. Pal, C. Burgess, X. Glorot, M. Botvinick, S. Mohamed and A.
    Lerchner, beta-VAE: Learning Basic Visual Concepts with a Constrained Variational Framework,
    ICLR 2017.

    C. K. Sønderby, T. Raiko, L. Maaløe, S. K. Sønderby and O. Winther, Ladder Variational
    Autoencoders, NeurIPS 2016.

    C. P. Burgess, I. Higgins, A. Pal, L. Matthey, N. Watters, G. Desjardins and A. Lerchner,
    Understanding Disentangling in beta-VAE, arXiv:1804.03599, 2018.

    D. P. Kingma, T. Salimans, R. Jozefowicz, X. Chen, I. Sutskever and M. Welling, Improved
    Variational Inference with Inverse Autoregressive Flow, NeurIPS 2016.

    Y. Burda, R. Grosse and R. Salakhutdinov, Importance Weighted Autoencoders, ICLR 2016.

    G. Tucker, D. Lawson, S. Gu and C. J. Maddison, Doubly Reparameterized Gradient Estimators
    for Monte Carlo Objectives, ICLR 2019.

    P.-A. Mattei and J. Frellsen, MIWAE: Deep Generative Modelling and Imputation of Incomplete Data
    Sets, ICML 2019.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skae import VariationalAutoencoder
    >>> X = load_digits().data / 16
    >>> autoencoder = VariationalAutoencoder(
    ...     8, likelihood="bernoulli", max_iter=20, tol=1.0, random_state=0
    ... ).fit(X)
    >>> autoencoder.transform(X).shape
    (1797, 8)
    >>> autoencoder.sample(5, random_state=0).shape
    (5, 64)
    >>> bool(autoencoder.score(X) > autoencoder.score(1 - X))
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **{
            name: constraint
            for name, constraint in BaseAutoencoder._parameter_constraints.items()
            if name not in ("loss", "code_activation")
        },
        "beta": [Interval(Real, 0, None, closed="left")],
        "beta_warmup": [Interval(Integral, 0, None, closed="left")],
        "capacity": [Interval(Real, 0, None, closed="left"), None],
        "free_bits": [Interval(Real, 0, None, closed="left")],
        "n_importance_samples": [Interval(Integral, 1, None, closed="left")],
        "doubly_reparameterized": ["boolean"],
        "n_score_samples": [Interval(Integral, 1, None, closed="left")],
        "likelihood": [
            StrOptions(set(DISTRIBUTIONS)),
            HasMethods(["encoder_input", "error", "is_outside", "log_prob", "mean", "sample"]),
        ],
    }

    module_: VariationalModule

    def __init__(
        self,
        n_components: int = 32,
        *,
        beta: float = 1.0,
        beta_warmup: int = 0,
        capacity: float | None = None,
        free_bits: float = 0.0,
        n_importance_samples: int = 1,
        doubly_reparameterized: bool = False,
        n_score_samples: int = 100,
        hidden_layers: Sequence[int] | Any = (128,),
        likelihood: str | Any = "gaussian",
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
        self.beta = beta
        self.beta_warmup = beta_warmup
        self.capacity = capacity
        self.free_bits = free_bits
        self.n_importance_samples = n_importance_samples
        self.doubly_reparameterized = doubly_reparameterized
        self.n_score_samples = n_score_samples
        self.hidden_layers = hidden_layers
        self.likelihood = likelihood
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

    #: The mean of a posterior has no activation.
    code_activation = "identity"

    def _output(self) -> Any:
        return make_output(self.likelihood)

    def _n_encoded(self) -> int:
        return 2 * self.n_components  # means and log-variances

    def _make_module(self, n_features: int) -> VariationalModule:
        if getattr(self.hidden_layers, "tied_weights", False):
            raise ValueError(
                f"{type(self).__name__} cannot tie its weights: the encoder gives two numbers for "
                "each component, the decoder takes one. Set tied_weights=False in hidden_layers."
            )
        return VariationalModule(**self._module_arguments(n_features))

    def _module_arguments(self, n_features: int) -> dict[str, Any]:
        used = {
            "capacity": self.capacity is not None,
            "free_bits": self.free_bits > 0,
            "n_importance_samples > 1": self.n_importance_samples > 1,
        }
        if sum(used.values()) > 1:
            raise ValueError(
                f"{' and '.join(name for name, is_used in used.items() if is_used)} exclude each "
                "other: each is another bound to learn by. Set but one of them."
            )
        return {
            **super()._module_arguments(n_features),
            "beta": self.beta,
            "beta_warmup": self.beta_warmup,
            "capacity": self.capacity,
            "free_bits": self.free_bits,
            "n_importance_samples": self.n_importance_samples,
            "doubly_reparameterized": self.doubly_reparameterized,
        }

    def _plan(self, source: Source) -> Plan:
        return replace(super()._plan(source), n_unsettled=self.beta_warmup)

    def posterior(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return the distribution of the code of each row, normal with independent components.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to code.

        Returns
        -------
        mean, std : ndarray of shape (n_samples, n_components)
            Means, which are what `transform` returns, and standard deviations.
        """
        both = self._read(X, lambda module, x: torch.cat(module.posterior(x), 1))
        mean, log_variance = np.hsplit(both, 2)
        return mean, np.exp(0.5 * log_variance)

    def score_samples(self, X: Any) -> np.ndarray:
        """Return a lower bound of the log-likelihood of each row, in nats.

        It is the importance weighted bound (Burda et al. 2016) by `n_score_samples` codes of
        each row, whose draws are the same for every row and in every call.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to score.

        Returns
        -------
        ndarray of shape (n_samples,)
            Higher is more normal; minus infinity for values that the likelihood excludes. The
            score of a row does not depend on the other rows. That of a row with missing entries
            is the bound for the observed ones, times the number of features over theirs.
        """
        check_is_fitted(self)
        n_draws = self.n_score_samples
        return self._read(X, lambda module, x: module.log_score(x, n_draws))

    @available_if(lambda estimator: estimator._takes_missing)
    def impute(self, X: Any) -> np.ndarray:
        """Fill in missing entries by their mean given the others.

        It is the mean of what `n_score_samples` codes of each row decode to, each by its importance
        weight (Mattei and Frellsen 2019).

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows, with NaN for missing entries.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            The rows, dense, in the shape of `X`; the entries that are not missing are as they were.
        """
        check_is_fitted(self)
        n_draws = self.n_score_samples
        return self._read(X, lambda module, x: module.impute(x, n_draws)).reshape(shape_of(X))

    def elbo(self, X: Any) -> np.ndarray:
        """Return the evidence lower bound of each row, in nats.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to score.

        Returns
        -------
        ndarray of shape (n_samples,)
            At most `score_samples`, but for the noise of `n_score_samples` draws, over which the
            expectation of log p(x|z) is taken.
        """
        check_is_fitted(self)
        n_draws = self.n_score_samples
        return self._read(X, lambda module, x: module.evidence_bound(x, n_draws))

    def _keep(self, state: TrainingState, source: Source) -> None:
        super()._keep(state, source)
        moments = StandardScaler()  # of the means
        divergence = np.zeros(self.n_components)
        for rows, weight in source.chunks():
            both = read(self.module_, _mean_and_divergence, rows).astype(np.float64)
            mean, each = np.hsplit(both, 2)
            moments.partial_fit(mean, sample_weight=weight)
            divergence += (np.ones(len(each)) if weight is None else weight) @ each
        self.kl_per_component_ = divergence / source.total_weight
        self.active_components_ = moments.var_ > _ACTIVE_VARIANCE
        if hasattr(output := self.module_.output(), "noise_variance"):
            with torch.no_grad():
                variance = output.noise_variance(next(self.module_.parameters()))
            self.noise_variance_ = variance.numpy(force=True).copy()

    def _loss_of_mean(self, source: Source) -> None:
        """Return nothing: the density of the mean is not the evidence for it."""

    def _comment_on(self, state: TrainingState, source: Source) -> None:
        super()._comment_on(state, source)
        if state.ending == "converged" and not self.active_components_.any():
            warn(
                f"The posterior of {type(self).__name__} has collapsed: no component of the code "
                "depends on the rows. Lower beta, set beta_warmup or free_bits, or choose a "
                "likelihood with a smaller variance."
            )


def _mean_and_divergence(module: VariationalModule, x: torch.Tensor) -> torch.Tensor:
    mean, log_variance = module.posterior(x)
    return torch.cat([mean, divergence_from_prior(mean, log_variance)], 1)
