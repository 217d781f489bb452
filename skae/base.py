"""The scikit-learn contract of every estimator."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import torch
from scipy import sparse
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.utils import Tags
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from ._training import (
    MAX_SEED,
    Rows,
    Trainable,
    TrainingResult,
    as_rows,
    drop_weightless,
    given_back_on_failure,
    gradients_enabled,
    hold_out,
    load_weights,
    merge_equal_rows,
    new_random_state,
    read,
    resolve_device,
    seeded_initialisation,
    to_cpu,
)
from ._validation import (
    all_or_nothing,
    mean_one,
    validate_codes,
    validate_rows,
    validate_weight,
)


class BaseTorchEstimator(BaseEstimator):
    """Everything that an estimator of this package does, but its maths.

    A subclass states its parameters in ``__init__`` and ``_parameter_constraints`` and
    overrides `_make_module`; a family of them states how it trains in `_train` and in the
    public `fit` and `partial_fit`.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "device": [str, torch.device],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    # Parameters that every subclass has, named here for the type checker.
    learning_rate: float
    batch_size: int | str
    device: str | torch.device
    random_state: int | np.random.RandomState | None
    verbose: bool | int

    def _make_module(self, n_features: int) -> Trainable:
        """Build the untrained network; the only method that a model must override."""
        raise NotImplementedError

    def _check_values(self, X: np.ndarray | sparse.csr_matrix) -> None:
        """Warn of, or refuse, validated training values that do not suit the objective."""

    def _initialise(
        self,
        module: Any,
        X: np.ndarray | sparse.csr_matrix,
        weight: np.ndarray | None,
        random_state: np.random.RandomState,
    ) -> None:
        """Give an untrained network a start from the training rows, if it has one."""

    def _initialise_from_chunk(
        self,
        module: Any,
        X: np.ndarray | sparse.csr_matrix,
        weight: np.ndarray | None,
        random_state: np.random.RandomState,
    ) -> None:
        """Give an untrained network a start from the first chunk of `partial_fit`."""

    def _prepare(
        self, module: Any, X: np.ndarray | sparse.csr_matrix, weight: np.ndarray | None
    ) -> None:
        """Tell the network of the rows that `fit` or `partial_fit` is about to go through."""

    def _after_fit(self, X: np.ndarray | sparse.csr_matrix, weight: np.ndarray | None) -> None:
        """Keep what the fitted network says of the rows that it was just trained on."""

    def _train(
        self, module: Any, rows: Rows, validation: Rows | None, **settings: Any
    ) -> TrainingResult:
        """Call `train` with the learning parameters of this family; `settings` go before."""
        raise NotImplementedError

    # -- fitting ---------------------------------------------------------------------

    def _fit(
        self,
        X: Any,
        sample_weight: Any = None,
        X_val: Any = None,
        *,
        held_out: float | None = None,
        warm: bool = False,
    ) -> Self:
        """Fit anew, or go on from the last fit if `warm`; see the public `fit` of each family.

        `held_out` is the fraction of the rows to take as validation rows, None for none.
        """
        with all_or_nothing(self), gradients_enabled():
            X = validate_rows(self, X, reset=not warm, training=True)
            self._check_values(X)
            weight = validate_weight(sample_weight, X)
            device = resolve_device(self.device)
            random_state = new_random_state(self.random_state)
            if X_val is not None:
                X_val = validate_rows(self, X_val, reset=False, training=True, name="X_val")
            module = self._new_module(X.shape[1], random_state)
            if warm:
                load_weights(module, self.module_)
            X, weight = drop_weightless(X, weight)
            batch_size = self._batch_size(X)
            if X.shape[0] <= batch_size:
                X, weight = merge_equal_rows(X, weight)
            weight_val = None
            if held_out is not None:
                X, weight, X_val, weight_val = hold_out(X, weight, held_out, random_state)
            self._forget(keep_curves=warm)
            if not warm:
                self._initialise(module, X, weight, random_state)
            self._prepare(module, X, weight)
            result = self._train(
                module.to(device),
                as_rows(X, mean_one(weight), device),
                None if X_val is None else as_rows(X_val, mean_one(weight_val), device),
                seed=random_state.randint(MAX_SEED),
                batch_size=batch_size,
                verbose=bool(self.verbose),
            )
            if result.ending == "diverged" and not result.loss_curve:
                raise ValueError(self._advice_on_divergence(result))
            self._store(module, result)
            self._after_fit(X, weight)
        self._comment_on(result)
        return self

    def _partial_fit(self, X: Any, sample_weight: Any = None) -> Self:
        """Go through a chunk once; see the public `partial_fit` of each family."""
        with all_or_nothing(self), gradients_enabled():
            first = not hasattr(self, "module_")
            X = validate_rows(self, X, reset=first, training=True)
            self._check_values(X)
            weight = validate_weight(sample_weight, X)
            if not hasattr(self, "_random_state"):  # the first call, or the first after fit
                self._random_state = new_random_state(self.random_state)
            if first:
                device = resolve_device(self.device)
                module = self._new_module(X.shape[1], self._random_state)
            else:
                module, device = self.module_, self.device_
            X, weight = drop_weightless(X, weight)
            optimizer_states = getattr(self, "_optimizer_states", None)
            with given_back_on_failure(module, optimizer_states, self._random_state):
                if first:
                    self._initialise_from_chunk(module, X, weight, self._random_state)
                    module.to(device)
                self._prepare(module, X, weight)
                result = self._train(
                    module,
                    as_rows(X, weight, device),
                    None,
                    seed=self._random_state.randint(MAX_SEED),
                    batch_size=self._batch_size(X),
                    max_iter=1,
                    patience=None,
                    optimizer_states=optimizer_states,
                )
                if result.ending == "diverged":
                    raise ValueError(self._advice_on_divergence(result))
            self._optimizer_states = result.optimizer_states
            self._store(module, result)
            self._after_fit(X, weight)
        return self

    def _new_module(self, n_features: int, random_state: np.random.RandomState) -> Trainable:
        with seeded_initialisation(random_state.randint(MAX_SEED)):
            return self._make_module(n_features).to(torch.float32)

    def _batch_size(self, X: Any) -> int:
        return min(200 if self.batch_size == "auto" else int(self.batch_size), X.shape[0])

    def _forget(self, *, keep_curves: bool) -> None:
        """Drop what earlier calls of `fit` and `partial_fit` left."""
        kept = {"n_features_in_", "feature_names_in_"}
        if keep_curves:
            kept |= {"loss_curve_", "validation_loss_curve_"}
        for name in list(vars(self)):
            fitted = name.endswith(("_", "_random_state", "_optimizer_states"))
            if fitted and name not in kept:
                delattr(self, name)

    def _store(self, module: Trainable, result: TrainingResult) -> None:
        self.module_ = module
        self.device_ = next(module.parameters()).device

    def _comment_on(self, result: TrainingResult) -> None:
        if result.ending == "diverged":
            raise ValueError(self._advice_on_divergence(result))
        if result.ending == "interrupted":
            warnings.warn("Training interrupted by user.", stacklevel=5)

    def _advice_on_divergence(self, result: TrainingResult) -> str:
        epoch = len(result.loss_curve) + 1
        kept = "the last good weights are kept" if epoch > 1 else "nothing is kept of this call"
        return (
            f"The loss of {type(self).__name__} stopped being finite in epoch {epoch}; {kept}. "
            f"Lower learning_rate (now {self.learning_rate:g}), or scale X first, for example "
            "with StandardScaler."
        )

    # -- reading ---------------------------------------------------------------------

    def _read(self, X: Any, method: Callable[[Any, torch.Tensor], torch.Tensor]) -> np.ndarray:
        check_is_fitted(self)
        return read(self.module_, method, validate_rows(self, X, reset=False))

    def score_samples(self, X: Any) -> np.ndarray:
        """Return how normal each row is; of an autoencoder, minus its mean error per feature.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to score.

        Returns
        -------
        ndarray of shape (n_samples,)
            Higher is more normal. The score of a row does not depend on the other rows.
        """
        return self._read(X, lambda module, x: module.log_score(x))

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return the mean of `score_samples`, so that a search needs no scorer.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to score.
        y : None
            Ignored, here for consistency.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row in the mean.

        Returns
        -------
        float
        """
        scores = self.score_samples(X)
        weight = validate_weight(sample_weight, scores[:, None])
        return float(np.average(scores, weights=weight))

    # -- scikit-learn's protocols --------------------------------------------------------

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if "module_" in state and self.device_.type != "cpu":
            state["module_"] = copy.deepcopy(self.module_).cpu()
            state["_optimizer_states"] = to_cpu(state.get("_optimizer_states"))
            state["device_"] = torch.device("cpu")
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "module_" in state:
            try:
                self.device_ = resolve_device(self.device)
            except ValueError:  # fitted on another machine
                self.device_ = torch.device("cpu")
            self.module_.to(self.device_)


class FeatureLearner(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseTorchEstimator):
    """An estimator that codes each row in `n_components` numbers, and back."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseTorchEstimator._parameter_constraints,
        "n_components": [Interval(Integral, 1, None, closed="left")],
    }

    n_components: int

    def transform(self, X: Any) -> np.ndarray:
        """Return the code of each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to code.

        Returns
        -------
        ndarray of shape (n_samples, n_components)
            In the dtype of `X` if that is float32 or float64, else float64.
        """
        return self._read(X, lambda module, x: module.encode(x))

    def inverse_transform(self, X: Any) -> np.ndarray:
        """Return the row that each code stands for.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_components)
            Codes.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Or with the samples in the shape seen in `fit` (its first call, if warm).
        """
        check_is_fitted(self)
        Z = validate_codes(self, X, self._n_features_out)
        rows = read(self.module_, lambda module, z: module.decode(z), Z)
        shape = getattr(self, "_samples_shape", None)  # of images or signals
        return rows if shape is None else rows.reshape(len(Z), *shape)

    def _store(self, module: Trainable, result: TrainingResult) -> None:
        super()._store(module, result)
        self._n_features_out = self.n_components

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
