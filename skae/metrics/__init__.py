"""Measures: of how well samples resemble rows, and of scores beside faults of a series."""

from ._ranges import range_auc_pr, vus_pr
from ._samples import (
    ModeCoverage,
    frechet_distance,
    maximum_mean_discrepancy,
    mode_coverage,
    parzen_log_likelihood,
)

__all__ = [
    "ModeCoverage",
    "frechet_distance",
    "maximum_mean_discrepancy",
    "mode_coverage",
    "parzen_log_likelihood",
    "range_auc_pr",
    "vus_pr",
]
