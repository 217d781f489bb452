"""A user's code, for the type checker alone: ``make lint`` reads it as ``mypy --strict`` would.

scikit-learn has no types, so what comes from it may be anything: `fit_transform`, `set_params`, and
attributes that are unknown.
"""

from typing import Any, assert_type

import numpy as np

from skae import (
    AdversarialAutoencoder,
    Autoencoder,
    BernoulliRBM,
    ConditionalVariationalAutoencoder,
    ContractiveAutoencoder,
    DeepBeliefNetwork,
    DenoisingAutoencoder,
    DictionaryAutoencoder,
    GaussianRBM,
    GenerativeAdversarialNetwork,
    OutlierDetector,
    SelfOrganizingMap,
    SparseAutoencoder,
    VariationalAutoencoder,
    WinnerTakeAllAutoencoder,
    config_context,
    fit_many,
)
from skae.autoencoders import CodebookEnsemble
from skae.features import LayerFeatures, WindowFeatures
from skae.layers import Conv1d, Conv2d, Dense
from skae.metrics import frechet_distance
from skae.model_selection import BatchedGridSearchCV
from skae.outlier import ValueGaps, ValueRarity
from skae.outputs import Huber
from skae.plotting import LossCurveDisplay, SOMDisplay
from skae.som import quantization_error

Array = np.ndarray[tuple[Any, ...], np.dtype[Any]]


def fit_gives_the_estimator(X: Array, y: Array) -> None:
    assert_type(AdversarialAutoencoder(8).fit(X), AdversarialAutoencoder)
    assert_type(Autoencoder(8).fit(X, X_val=X), Autoencoder)
    assert_type(BernoulliRBM(8).fit(X), BernoulliRBM)
    assert_type(CodebookEnsemble().fit(X), CodebookEnsemble)
    assert_type(ConditionalVariationalAutoencoder(8).fit(X, y), ConditionalVariationalAutoencoder)
    assert_type(ContractiveAutoencoder(8).fit(X), ContractiveAutoencoder)
    assert_type(DeepBeliefNetwork((8, 4)).fit(X), DeepBeliefNetwork)
    assert_type(DenoisingAutoencoder(8).partial_fit(X), DenoisingAutoencoder)
    assert_type(DictionaryAutoencoder(8, k=2).fit(X), DictionaryAutoencoder)
    assert_type(GaussianRBM(8).partial_fit(X), GaussianRBM)
    assert_type(LayerFeatures(Autoencoder(8)).fit(X), LayerFeatures)
    assert_type(WindowFeatures(n_segments=4).fit(X), WindowFeatures)
    assert_type(GenerativeAdversarialNetwork(8).fit(X), GenerativeAdversarialNetwork)
    assert_type(OutlierDetector(Autoencoder(8)).fit(X), OutlierDetector)
    assert_type(SelfOrganizingMap((4, 3)).fit(X), SelfOrganizingMap)
    assert_type(SparseAutoencoder(8, sparsity="k", k=2).fit(X), SparseAutoencoder)
    assert_type(ValueGaps().fit(X), ValueGaps)
    assert_type(ValueRarity().fit(X), ValueRarity)
    assert_type(VariationalAutoencoder(8).fit(X), VariationalAutoencoder)
    assert_type(WinnerTakeAllAutoencoder(8).fit(X), WinnerTakeAllAutoencoder)
    assert_type(fit_many([Autoencoder(2), Autoencoder(3)], X), list[Autoencoder])


def results_are_arrays_and_numbers(X: Array, y: Array) -> None:
    learner = Autoencoder(8, hidden_layers=Dense((16,)), loss=Huber()).fit(X)
    assert_type(learner.transform(X), Array)
    assert_type(learner.inverse_transform(X), Array)
    assert_type(learner.reconstruct(X), Array)
    assert_type(learner.score_samples(X), Array)
    assert_type(learner.score(X), float)
    assert_type(learner.n_iter_, int)
    detector = OutlierDetector(contamination=0.05, calibration_fraction=0.3).fit(X)
    assert_type(detector.predict(X), Array)
    assert_type(detector.decision_function(X), Array)
    assert_type(detector.p_values(X), Array)
    generator = VariationalAutoencoder(8, hidden_layers=Conv1d((1, 20))).fit(X)
    assert_type(generator.sample(3, random_state=0), Array)
    assert_type(ConditionalVariationalAutoencoder(8).fit(X, y).predict(X), Array)
    som = SelfOrganizingMap((4, 3)).fit(X)
    assert_type(som.predict(X), Array)
    assert_type(som.u_matrix(), Array)
    assert_type(quantization_error(som, X), float)
    assert_type(frechet_distance(X, generator.sample(3)), float)


def displays_and_searches_have_types(X: Array) -> None:
    learner = Autoencoder(8, hidden_layers=Conv2d((1, 8, 8)))
    assert_type(LossCurveDisplay.from_estimator(learner), LossCurveDisplay)
    assert_type(SOMDisplay.from_estimator(SelfOrganizingMap((4, 3)).fit(X)), SOMDisplay)
    with config_context(record_steps=False):
        search = BatchedGridSearchCV(learner, {"n_components": [4, 8]}).fit(X)
    assert_type(search, BatchedGridSearchCV)


def mistakes_are_seen(X: Array) -> None:
    Autoencoder(8, max_itr=5)  # type: ignore[call-arg]
    Autoencoder(8, max_iter="many")  # type: ignore[arg-type]
    OutlierDetector().fit()  # type: ignore[call-arg]
