"""The learner of a detector: what it is given, a list as one, or the default."""

from __future__ import annotations

from typing import Any

from sklearn.utils import get_tags

from ..autoencoders import Autoencoder, DenoisingAutoencoder, NestedCodebooks
from ..som import SelfOrganizingMap
from ._combined import CombinedLearner, combined
from ._rarity import ValueRarity
from ._value_gaps import ValueGaps

# Rows that the learners of the default are fitted to, at most.
MAX_SAMPLES = 10_000

# Parameters of its autoencoders that are not their defaults.
NETWORK_SETTINGS: dict[str, Any] = {}


def default_learner(clean: bool | None) -> CombinedLearner:
    """Return the learner for rows of a table as they come, not fitted.

    Parameters
    ----------
    clean : bool or None
        Whether all training rows are normal; None if that is not known.
    """
    n_entries, smallest, weights = {
        None: (1024, 32, [3, 2, 1, 1, 1, 1]),
        True: (2048, 256, [6, 2, 2, 1, 1, 1]),
        False: (1024, 16, [3, 3, 1, 1, 1, 1]),
    }[clean]
    learners = [
        NestedCodebooks(n_entries, smallest=smallest, missing_values="mask"),
        ValueRarity(),
        ValueGaps(),
        SelfOrganizingMap((12, 12)),
        DenoisingAutoencoder(missing_values="mask", **NETWORK_SETTINGS),
        Autoencoder(missing_values="mask", **NETWORK_SETTINGS),
    ]
    return combined(
        learners,
        weights=weights,
        scaled=True,
        trim=0.4 if clean is False else 0.02,
        n_untrimmed=3,
        max_samples=MAX_SAMPLES,
    )


def is_bad_list(estimator: Any) -> bool:
    """Return whether `learner_of` refuses a list."""
    is_list = isinstance(estimator, list | tuple)
    return is_list and not (estimator and all(map(_is_learner, estimator)))


def _is_learner(one: Any) -> bool:
    has_methods = hasattr(one, "fit") and hasattr(one, "score_samples")
    return has_methods and not isinstance(one, type)


def takes_nan(learner: Any) -> bool:
    """Return whether a learner says of itself that it takes missing values."""
    return hasattr(learner, "__sklearn_tags__") and get_tags(learner).input_tags.allow_nan


def learner_of(estimator: Any, clean: bool | None) -> Any:
    """Return the learner, not fitted; a list of learners as one.

    Raises
    ------
    ValueError
        If a list is empty, or holds what cannot be fitted or does not score.
    """
    if estimator is None:
        return default_learner(clean)
    if not isinstance(estimator, list | tuple):
        return estimator
    for one in estimator:
        if not _is_learner(one):
            raise ValueError(
                "estimator must hold learners with the methods `fit` and `score_samples`, got "
                f"{one!r} in the list."
            )
    if not estimator:
        raise ValueError("estimator is an empty list; give one or more learners, or None.")
    return combined(list(estimator))
