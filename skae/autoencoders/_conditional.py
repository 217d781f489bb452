"""The conditional variational autoencoder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch
from scipy import sparse, special
from sklearn.utils import ClassifierTags, Tags
from sklearn.utils.validation import check_is_fitted, column_or_1d

from .._training import Source, TrainingState, read
from .._typed import _fit_context, available_if
from .._validation import shape_of, validate_codes
from ._conditions import Given, checked_values, indicators, labels_of
from ._variational import VariationalAutoencoder


def _has_labels(estimator: Any) -> bool:
    """Whether an estimator was fitted to labels, or not at all yet."""
    return hasattr(estimator, "classes_") or not hasattr(estimator, "module_")


class ConditionalVariationalAutoencoder(VariationalAutoencoder):
    """Conditional variational autoencoder: draws new rows of a class, or of given conditions.

    A variational autoencoder whose decoder is given the label of each row, or some real
    values, so that the code holds the rest (Kingma et al. 2014; Sohn et al. 2015). The encoder
    sees the rows alone: `transform` needs no labels.

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
    classes_ : ndarray of shape (n_classes,)
        Labels seen in `fit`. Only if `y` has labels.
    n_conditions_ : int
        How many numbers the decoder is given beside a code: the number of labels, or of
        columns of `y`.
    mean_condition_ : ndarray of shape (n_conditions_,)
        Frequency of each label, by weight, or the mean of the values.
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

    See Also
    --------
    VariationalAutoencoder : Without conditions.

    Notes
    -----
    `y` has labels if it is one column of strings, bools or integers, or of whole numbers, as
    in scikit-learn's classifiers; otherwise it has real values, which should be scaled.
    Though it predicts labels it is no classifier for scikit-learn: give `cross_val_score` a
    ``StratifiedKFold`` if folds are to have all labels.

    What takes no condition, such as `inverse_transform` in a Pipeline, decodes by the mean one:
    the frequencies of the labels, or the mean of the values.

    References
    ----------
    D. P. Kingma, D. J. Rezende, S. Mohamed and M. Welling, Semi-supervised Learning with Deep
    Generative Models, NeurIPS 2014.

    K. Sohn, H. Lee and X. Yan, Learning Structured Output Representation using Deep Conditional
    Generative Models, NeurIPS 2015.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skae import ConditionalVariationalAutoencoder
    >>> X, y = load_digits(return_X_y=True)
    >>> autoencoder = ConditionalVariationalAutoencoder(
    ...     8, likelihood="bernoulli", max_iter=40, tol=0.5, random_state=0
    ... ).fit(X / 16, y)
    >>> autoencoder.sample(3, random_state=0, y=7).shape
    (3, 64)
    >>> bool((autoencoder.predict(X / 16) == y).mean() > 0.8)
    True
    """

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
        super().__init__(
            n_components,
            beta=beta,
            beta_warmup=beta_warmup,
            capacity=capacity,
            free_bits=free_bits,
            n_importance_samples=n_importance_samples,
            doubly_reparameterized=doubly_reparameterized,
            n_score_samples=n_score_samples,
            hidden_layers=hidden_layers,
            likelihood=likelihood,
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

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
    ) -> Self:
        """Fit the network to `X` and `y`.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows; see `VariationalAutoencoder.fit`.
        y : array-like of shape (n_samples,) or (n_samples, n_conditions)
            Label of each row, or the values that the decoder is given for it.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row, relative to the others. A row of weight 0 is left out.
        X_val : {array-like, sparse matrix} of shape (n_validation, n_features), default=None
            Rows whose loss decides when to stop. If given, none are taken from `X`,
            whatever `early_stopping` says.
        y_val : array-like of shape (n_validation,) or (n_validation, n_conditions), default=None
            Their labels or values.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter or the input is not valid (nothing changes then), or if the
            loss stops being finite (the last good weights are then kept, if any).
        """
        return self._fit(
            X, sample_weight, X_val, y=Given(y), y_val=Given(y_val), **self._beginning(X_val)
        )

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, *, classes: Any = None
    ) -> Self:
        """Go through the rows of `X` once, in batches, going on from where the fit is.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            A chunk of any number of rows.
        y : array-like of shape (n_samples,) or (n_samples, n_conditions)
            Label of each row, or the values that the decoder is given for it.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row; a row of weight 0 is left out.
        classes : array-like of shape (n_classes,), default=None
            All labels, in the first call; by default those of its chunk.

        Returns
        -------
        self : object
            The estimator, fitted to one more chunk.

        Raises
        ------
        ValueError
            If a parameter or the input is not valid, or if the loss stops being finite;
            the estimator is then as it was before the call.
        """
        return self._partial_fit(X, sample_weight, y=Given(y, classes))

    # -- conditions --------------------------------------------------------------------------

    mean_condition_: np.ndarray

    def _labels(self, y: Given) -> Any:
        return y.y

    def _condition(self, y: Given, X: Any, *, reset: bool, name: str) -> np.ndarray:
        values, classes = checked_values(self, y.y, X.shape[0], name), y.classes
        if reset:
            self.__dict__.pop("classes_", None)
            labels = labels_of(values, classes)
            if labels is not None:
                self.classes_ = labels
            self.n_conditions_ = values[:1].size if labels is None else len(labels)
        elif classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise ValueError(
                f"classes={classes!r} is not the same as in the first call to partial_fit, which "
                f"had {self.classes_.tolist()}."
            )
        if hasattr(self, "classes_"):
            return indicators(column_or_1d(values, warn=True), self.classes_, name)
        values = values.reshape(len(values), -1).astype(np.float32)
        if values.shape[1] != self.n_conditions_:
            raise ValueError(
                f"{name} has {values.shape[1]} columns of values, but {type(self).__name__} was "
                f"fitted with {self.n_conditions_}."
            )
        return values

    def _n_decoded(self) -> int:
        return self.n_components + getattr(self, "n_conditions_", 0)

    def _module_arguments(self, n_features: int) -> dict[str, Any]:
        n_conditions = getattr(self, "n_conditions_", 0)
        return {**super()._module_arguments(n_features), "n_conditions": n_conditions}

    def _forget(self, *, keep_curves: bool) -> None:
        kept = {k: v for k, v in vars(self).items() if k in ("classes_", "n_conditions_")}
        super()._forget(keep_curves=keep_curves)
        self.__dict__.update(kept)

    def _observe(self, module: Any, source: Source) -> None:
        super()._observe(module, source)
        # Before the training, whose checkpoints hold it.
        module.set_mean_condition(self._mean_condition(source))

    def _keep(self, state: TrainingState, source: Source) -> None:
        super()._keep(state, source)
        self.mean_condition_ = self._mean_condition(source)

    def _mean_condition(self, source: Source) -> np.ndarray:
        """Return the mean condition of these rows, and of the chunks before."""
        assert source.condition is not None
        condition = source.condition.astype(np.float64)
        mean = np.average(condition, axis=0, weights=source.sample_weight)
        if hasattr(self, "mean_condition_"):
            part = source.total_weight / self._seen.n_rows
            mean = self.mean_condition_ + part * (mean - self.mean_condition_)
        return mean

    # -- inference -----------------------------------------------------------------------------

    def sample(
        self,
        n_samples: int = 1,
        random_state: int | np.random.RandomState | None = None,
        *,
        y: Any = None,
        sampler: str = "prior",
        return_mean: bool = False,
    ) -> np.ndarray:
        """Draw new rows of given labels, or with given values.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.
        random_state : int, RandomState instance or None, default=None
            Source of the draws; None takes that of the estimator.
        y : scalar or array-like of shape (n_samples,) or (n_samples, n_conditions), default=None
            Label or values of all rows, or of each. None draws labels as often as they were
            seen.
        sampler : {"prior", "gmm"}, default="prior"
            Where the codes come from; see `VariationalAutoencoder.sample`.
        return_mean : bool, default=False
            Whether to return what each code decodes to, instead of a draw from the
            distribution of the rows around it. Of images it looks smoother.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Or with the samples in the shape seen in `fit`; float32.

        Raises
        ------
        ValueError
            If `y` is not as long as `n_samples`, has labels that were not seen, or is missing
            where the decoder is given real values.
        """
        codes, random_state = self._new_codes(n_samples, sampler, random_state)
        if y is None:
            if not hasattr(self, "classes_"):
                raise ValueError("sample needs y: the values that the decoder is given.")
            y = random_state.choice(self.classes_, n_samples, p=self.mean_condition_)
        condition = self._condition_of(y, codes)
        return self._rows_of(np.hstack([codes, condition]), None if return_mean else random_state)

    def inverse_transform(self, X: Any, y: Any = None) -> np.ndarray:
        """Return the row that each code stands for, under given labels or values.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_components)
            Codes.
        y : scalar or array-like of shape (n_samples,) or (n_samples, n_conditions), default=None
            Label or values of all rows, or of each; None is the mean condition.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Or with the samples in the shape seen in `fit` (its first call, if warm).
        """
        if y is None:
            return super().inverse_transform(X)
        check_is_fitted(self)
        codes = validate_codes(self, X, self._n_features_out)
        condition = self._condition_of(y, codes)
        return self._rows_of(np.hstack([codes, condition.astype(codes.dtype)]), None)

    def _condition_of(self, y: Any, rows: Any) -> np.ndarray:
        """Return the conditions of rows, where one label may stand for all."""
        given = np.full(rows.shape[0], y) if y is not None and np.ndim(y) == 0 else y
        return self._condition(Given(given), rows, reset=False, name="y")

    def reconstruct(self, X: Any, y: Any = None) -> np.ndarray:
        """Return each row decoded from its code, under given labels or values.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to reconstruct.
        y : scalar or array-like of shape (n_samples,) or (n_samples, n_conditions), default=None
            Label or values of all rows, or of each; None is the mean condition.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            The same as ``inverse_transform(transform(X), y)``, in the shape of `X`.
        """
        if y is None:
            return super().reconstruct(X)
        rows = self._read_given(
            X, y, lambda m, x, given: m.decode(torch.cat([m.encode(x), given], 1))
        )
        return rows.reshape(shape_of(X))

    def score_samples(self, X: Any, y: Any = None) -> np.ndarray:
        """Return a lower bound of the log-likelihood of each row, in nats.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to score.
        y : array-like of shape (n_samples,) or (n_samples, n_conditions), default=None
            Label or values of each row. If None, the likelihood is the sum over all labels,
            each by its frequency; there is no such sum over values.

        Returns
        -------
        ndarray of shape (n_samples,)
            Higher is more normal. The score of a row does not depend on the other rows.

        Raises
        ------
        ValueError
            If `y` is None where the decoder is given real values.
        """
        check_is_fitted(self)
        if y is not None:
            n_draws = self.n_score_samples
            return self._read_given(X, y, lambda m, x, given: m.log_score(x, n_draws, given))
        if not hasattr(self, "classes_"):
            raise ValueError("score_samples needs y: the values that the decoder is given.")
        scores = special.logsumexp(self._joint_log_likelihood(X), axis=1)
        if self._takes_missing:  # observed entries stand for all
            scores *= self._read(X, lambda module, x: module.widening(x))
        return scores

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return the mean of `score_samples`, over all labels, or of the given values.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to score.
        y : array-like of shape (n_samples, n_conditions), default=None
            Values of each row; labels are ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row in the mean.

        Returns
        -------
        float
        """
        return super().score(X, y, sample_weight)

    def _scores_of(self, X: Any, y: Any) -> np.ndarray:
        return self.score_samples(X, None if hasattr(self, "classes_") else y)

    def elbo(self, X: Any, y: Any = None) -> np.ndarray:
        """Return the evidence lower bound of each row given its label or values, in nats.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to score.
        y : array-like of shape (n_samples,) or (n_samples, n_conditions)
            Label or values of each row.

        Returns
        -------
        ndarray of shape (n_samples,)
            At most ``score_samples(X, y)``, but for the noise of the draws.
        """
        check_is_fitted(self)
        n_draws = self.n_score_samples
        return self._read_given(X, y, lambda m, x, given: m.evidence_bound(x, n_draws, given))

    @available_if(_has_labels)
    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each label, by the likelihood of the row under it.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            In the order of `classes_`.
        """
        return special.softmax(self._joint_log_likelihood(X), axis=1)

    @available_if(_has_labels)
    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable label of each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        best = self._joint_log_likelihood(X).argmax(axis=1)
        return self.classes_[best]

    def _joint_log_likelihood(self, X: Any) -> np.ndarray:
        """Return log p(x, c) of each row and label."""
        check_is_fitted(self)
        n_draws = self.n_score_samples

        def of_classes(module: Any, x: torch.Tensor) -> torch.Tensor:
            labels = torch.eye(len(self.classes_), dtype=x.dtype, device=x.device)
            each = [module.evidence(x, n_draws, one.expand(len(x), -1)) for one in labels]
            return torch.stack(each, dim=1)

        with np.errstate(divide="ignore"):  # a label of weight 0
            each = self._read(X, of_classes)
            return each + np.log(self.mean_condition_).astype(each.dtype)

    def _read_given(self, X: Any, y: Any, method: Any) -> np.ndarray:
        """Return what a method makes of rows and their conditions."""
        check_is_fitted(self)
        rows = self._readable(X)
        condition = self._condition_of(y, rows)
        n_features = rows.shape[1]
        condition = condition.astype(rows.dtype)
        if sparse.issparse(rows):  # of which only a chunk at a time is made dense
            both = sparse.hstack([rows, condition], format="csr")
        else:
            both = np.hstack([rows, condition])
        return read(
            self.module_, lambda m, x: method(m, x[:, :n_features], x[:, n_features:]), both
        )

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.classifier_tags = ClassifierTags()  # which has `predict_proba`
        return tags
