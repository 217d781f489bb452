"""Rows on a fitted map: their winners, codes and scores."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from .._missing import observed_mean
from .._training import RowStream, read, to_dense
from .._validation import validate_codes, validate_rows, validate_weight
from ..base import BaseTorchEstimator
from ._centre import Centre, centre_of
from ._checks import check_not_too_large, check_not_too_small, check_rows
from ._module import MapModule


class MapReader(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseTorchEstimator):
    """A map as a transformer: all that it says of rows."""

    module_: MapModule
    metric: str
    output: str
    _centre: Centre

    @property
    def _takes_missing(self) -> bool:
        return True

    @property
    def _n_features_out(self) -> int:
        return 2 if self.output == "coordinates" else self.module_.grid.n_units

    def _check_values(self, X: np.ndarray | sparse.csr_matrix) -> None:
        check_rows(X, self.metric)

    def _validated(
        self, X: Any, y: Any, sample_weight: Any, *, reset: bool
    ) -> tuple[np.ndarray | sparse.csr_matrix, np.ndarray | None, None]:
        X = self._valid(X, reset=reset, training=False)
        weight = validate_weight(sample_weight, X)
        if reset:
            self._centre = centre_of(X, weight, self.metric)
        rows = self._centre.rows(X)
        if reset:
            check_not_too_small(rows)
        return rows, weight, None

    def _read_rows(self, X: Any, method: Any) -> np.ndarray:
        """Return ``method(module, rows)``, of the rows less the centre."""
        X = validate_rows(self, X, reset=False)
        self._check_values(X)
        if X.dtype == np.float32:
            check_not_too_large(X, X.shape[1])
        subtract = self._centre.subtract
        return read(
            self.module_, lambda module, x: method(module, subtract(x)), X, shares_parts=True
        )

    def predict(self, X: Any) -> np.ndarray:
        """Return the winner of each row: the unit with the nearest prototype.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples,)
            The number of a unit for each row. Units are numbered row by row of the map.
        """
        return self._read(X, lambda module, x: module.winners(x)).astype(np.int32)

    def transform(self, X: Any) -> np.ndarray:
        """Return where each row lies on the map, in the form that `output` names.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples, n_units), or (n_samples, 2) for coordinates
            In the dtype of `X` if that is float32 or float64, else float64.
        """
        self._validate_params()  # `output` may have been set since
        return self._read(X, lambda module, x: module.encode(x, self.output))

    def inverse_transform(self, X: Any) -> np.ndarray:
        """Return the row that each code stands for.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_units), or (n_samples, 2) for coordinates
            What `transform` returns: distances, of which the smallest names the prototype;
            memberships, by which the prototypes are mixed; or coordinates, between which
            the prototypes are interpolated linearly.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
        """
        check_is_fitted(self)
        self._validate_params()
        codes = validate_codes(self, X, self._n_features_out)
        return read(self.module_, self._decode, codes)

    def _decode(self, module: MapModule, z: Tensor) -> Tensor:
        # Memberships that do not add up to 1 take as much of the centre.
        times = z.sum(1, keepdim=True) if self.output == "membership" else 1.0
        return self._centre.add(module.decode(z, self.output), times)

    def impute(self, X: Any) -> np.ndarray:
        """Fill in missing entries from the prototype of the winner.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows, with NaN for missing entries.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            The rows, dense; the entries that are not missing are as they were.
        """
        if isinstance(X, RowStream):
            return np.concatenate([self.impute(chunk) for chunk in X])
        filled = self._read(X, lambda module, x: self._centre.add(module.quantized(x)))
        rows = to_dense(validate_rows(self, X, reset=False))
        known = ~np.isnan(rows)
        filled[known] = rows[known]
        return filled

    def reconstruction_error(self, X: Any, per_feature: bool = False) -> np.ndarray:
        """Return the squared error of taking each row for the prototype of its winner.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to rebuild.
        per_feature : bool, default=False
            Whether to give the error of each entry (NaN where that is missing) instead of
            the mean of each row. With the Euclidean metric this mean is the squared distance
            from the winner over the number of features.

        Returns
        -------
        ndarray of shape (n_samples,), or (n_samples, n_features) if `per_feature`
        """
        errors = self._read(X, lambda module, x: (x - module.quantized(x)).square_())
        return errors if per_feature else observed_mean(errors)

    def score_samples(self, X: Any) -> np.ndarray:
        """Return how normal each row is: minus its distance from the winner.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to score.

        Returns
        -------
        ndarray of shape (n_samples,)
            Higher is more normal. The score of a row does not depend on the other rows.
        """
        return super().score_samples(X)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
