"""Measures: of samples beside rows, of dictionaries, and of scores beside faults of a series."""

from ._dictionaries import matched_f1_score, mean_max_cosine_similarity
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
    "matched_f1_score",
    "maximum_mean_discrepancy",
    "mean_max_cosine_similarity",
    "mode_coverage",
    "parzen_log_likelihood",
    "range_auc_pr",
    "vus_pr",
]
