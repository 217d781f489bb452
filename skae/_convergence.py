"""Estimators that train until their loss stops improving."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, ClassVar, Self

from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval, StrOptions

from ._training import SCHEDULES, Plan, Source, TrainingState, check_callbacks, joined
from ._typed import _fit_context
from ._warn import warn
from .base import BaseTorchEstimator

# More epochs do not help a loss of so many times that of the mean.
_FAR_ABOVE = 10.0

# Parameters that can keep a code from learning anything.
_PENALTIES = ("alpha", "weight_decay", "l1", "noise_level")


class ConvergingEstimator(BaseTorchEstimator):
    """An estimator whose loss, of the training or of validation rows, says when to stop."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseTorchEstimator._parameter_constraints,
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "warm_start": ["boolean"],
        "learning_rate_schedule": [StrOptions(set(SCHEDULES))],
        "callbacks": [list, tuple, None],
    }

    # Parameters that every subclass has, named here for the type checker.
    max_iter: int
    tol: float
    n_iter_no_change: int
    early_stopping: bool
    validation_fraction: float
    warm_start: bool
    learning_rate_schedule: str
    callbacks: Sequence[Any] | None

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None, *, X_val: Any = None) -> Self:
        """Fit the network to `X`.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows. A float32 array, memory map or CSR matrix is used as it is;
            everything else is converted to float32 once. A source of `skae.streaming` is read
            a window at a time. Here as in all other methods `X` may hold samples in the shape that
            `hidden_layers` has, if any.
        y : None
            Ignored, here for consistency.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row, relative to the others. A row of weight 0 is left out.
        X_val : {array-like, sparse matrix} of shape (n_validation, n_features), default=None
            Rows whose loss decides when to stop. If given, none are taken from `X`,
            whatever `early_stopping` says.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter or the input is not valid (nothing changes then), or if the
            loss stops being finite (the last good weights are then kept, if any).
        KeyboardInterrupt
            After Ctrl-C. What was learned in complete epochs is then kept; in the first epoch,
            or in a start from the rows, nothing changes.

        Warns
        -----
        ConvergenceWarning
            If `max_iter` is reached before the loss stops improving, or if it ends no better
            than that of the mean of the rows.
        """
        return self._fit(X, sample_weight, X_val, **self._beginning(X_val))

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Go through the rows of `X` once, in batches, going on from where the fit is.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            A chunk of any number of rows.
        y : None
            Ignored, here for consistency.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row, relative to the mean of all rows since `fit` or the first
            call; a row of weight 0 is left out.

        Returns
        -------
        self : object
            The estimator, fitted to one more chunk.

        Raises
        ------
        ValueError
            If a parameter or the input is not valid, or if the loss stops being finite;
            the estimator is then as it was before the call.
        KeyboardInterrupt
            After Ctrl-C; the estimator is then as it was before the call.
        """
        return self._partial_fit(X, sample_weight)

    def _beginning(self, X_val: Any) -> dict[str, Any]:
        """Return how `fit` gets its validation rows and where it begins."""
        return {
            "held_out": self.validation_fraction if self.early_stopping and X_val is None else None,
            "warm": self.warm_start and hasattr(self, "module_"),
        }

    def _plan(self, source: Source) -> Plan:
        return Plan(
            max_iter=self.max_iter,
            batch_size=self._batch_size(source),
            learning_rate=self.learning_rate,
            schedule=self.learning_rate_schedule,
            patience=self.n_iter_no_change,
            tol=self.tol,
            verbose=bool(self.verbose),
        )

    def _callbacks(self, source: Source, validation: Source | None) -> list[Any]:
        return check_callbacks(self.callbacks, validates=validation is not None)

    def _keep(self, state: TrainingState, source: Source) -> None:
        super()._keep(state, source)
        self.loss_curve_ = [*getattr(self, "loss_curve_", ()), *state.curve("train_loss")]
        before = getattr(self, "validation_loss_curve_", None) or []
        self.validation_loss_curve_ = [*before, *state.curve("valid_loss")] or None
        self.history_ = joined(getattr(self, "history_", {}), state.curves())
        self.n_iter_ = len(self.loss_curve_)

    def _loss_of_mean(self, source: Source) -> float | None:
        """Return the loss of the mean of the rows, which any fit should beat, if that is known."""
        return None

    def _comment_on(self, state: TrainingState, source: Source) -> None:
        super()._comment_on(state, source)
        advice = self._advice_on_loss(state, source)
        if advice is not None:
            warn(advice, ConvergenceWarning)

    def _advice_on_loss(self, state: TrainingState, source: Source) -> str | None:
        """Return what to change where the loss did not come down, or was still falling."""
        name, losses = type(self).__name__, state.curve("train_loss")
        valid = state.curve("valid_loss")
        loss = losses[valid.index(min(valid)) if valid else -1]
        baseline = None if state.ending == "stopped" else self._loss_of_mean(source)
        # A loss below `tol` is none, and one that still falls may become better than the mean's.
        if baseline is not None and loss >= baseline > self.tol:
            is_falling = state.ending == "max_iter" and loss < losses[0]
            if not is_falling or loss > _FAR_ABOVE * baseline:
                return (
                    f"{name} learned nothing: its loss of {loss:.3g} is no better than that of the "
                    f"mean of the rows, {baseline:.3g}. Try another learning_rate (now "
                    f"{self.learning_rate:g}), {self._smaller_penalties()}or scale X first, for "
                    "example with StandardScaler."
                )
        if state.ending == "max_iter":
            return (
                f"{name} reached max_iter={self.max_iter} before its loss stopped improving; "
                "increase max_iter, or tol."
            )
        return None

    def _smaller_penalties(self) -> str:
        parameters = self.get_params(deep=False)
        names = [name for name in _PENALTIES if parameters.get(name, 0) > 0]
        return "".join(f"a smaller {name} (now {parameters[name]:g}), " for name in names)
