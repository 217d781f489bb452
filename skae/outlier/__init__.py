"""Outlier detection with anything that scores: a threshold, p-values and an explanation."""

from ._detector import OutlierDetector
from ._thresholds import mean_threshold, median_threshold

__all__ = ["OutlierDetector", "mean_threshold", "median_threshold"]
