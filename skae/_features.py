"""Estimators that code each row in some numbers, and back."""

from __future__ import annotations

from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

from ._training import Trainable, read
from ._validation import validate_codes
from .base import BaseTorchEstimator


class FeatureLearner(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseTorchEstimator):
    """An estimator that codes each row in `n_components` numbers, and back."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseTorchEstimator._parameter_constraints,
        "n_components": [Interval(Integral, 1, None, closed="left")],
    }

    n_components: int

    def transform(self, X: Any) -> np.ndarray:
        """Return the code of each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to code.

        Returns
        -------
        ndarray of shape (n_samples, n_components)
            In the dtype of `X` if that is float32 or float64, else float64.
        """
        return self._read(X, lambda module, x: module.encode(x))

    def inverse_transform(self, X: Any) -> np.ndarray:
        """Return the row that each code stands for.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_components)
            Codes.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Or with the samples in the shape seen in `fit` (its first call, if warm).
        """
        check_is_fitted(self)
        Z = validate_codes(self, X, self._n_features_out)
        return self._in_shape(read(self.module_, lambda module, z: module.decode(z), Z))

    def _in_shape(self, rows: np.ndarray) -> np.ndarray:
        """Return flat rows in the shape of the samples of `fit`, of images or signals."""
        shape = getattr(self, "_samples_shape", None)
        return rows if shape is None else rows.reshape(len(rows), *shape)

    def _keep_module(self, module: Trainable) -> None:
        super()._keep_module(module)
        self._n_features_out = self.n_components

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
