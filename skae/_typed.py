"""Decorators of scikit-learn, by its names, that keep the type of what they decorate.

scikit-learn has no types: to a type checker, a `fit` that its own decorator has gone over returns
anything, and so does all that is called on it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from sklearn import base
from sklearn.utils import _param_validation, metaestimators

__all__ = ["_fit_context", "available_if", "validate_params"]

Function = TypeVar("Function", bound=Callable[..., Any])


def _fit_context(*, prefer_skip_nested_validation: bool) -> Callable[[Function], Function]:
    """Validate the parameters of an estimator before its method runs."""
    return base._fit_context(prefer_skip_nested_validation=prefer_skip_nested_validation)


def validate_params(
    constraints: dict[str, Any], *, prefer_skip_nested_validation: bool
) -> Callable[[Function], Function]:
    """Validate the parameters of a function before it runs."""
    return _param_validation.validate_params(
        constraints, prefer_skip_nested_validation=prefer_skip_nested_validation
    )


def available_if(check: Callable[[Any], bool]) -> Callable[[Function], Function]:
    """Let an estimator have a method where `check` is true of it."""
    return metaestimators.available_if(check)
