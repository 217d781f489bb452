"""Callbacks for `set_callbacks` of scikit-learn 1.9 and later."""

from __future__ import annotations

from typing import Any

try:
    from sklearn.callback import ScoringMonitor
except ImportError as error:
    raise ImportError(
        "skae.callback needs scikit-learn 1.9 or newer, whose estimators have set_callbacks."
    ) from error

__all__ = ["ScoreMonitor"]


class ScoreMonitor(ScoringMonitor):
    """Callback that logs `score` of an estimator by epoch.

    scikit-learn's `ScoringMonitor` scores against targets, and logs nothing where there are
    none. This one logs ``estimator.score(X)``: the mean score of the rows, higher for better.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features), default=None
        Rows to score, for instance some that `fit` does not see. None is the rows of `fit`,
        with their labels and weights if they have some.
    y : array-like of shape (n_samples,), default=None
        Labels of `X`, for estimators whose score takes some.

    See Also
    --------
    sklearn.callback.ScoringMonitor : Scores against targets.
    sklearn.callback.ProgressBar : Shows how far a fit is.

    Notes
    -----
    `set_callbacks` of an estimator, or of one in a pipeline or a search, takes it; needs
    scikit-learn 1.9. Where there is a score, there is a row in the log: for each epoch, for each
    layer of a `DeepBeliefNetwork`, and for the fit itself, whose score is that of the fitted
    estimator. With early stopping, the score of an epoch is that of its own weights, and the
    fit ends with those of the best epoch.

    A score after each epoch takes its time: as long as a call of `score` does, and a copy of the
    network.

    Examples
    --------
    >>> import numpy as np
    >>> from skae import Autoencoder
    >>> from skae.callback import ScoreMonitor
    >>> X = np.random.default_rng(0).random((300, 8))
    >>> monitor = ScoreMonitor(X[200:])
    >>> autoencoder = Autoencoder(2, max_iter=3, tol=1, random_state=0)
    >>> autoencoder = autoencoder.set_callbacks(monitor).fit(X[:200])
    >>> log = monitor.get_logs().data_as_pandas
    >>> log[log.task_name == "epoch"].score.is_monotonic_increasing
    True
    """

    def __init__(self, X: Any = None, y: Any = None):
        super().__init__(scoring=_score)
        self.X = X
        self.y = y

    def on_fit_task_end(
        self,
        estimator: Any,
        context: Any,
        *,
        X: Any = None,
        y: Any = None,
        fitted_estimator: Any = None,
        metadata: Any = None,
    ) -> None:
        """Log the score at the end of a task, if it leaves a fitted estimator.

        Parameters
        ----------
        estimator : estimator
            What is fitted.
        context : sklearn.callback.CallbackContext
            The task.
        X, y : array-like or None
            Rows of the task, and their labels.
        fitted_estimator : estimator or None
            What `estimator` would be if it stopped here.
        metadata : dict or None
            What `fit` was given beside the rows.
        """
        if self.X is not None:
            X, y, metadata = self.X, self.y, None
        # The base logs nothing without targets.
        super().on_fit_task_end(
            *(estimator, context),
            X=X,
            y=_Labels(y),
            fitted_estimator=fitted_estimator,
            metadata=metadata,
        )


class _Labels:
    """Labels, or that there are none."""

    def __init__(self, y: Any):
        self.y = y


def _score(estimator: Any, X: Any, labels: _Labels, **metadata: Any) -> dict[str, float]:
    given = (X,) if labels.y is None else (X, labels.y)
    return {"score": float(estimator.score(*given, **metadata))}
