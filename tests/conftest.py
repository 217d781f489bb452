"""What the tests share: the public estimators and small data."""

import os

# Before scipy is imported: lets scikit-learn's check of array API inputs run.
os.environ.setdefault("SCIPY_ARRAY_API", "1")

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.datasets import load_digits

import skae


def public_estimators() -> list[type[BaseEstimator]]:
    """Return every public class that can be fitted."""
    public = [getattr(skae, name) for name in skae.__all__]
    return [one for one in public if isinstance(one, type) and hasattr(one, "fit")]


def quick(estimator_class, **parameters):
    """Return an estimator that fits in a fraction of a second."""
    return estimator_class(**{"max_iter": 5, "random_state": 0, "device": "cpu", **parameters})


@pytest.fixture(params=public_estimators(), ids=lambda one: one.__name__)
def estimator_class(request):
    return request.param


@pytest.fixture(scope="session")
def digits() -> np.ndarray:
    """Return scikit-learn's digits, between 0 and 1, float32."""
    return (load_digits().data / 16).astype(np.float32)


@pytest.fixture(scope="session")
def table() -> np.ndarray:
    """Return a table of 300 rows whose five columns depend on each other."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(300, 2)) @ rng.normal(size=(2, 5)) + 0.1 * rng.normal(size=(300, 5))
