"""scikit-learn's callbacks, which are told of a fit and of the tasks in it (since 1.9)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Self

from ._training import Callback


class NoContext:
    """The context of a task that nobody is told of."""

    def subcontext(self, **_: Any) -> Self:
        """Return the context of a task in this one."""
        return self

    def call_on_fit_task_begin(self, **_: Any) -> Self:
        """Tell nobody that the task begins."""
        return self

    def call_on_fit_task_end(self, **_: Any) -> bool:
        """Tell nobody that the task has ended; return whether to stop."""
        return False

    def propagate_callback_context(self, sub_estimator: Any) -> AbstractContextManager[None]:
        """Hand nothing on to an estimator inside."""
        return nullcontext()


try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # scikit-learn before 1.9

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """What a later scikit-learn adds to estimators, without `set_callbacks`."""

        def _init_callback_context(self, **_: Any) -> NoContext:
            return NoContext()

    def with_callbacks(method: Callable[[Any], None]) -> Callable[[Any], None]:
        """Return the method as it is."""
        return method


#: What scikit-learn sets on estimators for its callbacks, and takes away itself.
CALLBACK_ATTRIBUTES = (
    "_skl_callbacks",
    "_parent_callback_ctx",
    "_callback_fit_ctx",
    "_skl_callbacks_to_teardown",
)

# Stacks train in threads, and callbacks need not know.
_one_at_a_time = threading.RLock()


@with_callbacks
def _tear_down(estimator: Any) -> None:
    """Let scikit-learn tear down the callbacks of a fit."""


def _is_ours(learner: Any) -> bool:
    return type(learner).__module__.split(".")[0] == __name__.split(".")[0]


@contextmanager
def task_of_learner(context: Any, learner: Any, caller: Any) -> Iterator[None]:
    """Tell of the fit of a learner in another estimator, and let it tell of its own tasks.

    Parameters
    ----------
    context : CallbackContext or NoContext
        A task of `caller` without tasks in it.
    learner : estimator
        What is fitted inside.
    caller : estimator
        What fits it.
    """
    # A list of learners, say, hands nothing on; of others scikit-learn warns.
    hands_on = isinstance(learner, CallbackSupportMixin) or not _is_ours(learner)
    with context.propagate_callback_context(learner) if hands_on else nullcontext():
        context.call_on_fit_task_begin(estimator=caller)
        yield
    context.call_on_fit_task_end(estimator=caller)


class FitTasks(Callback):
    """Tells the callbacks of an estimator of its fit and of each epoch; also those in a stack.

    The fit begins with the training, and ends with the ``with`` block around both its halves.

    Parameters
    ----------
    estimator : BaseTorchEstimator
        What is fitted.
    rows : tuple
        X, y and sample_weight as they were given; None is none.
    """

    def __init__(self, estimator: Any, rows: tuple[Any, Any, Any]):
        X, y, weight = rows
        metadata = None if weight is None else {"sample_weight": weight}
        y = estimator._labels(y)
        self._given = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
        self._estimator = estimator
        self._fit: Any = None
        self._epoch: Any = None
        #: Gives the attributes of the estimator if it stopped after an epoch of a history.
        self.attributes: Callable[[Mapping[str, Any]], dict[str, Any]] = dict
        #: Whether a callback wants the training to end.
        self.is_over = False

    @property
    def is_needed(self) -> bool:
        """Whether there is anybody to tell."""
        return bool(getattr(self._estimator, "_skl_callbacks", None))

    def begin(self, n_epochs: int = 0) -> None:
        """Tell that the fit begins, unless it has begun."""
        if self._fit is None and self.is_needed:
            with _one_at_a_time:
                context = self._estimator._init_callback_context(max_subtasks=n_epochs)
                self._fit = context.call_on_fit_task_begin(**self._given)

    def on_train_begin(self, net: Any, **_: Any) -> None:
        """Begin the fit."""
        self.begin(net.plan.max_iter)

    def on_epoch_begin(self, net: Any, **_: Any) -> None:
        """Tell that an epoch begins; the first may begin again."""
        if self._fit is not None and self._epoch is None:
            with _one_at_a_time:
                epoch = self._fit.subcontext(task_name="epoch")
                self._epoch = epoch.call_on_fit_task_begin(**self._given)

    def on_epoch_end(self, net: Any, **_: Any) -> None:
        """Tell that an epoch has ended; note whether to stop."""
        if self._epoch is not None:
            self._end_epoch(lambda: self.attributes(net.history[-1]))

    def on_train_end(self, net: Any, **_: Any) -> None:
        """Tell of the end of an epoch that is not complete, without what it learned."""
        if self._epoch is not None:
            self._end_epoch(None)

    def _end_epoch(self, attributes: Callable[[], dict[str, Any]] | None) -> None:
        epoch, self._epoch = self._epoch, None
        with _one_at_a_time:
            self.is_over |= epoch.call_on_fit_task_end(
                **self._given, reconstruction_attributes=attributes
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, failure: type[BaseException] | None, *_: Any) -> None:
        try:
            if self._fit is not None and failure is None:
                with _one_at_a_time:
                    self._fit.call_on_fit_task_end(**self._given, reconstruction_attributes={})
        finally:
            if hasattr(self._estimator, "_callback_fit_ctx"):
                _tear_down(self._estimator)

    def __getstate__(self) -> dict[str, Any]:
        """Leave all out, so that a callback that keeps the net can be pickled without rows."""
        return {}
