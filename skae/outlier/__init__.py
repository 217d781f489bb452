"""Outlier detection with any estimator that scores rows: threshold, p-values, explanations."""

from ._conformal import select_by_e_values
from ._detector import OutlierDetector
from ._rarity import ValueRarity
from ._thresholds import mean_threshold, median_threshold
from ._value_gaps import ValueGaps
from ._windowed import WindowedDetector

__all__ = [
    "OutlierDetector",
    "ValueGaps",
    "ValueRarity",
    "WindowedDetector",
    "mean_threshold",
    "median_threshold",
    "select_by_e_values",
]
