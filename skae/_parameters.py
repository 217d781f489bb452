"""Parameters that were set since a fit."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from ._training import take_settings


def changed_parameters(estimator: Any, before: dict[str, Any]) -> list[str]:
    """Return the parameters that were set to another value since, once they are validated."""

    def is_same(name: str, value: Any) -> bool:
        known = before.get(name, before)  # which is no parameter
        return known is value or (isinstance(value, Hashable) and bool(known == value))

    changed = [name for name, value in estimator.get_params().items() if not is_same(name, value)]
    if changed:
        estimator._validate_params()  # which scikit-learn skips in all but the first call
    return changed


def take_parameters(estimator: Any, module: Any, changed: list[str]) -> None:
    """Let a network learn on by the parameters that were set since it was made.

    Raises
    ------
    ValueError
        If they make another network.
    """
    untrained = estimator._untrained_like(module).to(estimator.device_).eval()
    fixed = set(estimator._fixed_in_weights) & set(changed)
    if fixed or not take_settings(module, untrained):
        raise ValueError(
            f"partial_fit cannot go on from the last fit, because {', '.join(changed)} was "
            "changed since, which makes another network; call fit to start anew."
        )
