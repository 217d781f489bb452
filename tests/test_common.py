"""scikit-learn's own checks, with nothing expected to fail."""

from conftest import public_estimators
from sklearn.utils.estimator_checks import parametrize_with_checks

from skae.layers import Dense

VARIANTS = [
    dict(hidden_layers=Dense((16,), batch_norm=True, dropout=0.2)),
    dict(early_stopping=True),
]


@parametrize_with_checks(
    [
        *(one() for one in public_estimators()),
        *(one(**variant) for one in public_estimators() for variant in VARIANTS),
    ]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)
