"""What every restricted Boltzmann machine does as an estimator."""

from __future__ import annotations

import os
from dataclasses import replace
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import torch
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler
from sklearn.utils import gen_batches
from sklearn.utils._param_validation import Interval, StrOptions

from .._features import FeatureLearner
from .._training import SCHEDULES, Plan, Source, TrainingState, joined
from .._typed import _fit_context
from .._warn import warn
from ._distribution import Distribution
from ._halves import n_threads
from ._module import RBMModule
from ._monitor import CURVES, Monitor
from ._sampling import FEWEST_CHAINS

# Rows that are added up before float32 sums lose digits.
_ROWS_TO_ADD = 2**12


class BaseRBM(Distribution, FeatureLearner):
    """A restricted Boltzmann machine; its subclasses say what the visible units are.

    Parameters and attributes are those of `BernoulliRBM`.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **FeatureLearner._parameter_constraints,
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "n_iter": [Interval(Integral, 0, None, closed="left")],
        "hidden": [StrOptions({"binary", "relu"})],
        "algorithm": [StrOptions({"pcd", "cd", "pt"})],
        "n_gibbs_steps": [Interval(Integral, 1, None, closed="left")],
        "n_temperatures": [Interval(Integral, 2, None, closed="left")],
        "centered": ["boolean"],
        "momentum": [Interval(Real, 0, 1, closed="left")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "sparsity_target": [Interval(Real, 0, 1, closed="neither")],
        "sparsity_cost": [Interval(Real, 0, None, closed="left")],
        "learning_rate_schedule": [StrOptions(set(SCHEDULES))],
    }

    batch_size: int

    def __init__(
        self,
        n_components: int = 256,
        *,
        learning_rate: float = 0.1,
        batch_size: int = 10,
        n_iter: int = 10,
        verbose: bool | int = 0,
        random_state: int | np.random.RandomState | None = None,
        hidden: str = "binary",
        algorithm: str = "pcd",
        n_gibbs_steps: int = 1,
        n_temperatures: int = 10,
        centered: bool = True,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        sparsity_target: float = 0.1,
        sparsity_cost: float = 0.0,
        learning_rate_schedule: str = "constant",
        checkpoint: str | os.PathLike | None = None,
        checkpoint_every: int = 1,
        device: str | torch.device = "auto",
    ):
        self.n_components = n_components
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.n_iter = n_iter
        self.verbose = verbose
        self.random_state = random_state
        self.hidden = hidden
        self.algorithm = algorithm
        self.n_gibbs_steps = n_gibbs_steps
        self.n_temperatures = n_temperatures
        self.centered = centered
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.sparsity_target = sparsity_target
        self.sparsity_cost = sparsity_cost
        self.learning_rate_schedule = learning_rate_schedule
        self.checkpoint = checkpoint
        self.checkpoint_every = checkpoint_every
        self.device = device

    #: The parameters of the network of which it is a layer, and which has checked the values.
    _network: dict[str, Any] | None = None

    # What a subclass with other visible units changes.
    _module_class: ClassVar[type[RBMModule]] = RBMModule

    def _make_module(self, n_features: int) -> RBMModule:
        return self._module_class(n_features, self.n_components, **self._module_arguments())

    def _module_arguments(self) -> dict[str, Any]:
        return {
            "n_chains": min(self.batch_size, FEWEST_CHAINS),
            "hidden": self.hidden,
            "algorithm": self.algorithm,
            "n_gibbs_steps": self.n_gibbs_steps,
            "n_temperatures": self.n_temperatures,
            "centered": self.centered,
            "momentum": self.momentum,
            "weight_decay": self.weight_decay,
            "sparsity_target": self.sparsity_target,
            "sparsity_cost": self.sparsity_cost,
        }

    def _parameters_of_fit(self) -> dict[str, Any]:
        return self._network or super()._parameters_of_fit()

    # -- fitting -------------------------------------------------------------------------

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None, *, X_val: Any = None) -> Self:
        """Fit the machine to `X`, in `n_iter` epochs.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows. Of a sparse matrix only a batch at a time is made dense; a source of
            `skae.streaming` is read a window at a time.
        y : None
            Ignored, here for consistency.
        X_val : {array-like, sparse matrix} of shape (n_validation, n_features), default=None
            Rows that `history_` compares with the training rows; they stop nothing.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter or the input is not valid (nothing changes then), or if a
            weight stops being finite (the last good ones are then kept, if any).
        KeyboardInterrupt
            After Ctrl-C. What was learned in complete epochs is then kept; in the first
            one, nothing changes.

        Warns
        -----
        ConvergenceWarning
            If most hidden units are saturated: nearly 0 or nearly 1 whatever the row.
        """
        return self._fit(X, X_val=X_val)

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Go through the rows of `X` once, in batches, going on from where the fit is.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            A chunk of any number of rows. One of fewer than `batch_size` rows makes a
            proportionally shorter step.
        y : None
            Ignored, here for consistency.

        Returns
        -------
        self : object
            The estimator, fitted to one more chunk.

        Raises
        ------
        ValueError
            If a parameter or the input is not valid, or if a weight stops being finite;
            the estimator is then as it was before the call.
        KeyboardInterrupt
            After Ctrl-C; the estimator is then as it was before the call.
        """
        return self._partial_fit(X)

    def _initialise(
        self,
        module: RBMModule,
        source: Source,
        random_state: np.random.RandomState,
        *,
        streaming: bool,
    ) -> None:
        n_rows = round(source.total_weight)  # equal ones may have been merged
        module.start_chains(min(self.batch_size, max(n_rows, FEWEST_CHAINS)))

    def _observe(self, module: RBMModule, source: Source) -> None:
        mean, variance = _moments(source, with_variance=not self._binary_visible)
        module.update_moments(torch.as_tensor(mean), torch.as_tensor(variance), source.total_weight)

    def _plan(self, source: Source) -> Plan:
        return Plan(
            max_iter=self.n_iter,
            batch_size=self._batch_size(source),
            learning_rate=self.learning_rate,
            schedule=self.learning_rate_schedule,
            # The difference of the energies, which a step returns, need not fall.
            plateau_of=(
                Monitor(source).reconstruction_error
                if self.learning_rate_schedule == "plateau"
                else None
            ),
            n_threads=n_threads(
                (self.n_components, source.n_features),
                self._batch_size(source),
                source.device,
            ),
            verbose=bool(self.verbose),
            shown=("pseudo_likelihood", "reconstruction_error"),
        )

    def _plan_chunk(self, source: Source) -> Plan:
        return replace(super()._plan_chunk(source), full_batch=self.batch_size)

    def _callbacks(self, source: Source, validation: Source | None) -> list[Any]:
        printed_as = type(self).__name__ if self.verbose else None
        return [Monitor(source, validation, printed_as=printed_as)]

    def _keep(self, state: TrainingState, source: Source) -> None:
        super()._keep(state, source)
        self.n_iter_ = getattr(self, "n_iter_", 0) + len(state.history)
        curves = {n: c for n, c in state.curves().items() if n in CURVES}
        if curves:  # `partial_fit` records nothing
            curves["energy_difference"] = state.curve("train_loss")
        self.history_ = joined(getattr(self, "history_", {}), curves)

    def _comment_on(self, state: TrainingState, source: Source) -> None:
        super()._comment_on(state, source)
        n_saturated = int(state.history[-1].get("saturated", 0)) if state.history else 0
        if 2 * n_saturated > self._n_features_out:
            warn(
                f"{n_saturated} of the {self._n_features_out} hidden units of "
                f"{type(self).__name__} are saturated: nearly 0 or nearly 1 for every row. Lower "
                f"learning_rate (now {self.learning_rate:g}), or scale X.",
                ConvergenceWarning,
            )

    # -- what was learned ----------------------------------------------------------------

    @property
    def components_(self) -> np.ndarray:
        """Weights, of shape (n_components, n_features)."""
        return self.module_.weight.numpy(force=True)

    @property
    def intercept_hidden_(self) -> np.ndarray:
        """Biases of the hidden units."""
        return self.module_.hidden_bias.numpy(force=True)

    @property
    def intercept_visible_(self) -> np.ndarray:
        """Biases of the visible units."""
        return self.module_.visible_bias.numpy(force=True)

    @property
    def h_samples_(self) -> np.ndarray:
        """Hidden units of the persistent chains."""
        return self.module_.chains[: self.module_.n_chains].numpy(force=True)

    # -- inference -------------------------------------------------------------------------

    def reconstruct(self, X: Any) -> np.ndarray:
        """Return the mean of the visible units given the mean hidden units of each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to rebuild.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            The same as ``inverse_transform(transform(X))``.
        """
        return self._read(X, lambda module, x: module.decode(module.encode(x)))


def _moments(source: Source, *, with_variance: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and variance of each feature; zeros for a variance that is not asked for."""
    if with_variance:
        scaler = StandardScaler(with_mean=False)
        for rows, weight in source.chunks():
            scaler.partial_fit(rows, sample_weight=weight)
        return scaler.mean_, scaler.var_
    sums = []
    for rows, weight in source.chunks():
        if weight is None and not sparse.issparse(rows):
            # Sums of some rows in their own dtype: in a thirtieth of the scaler's time.
            parts = gen_batches(rows.shape[0], _ROWS_TO_ADD)
            sums += [rows[some].sum(axis=0) for some in parts]
        else:
            sums.append(rows.T @ (np.ones(rows.shape[0]) if weight is None else weight))
    mean: Any = np.sum(sums, axis=0, dtype=np.float64) / source.total_weight
    return mean, np.zeros_like(mean)
