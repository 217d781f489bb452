"""What a search has fitted before it evaluates its candidates, by what it was fitted to."""

from __future__ import annotations

import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import joblib
from sklearn.pipeline import Pipeline

from .._compute import gradients_enabled
from .._fitting import DeferredError, Fitting
from .._training import train_together
from .._warn import warn
from ..base import BaseTorchEstimator


@dataclass
class _Fitted:
    """What a learner came to: attributes, warnings, and an error if there was one."""

    attributes: dict[str, Any]
    warnings: list[tuple[str, type[Warning]]]
    error: Exception | None


class Memo:
    """Fitted learners and transformers of a search, by their parameters and their rows.

    Learners and pipelines carry it through `clone`, and ask it before they fit anything. While
    it collects, a learner that it does not know leaves its fit to it by a `DeferredError`.
    Pickled to another process, it reads what it knows from a folder.
    """

    def __init__(self) -> None:
        self._known: dict[str, Any] = {}
        self._pending: dict[str, tuple[Any, Fitting]] = {}
        self._refused: set[str] = set()
        self._digests: dict[int, tuple[Any, str]] = {}
        self._written: set[str] = set()
        self._folder: tempfile.TemporaryDirectory[str] | str | None = None
        self._lock = threading.Lock()
        self.is_collecting = False

    # -- who asks --------------------------------------------------------------------------

    def watch(self, estimator: Any) -> None:
        """Let the learners and pipelines in an estimator, or itself, ask this memo."""
        for part in _parts(estimator):
            if isinstance(part, BaseTorchEstimator):
                part._memo = self
            elif isinstance(part, Pipeline) and part.memory is None and n_learners(part):
                part.memory = self

    def release(self, estimator: Any) -> None:
        """Undo `watch`."""
        for part in _parts(estimator):
            vars(part).pop("_memo", None)
            if isinstance(part, Pipeline) and part.memory is self:
                part.memory = None

    # -- learners --------------------------------------------------------------------------

    def recall(self, learner: Any, given: Any) -> bool:
        """Give a learner what its fit to these rows brings, if that is known."""
        key = self._key(type(learner), learner.get_params(), given)
        if self.is_collecting and (key in self._pending or key in self._refused):
            raise DeferredError
        fitted = self._find(key)
        if fitted is None:
            return False
        for message, category in fitted.warnings:
            warn(message, category)
        if fitted.error is not None:
            raise fitted.error
        vars(learner).update(fitted.attributes)
        return True

    def defer(self, learner: Any, given: Any, fitting: Fitting) -> None:
        """Take over the fit of a learner."""
        self._pending[self._key(type(learner), learner.get_params(), given)] = learner, fitting
        raise DeferredError

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Take over the fits of learners that are not known."""
        self.is_collecting = True
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the evaluation warns
                yield
        finally:
            self.is_collecting = False
            self._digests.clear()

    def train(self, *, n_batched: int | None, verbose: bool) -> int:
        """Fit what was taken over, as one batch where that is possible; return how many."""
        pending, self._pending = self._pending, {}
        n_trained = 0
        try:
            with gradients_enabled():
                trainings = [fitting.training for _, fitting in pending.values()]
                train_together(trainings, n_batched=n_batched, verbose=verbose)
            for key, (learner, fitting) in pending.items():
                if fitting.training.state.ending is None:
                    self._refused.add(key)
                else:
                    self._known[key] = _finished(learner, fitting)
                    n_trained += 1
        finally:
            for _, fitting in pending.values():
                fitting.drop()
        return n_trained

    @property
    def n_refused(self) -> int:
        """Number of fits that cannot be trained with others."""
        return len(self._refused)

    # -- transformers before them: scikit-learn's interface of `memory` -----------------------

    def cache(self, function: Callable[..., Any], ignore: Sequence[str] = ()) -> Callable[..., Any]:
        """Return `function` of a transformer and its rows, with what is known of it."""

        def remembered(transformer: Any, *given: Any, **others: Any) -> Any:
            if n_learners(transformer):
                return function(transformer, *given, **others)
            counted = {name: value for name, value in others.items() if name not in ignore}
            key = self._key(type(transformer), transformer.get_params(), (given, counted))
            result = self._find(key)
            if result is None:
                result = function(transformer, *given, **others)
                if self.is_collecting:
                    self._known[key] = result
            return result

        return remembered

    # -- keys and processes ----------------------------------------------------------------

    def _key(self, kind: type, parameters: dict[str, Any], given: Any) -> str:
        key: str = joblib.hash(
            (kind.__module__, kind.__qualname__, parameters, self._digest(given))
        )
        return key

    def _digest(self, value: Any) -> Any:
        """Return nested tuples with hashes of the rows in them, each taken once."""
        if isinstance(value, tuple | list | dict):
            items = value.items() if isinstance(value, dict) else enumerate(value)
            return [(name, self._digest(one)) for name, one in items]
        if not hasattr(value, "shape"):
            return joblib.hash(value)
        if id(value) not in self._digests:
            self._digests[id(value)] = value, joblib.hash(value)
        return self._digests[id(value)][1]

    def _find(self, key: str) -> Any:
        if key not in self._known and isinstance(self._folder, str):
            path = Path(self._folder, key)
            if path.exists():
                self._known[key] = joblib.load(path)
        return self._known.get(key)

    def __getstate__(self) -> dict[str, Any]:
        with self._lock:  # joblib hands tasks on from threads of its own
            if self._folder is None:
                self._folder = tempfile.TemporaryDirectory(prefix="skae_")
            folder = self._folder if isinstance(self._folder, str) else self._folder.name
            for key in self._known.keys() - self._written:
                joblib.dump(self._known[key], Path(folder, key))
                self._written.add(key)
        return {"folder": folder}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__()  # type: ignore[misc]
        self._folder = state["folder"]

    def __deepcopy__(self, memo: Any) -> Self:
        return self

    def close(self) -> None:
        """Delete what other processes read."""
        if isinstance(self._folder, tempfile.TemporaryDirectory):
            self._folder.cleanup()


def n_learners(estimator: Any) -> int:
    """Return how many learners of this package there are in an estimator, or are it."""
    return sum(isinstance(part, BaseTorchEstimator) for part in _parts(estimator))


def _parts(estimator: Any) -> list[Any]:
    """Return an estimator and all that it is made of."""
    if not hasattr(estimator, "get_params") or isinstance(estimator, type):
        return []
    inside = [one for one in estimator.get_params(deep=True).values() if hasattr(one, "get_params")]
    return list(
        {id(one): one for one in [estimator, *inside] if not isinstance(one, type)}.values()
    )


def _finished(learner: Any, fitting: Fitting) -> _Fitted:
    error = None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            fitting.finish()
        except Exception as raised:
            error = raised
    parameters = learner.get_params(deep=False)
    attributes = {
        name: value
        for name, value in vars(learner).items()
        if name not in parameters and name != "_memo"
    }
    said = [(str(one.message), one.category) for one in caught]
    return _Fitted(attributes, said, error)
