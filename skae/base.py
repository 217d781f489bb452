"""The scikit-learn contract of every estimator."""

from __future__ import annotations

import copy
import os
from collections.abc import Generator
from dataclasses import replace
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.utils import Tags
from sklearn.utils._param_validation import Interval, StrOptions

from ._checkpoint import open_checkpoint
from ._compute import gradients_enabled, limit_threads
from ._fitting import run_or_defer
from ._intake import TakesRows
from ._parameters import changed_parameters, take_parameters
from ._random import MAX_SEED, new_random_state, seeded_initialisation
from ._sklearn_callbacks import CallbackSupportMixin, FitTasks
from ._training import (
    Plan,
    Source,
    Trainable,
    Training,
    TrainingState,
    device_of,
    load_weights,
    restore_on_error,
    train,
)
from ._validation import (
    all_or_nothing,
    validate_weight,
)


class BaseTorchEstimator(CallbackSupportMixin, TakesRows):
    """Everything that an estimator of this package does, but its maths.

    A subclass states its parameters in ``__init__`` and ``_parameter_constraints`` and
    overrides `_make_module`; a family of them states how it trains in `_plan` and in the
    public `fit` and `partial_fit`.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "checkpoint": [str, os.PathLike, None],
        "checkpoint_every": [Interval(Integral, 1, None, closed="left")],
        "device": [str, torch.device],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    #: Whether `fit` is one training, which can wait for others to be trained as one batch.
    _can_wait: ClassVar[bool] = True

    #: Parameters that nothing but the start of some weights shows.
    _fixed_in_weights: ClassVar[tuple[str, ...]] = ()

    # Set only while a search runs: what it has fitted already.
    _memo: Any

    # Parameters that every subclass has, named here for the type checker.
    learning_rate: float
    batch_size: int | str
    device: str | torch.device
    random_state: int | np.random.RandomState | None
    verbose: bool | int

    # -- what a model or a family overrides ------------------------------------------------

    def _make_module(self, n_features: int) -> Trainable:
        """Build the untrained network; the only method that a model must override."""
        raise NotImplementedError

    def _plan(self, source: Source) -> Plan:
        """Return how long and how fast `fit` trains; `partial_fit` does one epoch of it."""
        raise NotImplementedError

    def _plan_chunk(self, source: Source) -> Plan:
        """Return how `partial_fit` goes through a chunk."""
        plan = self._plan(source)
        return replace(
            plan, max_iter=1, patience=None, schedule="constant", streaming=True, verbose=False
        )

    def _initialise(
        self,
        module: Any,
        source: Source,
        random_state: np.random.RandomState,
        *,
        streaming: bool,
    ) -> None:
        """Give an untrained network a start from the rows of `fit`, or from the first chunk."""

    def _observe(self, module: Any, source: Source) -> None:
        """Tell a network of the rows that a training is about to go through."""

    def _callbacks(self, source: Source, validation: Source | None) -> list[Any]:
        """Return the skorch callbacks of `fit`."""
        return []

    def _keep(self, state: TrainingState, source: Source) -> None:
        """Keep what was learned from the rows of a source as fitted attributes."""
        self._keep_module(state.module)

    def _attributes_of(self, state: TrainingState, source: Source) -> dict[str, Any]:
        """Return the fitted attributes, for a copy of this estimator that draws apart from it."""
        fitted = copy.copy(self)
        fitted.random_state = copy.deepcopy(self.random_state)
        fitted._keep(state, source)
        before = vars(self)
        return {name: v for name, v in vars(fitted).items() if before.get(name, before) is not v}

    def _keep_labels(self, X: Any) -> None:
        """Keep what the fitted network says of each row of `X`, as it was given."""

    def _keep_module(self, module: Trainable) -> None:
        self.module_ = module
        self.device_ = device_of(module)
        self._parameters = self.get_params()

    def _parameters_of_fit(self) -> dict[str, Any]:
        """Return what a checkpoint compares: a fit with other parameters is another one."""
        return self.get_params(deep=False)

    # -- fitting ---------------------------------------------------------------------

    def _fit(
        self,
        X: Any,
        sample_weight: Any = None,
        X_val: Any = None,
        *,
        y: Any = None,
        y_val: Any = None,
        held_out: float | None = None,
        warm: bool = False,
    ) -> Self:
        """Fit anew, or go on from the last fit if `warm`; see the public `fit` of each family.

        `held_out` is the fraction of the rows to take as validation rows, None for none. Only
        conditional models take `y` and `y_val`.
        """
        given = (X, y, sample_weight), (X_val, y_val)
        # What goes on from an earlier fit is not determined by what it is given.
        fitting = self._fitting(*given, held_out=held_out, warm=warm)
        run_or_defer(self, fitting, None if warm else given)
        return self

    def _fitting(
        self,
        given: tuple[Any, Any, Any],
        of_validation: tuple[Any, Any],
        *,
        held_out: float | None,
        warm: bool,
    ) -> Generator[Training, None, None]:
        """Prepare a training, give it away, and keep what it brought when it is through."""
        with FitTasks(self, given) as tasks, all_or_nothing(self):
            source, validation = self._sources(given, of_validation, reset=not warm)
            checkpoint = open_checkpoint(self, source, validation, warm=warm)
            random_state = new_random_state(self.random_state)
            if checkpoint is not None:
                checkpoint.share_draws(random_state)
            module = self._new_module(source.n_features, random_state)
            if warm:
                load_weights(module, self.module_)
            if held_out is not None:
                as_set = 0 if module.mixes_rows else self._batch_size(source)
                source, validation = source.hold_out(held_out, random_state, as_set)
            self._forget(keep_curves=warm)
            self._look_at(source, module)
            if not warm:
                self._start(module, source, random_state, streaming=False)
            module.to(source.device)
            plan = self._plan(source)
            state = TrainingState(module, plan.learning_rate, random_state.randint(MAX_SEED))
            callbacks = self._callbacks(source, validation)
            training = Training(state, source, plan, validation, callbacks, tasks)
            if checkpoint is not None:
                checkpoint.resume(state)
                training.on_epoch_complete = checkpoint.save
            del source, validation  # others may have the same, and share theirs
            tasks.attributes = lambda epoch: self._attributes_of(
                state.after(epoch), training.source
            )
            yield training
            if not state.history:
                self._raise_failure(state)
            if checkpoint is not None:
                checkpoint.finish(state)
            self._keep(state, training.source)
            self._keep_labels(given[0])
        self._raise_failure(state)
        self._comment_on(state, training.source)

    def _partial_fit(self, X: Any, sample_weight: Any = None, *, y: Any = None) -> Self:
        """Go through a chunk once; see the public `partial_fit` of each family."""
        with all_or_nothing(self), gradients_enabled():
            first = not hasattr(self, "module_")
            changed = [] if first else changed_parameters(self, self._parameters)
            source = self._chunk(X, y, sample_weight, reset=first)
            state: TrainingState | None = getattr(self, "_state", None)
            random_state = new_random_state(self.random_state)
            if state is None:  # the first call, or the first after fit
                module = (
                    self._new_module(source.n_features, random_state) if first else self.module_
                )
                if first:
                    self._start(module, source, random_state, streaming=True)
                    module.to(source.device)
                seed = random_state.randint(MAX_SEED)
                state = TrainingState(module, float(self.learning_rate), seed)
            with restore_on_error(state):
                if changed:
                    take_parameters(self, state.module, changed)
                self._look_at(source, state.module)
                train(state, source, self._plan_chunk(source))
                self._raise_failure(state)
                self._state = state
                self._keep(state, source)
                self._keep_labels(X)
        return self

    def _untrained_like(self, module: Any) -> Trainable:
        """Build a network by the parameters as they are, to compare it with a fitted one."""
        return self._new_module(self.n_features_in_, np.random.RandomState(0))

    def _new_module(self, n_features: int, random_state: np.random.RandomState) -> Trainable:
        with seeded_initialisation(random_state.randint(MAX_SEED)):
            return self._make_module(n_features).to(torch.float32)

    def _look_at(self, source: Source, module: Trainable) -> None:
        # A product in two threads could round differently; what overflows will diverge.
        with limit_threads(0), np.errstate(over="ignore", invalid="ignore"):
            self._observe(module, source)

    def _start(self, module: Trainable, source: Source, *arguments: Any, streaming: bool) -> None:
        try:
            with np.errstate(over="ignore", invalid="ignore"):
                self._initialise(module, source, *arguments, streaming=streaming)
        except np.linalg.LinAlgError as error:
            raise ValueError(
                f"{type(self).__name__} cannot start from X: {error}. Scale X first, for example "
                "with StandardScaler."
            ) from error

    def _batch_size(self, source: Source) -> int:
        """Return the upper bound of the rows in a batch."""
        return min(200 if self.batch_size == "auto" else int(self.batch_size), source.n_rows)

    def _forget(self, *, keep_curves: bool) -> None:
        """Drop what earlier calls of `fit` and `partial_fit` left."""
        kept = {"n_features_in_", "feature_names_in_", *self.get_params(deep=False)}
        if keep_curves:
            kept |= {"loss_curve_", "validation_loss_curve_", "history_"}
        for name in set(vars(self)) - kept:
            if name.endswith("_") or name in ("_state", "_gibbs_random_state"):
                delattr(self, name)

    def _raise_failure(self, state: TrainingState) -> None:
        """Raise an error if the training broke off, and Ctrl-C again, for all that calls `fit`."""
        if state.ending == "interrupted" or (state.ending == "stopped" and not state.history):
            raise KeyboardInterrupt
        if state.ending == "diverged":
            raise ValueError(self._advice_on_divergence(state))

    def _comment_on(self, state: TrainingState, source: Source) -> None:
        """Warn if the training did not end as it should."""

    def _advice_on_divergence(self, state: TrainingState) -> str:
        epoch = len(state.history) + 1
        kept = "the last good weights are kept" if epoch > 1 else "nothing is kept of this call"
        return (
            f"The loss of {type(self).__name__} stopped being finite in epoch {epoch}; {kept}. "
            f"Lower learning_rate (now {self.learning_rate:g}), or scale X first, for example "
            "with StandardScaler."
        )

    # -- inference ---------------------------------------------------------------------

    def score_samples(self, X: Any) -> np.ndarray:
        """Return how normal each row is; of an autoencoder, minus its mean error per feature.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to score.

        Returns
        -------
        ndarray of shape (n_samples,)
            Higher is more normal. The score of a row does not depend on the other rows. Entries
            that are missing, where they may be, are left out.
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
        scores = self._scores_of(X, y)
        weight = validate_weight(sample_weight, scores[:, None])
        return float(np.average(scores, weights=weight))

    def _scores_of(self, X: Any, y: Any) -> np.ndarray:
        """Return the scores that `score` takes the mean of; only conditional models take `y`."""
        return self.score_samples(X)

    # -- scikit-learn's protocols --------------------------------------------------------

    def __sklearn_clone__(self) -> Self:
        clone: Self = super().__sklearn_clone__()
        if "_memo" in vars(self):
            clone._memo = self._memo
        return clone

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = self._takes_missing
        return tags
