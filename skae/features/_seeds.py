"""Seeds of the learner inside of another estimator."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._random import MAX_SEED


def with_seeds(learner: Any, random_state: np.random.RandomState) -> Any:
    """Give a learner, and those inside of it, a seed wherever it has none."""
    unset = [
        name
        for name, value in sorted(learner.get_params().items())
        if name.split("__")[-1] == "random_state" and value is None
    ]
    return learner.set_params(**{name: random_state.randint(MAX_SEED) for name in unset})
