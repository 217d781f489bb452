"""Components in the order of what they add to the reconstruction."""

from __future__ import annotations

import copy
from typing import Any, ClassVar, Self

from sklearn.utils.validation import check_is_fitted

from .._training import Source, TrainingState
from ..layers import is_positive_int
from ._base import BaseAutoencoder, kept_variance


class OrderingAutoencoder(BaseAutoencoder):
    """An autoencoder that can order its components (nested dropout), and be cut short."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseAutoencoder._parameter_constraints,
        "ordered": ["boolean"],
    }

    ordered: bool

    def _module_arguments(self, n_features: int) -> dict[str, Any]:
        return {**super()._module_arguments(n_features), "ordered": self.ordered}

    def _keep(self, state: TrainingState, source: Source) -> None:
        super()._keep(state, source)
        if self.ordered:
            widths = range(1, self.n_components + 1)
            self.explained_reconstruction_ratio_ = kept_variance(self.module_, source, widths)

    def truncate(self, n_components: int) -> Self:
        """Return the fitted estimator of the first `n_components` components.

        Parameters
        ----------
        n_components : int
            Width of the code to keep, at most that of this estimator.

        Returns
        -------
        Autoencoder or DenoisingAutoencoder
            A copy whose codes are the first columns of this one's, and which rebuilds
            rows from these.

        Raises
        ------
        ValueError
            If the components are not ordered, or there are not so many.
        """
        check_is_fitted(self)
        if not self.module_.ordered:
            raise ValueError(
                "truncate needs components that are ordered by importance; fit with ordered=True."
            )
        if not (is_positive_int(n_components) and n_components <= self._n_features_out):
            raise ValueError(
                f"n_components must be an integer from 1 to {self._n_features_out}, "
                f"got {n_components!r}."
            )
        shorter = copy.deepcopy(self)
        shorter.n_components = shorter._n_features_out = n_components
        shorter.module_.n_kept = n_components
        return shorter
