"""Parameters, inputs and sequences of calls at random: what a user may do, right or wrong.

A call does what it should, or raises an error that says which parameter or input is wrong. It
leaves no NaN in silence. ``pytest tests/test_random_use.py --hypothesis-profile=long`` searches on.
"""

import inspect
import pickle
import re
import warnings
from numbers import Integral

import numpy as np
import pandas as pd
import torch
from conftest import draw as new_rows
from conftest import quick
from hypothesis import given, note
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils._param_validation import Interval, StrOptions

from skae import Autoencoder, SparseAutoencoder
from skae.layers import Dense
from skae.outputs import Gaussian, Huber

# -- parameters ------------------------------------------------------------------------------

#: What is in no constraint, or too slow without a bound.
KNOWN = {
    "n_components": st.integers(1, 4),
    "hidden_layers": st.sampled_from(
        [
            *((), (3,), (4, 3), Dense((3,), dropout=0.2), Dense((3,), batch_norm=True)),
            *(Dense((3,), tied_weights=True), Dense((3,), activation="tanh")),
        ]
    ),
    "hidden_layer_sizes": st.sampled_from([(3,), (4, 2)]),
    "loss": st.sampled_from(["squared_error", "absolute_error", "huber", "binary_cross_entropy"])
    | st.just(Huber(0.5)),
    "shape": st.sampled_from([(1, 1), (2, 3), (4, 1), "auto"]),
    "radius": st.sampled_from([None, 1.0, (2, 0.5), 0]),
    "init": st.sampled_from(["pca", "sample", "glorot"]),
    "n_iter": st.integers(1, 3),
    "max_iter": st.integers(1, 3),
    "n_gibbs_steps": st.integers(1, 2),
    "n_temperatures": st.integers(2, 3),
    "batch_size": st.sampled_from([1, 2, 7, 100]),
    "random_state": st.integers(0, 3),
    "k": st.integers(1, 4),
    "n_probes": st.integers(1, 3),
    "score_draws": st.integers(0, 2),
    "beta_warmup": st.integers(0, 2),
    "capacity": st.sampled_from([None, None, 1.0]),
    "free_bits": st.sampled_from([0.0, 0.0, 0.5]),
    "n_importance_samples": st.integers(1, 2),
    "n_score_samples": st.integers(1, 3),
    "likelihood": st.sampled_from(["gaussian", "bernoulli", "continuous_bernoulli", "poisson"])
    | st.just(Gaussian(0.5)),
    "n_estimators": st.integers(1, 3),
    "estimator": st.none()
    | st.builds(lambda: quick(Autoencoder, max_iter=2))
    | st.builds(lambda: quick(SparseAutoencoder, max_iter=2)),
    "verbose": st.just(0),
    "device": st.just("cpu"),
    "callbacks": st.none(),
    "widths": st.none() | st.just([1, 2]),
}
WRONG = [-1, 0, 1.5, np.nan, np.inf, True, None, "no", (), [1], {}, object(), "meta", 10**6 + 0.5]


def valid(name, constraints):
    """Return values that a parameter may have."""
    if name in KNOWN:
        return KNOWN[name]
    choices = []
    for constraint in constraints:
        if isinstance(constraint, StrOptions):
            choices.append(st.sampled_from(sorted(constraint.options)))
        elif isinstance(constraint, Interval):
            low = 0 if constraint.left is None else float(constraint.left)
            high = low + 2 if constraint.right is None else float(constraint.right)
            if constraint.type is Integral:
                choices.append(st.integers(int(low), int(high)))
            else:
                inside = st.floats(0.05, 0.95).map(lambda part, a=low, b=high: a + part * (b - a))
                ends = [e for e in (low, high) if e in constraint]
                choices.append(inside | st.sampled_from(ends) if ends else inside)
        elif constraint == "boolean":
            choices.append(st.booleans())
    return st.one_of(choices)


@st.composite
def parameters(draw, estimator_class, most):
    """Draw some parameters; seldom wrong ones."""
    constraints = estimator_class._parameter_constraints
    known = sorted(set(constraints) & set(inspect.signature(estimator_class).parameters))
    names = draw(st.lists(st.sampled_from(known), max_size=most, unique=True))
    drawn = {name: draw(valid(name, constraints[name])) for name in names}
    if names and draw(st.integers(0, 5)) == 5:
        drawn[names[0]] = draw(st.sampled_from(WRONG))
    return drawn


# -- inputs ----------------------------------------------------------------------------------


def with_one_entry(X, value):
    X = X.copy()
    X[-1, 0] = value
    return X


CHANGES = {
    "as it is": lambda X: X,
    "constant": lambda X: np.ones_like(X),
    "zero": np.zeros_like,
    "one column constant": lambda X: np.where(np.arange(X.shape[1]) == 0, 0.5, X),
    "one row": lambda X: X[:1],
    "two rows": lambda X: X[:2],
    "one column": lambda X: X[:, :1],
    "copies of a row": lambda X: np.repeat(X[:1], len(X), axis=0),
    "wide values": lambda X: 50 * (X - 0.5),
    "large": lambda X: X * 1e6,
    "huge": lambda X: X * 1e25,
    "more than float32": lambda X: X * 1e300,
    "tiny": lambda X: X * 1e-30,
    "NaN": lambda X: with_one_entry(X, np.nan),
    "infinity": lambda X: with_one_entry(X, np.inf),
    "no rows": lambda X: X[:0],
    "no columns": lambda X: X[:, :0],
    "one dimension": lambda X: X[0],
    "three dimensions": lambda X: X[None],
}
KINDS = {
    "float64": lambda X: X,
    "float32": lambda X: np.clip(X, -3e38, 3e38).astype(np.float32),
    "Fortran order": np.asfortranarray,
    "backwards": lambda X: X[::-1],
    "list": lambda X: X.tolist(),
    "bool": lambda X: X > 0.5,
    "int": lambda X: np.round(np.nan_to_num(np.clip(X, -1e9, 1e9)) * 3).astype(int),
    "tensor": lambda X: torch.tensor(X.tolist()),
    "frame": lambda X: pd.DataFrame(X, columns=[f"c{i}" for i in range(X.shape[1])]),
    "sparse": lambda X: sparse.csr_matrix(np.where(X > 0.3, X, 0)),
    "strings": lambda X: X.astype(str).astype(object) + "m",
    "complex": lambda X: X.astype(complex) * 1j,
}
TABLE = np.random.default_rng(0).uniform(size=(23, 3))


@st.composite
def rows(draw):
    """Draw rows, most often good ones."""
    change, kind = "as it is", "float64"
    if draw(st.booleans()):
        change = draw(st.sampled_from(sorted(CHANGES)))
    X = CHANGES[change](TABLE)
    if X.ndim == 2 and draw(st.booleans()):
        kind = draw(st.sampled_from(sorted(KINDS)))
    note(f"X: {change}, {kind}")
    with np.errstate(all="ignore"):
        return KINDS[kind](X)


# -- calls -----------------------------------------------------------------------------------

READING = ["transform", "inverse_transform", "reconstruct", "score_samples", "score", "predict"]
READING += ["decision_function", "score_std", "p_values", "free_energy", "gibbs", "explain"]
LEARNING = ["fit", "partial_fit", "fit_transform", "fit_predict"]
OTHERS = ["set_params", "clone", "pickle", "sample", "weights"]

#: What an error says of parameters beside their names, and of the input.
NAMES_THE_INPUT = re.compile(
    r"\bX\b|[Ii]nput|array|sample|feature|[Rr]ow|column|dimension|fitted|calibration"
    r"|threshold|Complex data|decodes|argument"
)


def assert_clear(error, estimator, method):
    assert type(error).__module__.split(".")[0] in ("builtins", "sklearn"), repr(error)
    if isinstance(error, AttributeError) and not isinstance(error, NotFittedError):
        assert not hasattr(estimator, method), repr(error)
        return
    assert isinstance(error, (ValueError, TypeError)), repr(error)
    text = str(error)
    named = [name for name in estimator.get_params() if name in text]
    assert named or NAMES_THE_INPUT.search(text), repr(error)


def assert_finite(result):
    result = result.toarray() if sparse.issparse(result) else np.asarray(result)
    if result.dtype.kind == "f":
        assert np.isfinite(result).all()


def is_finite(X):
    try:
        values = np.asarray(X.toarray() if sparse.issparse(X) else X, dtype=float)
    except (TypeError, ValueError):
        return False
    # Squares of what float32 cannot square are infinite, and so are errors of such rows.
    return bool((np.abs(values) < 1e15).all())


def call(data, estimator, method):
    """Make a call with drawn arguments; return the estimator and what the call gave."""
    if method == "set_params":
        changed = data.draw(parameters(type(estimator), 2))
        note(f"set_params {changed}")
        return estimator.set_params(**changed), None
    if method == "clone":
        return clone(estimator), None
    if method == "pickle":
        return pickle.loads(pickle.dumps(estimator)), None
    if method == "sample":
        return estimator, new_rows(estimator, 2)
    X = data.draw(rows())
    if method == "weights":
        weight = data.draw(st.sampled_from([np.ones(23), np.arange(23.0), -np.ones(23), [1.0]]))
        learn = data.draw(st.sampled_from(["fit", "partial_fit"]))
        note(f"{learn} with sample_weight {weight}")
        return getattr(estimator, learn)(X, sample_weight=weight), None
    note(method)
    result = getattr(estimator, method)(X)
    return estimator, result if is_finite(X) and result is not estimator else None


@given(st.data())
def test_every_call_works_or_says_what_is_wrong(public_class, data):
    drawn = data.draw(parameters(public_class, 5))
    note(f"{public_class.__name__}({drawn})")
    estimator = quick(public_class).set_params(**drawn)
    for _ in range(data.draw(st.integers(1, 6))):
        kinds = [LEARNING[:2], LEARNING, READING, READING, OTHERS]
        method = data.draw(st.sampled_from(data.draw(st.sampled_from(kinds))))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            before = {n: v for n, v in vars(estimator).items() if n.endswith("_")}
            try:
                estimator, result = call(data, estimator, method)
            except Exception as error:
                note(f"{method}: {error!r}")
                if "_hypothesis" in repr(error) or type(error).__module__.startswith("hypothesis"):
                    raise
                assert_clear(error, estimator, method)
                if method in LEARNING and "last good weights" not in str(error):
                    assert {n: v for n, v in vars(estimator).items() if n.endswith("_")} == before
                continue
        if result is not None:
            assert_finite(result)
