"""Labels and values as conditions of a decoder."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.preprocessing import LabelEncoder
from sklearn.utils import check_array
from sklearn.utils.multiclass import type_of_target

# What scikit-learn calls a target of one label a row.
_OF_LABELS = ("binary", "multiclass")


class Given(NamedTuple):
    """What a user gives beside rows: `y`, and which labels there are at all."""

    y: Any
    classes: Any = None


def checked_values(estimator: BaseEstimator, y: Any, n_rows: int, name: str) -> np.ndarray:
    """Return `y` as an array with an entry for each row.

    Raises
    ------
    ValueError
        If it is None, has another length, or holds NaN or infinity.
    """
    if y is None:
        raise ValueError(
            f"{type(estimator).__name__} requires y to be passed, but the target {name} is None."
        )
    y = y.toarray() if sparse.issparse(y) else y
    values = check_array(y, dtype=None, ensure_2d=False, input_name=name, estimator=estimator)
    if values.dtype == object:  # which may hold bools
        values = np.asarray(values.tolist())
    if len(values) != n_rows:
        raise ValueError(f"{name} has {len(values)} entries for {n_rows} rows.")
    return values


def labels_of(values: np.ndarray, classes: Any = None) -> np.ndarray | None:
    """Return the labels that there are, sorted; None of real values."""
    one_column = values.ravel() if values.shape[1:] == (1,) else values
    if classes is None and type_of_target(one_column) not in _OF_LABELS:
        return None
    return LabelEncoder().fit(values if classes is None else classes).classes_


def indicators(labels: np.ndarray, classes: np.ndarray, name: str) -> np.ndarray:
    """Return a column for each class, with 1 where the label is that class.

    Raises
    ------
    ValueError
        If a label is none of the classes.
    """
    # A dict compares as Python does: scikit-learn's encoder would take "apple" for "a", which
    # is what is left of it in the type of the classes, and 1.9 for 1.
    places = {label: place for place, label in enumerate(classes.tolist())}
    numbers = [places.get(label, -1) for label in labels.tolist()]
    if -1 in numbers:
        unseen = labels.tolist()[numbers.index(-1)]
        raise ValueError(
            f"{name} has labels that were not seen in fit, such as {unseen!r}; those seen are "
            f"{classes.tolist()}."
        )
    return np.eye(len(classes), dtype=np.float32)[numbers]
