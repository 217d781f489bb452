"""scikit-learn's own checks, with nothing expected to fail."""

import pytest
from conftest import TwoGroups, epochs, public_estimators, quick, variants
from sklearn.utils.estimator_checks import parametrize_with_checks

from skae import GenerativeAdversarialNetwork
from skae._convergence import ConvergingEstimator


def more(estimator_class):
    """Return the variants, with early stopping where there is any."""
    stops_early = issubclass(estimator_class, ConvergingEstimator)
    return [
        one | ({"early_stopping": True} if stops_early else {}) for one in variants(estimator_class)
    ]


def few_epochs(estimator_class):
    """Return the parameter for few epochs, or for two of a training with three networks."""
    return epochs(estimator_class, 2 if estimator_class is GenerativeAdversarialNetwork else 5)


LEARNERS = [one.__base__ if one is TwoGroups else one for one in public_estimators()]


@pytest.mark.filterwarnings("ignore:(BernoulliRBM|DeepBeliefNetwork) takes values as probabilities")
@parametrize_with_checks(
    [
        # All defaults, but for the number of epochs.
        *(one(**few_epochs(one)) for one in LEARNERS),
        *(quick(one, **few_epochs(one), **variant) for one in LEARNERS for variant in more(one)),
    ]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)
