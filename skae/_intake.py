"""Rows as a user gives them, validated and on the device."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from scipy import sparse

from ._compute import resolve_device
from ._missing import refuse_empty_rows
from ._pickling import Portable
from ._training import Source, as_source, drop_zero_weight
from ._validation import Seen, validate_rows, validate_weight


class TakesRows(Portable):
    """An estimator that is fitted to rows, all at once or a chunk at a time."""

    #: Whether a row of weight 2 in `partial_fit` is the row twice, rather than twice the mean.
    _weights_are_counts: ClassVar[bool] = False

    device: str | torch.device
    device_: torch.device
    _seen: Seen

    @property
    def _takes_missing(self) -> bool:
        """Whether entries of rows may be missing (NaN)."""
        return False

    def _check_values(self, X: np.ndarray | sparse.csr_matrix) -> None:
        """Warn of, or refuse, validated training values that do not suit the objective."""

    def _sources(
        self, given: tuple[Any, Any, Any], of_validation: tuple[Any, Any], *, reset: bool
    ) -> tuple[Source, Source | None]:
        """Validate what `fit` was given, and put it on the device."""
        X, weight, condition = self._validated(*given, reset=reset)
        device = resolve_device(self.device)
        validation = None
        X_val, y_val = of_validation
        if X_val is not None:
            X_val = validate_rows(self, X_val, reset=False, training=True, name="X_val")
            if self._takes_missing:
                refuse_empty_rows(X_val, "X_val")
            self._check_values(X_val)
            val_condition = self._condition(y_val, X_val, reset=False, name="y_val")
            validation = as_source(X_val, None, device, condition=val_condition)
        X, weight, condition = drop_zero_weight(X, weight, condition)
        self._seen = Seen().after(X, weight)
        return as_source(X, weight, device, condition=condition), validation

    def _chunk(self, X: Any, y: Any, sample_weight: Any, *, reset: bool) -> Source:
        """Validate what `partial_fit` was given, and put it on the device."""
        X, weight, condition = self._validated(X, y, sample_weight, reset=reset)
        device = resolve_device(self.device) if reset else self.device_
        X, weight, condition = drop_zero_weight(X, weight, condition)
        self._seen = getattr(self, "_seen", Seen()).after(X, weight)
        if not self._weights_are_counts:
            weight = self._seen.relative(X, weight)
        return as_source(X, weight, device, condition=condition, scaled=False)

    def _validated(
        self, X: Any, y: Any, sample_weight: Any, *, reset: bool
    ) -> tuple[np.ndarray | sparse.csr_matrix, np.ndarray | None, np.ndarray | None]:
        X = validate_rows(self, X, reset=reset, training=True)
        if self._takes_missing:
            refuse_empty_rows(X)
        self._check_values(X)
        return X, validate_weight(sample_weight, X), self._condition(y, X, reset=reset, name="y")

    def _labels(self, y: Any) -> Any:
        """Return the labels that a user gave, for callbacks."""
        return y

    def _condition(self, y: Any, X: Any, *, reset: bool, name: str) -> np.ndarray | None:
        """Return the conditions of validated rows for a conditional model; None of others."""
        return None
