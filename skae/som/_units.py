"""What is known of the units of a fitted map: their pictures, clusters and labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted, column_or_1d

from .._training import read
from ._centre import Centre
from ._module import MapModule

_NOT_YET = "This %(name)s has no such thing yet; call {} first, after each fit."


class Units:
    """A mixin for maps that are fitted."""

    module_: MapModule
    _centre: Centre
    labels_: np.ndarray
    predict: Callable[[Any], np.ndarray]

    @property
    def codebook_(self) -> np.ndarray:
        """The prototypes, of shape (n_units, n_features)."""
        return self._centre.point + self.module_.codebook.numpy(force=True)

    @property
    def grid_positions_(self) -> np.ndarray:
        """Where each unit lies on the map, (x, y), of shape (n_units, 2)."""
        return self.module_.grid.positions(torch.empty(0, dtype=torch.float64)).numpy()

    @property
    def shape_(self) -> tuple[int, int]:
        """Rows and columns of the map."""
        return self.module_.grid.shape

    # -- pictures ----------------------------------------------------------------------

    def u_matrix(self) -> np.ndarray:
        """Return the mean distance of each prototype from those of the adjacent units.

        Ridges of large values part the map into clusters.

        Returns
        -------
        ndarray of shape (n_rows, n_columns)
        """
        check_is_fitted(self)
        positions = torch.from_numpy(self.grid_positions_)
        adjacent = self.module_.grid.adjacent(positions).numpy()
        distances = self._distances_between_units()
        n_adjacent = np.maximum(adjacent.sum(axis=1), 1)
        return ((distances * adjacent).sum(axis=1) / n_adjacent).reshape(self.shape_)

    def hit_map(self, X: Any) -> np.ndarray:
        """Return how many rows each unit wins.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_rows, n_columns)
        """
        winners = self.predict(X)
        return np.bincount(winners, minlength=self.module_.grid.n_units).reshape(self.shape_)

    def component_planes(self) -> np.ndarray:
        """Return the prototypes as one picture of the map for each feature.

        Returns
        -------
        ndarray of shape (n_features, n_rows, n_columns)
        """
        check_is_fitted(self)
        return self.codebook_.T.reshape(-1, *self.shape_)

    # -- clusters and classes of units -----------------------------------------------------

    def cluster_units(self, clusterer: BaseEstimator) -> Self:
        """Cluster the prototypes, and by that the rows: see `predict_cluster`.

        Those of the units that win no row of the last call of `fit` or `partial_fit` lie
        between clusters, and would join them. Such a unit is in the cluster of the nearest
        prototype that wins some.

        Parameters
        ----------
        clusterer : estimator
            Any clusterer of scikit-learn's kind. A copy of it is fitted.

        Returns
        -------
        self : object
            The map, with `unit_clusters_`.
        """
        check_is_fitted(self)
        winning = np.unique(self.labels_)
        clusters = np.asarray(clone(clusterer).fit_predict(self.codebook_[winning]))
        self.unit_clusters_ = clusters[np.searchsorted(winning, self._nearest_unit(winning))]
        return self

    def predict_cluster(self, X: Any) -> np.ndarray:
        """Return the cluster of the winner of each row, as `cluster_units` found it.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        check_is_fitted(self, "unit_clusters_", msg=_NOT_YET.format("cluster_units(clusterer)"))
        return self.unit_clusters_[self.predict(X)]

    def label_units(self, X: Any, y: Any) -> Self:
        """Give each unit the label that most of the rows it wins have: see `predict_label`.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.
        y : array-like of shape (n_samples,)
            Their labels. Of labels that are equally frequent, the first in order counts.

        Returns
        -------
        self : object
            The map, with `unit_labels_`, and in `unit_label_counts_` how many of the rows that
            each unit wins have each of the labels `label_names_`. A unit that wins no row has
            the label of the one with the nearest prototype that does.
        """
        winners = self.predict(X)
        y = column_or_1d(y)
        if len(y) != len(winners):
            raise ValueError(f"y has {len(y)} labels, but X has {len(winners)} rows.")
        names, label = np.unique(y, return_inverse=True)
        counts = np.zeros((self.module_.grid.n_units, len(names)), dtype=int)
        np.add.at(counts, (winners, label), 1)
        nearest = self._nearest_unit(np.flatnonzero(counts.any(axis=1)))
        self.label_names_, self.unit_label_counts_ = names, counts
        self.unit_labels_ = names[counts.argmax(axis=1)[nearest]]
        return self

    def _nearest_unit(self, among: np.ndarray) -> np.ndarray:
        """Return, for each unit, which of some units has the nearest prototype."""
        nearest = among[self._distances_between_units()[:, among].argmin(axis=1)]
        nearest[among] = among  # also where two prototypes are the same
        return nearest

    def _distances_between_units(self) -> np.ndarray:
        """Return the distances between all prototypes, of shape (n_units, n_units)."""
        prototypes = self.module_.codebook.numpy(force=True).astype(np.float64)
        return read(self.module_, lambda module, x: module.distances(x), prototypes)

    def predict_label(self, X: Any) -> np.ndarray:
        """Return the label of the winner of each row, as `label_units` gave it.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        check_is_fitted(self, "unit_labels_", msg=_NOT_YET.format("label_units(X, y)"))
        return self.unit_labels_[self.predict(X)]
