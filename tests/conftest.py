"""What the tests share: the public estimators, their families, and small data."""

import gc
import inspect
import os

# Before scipy is imported: lets scikit-learn's check of array API inputs run.
os.environ.setdefault("SCIPY_ARRAY_API", "1")

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from scipy import sparse
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.datasets import load_digits
from sklearn.preprocessing import minmax_scale
from sklearn.utils.validation import has_fit_parameter

import skae
from skae import ConditionalVariationalAutoencoder, DeepBeliefNetwork, SelfOrganizingMap
from skae._convergence import ConvergingEstimator
from skae.base import BaseTorchEstimator
from skae.boltzmann._rbm import BaseRBM
from skae.layers import Dense
from skae.outlier import _default

# The same examples each time; `pytest --hypothesis-profile=long` looks for others.
_ANYHOW = dict(deadline=None, database=None, suppress_health_check=list(HealthCheck))
settings.register_profile("quick", max_examples=40, derandomize=True, **_ANYHOW)
settings.register_profile("long", max_examples=2000, print_blob=True, **_ANYHOW)
settings.load_profile("quick")


def pytest_collection_finish():
    """Let collections of garbage pass over what stays: hundreds of thousands of objects."""
    gc.collect()
    gc.freeze()


def public_classes() -> list[type[BaseEstimator]]:
    """Return every public class that can be fitted."""
    public = [getattr(skae, name) for name in skae.__all__]
    return [one for one in public if isinstance(one, type) and hasattr(one, "fit")]


class TwoGroups(ConditionalVariationalAutoencoder):
    """A conditional one that labels the rows by itself, for tests that give no labels."""

    __doc__ = ConditionalVariationalAutoencoder.__doc__.split("Examples\n")[0]  # they run there

    def fit(self, X, y=None, sample_weight=None, *, X_val=None):
        y, y_val = (None if rows is None else groups(rows) for rows in (X, X_val))
        return super().fit(X, y, sample_weight, X_val=X_val, y_val=y_val)

    def partial_fit(self, X, y=None, sample_weight=None):
        classes = None if hasattr(self, "classes_") else [0, 1]
        return super().partial_fit(X, groups(X), sample_weight, classes=classes)


def groups(X) -> np.ndarray:
    """Return a label of each row by its first number; of rows of no numbers, one for all."""
    try:
        if isinstance(X, torch.Tensor):
            X = X.to_dense().float().numpy()
        first = X[:, [0]].toarray() if sparse.issparse(X) else np.asarray(X)
        return (first.reshape(len(first), -1)[:, 0] > 0.5).astype(int)
    except (TypeError, ValueError, IndexError, RuntimeError, UserWarning):
        return np.zeros(len(X) if hasattr(X, "__len__") else 1, dtype=int)


def public_estimators() -> list[type[BaseEstimator]]:
    """Return those that learn; a detector lets one of them learn (`test_outlier.py`)."""
    return [one for one in unlabelled_classes() if not issubclass(one, OutlierMixin)]


def unlabelled_classes() -> list[type[BaseEstimator]]:
    """Return the public classes, with `TwoGroups` for that which needs labels."""
    return [
        TwoGroups if one is ConditionalVariationalAutoencoder else one for one in public_classes()
    ]


def has(estimator_class, *parameters) -> bool:
    return set(parameters) <= set(estimator_class._get_param_names())


# -- parameters that each family calls by another name -----------------------------------


def epochs(estimator_class, n: int) -> dict:
    """Return the parameter for `n` epochs."""
    return {"max_iter" if has(estimator_class, "max_iter") else "n_iter": n}


def width(estimator_class, n: int) -> dict:
    """Return the parameter for codes of `n` numbers."""
    if has(estimator_class, "hidden_layer_sizes"):
        return {"hidden_layer_sizes": (n + 1, n)}
    if has(estimator_class, "shape"):
        return {"shape": (n, 1)}
    return {"n_components": n}


def variants(estimator_class) -> list[dict]:
    """Return parameters that draw and keep more while training than the defaults do."""
    if has(estimator_class, "hidden_layers"):
        return [dict(hidden_layers=Dense((32,), batch_norm=True, dropout=0.3))]
    if issubclass(estimator_class, BaseRBM):
        fixed = {"variance": 1.0} if has(estimator_class, "variance") else {}
        return [
            dict(algorithm="cd", hidden="relu", centered=True, learning_rate=0.01, **fixed),
            dict(algorithm="pt", n_temperatures=3, momentum=0.5),
        ]
    if has(estimator_class, "visible"):
        return [dict(visible="gaussian", algorithm="cd")]
    if has(estimator_class, "topology"):
        return [dict(topology="hexagonal", algorithm="online", init="sample")]
    return []


def quick(estimator_class, **parameters):
    """Return an estimator that fits in a fraction of a second."""
    if issubclass(estimator_class, OutlierMixin):
        return estimator_class(**{"random_state": 0, **parameters})
    defaults = {**epochs(estimator_class, 5), "random_state": 0, "device": "cpu"}
    if has(estimator_class, "n_iter"):
        defaults |= width(estimator_class, 16)  # the 256 of a Boltzmann machine take their time
    return estimator_class(**{**defaults, **parameters})


def draw(estimator, n: int) -> np.ndarray:
    """Return `n` samples, of a Boltzmann machine after a few steps of its chains."""
    chains = "n_gibbs_steps" in inspect.signature(estimator.sample).parameters
    return estimator.sample(n, **({"n_gibbs_steps": 3} if chains else {}))


def modules_of(estimator) -> list:
    """Return the fitted networks, of a stack those of its machines."""
    machines = getattr(estimator, "rbms_", [estimator])
    return [machine.module_ for machine in machines]


# -- which estimators a promise is made for ----------------------------------------------


def fixture_over(condition, among=public_estimators):
    """Return a fixture of the public estimators for which `condition` holds."""
    classes = [one for one in among() if condition(one)]

    @pytest.fixture(params=classes, ids=lambda one: one.__name__)
    def one_class(request):
        return request.param

    return one_class


estimator_class = fixture_over(lambda one: True)
#: With the detectors.
public_class = fixture_over(lambda one: True, unlabelled_classes)
documented_class = fixture_over(lambda one: True, public_classes)
#: Those with one network, trained by the engine: not a stack of them.
network_class = fixture_over(
    lambda one: issubclass(one, BaseTorchEstimator) and not issubclass(one, DeepBeliefNetwork)
)
#: Those that train until their loss stops improving.
converging_class = fixture_over(lambda one: issubclass(one, ConvergingEstimator))
#: Those of these that train a fixed number of epochs, a map aside: its start is good already.
non_converging_class = fixture_over(
    lambda one: (
        issubclass(one, BaseTorchEstimator)
        and not issubclass(one, (ConvergingEstimator, DeepBeliefNetwork, SelfOrganizingMap))
    )
)
#: Those that take weights of the rows.
weighted_class = fixture_over(lambda one: has_fit_parameter(one, "sample_weight"))
#: Those that take validation rows.
validating_class = fixture_over(lambda one: has_fit_parameter(one, "X_val"))
autoencoder_class = fixture_over(lambda one: has(one, "hidden_layers"))

VARIANTS = [(one, {}) for one in public_estimators()]
VARIANTS += [(one, parameters) for one in public_estimators() for parameters in variants(one)]


@pytest.fixture(params=VARIANTS, ids=lambda one: f"{one[0].__name__}-{'-'.join(one[1])}")
def estimator(request):
    """Return each estimator, with defaults and with each of its variants; see `quick`."""
    estimator_class, parameters = request.param
    return quick(estimator_class, **epochs(estimator_class, 3), **parameters)


@pytest.fixture(autouse=True)
def quick_default_learner(monkeypatch):
    """Let the networks of the default detector stop after some epochs."""
    monkeypatch.setattr(_default, "NETWORK_SETTINGS", {"n_iter_no_change": 1, "tol": 1e9})


@pytest.fixture(scope="session")
def digits() -> np.ndarray:
    """Return scikit-learn's digits, between 0 and 1, float32."""
    return (load_digits().data / 16).astype(np.float32)


@pytest.fixture(scope="session")
def normal_table() -> np.ndarray:
    """Return 300 normally distributed rows whose five columns depend on each other."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(300, 2)) @ rng.normal(size=(2, 5)) + 0.1 * rng.normal(size=(300, 5))


@pytest.fixture(scope="session")
def table(normal_table) -> np.ndarray:
    """Return the same rows with each column scaled to between 0 and 1, for every estimator."""
    return minmax_scale(normal_table)
