"""Searches that train their candidates as one batch."""

from ._search import (
    BatchedGridSearchCV,
    BatchedHalvingGridSearchCV,
    BatchedRandomizedSearchCV,
)

__all__ = ["BatchedGridSearchCV", "BatchedHalvingGridSearchCV", "BatchedRandomizedSearchCV"]
