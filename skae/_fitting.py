"""Fits that wait for each other, so that their networks are trained as one batch."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextvars import ContextVar
from functools import partial
from numbers import Integral
from typing import Any, Protocol, TypeVar

from sklearn.utils._param_validation import Interval

from ._compute import gradients_enabled
from ._sklearn_callbacks import FitTasks
from ._training import Training, train, train_together
from ._typed import validate_params


class Fittable(Protocol):
    """What has a method `fit`, whatever else that takes."""

    @property
    def fit(self) -> Callable[..., Any]: ...


Estimator = TypeVar("Estimator", bound=Fittable)


class Fitting:
    """A fit in two halves, with a training in between.

    Parameters
    ----------
    steps : generator of Training
        Gives a prepared training, and keeps what it brought when asked for more.
    """

    def __init__(self, steps: Generator[Training, None, None]):
        self._steps = steps
        with gradients_enabled():
            self.training = next(steps)

    def train(self) -> None:
        """Train alone, unless a checkpoint holds the result."""
        training = self.training
        if training.state.ending is not None:
            if training.tasks is not None:
                training.tasks.begin()
            return
        with gradients_enabled():
            try:
                train(
                    *(training.state, training.source, training.plan),
                    validation=training.validation,
                    callbacks=training.callbacks,
                    on_epoch_complete=training.on_epoch_complete,
                    tasks=training.tasks,
                )
            except BaseException as error:
                self._steps.throw(error)  # undoes the first half, and raises it again

    def finish(self) -> None:
        """Keep what was learned; raise and warn as `fit` does."""
        with gradients_enabled():
            next(self._steps, None)

    def drop(self) -> None:
        """Undo the first half."""
        self._steps.close()


# The estimators whose fits are to wait, by their identity.
_waiting: ContextVar[dict[int, Fitting | None] | None] = ContextVar("waiting", default=None)

# Whether a fit is being prepared: what it fits on the way, it needs at once.
_is_preparing: ContextVar[bool] = ContextVar("is_preparing", default=False)


class Memory(Protocol):
    """What a search has fitted already; an estimator has it as `_memo` while one runs."""

    is_collecting: bool

    def key_of(self, estimator: Any, given: Any) -> str | None:
        """Return what a fit of an estimator to these rows depends on; None if that is unknown."""

    def recall(self, estimator: Any, key: str | None) -> bool:
        """Give an estimator what its fit brings, if that is known."""

    def defer(self, estimator: Any, key: str, fitting: Fitting) -> None:
        """Take over a fit; raise a `DeferredError`."""


def run_or_defer(estimator: Any, steps: Generator[Training, None, None], given: Any) -> None:
    """Fit an estimator; or only begin to, if it is one of several that are fitted together.

    Parameters
    ----------
    estimator : BaseTorchEstimator
        What is fitted.
    steps : generator of Training
        See `Fitting`.
    given : nested tuples or None
        The rows, labels and weights of the call; None if the fit depends on more than these.
    """
    memo: Memory | None = vars(estimator).get("_memo")
    if given is None or _is_preparing.get():
        memo = None
    waiting = None if _is_preparing.get() else _waiting.get()
    key = None if memo is None else memo.key_of(estimator, given)
    if memo is not None and memo.recall(estimator, key):
        with FitTasks(estimator, given[0]) as tasks:
            tasks.begin()
        return
    token = _is_preparing.set(True)
    try:
        fitting = Fitting(steps)
    finally:
        _is_preparing.reset(token)
    if memo is not None and memo.is_collecting and key is not None:
        memo.defer(estimator, key, fitting)
    if waiting is not None and id(estimator) in waiting:
        waiting[id(estimator)] = fitting
    else:
        fitting.train()
        fitting.finish()
    vars(estimator).pop("_memo", None)


def fit_together(
    estimators: Sequence[Any],
    fits: Sequence[Callable[[], Any]],
    *,
    n_batched: int | None = None,
    verbose: bool = False,
) -> list[BaseException | None]:
    """Fit estimators, those whose networks are alike as one batch.

    Parameters
    ----------
    estimators : sequence of estimators
        What is fitted; those of other packages too.
    fits : sequence of callables
        Each calls `fit` of an estimator.
    n_batched, verbose
        See `train_together`.

    Returns
    -------
    list
        For each, the error that its `fit` raised, or None.

    Raises
    ------
    KeyboardInterrupt
        After Ctrl-C; each estimator is then as after Ctrl-C in its own `fit`.
    """
    # A `fit` from elsewhere may go on after ours, and needs its result.
    waiting: dict[int, Fitting | None] = {id(one): None for one in estimators if _is_ours(one)}
    errors: list[BaseException | None] = [None] * len(estimators)
    open_fits: dict[int, tuple[int, Fitting]] = {}  # by the identity of their training

    def trainings() -> Iterator[Training]:
        for place, (estimator, fit) in enumerate(zip(estimators, fits, strict=True)):
            token = _waiting.set(waiting)
            try:
                errors[place] = _error_of(fit)
            finally:
                _waiting.reset(token)
            fitting = waiting.get(id(estimator))
            if fitting is not None:
                waiting[id(estimator)] = None
                open_fits[id(fitting.training)] = place, fitting
                yield fitting.training
                del fitting  # and with it what a training needs beside its network

    def done(training: Training) -> None:
        place, fitting = open_fits.pop(id(training))
        errors[place] = _error_of(partial(_complete, fitting))

    interrupted, failure = False, None
    try:
        with gradients_enabled():
            train_together(trainings(), done, n_batched=n_batched, verbose=verbose)
    except KeyboardInterrupt:
        interrupted = True
    except Exception as error:  # what ended before is kept
        failure = error
    for _, fitting in list(open_fits.values()):
        if fitting.training.state.ending is None:
            fitting.drop()
            continue
        try:
            done(fitting.training)
        except KeyboardInterrupt:
            interrupted = True
    if interrupted:
        raise KeyboardInterrupt
    if failure is not None:
        raise failure
    return errors


def _is_ours(estimator: Any) -> bool:
    fit = getattr(type(estimator), "fit", None)
    return getattr(fit, "__module__", "").split(".")[0] == __name__.split(".")[0]


def _complete(fitting: Fitting) -> None:
    if fitting.training.state.ending is None:
        fitting.train()
    fitting.finish()


def _error_of(function: Callable[[], Any]) -> BaseException | None:
    try:
        function()
    except (Exception, DeferredError) as error:
        return error
    return None


class DeferredError(BaseException):
    """A fit needs a learner that is yet to be trained with others.

    It is no `Exception`, so that nobody on the way takes it for a failure.
    """


@validate_params(
    {"n_batched": [Interval(Integral, 1, None, closed="left"), None], "verbose": ["verbose"]},
    prefer_skip_nested_validation=False,
)
def fit_many(
    estimators: Sequence[Estimator],
    X: Any,
    sample_weight: Any = None,
    *,
    y: Any = None,
    n_batched: int | None = None,
    verbose: bool | int = False,
) -> list[Estimator]:
    """Fit many estimators to the same rows, those whose networks are alike as one batch.

    Small networks leave most of a machine idle: what a step costs beside its products is shared
    by all networks that take it together. Networks are alike if they differ in numbers only:
    learning rate, penalties, noise level, seed, or how long they train; not in widths, kinds of
    layers, batch size, or in a number that changes the operations (`k` of a sparse code, say).
    Each is fitted as by its own `fit`: with an integer `random_state`, it has the same
    weights, up to rounding.

    Parameters
    ----------
    estimators : sequence of estimators
        What to fit, in place. Those that cannot be trained with others (Boltzmann machines,
        maps, adversarial networks, networks with skorch's callbacks or layers from elsewhere,
        estimators of other packages) are fitted one after the other.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Training rows, for all of them.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each row, for all of them.
    y : array-like of shape (n_samples,), default=None
        Labels, for those that take some.
    n_batched : int, default=None
        How many networks to train as one batch at most. None takes as many as half of the free
        memory of the device holds, at 11 times their weights and twice what a forward pass computes
        for a batch; on a CPU, at most so many that what a pass computes stays in its cache
        (8 MB), and none of networks that are too large to gain from it.
    verbose : bool or int, default=False
        Whether to show a progress bar over the epochs of all batches.

    Returns
    -------
    list of estimators
        The fitted estimators.

    Raises
    ------
    TypeError
        If `estimators` holds something else.
    ValueError
        If a parameter is not valid, or if an estimator cannot be fitted, when all others are.
    KeyboardInterrupt
        After Ctrl-C; each estimator is then as after Ctrl-C in its own `fit`.

    Notes
    -----
    Where a loss stops improving by just about `tol`, rounding may decide on one epoch more or
    less. Biases before batch normalisation make no difference to what a network computes in
    training, so that their gradient is nothing but rounding, of which Adam makes full
    steps: such networks agree in their losses, and in what they compute to about a hundredth.

    Examples
    --------
    >>> import numpy as np
    >>> from skae import Autoencoder, fit_many
    >>> X = np.random.default_rng(0).random((300, 8))
    >>> rates = [1e-3, 3e-3, 1e-2]
    >>> autoencoders = [Autoencoder(2, learning_rate=rate, random_state=0) for rate in rates]
    >>> [one.transform(X).shape for one in fit_many(autoencoders, X)]
    [(300, 2), (300, 2), (300, 2)]
    """
    if isinstance(estimators, type) or not isinstance(estimators, Iterable):
        raise TypeError(f"estimators must be a sequence of estimators, got {estimators!r}.")
    estimators = list(estimators)
    for one in estimators:
        if isinstance(one, type) or not hasattr(one, "fit"):
            raise TypeError(f"estimators must be instances with a method `fit`, got {one!r}.")
    if len({id(one) for one in estimators}) < len(estimators):
        raise ValueError("estimators holds an estimator twice; give each fit one, by clone.")
    arguments = {"y": y, "sample_weight": sample_weight}
    given = {name: value for name, value in arguments.items() if value is not None}
    fits = [partial(one.fit, X, **given) for one in estimators]
    errors = fit_together(estimators, fits, n_batched=n_batched, verbose=bool(verbose))
    failed = [(one, error) for one, error in zip(estimators, errors, strict=True) if error]
    if failed:
        one, error = failed[0]
        n_fitted = len(estimators) - len(failed)
        error.add_note(f"It is of {one!r}; {n_fitted} of {len(estimators)} estimators are fitted.")
        raise error
    return estimators
