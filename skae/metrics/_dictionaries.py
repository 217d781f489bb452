"""Measures of how well a learned dictionary finds known features."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.metrics import pairwise_distances_argmin_min
from sklearn.utils import check_array, check_consistent_length


def mean_max_cosine_similarity(dictionary: Any, reference: Any) -> float:
    """Return how near the directions of a dictionary are to those of another, on average.

    For each direction of `dictionary` it is the largest cosine of the angle to one of `reference`
    (Sharkey et al. 2022). Given the other way round, it says how many of the known features were
    found, rather than whether what was found is known.

    Parameters
    ----------
    dictionary : array-like of shape (n_components, n_features)
        Directions, as `components_` of `DictionaryAutoencoder`.
    reference : array-like of shape (n_directions, n_features)
        Directions that are known.

    Returns
    -------
    float
        At most 1, where each direction is also one of `reference`.

    Raises
    ------
    ValueError
        If the two are no finite tables with the same number of features.

    References
    ----------
    L. Sharkey, D. Braun and B. Millidge, Taking Features out of Superposition with Sparse
    Autoencoders, AI Alignment Forum (2022).

    Examples
    --------
    >>> mean_max_cosine_similarity([[2.0, 0.0], [1.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]])
    0.8535...
    """
    return float((1 - _nearest(dictionary, reference)[1]).mean())


def matched_f1_score(codes: Any, activations: Any, dictionary: Any, reference: Any) -> float:
    """Return how well each unit of a dictionary detects the known feature that is nearest to it.

    A unit stands for the feature whose direction has the largest cosine to its own. It detects it
    where it is active; the score is the mean of F1 over the units. A unit that is never active
    counts as 0. It is the F1 of SynthSAEBench (Chanin and Garriga-Alonso 2026), but for a unit
    whose direction is opposite to that of a feature, which stands for that feature there.

    Parameters
    ----------
    codes : array-like of shape (n_samples, n_components)
        What `transform` gives for some rows.
    activations : array-like of shape (n_samples, n_directions)
        How active the known features are in them.
    dictionary : array-like of shape (n_components, n_features)
        The direction of each unit.
    reference : array-like of shape (n_directions, n_features)
        The direction of each known feature.

    Returns
    -------
    float
        From 0 to 1.

    Raises
    ------
    ValueError
        If these are no finite tables, or their shapes do not go together.

    References
    ----------
    SynthSAEBench: Evaluating Sparse Autoencoders on Scalable Realistic Synthetic Data,
    arXiv:2602.14687 (2026).

    Examples
    --------
    >>> import numpy as np
    >>> from skae.metrics import matched_f1_score
    >>> activations = np.array([[1.0, 0.0], [0.5, 0.0], [0.0, 2.0]])
    >>> matched_f1_score(activations, activations, np.eye(2), np.eye(2))
    1.0
    """
    codes, activations = check_array(codes), check_array(activations)
    check_consistent_length(codes, activations)
    nearest, _ = _nearest(dictionary, reference)
    if codes.shape[1] != len(nearest) or activations.shape[1] != len(np.atleast_2d(reference)):
        raise ValueError(
            f"codes of {codes.shape[1]} units and activations of {activations.shape[1]} features "
            f"do not go with {len(nearest)} and {len(reference)} directions."
        )
    fires, is_there = codes != 0, activations[:, nearest] != 0
    hits = (fires & is_there).sum(axis=0)
    n_claimed = fires.sum(axis=0) + is_there.sum(axis=0)
    return float(
        np.divide(2 * hits, n_claimed, where=n_claimed > 0, out=np.zeros(len(hits))).mean()
    )


def _nearest(dictionary: Any, reference: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of the nearest direction of each, and 1 - the cosine of the angle."""
    dictionary, reference = check_array(dictionary), check_array(reference)
    if dictionary.shape[1] != reference.shape[1]:
        raise ValueError(
            f"dictionary has {dictionary.shape[1]} features, but reference {reference.shape[1]}."
        )
    return pairwise_distances_argmin_min(dictionary, reference, metric="cosine")
