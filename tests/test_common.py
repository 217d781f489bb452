"""scikit-learn's own checks, with nothing expected to fail."""

import pytest
from conftest import TwoGroups, epochs, public_estimators, quick, variants
from sklearn.utils.estimator_checks import parametrize_with_checks

from skae import GenerativeAdversarialNetwork
from skae._convergence import ConvergingEstimator


def more_variants(estimator_class):
    stops_early = issubclass(estimator_class, ConvergingEstimator)
    return variants(estimator_class) + [dict(early_stopping=True)] * stops_early


def few_epochs(estimator_class, n):
    """Return the parameter for `n` epochs, or for two of a training with three networks."""
    return epochs(estimator_class, 2 if estimator_class is GenerativeAdversarialNetwork else n)


LEARNERS = [one.__base__ if one is TwoGroups else one for one in public_estimators()]


@pytest.mark.filterwarnings("ignore:(BernoulliRBM|DeepBeliefNetwork) takes values as probabilities")
@parametrize_with_checks(
    [
        # All defaults, but for the number of epochs.
        *(one(**few_epochs(one, 20)) for one in LEARNERS),
        *(quick(one, **few_epochs(one, 5), **v) for one in LEARNERS for v in more_variants(one)),
    ]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)
