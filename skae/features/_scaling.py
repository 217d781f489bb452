"""Columns of features brought to one scale."""

from __future__ import annotations

import numpy as np
from sklearn.preprocessing import StandardScaler, normalize


class Columns:
    """Columns that belong together, scaled as a linear model wants them.

    Parameters
    ----------
    scaling : {"standard", "norm"} or None
        Whether to bring each column to mean 0 and standard deviation 1 over the training rows, or
        each row to length 1.
    """

    def __init__(self, scaling: str | None):
        self.scaling = scaling
        self._scaler = StandardScaler().set_output(transform="default")  # whatever is configured

    def fit_transform(self, X: np.ndarray) -> np.ndarray:
        """Learn the scale of each column, and return the columns scaled."""
        if self.scaling == "standard":
            self._scaler.fit(X)
        return self.transform(X)

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Return the columns scaled."""
        if self.scaling == "standard":
            return self._scaler.transform(X)
        return normalize(X) if self.scaling == "norm" else X

    def inverse_transform(self, X: np.ndarray) -> np.ndarray:
        """Return the columns as they were; rows of length 1 stay so."""
        return self._scaler.inverse_transform(X) if self.scaling == "standard" else X
