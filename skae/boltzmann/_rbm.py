"""What every restricted Boltzmann machine does as an estimator."""

from __future__ import annotations

import copy
import warnings
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import torch
from scipy import sparse
from sklearn.base import _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from .._training import (
    MAX_SEED,
    Rows,
    Trainable,
    TrainingResult,
    new_random_state,
    read,
    train,
)
from .._validation import validate_rows
from ..base import FeatureLearner
from ._likelihood import MAX_ENUMERATED, LogPartition, annealed, enumerable, exact
from ._module import RBMModule
from ._monitor import Monitor
from ._units import BinaryUnits

# Gibbs steps from the persistent chains to the samples from which annealing runs back.
_STEPS_TO_REVERSE_START = 1000


class BaseRBM(FeatureLearner):
    """A restricted Boltzmann machine; its subclasses say what the visible units are.

    Parameters
    ----------
    n_components : int, default=256
        Number of hidden units.
    learning_rate : float, default=0.1
        Step size of the gradient ascent.
    batch_size : int, default=10
        Rows in a batch, and number of persistent chains.
    n_iter : int, default=10
        Number of sweeps over the rows.
    verbose : bool or int, default=0
        Whether to show a progress bar with the loss.
    random_state : int, RandomState instance or None, default=None
        Source of the initial weights, the order of the rows and the noise. The same int
        gives the same bits. None takes fresh entropy and, unlike in scikit-learn, does
        not touch numpy's global generator.
    hidden : {"binary", "relu"}, default="binary"
        Kind of the hidden units: binary, or noisy rectified linear (Nair and Hinton
        2010), whose mean is ``softplus`` of their input.
    algorithm : {"pcd", "cd", "pt"}, default="pcd"
        Where the chains that stand for the model start at each step: where they ended
        at the last one (persistent contrastive divergence, also known as stochastic maximum
        likelihood; Tieleman 2008), at the data (contrastive divergence), or as in "pcd" with
        `n_temperatures` chains for each, which exchange their states (parallel tempering,
        Desjardins et al. 2010).
    n_gibbs_steps : int, default=1
        Gibbs steps of the chains for each update.
    n_temperatures : int, default=10
        Number of temperatures of "pt"; the time of a step grows with it.
    centered : bool, default=True
        Whether to follow the gradient of the machine whose units have their mean taken off
        (Melchior, Fischer and Wiskott 2016). The features may then be on in most rows
        or in few with the same result, and the likelihood is better.
    momentum : float, default=0.0
        Fraction of the last step that is added to the next.
    weight_decay : float, default=0.0
        Weight of the penalty: half the sum of the squared weights, without the biases.
    sparsity_target : float, default=0.1
        Mean activation that `sparsity_cost` draws the hidden units to.
    sparsity_cost : float, default=0.0
        Weight of the cross-entropy between `sparsity_target` and the running mean
        activation of each hidden unit.
    learning_rate_schedule : {"constant", "linear"}, default="constant"
        Whether the learning rate of `fit` stays, or falls to 0 in equal steps, one a sweep.
    device : str or torch.device, default="auto"
        Where to train and to read: "auto" (an accelerator if there is one), "cpu",
        "cuda", "mps" or another name that torch knows.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        Weights.
    intercept_hidden_ : ndarray of shape (n_components,)
        Biases of the hidden units.
    intercept_visible_ : ndarray of shape (n_features,)
        Biases of the visible units.
    h_samples_ : ndarray of shape (batch_size, n_components)
        Hidden units of the persistent chains.
    history_ : dict of lists of float
        After each sweep of `fit`, for some training rows: "reconstruction_error" (mean
        squared error per feature), "pseudo_likelihood" (estimated from one feature of
        each row, in nats), and, given `X_val`, "free_energy_gap" (mean free energy of the
        validation rows less that of training rows, in nats): while it grows, the machine
        learns its training rows by heart. ``pandas.DataFrame(history_)`` is a table of it.
    module_ : torch.nn.Module
        The fitted network, on `device_`.
    n_iter_ : int
        Number of sweeps trained.
    n_features_in_ : int
        Number of features seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if `X` has string column names.
    device_ : torch.device
        Where the network is.
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
        "learning_rate_schedule": [StrOptions({"constant", "linear"})],
    }

    module_: RBMModule
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
        self.device = device

    # What a subclass with other visible units changes, beside its module.
    _module_class: ClassVar[type[RBMModule]] = RBMModule
    _binary_visible: ClassVar[bool] = True

    def _make_module(self, n_features: int) -> RBMModule:
        return self._module_class(n_features, self.n_components, **self._module_arguments())

    def _module_arguments(self) -> dict[str, Any]:
        return {
            "n_chains": self.batch_size,
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

    # -- fitting -------------------------------------------------------------------------

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None, *, X_val: Any = None) -> Self:
        """Fit the machine to `X`, in `n_iter` sweeps.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows. Of a sparse matrix only a batch at a time is made dense.
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
        """
        return self._partial_fit(X)

    def _prepare(
        self, module: RBMModule, X: np.ndarray | sparse.csr_matrix, weight: np.ndarray | None
    ) -> None:
        moments = StandardScaler(with_mean=False).fit(X, sample_weight=weight)
        n_rows = X.shape[0] if weight is None else weight.sum()
        module.observe(torch.as_tensor(moments.mean_), torch.as_tensor(moments.var_), n_rows)

    def _train(
        self, module: RBMModule, rows: Rows, validation: Rows | None, **settings: Any
    ) -> TrainingResult:
        whole_fit = "max_iter" not in settings
        settings = {"max_iter": self.n_iter, "learning_rate": self.learning_rate, **settings}
        falls = whole_fit and self.learning_rate_schedule == "linear"
        monitor = Monitor(rows, validation) if whole_fit else None
        module.set_pace(
            learning_rate=self.learning_rate,
            decrement=self.learning_rate / max(1, self.n_iter) if falls else 0.0,
            full_batch=settings["batch_size"] if whole_fit else self.batch_size,
            at_epoch_end=monitor,
        )
        try:
            result = train(module, rows, **settings)
        finally:
            module.set_pace(learning_rate=0.0)  # what is fitted refers to no training rows
        if monitor is not None:
            self.history_ = {
                name: values[: len(result.loss_curve)] for name, values in monitor.history.items()
            }
            self._n_saturated = monitor.count_saturated(module)
        return result

    def _store(self, module: Trainable, result: TrainingResult) -> None:
        super()._store(module, result)
        self.n_iter_ = getattr(self, "n_iter_", 0) + len(result.loss_curve)

    def _comment_on(self, result: TrainingResult) -> None:
        n_saturated = self.__dict__.pop("_n_saturated")
        super()._comment_on(result)
        if 2 * n_saturated > self._n_features_out:
            warnings.warn(
                f"{n_saturated} of the {self._n_features_out} hidden units of "
                f"{type(self).__name__} are saturated: they say the same of every row. Lower "
                f"learning_rate (now {self.learning_rate:g}), or scale X.",
                ConvergenceWarning,
                stacklevel=5,
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

    # -- reading -------------------------------------------------------------------------

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

    def free_energy(self, X: Any) -> np.ndarray:
        """Return the free energy of each row, in nats: minus its log-likelihood, up to log Z.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        return self._read(X, lambda module, x: module.free_energy(x))

    def gibbs(self, v: Any) -> np.ndarray:
        """Draw hidden units given the visible ones `v`, then visible units given these.

        Parameters
        ----------
        v : {array-like, sparse matrix} of shape (n_samples, n_features)
            Visible units to start from.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Visible units after one Gibbs step. The draws go on from call to call.
        """
        check_is_fitted(self)
        v = validate_rows(self, v, reset=False)
        if not hasattr(self, "_gibbs_random_state"):
            self._gibbs_random_state = new_random_state(self.random_state)
        generator = self._generator(self._gibbs_random_state)

        def step(module: RBMModule, x: torch.Tensor) -> torch.Tensor:
            visible_noise, hidden_noise = module.draw_noise(len(x), generator)
            h = module.sample_hidden(module.hidden_activation(x), hidden_noise)
            return module.sample_visible(module.visible_activation(h), visible_noise)

        return read(self.module_, step, v)

    def sample(self, n_samples: int = 1, *, n_gibbs_steps: int = 1000) -> np.ndarray:
        """Draw rows from the machine, by Gibbs sampling from where the training chains ended.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows. Each comes from a Markov chain of its own.
        n_gibbs_steps : int, default=1000
            Steps of each chain. The more, the less the rows depend on the training chains.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            The same for each call if `random_state` is an int.
        """
        check_is_fitted(self)
        for name, value in (("n_samples", n_samples), ("n_gibbs_steps", n_gibbs_steps)):
            if not isinstance(value, Integral) or value < 1:
                raise ValueError(f"{name} must be a positive integer, got {value!r}.")
        generator = self._generator(new_random_state(self.random_state))
        return self._sample(n_samples, n_gibbs_steps, generator).numpy(force=True)

    @torch.no_grad()
    def _sample(self, n_rows: int, n_steps: int, generator: torch.Generator) -> torch.Tensor:
        module = self.module_
        start = torch.arange(n_rows, device=self.device_) % module.n_chains
        h = module.chains[start]
        for _ in range(n_steps):
            v, h = module.gibbs_step(h, generator)
        return v

    def _generator(self, random_state: np.random.RandomState) -> torch.Generator:
        return torch.Generator(self.device_).manual_seed(random_state.randint(MAX_SEED))

    # -- likelihood ----------------------------------------------------------------------

    def log_partition_function(
        self,
        method: str = "ais",
        *,
        n_runs: int = 100,
        n_betas: int = 10_000,
        random_state: int | np.random.RandomState | None = None,
    ) -> LogPartition:
        """Return the log of the partition function Z, in nats.

        Parameters
        ----------
        method : {"ais", "reverse_ais", "exact"}, default="ais"
            Annealed importance sampling from the machine without weights whose visible
            biases fit the data (Salakhutdinov and Murray 2008), whose errors are towards too
            small a Z; the same way back from samples of the machine (Burda et al. 2015),
            whose errors are towards too large a Z, so that both together bracket it; or
            the sum over all states of a layer of at most 20 binary units.
        n_runs : int, default=100
            Number of independent annealing runs.
        n_betas : int, default=10000
            Number of distributions from the first to the last.
        random_state : int, RandomState instance or None, default=None
            Source of the draws; None takes that of the estimator.

        Returns
        -------
        LogPartition
            A named tuple of `value` and `standard_error`. The error is that between the
            runs; it knows nothing of what all of them miss.

        Raises
        ------
        ValueError
            If no layer is small enough to be counted, or if the hidden units are
            rectified linear ones, which have no common distribution with the visible ones.
        """
        check_is_fitted(self)
        if method not in ("ais", "reverse_ais", "exact"):
            raise ValueError(f"method must be 'ais', 'reverse_ais' or 'exact', got {method!r}.")
        if self.module_.hidden is not BinaryUnits:
            raise ValueError(
                "The partition function needs hidden='binary': rectified linear units are defined "
                "by how they are drawn, and have no distribution together with the visible units."
            )
        binary_visible = self._binary_visible
        with torch.inference_mode():
            if method == "exact":
                if not enumerable(self.module_, binary_visible=binary_visible):
                    n_components, n_features = self.module_.weight.shape
                    raise ValueError(
                        f"method='exact' counts the states of a layer of at most {MAX_ENUMERATED} "
                        f"binary units, but there are {n_features} visible and {n_components} "
                        "hidden ones; use method='ais'."
                    )
                module = copy.deepcopy(self.module_).cpu().double()
                return exact(module, binary_visible=binary_visible)
            state = self.random_state if random_state is None else random_state
            generator = self._generator(new_random_state(state))
            start = None
            if method == "reverse_ais":
                start = self._sample(n_runs, _STEPS_TO_REVERSE_START, generator)
            return annealed(
                self.module_, n_runs=n_runs, n_betas=n_betas, generator=generator, start=start
            )

    def log_likelihood(self, X: Any, log_partition: float | None = None) -> np.ndarray:
        """Return the log-likelihood of each row, in nats.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.
        log_partition : float, default=None
            The log of the partition function. None counts it exactly where a layer has at
            most 20 binary units, and otherwise estimates it with the defaults of
            `log_partition_function`, which takes minutes for large machines.

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        check_is_fitted(self)
        free_energy = self.free_energy(X)
        if log_partition is None:
            small = enumerable(self.module_, binary_visible=self._binary_visible)
            log_partition = self.log_partition_function("exact" if small else "ais").value
        return -free_energy - log_partition
