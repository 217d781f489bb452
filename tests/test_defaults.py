"""Defaults on data that everybody knows: they fit without a warning."""

import os
import warnings

import numpy as np
import pytest
from sklearn.datasets import load_digits, load_iris, load_wine
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from skae import BernoulliRBM, DeepBeliefNetwork, GenerativeAdversarialNetwork

LOADERS = [
    load_iris,
    load_wine,
    pytest.param(
        load_digits,
        marks=pytest.mark.skipif("SKAE_LONG" not in os.environ, reason="long: set SKAE_LONG"),
        id="load_digits",
    ),
]


@pytest.mark.parametrize("load", LOADERS, ids=lambda one: one.__name__)
def test_a_default_fit_warns_of_nothing(public_class, load):
    if public_class is GenerativeAdversarialNetwork and load not in (load_iris, load_wine):
        pytest.skip("most of a minute")
    of_probabilities = public_class in (BernoulliRBM, DeepBeliefNetwork)
    scaler = MinMaxScaler() if of_probabilities else StandardScaler()
    X = scaler.fit_transform(load().data)
    with warnings.catch_warnings():
        warnings.resetwarnings()  # those of convergence, too, which the other tests let pass
        warnings.simplefilter("error")
        estimator = public_class().set_params(random_state=0).fit(X)
    # Some rows: the integrals of a Gaussian machine take longer than its fit.
    assert np.isfinite(estimator.score_samples(X[::10])).all()
