"""Validation of parameters and input, with one clear sentence for what is not valid."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.utils import get_tags
from sklearn.utils._param_validation import Interval, InvalidParameterError
from sklearn.utils.validation import _check_sample_weight, check_array, validate_data

from ._sklearn_callbacks import CALLBACK_ATTRIBUTES

# What numpy says of strings, dates and other objects, and of records.
_NO_NUMBERS = (
    *("could not convert string to float", "float() argument must be"),
    *("could not be promoted", "Cannot cast array data"),
)


# The pages that the HTML representation of an estimator links to.
_DOCUMENTATION = "https://skae.readthedocs.io/en/latest/api/generated/{public_name}.html"


class CheckedParameters(BaseEstimator):
    """An estimator that takes no bool for a number, as Python and scikit-learn do."""

    _doc_link_module = "skae"
    _doc_link_template = _DOCUMENTATION

    def _doc_link_url_param_generator(self) -> dict[str, str]:
        """Return the name under which the class is documented: `skae.Autoencoder`, say."""
        family, name = ".".join(type(self).__module__.split(".")[:2]), type(self).__name__
        is_at_top = hasattr(sys.modules["skae"], name)
        return {"public_name": f"{'skae' if is_at_top else family}.{name}"}

    def _validate_params(self) -> None:
        for name, constraints in self._parameter_constraints.items():
            of_numbers = any(isinstance(c, Interval) or c == "random_state" for c in constraints)
            of_bools = any(c in ("boolean", "verbose") for c in constraints)
            value = getattr(self, name, None)
            if of_numbers and not of_bools and isinstance(value, bool | np.bool_):
                raise InvalidParameterError(
                    f"The {name!r} parameter of {type(self).__name__} must be a number and no bool,"
                    f" got {value!r}."
                )
        super()._validate_params()


def validate_rows(
    estimator: BaseEstimator, X: Any, *, reset: bool, training: bool = False, name: str = "X"
) -> np.ndarray | sparse.csr_matrix:
    """Check rows and return them as an array or CSR matrix.

    Parameters
    ----------
    estimator : BaseEstimator
        Whose features they should have.
    X : {array-like, sparse matrix, tensor} of shape (n_samples, n_features)
        The rows. Where the layers of the estimator have the shape of a sample, also an
        array of such samples, which are made flat.
    reset : bool
        Whether these rows define the features of the estimator, and the shape in which
        it returns samples.
    training : bool
        Whether to return float32 in C order, rather than float32 or float64 as it is.
    name : str
        What the caller calls the rows.

    Raises
    ------
    ValueError
        If `X` is not a finite table of numbers with the features of the estimator. NaN
        passes where the tag `allow_nan` of the estimator says so.
    TypeError
        If it holds dates, dicts or other objects that are no numbers.
    """
    if isinstance(X, torch.Tensor):
        X = from_torch(X, name)
    if getattr(getattr(X, "dtype", None), "kind", None) in ("M", "m"):
        raise TypeError(_needs_numbers(estimator, X, name, str(X.dtype)))
    if reset:
        estimator._layers_shape = shape_of_layers(estimator)
        estimator._samples_shape = None
    if getattr(estimator, "_layers_shape", None) is not None and len(shape_of(X)) > 2:
        if reset:
            estimator._samples_shape = shape_of(X)[1:]
        X = _flatten(estimator, X, name)
    tags = get_tags(estimator).input_tags
    try:
        # An overflow is infinity, and refused as such.
        with clear_errors(estimator, X, name), np.errstate(over="ignore"):
            return validate_data(
                estimator,
                X,
                reset=reset,
                accept_sparse="csr" if tags.sparse else False,
                dtype=np.float32 if training else [np.float64, np.float32],
                order="C" if training else None,
                ensure_all_finite="allow-nan" if tags.allow_nan else True,
            )
    except ValueError as error:
        reason = str(error)
        if reason.startswith("Input X contains NaN") and not tags.allow_nan:
            reason = f"Input X contains NaN; {_take_or_impute(estimator)}."
        if name != "X":
            reason = re.sub(r"\bX\b", name, reason)  # as scikit-learn calls all rows
            reason = f"{name} does not fit the training rows: {reason}"
        if reason == str(error):
            raise
        raise ValueError(reason) from error


def _take_or_impute(estimator: BaseEstimator) -> str:
    """Return what to do about missing values."""
    impute = "impute first, for example by SimpleImputer in a Pipeline"
    if "missing_values" in estimator.get_params(deep=False):
        return f"set missing_values='mask' of {type(estimator).__name__} before fit, or {impute}"
    return f"{type(estimator).__name__} takes complete rows alone: {impute}"


def validate_codes(estimator: BaseEstimator, X: Any, n_components: int) -> np.ndarray:
    """Check codes to decode.

    Raises
    ------
    ValueError
        If `X` is not a finite table of numbers with `n_components` columns.
    """
    if isinstance(X, torch.Tensor):
        X = from_torch(X, "X")
    with clear_errors(estimator, X, "X"):
        codes = check_array(X, dtype=[np.float64, np.float32], input_name="X", estimator=estimator)
    if codes.shape[1] != n_components:
        raise ValueError(
            f"X has {codes.shape[1]} columns, but {type(estimator).__name__} decodes codes of "
            f"{n_components} components."
        )
    return codes


def shape_of(X: Any) -> tuple[int, ...]:
    """Return the shape of any kind of rows."""
    return tuple(X.shape) if hasattr(X, "shape") else np.asarray(X).shape


def validate_weight(sample_weight: Any, X: Any) -> np.ndarray | None:
    """Check sample weights, which may be None.

    Raises
    ------
    ValueError
        If there is not one weight per row, all finite, none negative and one positive.
    """
    if sample_weight is None:
        return None
    like = np.empty((X.shape[0], 0))  # of a stream nothing else is known
    weight = _check_sample_weight(sample_weight, like, dtype=np.float64, ensure_non_negative=True)
    if not weight.any():
        raise ValueError("sample_weight is 0 for every row; at least one must be positive.")
    return weight


class Seen(NamedTuple):
    """How many rows a fit has seen, and the sum of their weights."""

    n_rows: int = 0
    weight: float = 0.0

    def after(self, X: Any, weight: np.ndarray | None) -> Seen:
        """Return what it is after more rows."""
        n_rows = X.shape[0]
        total = float(n_rows) if weight is None else float(weight.sum())
        return Seen(self.n_rows + n_rows, self.weight + total)

    def relative(self, X: Any, weight: np.ndarray | None) -> np.ndarray | None:
        """Scale the weights of rows so that the mean of all that were seen is 1."""
        scale = self.n_rows / self.weight
        if weight is None:
            return None if scale == 1 else np.full(X.shape[0], scale)
        scaled = weight * scale
        return None if (scaled == 1).all() else scaled


@contextmanager
def all_or_nothing(estimator: BaseEstimator) -> Iterator[None]:
    """Give an estimator back its attributes if fitting it fails."""
    before = dict(vars(estimator))
    try:
        yield
    except BaseException:
        now = vars(estimator)
        for name in (before.keys() | now.keys()) - set(CALLBACK_ATTRIBUTES):
            if name in before:
                now[name] = before[name]
            else:
                del now[name]
        raise


@contextmanager
def clear_errors(estimator: BaseEstimator, X: Any, name: str) -> Iterator[None]:
    """Say of what is no numbers where it is, and what to do."""
    try:
        yield
    except (TypeError, ValueError) as error:
        said = "needs numbers" in str(error)  # by a learner inside
        if not said and any(text in str(error) for text in _NO_NUMBERS):
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(_needs_numbers(estimator, X, name, str(error))) from error
        raise


@contextmanager
def of_chunk(number: int, name: str) -> Iterator[None]:
    """Say of an error of which chunk of a source it is."""
    try:
        yield
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"Chunk {number + 1} of {name}: {error}") from error


def _needs_numbers(estimator: BaseEstimator, X: Any, name: str, found: str) -> str:
    """Return what to say of strings, dates and the like, by columns where these have names."""
    what = "strings" if "string to float" in found else "something else"
    where = f"{name} holds {what}"
    if hasattr(X, "iloc"):
        columns = [str(column) for column, dtype in X.dtypes.items() if dtype.kind not in "biuf"]
        where = f"column(s) {', '.join(map(repr, columns))} of {name} hold {what}"
    return (
        f"{type(estimator).__name__} needs numbers, but {where} ({found.splitlines()[0]}); encode "
        "it first, for example with OneHotEncoder or OrdinalEncoder."
    )


def from_torch(X: torch.Tensor, name: str) -> np.ndarray | sparse.csr_matrix:
    """Return a tensor of any layout, type and device as numpy and scipy have it."""
    if X.is_meta:
        raise ValueError(f"{name} is a tensor on the device 'meta', which holds no numbers.")
    X = X.detach().cpu()
    if X.dtype == torch.bfloat16:  # which numpy has not
        X = X.float()
    if X.layout == torch.strided:
        return X.numpy()
    if X.ndim != 2:
        return X.to_dense().numpy()
    X = X.to_sparse_coo().coalesce()
    entries = X.values().numpy(), X.indices().numpy()
    return sparse.coo_matrix(entries, shape=tuple(X.shape)).tocsr()


def shape_of_layers(estimator: BaseEstimator) -> tuple[int, ...] | None:
    """Return the shape of a sample that the layers state, if any; they check it themselves."""
    learner = getattr(estimator, "estimator", estimator)  # a detector takes what its learner takes
    shape = getattr(getattr(learner, "hidden_layers", None), "shape", None)
    if isinstance(shape, tuple | list) and all(isinstance(n, Integral) for n in shape):
        return tuple(map(int, shape))
    return None


def _flatten(estimator: BaseEstimator, X: Any, name: str) -> np.ndarray:
    X = np.asarray(X)
    shape = estimator._layers_shape
    accepted = [shape]
    if shape[0] == 1 and len(shape) > 2:
        accepted.append(shape[1:])
    if X.shape[1:] not in accepted:
        raise ValueError(
            f"{name} has samples of shape {X.shape[1:]}, but the layers of "
            f"{type(estimator).__name__} take samples of shape {' or '.join(map(str, accepted))}, "
            f"or rows of {math.prod(shape)} features."
        )
    return X.reshape(len(X), math.prod(shape))
