"""Outlier detection with any estimator that scores rows: threshold, p-values, explanations."""

from ._detector import OutlierDetector
from ._rarity import ValueRarity
from ._thresholds import mean_threshold, median_threshold

__all__ = ["OutlierDetector", "ValueRarity", "mean_threshold", "median_threshold"]
