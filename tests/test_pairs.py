"""Ways to fit compose: all pairs of them, over all estimators that have both."""

import warnings
from functools import cache
from itertools import combinations

import numpy as np
import pytest
import torch
from conftest import epochs, has, modules_of, public_estimators, quick, width
from sklearn.utils.validation import has_fit_parameter
from skorch.callbacks import Callback

from skae._training._trainable import tensors_of

#: What only looks at a fit, and must not change it.
OBSERVERS = {"callbacks", "checkpoint"}

#: Parameters of the ways to fit that have some; "converges" and "stops early" are the two kinds of
#: stopping, of which the first is by the training loss.
PARAMETERS = {
    "warm_start": {"warm_start": True},
    "early_stopping": {"early_stopping": True, "tol": 1e9, "n_iter_no_change": 2},
    "converges": {"tol": 1e9, "n_iter_no_change": 2},
}

WAYS = ["warm_start", "partial_fit", "callbacks", "checkpoint", "early_stopping", "X_val"]
WAYS += ["converges"]


class Counting(Callback):
    def initialize(self):
        self.n_epochs_ = 0
        return self

    def on_epoch_end(self, net, **_):
        self.n_epochs_ += 1


def ways_of(estimator_class) -> list[str]:
    """Return the ways to fit that an estimator has."""
    found = []
    for way in WAYS:
        if way == "partial_fit":
            is_there = hasattr(estimator_class, way)
        elif way == "X_val":
            is_there = has_fit_parameter(estimator_class, way)
        else:
            is_there = has(estimator_class, *PARAMETERS.get(way, [way]))
        found += [way] * is_there
    return found


def fitted(estimator_class, ways, X, folder):
    """Return an estimator that was fitted in these ways, twice if it goes on from the first."""
    parameters = {}
    for way in ways:
        parameters |= PARAMETERS.get(way, {})
    if "callbacks" in ways:
        parameters["callbacks"] = [Counting()]
    if "checkpoint" in ways:
        parameters["checkpoint"] = str(folder)
    small = {"hidden_layers": (6,)} if has(estimator_class, "hidden_layers") else {}
    small |= {**width(estimator_class, 3), **epochs(estimator_class, 4)}
    one = quick(estimator_class, **small, **parameters)
    validation = {"X_val": X[30:]} if "X_val" in ways else {}
    with warnings.catch_warnings(action="ignore"):  # of too few epochs
        for _ in range(2 if "warm_start" in ways else 1):
            one.fit(X[:30], **validation)
        if "partial_fit" in ways:
            one.partial_fit(X[30:])
    return one


def bits(one):
    return [tensor for module in modules_of(one) for tensor in tensors_of(module)]


def assert_same(one, other, why):
    assert all(map(torch.equal, bits(one), bits(other))), why
    assert getattr(one, "loss_curve_", None) == getattr(other, "loss_curve_", None), why


def check_curves(one, ways, once, why):
    """What is noted of the epochs goes on where the first fit ended."""
    curve, validation = one.loss_curve_, one.validation_loss_curve_
    n_fits, n_chunks = 1 + ("warm_start" in ways), int("partial_fit" in ways)
    first = once.loss_curve_
    assert curve[: len(first)] == first, why
    assert one.n_iter_ == len(curve) == len(one.history_["train_loss"]), why
    # Nothing improves by `tol`, so that two epochs after the first are the last.
    stops = {"early_stopping", "converges"} & set(ways)
    n_each = 3 if stops else 4
    assert len(curve) == n_fits * n_each + n_chunks, why
    validates = {"early_stopping", "X_val"} & set(ways)
    assert (validation is None) == (not validates), why
    if validates:
        assert len(validation) == n_fits * n_each, why
    if "callbacks" in ways:
        assert one.callbacks[0].n_epochs_ == n_each, why  # of the last fit


@pytest.fixture(scope="module")
def rows():
    return np.random.default_rng(0).random((40, 5))


def classes():
    return [one for one in public_estimators() if len(ways_of(one)) > 1]


@pytest.mark.parametrize("estimator_class", classes(), ids=lambda one: one.__name__)
def test_ways_to_fit_compose(estimator_class, rows, tmp_path):
    @cache
    def unobserved(*ways):
        return fitted(estimator_class, ways, rows, None)

    for number, pair in enumerate(combinations(ways_of(estimator_class), 2)):
        why = f"{estimator_class.__name__}: {' and '.join(pair)}"
        one = fitted(estimator_class, pair, rows, tmp_path / str(number))
        assert np.isfinite(one.score_samples(rows)).all(), why
        others = [way for way in pair if way not in OBSERVERS]
        assert_same(one, unobserved(*others), why)
        if hasattr(one, "loss_curve_"):
            kinds = [way for way in others if way not in ("warm_start", "partial_fit")]
            check_curves(one, pair, unobserved(*kinds), why)
