"""What a search has fitted before it evaluates its candidates, by what it was fitted to."""

from __future__ import annotations

import copy
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import joblib
from sklearn.pipeline import Pipeline

from .._fitting import DeferredError, Fitting
from .._sklearn_callbacks import CALLBACK_ATTRIBUTES, task_of_learner
from .._training import Training, train_together
from .._warn import warn
from ._parts import is_learner, n_learners, parts_of, watchable

# What scikit-learn sets on an estimator beside its parameters, that changes what it gives.
_SETTINGS = ("_sklearn_output_config", "_metadata_request")

# Rows whose hashes are known, and which are kept for that.
_MOST_DIGESTS = 64

# Bytes of weights of fitted learners that are held in memory; further ones wait in files.
_MOST_BYTES = 2**26


@dataclass
class _Fitted:
    """The result of a fit: attributes, warnings, and an error if there was one."""

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
        self._own_rows: dict[int, Any] = {}  # what transformers gave, by identity
        self._pending: dict[str, tuple[Any, Fitting] | None] = {}  # None: trained already
        self._new: list[tuple[str, Training]] = []
        self._refused: set[str] = set()
        self._digests: dict[int, tuple[Any, str]] = {}
        self._written: set[str] = set()
        self._folder: tempfile.TemporaryDirectory[str] | str | None = None
        self._lock = threading.Lock()
        self._is_closed = self._is_hashing = False
        self._n_bytes = 0
        self.is_collecting = False

    # -- who asks --------------------------------------------------------------------------

    def watch(self, estimator: Any) -> None:
        """Let the learners and pipelines in an estimator, or itself, ask this memo."""
        for part in watchable(estimator):
            if is_learner(part):
                part._memo = self
            elif isinstance(part, Pipeline) and n_learners(part):
                part.memory = self

    def release(self, estimator: Any) -> None:
        """Undo `watch`."""
        for part in parts_of(estimator):
            vars(part).pop("_memo", None)
            if isinstance(part, Pipeline) and part.memory is self:
                part.memory = None

    # -- learners --------------------------------------------------------------------------

    def recall(self, estimator: Any, key: str | None) -> bool:
        """Give a learner what its fit brings, if that is known."""
        is_left = key is None or key in self._pending or key in self._refused
        if self.is_collecting and is_left:
            raise DeferredError
        fitted = None if key is None else self._find(key)
        if fitted is None:
            return False
        vars(estimator).pop("_memo", None)
        for message, category in fitted.warnings:
            warn(message, category)
        if fitted.error is not None:
            raise fitted.error
        is_shared = key in self._known
        vars(estimator).update(copy.deepcopy(fitted.attributes) if is_shared else fitted.attributes)
        return True

    def defer(self, estimator: Any, key: str, fitting: Fitting) -> None:
        """Take over the fit of a learner."""
        self._pending[key] = estimator, fitting
        self._new.append((key, fitting.training))
        raise DeferredError

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Take over the fits of learners that are not known."""
        self.is_collecting = True
        try:
            with joblib.parallel_config(backend="sequential"), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the evaluation warns
                yield
        finally:
            self.is_collecting = False

    def train(self, search: Any, collected: Iterator[Any], context: Any) -> int:
        """Fit what is taken over meanwhile, as one batch where that is possible; return how many.

        Parameters
        ----------
        search : BatchedGridSearchCV or another
            Whose learners they are.
        collected : iterator
            Goes on collecting, some fits at a time.
        context : CallbackContext or NoContext
            The fit of the search.
        """
        keys: dict[int, str] = {}  # by the identity of the training
        open_tasks: dict[str, ExitStack] = {}
        n_trained = 0
        task = context.subcontext(task_name="training", max_subtasks=None)
        task.call_on_fit_task_begin(estimator=search)

        def trainings() -> Iterator[Training]:
            for _ in collected:
                while self._new:
                    key, training = self._new.pop(0)
                    keys[id(training)], open_tasks[key] = key, ExitStack()
                    one = task.subcontext(task_name="learner")
                    with suppress(TypeError):  # the evaluation raises it again
                        open_tasks[key].enter_context(
                            task_of_learner(one, self._learner(key), search)
                        )
                    yield training
                    del training  # it is over, perhaps

        def done(training: Training) -> None:
            nonlocal n_trained
            key = keys.pop(id(training))
            pending, self._pending[key] = self._pending[key], None
            assert pending is not None
            learner, fitting = pending
            if training.state.ending is None:
                self._refused.add(key)
                fitting.drop()
            else:
                weights = training.state.module.parameters()
                self._keep(key, _finished(learner, fitting), sum(one.nbytes for one in weights))
                n_trained += 1
            open_tasks.pop(key).close()

        try:
            train_together(
                trainings(), done, n_batched=search.n_batched, verbose=search.verbose > 0
            )
        finally:
            failure = sys.exc_info()
            for pending in filter(None, self._pending.values()):
                pending[1].drop()
            for one in open_tasks.values():
                one.__exit__(*failure)
            self._pending, self._new = {}, []
            self._digests.clear()
        task.call_on_fit_task_end(estimator=search)
        return n_trained

    def _learner(self, key: str) -> Any:
        pending = self._pending[key]
        assert pending is not None
        return pending[0]

    def _keep(self, key: str, fitted: _Fitted, n_bytes: int) -> None:
        """Keep what a learner came to; in a file, once there is enough in memory."""
        self._known[key] = fitted
        if self._n_bytes + n_bytes <= _MOST_BYTES:
            self._n_bytes += n_bytes
        elif self._write(self._folder_name(), key):
            del self._known[key]

    @property
    def n_refused(self) -> int:
        """Number of fits that cannot be trained with others."""
        return len(self._refused)

    # -- transformers before them: scikit-learn's interface of `memory` -----------------------

    def cache(self, function: Callable[..., Any], ignore: Sequence[str] = ()) -> Callable[..., Any]:
        """Return `function` of a transformer and its rows, with what is known of it."""

        def remembered(transformer: Any, X: Any, *given: Any, **others: Any) -> Any:
            if self._is_closed or n_learners(transformer):
                return function(transformer, X, *given, **others)
            counted = {name: value for name, value in others.items() if name not in ignore}
            key = self.key_of(transformer, (X, given, counted))
            result = None if key is None else self._find(key)
            if result is None:
                if id(X) in self._own_rows:  # other candidates need them as they are
                    X = copy.deepcopy(X)
                result = function(transformer, X, *given, **others)
                if not self.is_collecting or key is None:
                    return result
                self._known[key] = result
                self._own_rows[id(result[0])] = result[0]
            rows, fitted = result
            return rows, copy.deepcopy(fitted)

        return remembered

    # -- keys and processes ----------------------------------------------------------------

    def key_of(self, estimator: Any, given: Any) -> str | None:
        """Return what a fit of an estimator depends on; None if that cannot be told."""
        if self._is_closed:
            return None
        counted = {*_SETTINGS, *estimator.get_params(deep=False)}
        state = {name: value for name, value in vars(estimator).items() if name in counted}
        self._is_hashing = True  # memos inside are no part of it
        try:
            key: str = joblib.hash((_name(type(estimator)), state, self._digest(given)))
        except Exception:  # whatever cannot be pickled, a lambda for one
            return None
        finally:
            self._is_hashing = False
        return key

    def _digest(self, value: Any) -> Any:
        """Return nested tuples with hashes of the rows in them; while collecting, each is kept."""
        if isinstance(value, tuple | list | dict):
            items = value.items() if isinstance(value, dict) else enumerate(value)
            return [(name, self._digest(one)) for name, one in items]
        if not self.is_collecting or not hasattr(value, "shape"):
            return joblib.hash(value)
        if id(value) not in self._digests:
            while len(self._digests) >= _MOST_DIGESTS:
                del self._digests[next(iter(self._digests))]
            self._digests[id(value)] = value, joblib.hash(value)
        return self._digests[id(value)][1]

    def _find(self, key: str) -> Any:
        if key in self._known or self._folder is None:
            return self._known.get(key)
        try:
            found = joblib.load(Path(self._folder_name(), key))
        except Exception:  # not there, or of a class that this process has not
            return None
        if isinstance(self._folder, str):
            self._known[key] = found
        return found

    def __getstate__(self) -> dict[str, Any]:
        if self._is_hashing or self._is_closed:
            return {"folder": None}
        with self._lock:  # joblib hands tasks on from threads of its own
            folder = self._folder_name()
            for key in self._known.keys() - self._written:
                self._write(folder, key)
        return {"folder": folder}

    def _folder_name(self) -> str:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="skae_")
        return self._folder if isinstance(self._folder, str) else self._folder.name

    def _write(self, folder: str, key: str) -> bool:
        self._written.add(key)
        path = Path(folder, key)
        try:
            joblib.dump(self._known[key], path)
        except Exception:  # what cannot be pickled, other processes fit anew
            path.unlink(missing_ok=True)
        return path.exists()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__()  # type: ignore[misc]
        self._folder, self._is_closed = state["folder"], state["folder"] is None

    def __deepcopy__(self, memo: Any) -> Self:
        return self

    def close(self) -> None:
        """Forget all, for whoever still carries this memo."""
        self._is_closed = True
        for part in (self._known, self._own_rows, self._refused, self._digests):
            part.clear()
        if isinstance(self._folder, tempfile.TemporaryDirectory):
            self._folder.cleanup()


def _name(kind: type) -> tuple[Any, ...]:
    """Return the name of a class, or its identity where others may have the same name."""
    found: Any = sys.modules.get(kind.__module__)
    for part in kind.__qualname__.split("."):
        found = getattr(found, part, None)
    is_known = found is kind and kind.__module__ != "__main__"
    return (kind.__module__, kind.__qualname__) if is_known else (kind.__qualname__, id(kind))


def _finished(learner: Any, fitting: Fitting) -> _Fitted:
    error = None
    kept = {*_SETTINGS, *CALLBACK_ATTRIBUTES, *learner.get_params(deep=False), "_memo"}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            fitting.finish()
        except Exception as raised:
            error = raised
    attributes = {name: value for name, value in vars(learner).items() if name not in kept}
    said = [(str(one.message), one.category) for one in caught]
    return _Fitted(attributes, said, error)
