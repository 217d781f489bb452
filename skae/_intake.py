"""Rows as a user gives them, validated and on the device."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch
from scipy import sparse
from sklearn.utils.validation import check_is_fitted

from ._compute import resolve_device
from ._missing import refuse_empty_rows
from ._pickling import Portable
from ._training import RowStream, Source, as_source, drop_zero_weight, in_memory, read
from ._validation import Seen, of_chunk, validate_rows, validate_weight
from ._warn import warn


class TakesRows(Portable):
    """An estimator that is fitted to rows, all at once or a chunk at a time."""

    #: Whether a row of weight 2 in `partial_fit` is the row twice, rather than twice the mean.
    _weights_are_counts: ClassVar[bool] = False

    device: str | torch.device
    device_: torch.device
    module_: Any
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
            X_val = self._valid(X_val, reset=False, name="X_val")
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
        X = self._valid(X, reset=reset)
        return X, validate_weight(sample_weight, X), self._condition(y, X, reset=reset, name="y")

    def _valid(self, X: Any, *, reset: bool, training: bool = True, name: str = "X") -> Any:
        """Return validated rows; those of a stream as a stream, if they are more than a window."""

        def valid(rows: Any, *, reset: bool = False) -> Any:
            rows = validate_rows(self, rows, reset=reset, training=training, name=name)
            if self._takes_missing:
                refuse_empty_rows(rows, name)
            return rows

        X = in_memory(X)
        if not isinstance(X, RowStream):
            rows = valid(X, reset=reset)
            self._check_values(rows)
            return rows

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for number, chunk in enumerate(X):
                with of_chunk(number, name):
                    self._check_values(valid(chunk, reset=reset and number == 0))
        for one in {str(one.category): one for one in reversed(caught)}.values():
            warn(str(one.message), one.category)
        return X.map(valid)

    def _labels(self, y: Any) -> Any:
        """Return the labels that a user gave, for callbacks."""
        return y

    def _condition(self, y: Any, X: Any, *, reset: bool, name: str) -> np.ndarray | None:
        """Return the conditions of validated rows for a conditional model; None of others."""
        return None

    # -- inference ---------------------------------------------------------------------

    def _read(self, X: Any, method: Callable[[Any, torch.Tensor], torch.Tensor]) -> np.ndarray:
        check_is_fitted(self)
        if isinstance(X, RowStream):
            return np.concatenate([self._read_rows(chunk, method) for chunk in X])
        return self._read_rows(X, method)

    def _read_rows(self, X: Any, method: Callable[[Any, torch.Tensor], torch.Tensor]) -> np.ndarray:
        return read(self.module_, method, self._readable(X))

    def _readable(self, X: Any) -> np.ndarray | sparse.csr_matrix:
        """Return validated rows that the fitted network takes."""
        rows = validate_rows(self, X, reset=False)
        if self._takes_missing:
            refuse_empty_rows(rows)
        return rows
