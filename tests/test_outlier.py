"""The outlier detector: its thresholds, p-values, explanations and ensembles."""

import functools
import itertools
import math
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
from conftest import quick
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.stats import kstest, norm
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.metrics import roc_auc_score
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KernelDensity
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks

from skae import Autoencoder, DenoisingAutoencoder, SelfOrganizingMap
from skae.autoencoders import CodebookEnsemble
from skae.boltzmann import GaussianRBM
from skae.layers import Conv1d
from skae.outlier import OutlierDetector, _rows, mean_threshold, median_threshold

LEARNERS = {
    "Autoencoder": quick(Autoencoder, n_components=2),
    "score_draws": quick(DenoisingAutoencoder, noise_schedule=[0.1, 0.3], score_draws=2),
    "GaussianRBM": GaussianRBM(4, n_iter=2, random_state=0),
    "PCA": PCA(2),
    "GaussianMixture": GaussianMixture(3, random_state=0),
    "KernelDensity": KernelDensity(bandwidth=0.5),
    "IsolationForest": IsolationForest(n_estimators=20, random_state=0),
    "pipeline": make_pipeline(StandardScaler(), PCA(2)),
}


@pytest.fixture(params=LEARNERS)
def learner(request):
    return LEARNERS[request.param]


@pytest.fixture
def strange(table):
    """Return rows of the table with one feature that does not belong, and which it is."""
    rows, feature = table[:20].copy(), np.arange(20) % 5
    rows[np.arange(20), feature] += 6
    return rows, feature


@parametrize_with_checks(
    [
        OutlierDetector(),
        OutlierDetector(PCA(1)),
        OutlierDetector(GaussianMixture()),
        OutlierDetector(PCA(1), n_estimators=3, max_samples=0.8),
        OutlierDetector(LEARNERS["Autoencoder"], n_estimators=2, contamination=0.1),
    ]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


# -- scores --------------------------------------------------------------------------------


def test_scores_are_those_of_the_learner(learner, table):
    detector = OutlierDetector(learner).fit(table)
    expected = clone(learner).fit(table).score_samples(table)
    assert_array_equal(detector.score_samples(table), expected)
    assert_array_equal(detector.decision_function(table), expected - detector.offset_)
    assert_array_equal(detector.predict(table), np.where(expected < detector.offset_, -1, 1))
    assert_array_equal(detector.fit_predict(table), detector.predict(table))
    assert detector.score(table) == pytest.approx(expected.mean())
    assert not detector.score_std(table).any()


def test_strange_rows_are_found(learner, table, strange):
    if isinstance(learner, IsolationForest):
        pytest.skip("it uses one feature at a time")
    detector = OutlierDetector(learner, random_state=0).fit(table)
    rows, _ = strange
    both = np.vstack([table[20:], rows])
    is_normal = np.arange(300) < 280
    assert roc_auc_score(is_normal, detector.score_samples(both)) > 0.9


def test_set_params_after_fit_does_not_change_the_results(table):
    detector = OutlierDetector(PCA(2), calibration_fraction=0.3, random_state=0).fit(table)
    methods = ("score_samples", "predict", "p_values", "explain", "top_features")
    before = [getattr(detector, method)(table) for method in methods]
    detector.set_params(estimator=None, contamination=0.5, calibration_fraction=0, n_estimators=5)
    for method, expected in zip(methods, before, strict=True):
        assert_array_equal(getattr(detector, method)(table), expected)


@pytest.mark.parametrize("n_estimators", [1, 3])
def test_same_random_state_same_bits(table, n_estimators):
    without_seed = quick(Autoencoder, random_state=None)
    parameters = dict(n_estimators=n_estimators, max_samples=0.9, calibration_fraction=0.2)
    detector = OutlierDetector(without_seed, random_state=0, **parameters)
    before = np.random.get_state()[1].copy()
    scores = detector.fit(table).score_samples(table)
    assert_array_equal(np.random.get_state()[1], before)
    assert_array_equal(detector.score_samples(table), scores)
    assert_array_equal(pickle.loads(pickle.dumps(detector)).score_samples(table), scores)
    assert_array_equal(clone(detector).fit(table).score_samples(table), scores)
    other = clone(detector).set_params(random_state=1).fit(table)
    assert not np.array_equal(other.score_samples(table), scores)
    assert without_seed.random_state is None
    assert not hasattr(without_seed, "module_")


def test_scoring_streams(learner, table, monkeypatch):
    detector = OutlierDetector(learner).fit(table)
    scores, contributions = detector.score_samples(table), detector.explain(table)
    largest = 0
    original = type(detector.estimators_[0]).score_samples

    def score_samples(self, X):
        nonlocal largest
        largest = max(largest, len(X))
        return original(self, X)

    monkeypatch.setattr(type(detector.estimators_[0]), "score_samples", score_samples)
    monkeypatch.setattr(_rows, "DENSE_NUMBERS", 100)
    assert_allclose(detector.score_samples(table), scores, rtol=1e-12, atol=1e-12)
    assert largest == 20  # rows of five numbers
    assert_allclose(detector.explain(table), contributions, rtol=1e-9, atol=1e-9)
    assert largest == 20


def test_training_scores_are_kept_only_when_asked(table):
    rows = np.tile(table, (40, 1))
    few, many = (OutlierDetector(PCA(2)).fit(X) for X in (table, rows))
    assert few.training_scores_ is None
    assert len(pickle.dumps(many)) < len(pickle.dumps(few)) + 100
    kept = OutlierDetector(PCA(2), store_scores=True).fit(table)
    assert_array_equal(kept.training_scores_, kept.score_samples(table))
    kept.set_params(calibration_fraction=0.3).fit(table)
    together = np.sort(np.r_[kept.training_scores_, kept.calibration_scores_])
    assert_allclose(together, np.sort(kept.score_samples(table)))


# -- thresholds ----------------------------------------------------------------------------


@pytest.mark.parametrize("contamination", [0.01, 0.1, 0.5])
def test_fraction_of_the_training_rows(learner, table, contamination):
    detector = OutlierDetector(learner, contamination=contamination, random_state=0)
    assert (detector.fit_predict(table) == -1).sum() == contamination * 300


@pytest.mark.parametrize(
    "rule",
    [mean_threshold, functools.partial(median_threshold, n_deviations=1), lambda scores: -1.5],
    ids=["mean", "median", "own"],
)
def test_callable_gives_the_threshold(table, rule):
    detector = clone(OutlierDetector(PCA(2), contamination=rule, store_scores=True)).fit(table)
    assert detector.offset_ == rule(detector.training_scores_)
    detector.set_params(calibration_fraction=0.3).fit(table)
    assert detector.offset_ == pytest.approx(rule(detector.calibration_scores_))


def test_auto_is_the_median_rule(table):
    detector = OutlierDetector(PCA(2), store_scores=True).fit(table)
    assert detector.offset_ == median_threshold(detector.training_scores_)


@pytest.mark.parametrize("rule", [mean_threshold, median_threshold])
def test_thresholds_move_with_the_scores(rule):
    scores = np.random.default_rng(0).gamma(2, size=1000)
    assert rule(3 * scores - 5) == pytest.approx(3 * rule(scores) - 5)
    assert rule(np.full(10, 2.0)) == 2


@pytest.mark.parametrize(("rule", "k"), [(mean_threshold, 3), (median_threshold, 2.5)])
def test_thresholds_of_normal_scores(rule, k):
    scores = norm.ppf((np.arange(10**5) + 0.5) / 10**5)  # a sample without chance
    assert rule(scores) == pytest.approx(-k, abs=1e-3)
    assert rule(scores, 1) == pytest.approx(-1, abs=1e-3)


def test_outliers_do_not_move_the_median_rule():
    n = 10**5
    normal = norm.ppf((np.arange(n) + 0.5) / n)
    with_outliers = np.r_[normal, np.full(n // 10, -1e6), np.linspace(-9, -4, n // 10)]
    assert median_threshold(with_outliers) == pytest.approx(-2.5, abs=0.01)
    assert mean_threshold(with_outliers) < -1e5


def test_a_rule_ends_where_most_scores_are_infinite():
    """As those of a likelihood that excludes most rows; it went on without end."""
    assert median_threshold(np.array([-np.inf, -np.inf, -1.0])) == -np.inf


# -- calibration -----------------------------------------------------------------------------


def test_p_values_by_their_definition(table):
    detector = OutlierDetector(PCA(2), calibration_fraction=0.1, random_state=0).fit(table)
    calibration = detector.calibration_scores_
    assert len(calibration) == 30
    assert (np.diff(calibration) >= 0).all()
    scores = detector.score_samples(table)
    counted = (calibration <= scores[:, None]).sum(axis=1)
    assert_allclose(detector.p_values(table), (1 + counted) / 31)
    assert detector.p_values(np.full((1, 5), 1e3)) == 1 / 31


@pytest.mark.parametrize("learner", [PCA(2), LEARNERS["Autoencoder"]], ids=["PCA", "Autoencoder"])
def test_p_values_of_normal_rows_are_uniform(learner):
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(2, 5))
    X = rng.normal(size=(6000, 2)) @ weights + 0.1 * rng.normal(size=(6000, 5))
    train, test = X[:3000], X[3000:]
    detector = OutlierDetector(learner, calibration_fraction=0.5, random_state=0).fit(train)
    distance = kstest(detector.p_values(test), "uniform").statistic
    # Two samples of one distribution are as far apart in one case of a hundred.
    assert distance < 1.63 * math.sqrt(1 / 1500 + 1 / 3000)


@pytest.mark.parametrize(("contamination", "expected"), [(0.05, 2 / 41), (0.2, 8 / 41)])
def test_contamination_is_the_rate_of_false_alarms(contamination, expected):
    rng = np.random.default_rng(0)
    rates = []
    for seed in range(300):
        X = rng.normal(size=(580, 3))
        detector = OutlierDetector(
            PCA(1), contamination=contamination, calibration_fraction=0.5, random_state=seed
        ).fit(X[:80])
        predicted = detector.predict(X[80:])
        assert_array_equal(predicted == -1, detector.p_values(X[80:]) <= contamination)
        rates.append((predicted == -1).mean())
    # Order statistic 2 (or 8) of 40 uniform numbers has this mean; four standard errors.
    assert abs(np.mean(rates) - expected) < 4 * np.std(rates) / math.sqrt(300)


def test_calibration_rows_are_not_learned_from(table):
    rows_seen = []

    class Scorer(PCA):
        def fit(self, X, y=None):
            rows_seen.append(len(X))
            return super().fit(X)

    OutlierDetector(Scorer(2), calibration_fraction=0.3).fit(table)
    assert rows_seen == [210]


@pytest.mark.parametrize(
    ("contamination", "n_rows", "works"),
    [(0.1, 18, True), (0.1, 16, False), (0.01, 198, True), (0.01, 196, False)],
)
def test_too_few_rows_to_calibrate(table, contamination, n_rows, works):
    detector = OutlierDetector(PCA(1), contamination=contamination, calibration_fraction=0.5)
    if works:  # the strangest calibration row is the threshold
        fitted = detector.fit(table[:n_rows])
        assert fitted.offset_ == fitted.calibration_scores_[0]
        return
    message = rf"contamination={contamination} needs \d+ calibration rows or more, .* {n_rows} rows"
    with pytest.raises(ValueError, match=message):
        detector.fit(table[:n_rows])


# -- explanations ------------------------------------------------------------------------------


def test_contributions_add_up_to_the_score(learner, table, strange):
    detector = OutlierDetector(learner, random_state=0).fit(table)
    for X in (table[:50], strange[0]):
        contributions = detector.explain(X)
        assert contributions.shape == X.shape
        assert_allclose(contributions.sum(axis=1), detector.score_samples(X), rtol=1e-6, atol=1e-6)


def test_contributions_of_an_ensemble_add_up(learner, table):
    parameters = dict(n_estimators=3, max_samples=0.7, max_features=3, random_state=0)
    detector = OutlierDetector(learner, **parameters).fit(table)
    total = detector.explain(table[:50]).sum(axis=1)
    assert_allclose(total, detector.score_samples(table[:50]), rtol=1e-6, atol=1e-6)


def test_contributions_of_an_autoencoder_are_its_errors(table):
    autoencoder = quick(Autoencoder, loss="huber").fit(table)
    detector = OutlierDetector(quick(Autoencoder, loss="huber")).fit(table)
    errors = autoencoder.reconstruction_error(table, per_feature=True)
    assert_allclose(detector.explain(table), -errors / 5, rtol=1e-12)


def test_contributions_are_shapley_values_of_a_quadratic_score(table):
    X = table[:3]
    detector = OutlierDetector(PCA(2)).fit(table)
    scores = clone(detector.estimator).fit(table).score_samples
    reference = detector.reference_
    assert scores(reference[None]) == pytest.approx(scores(table).max())
    expected = np.zeros((3, 5))
    for order in itertools.permutations(range(5)):
        row = np.tile(reference, (3, 1))
        for feature in order:
            before = scores(row)
            row[:, feature] = X[:, feature]
            expected[:, feature] += (scores(row) - before) / math.factorial(5)
    assert_allclose(detector.explain(X), expected + scores(reference[None]) / 5, atol=1e-8)


def test_contributions_of_independent_features_are_their_own():
    X = np.random.default_rng(0).normal(size=(500, 3)) * [1, 2, 3]
    mixture = GaussianMixture(covariance_type="diag").fit(X)
    detector = OutlierDetector(GaussianMixture(covariance_type="diag")).fit(X)
    own = norm(mixture.means_[0], np.sqrt(mixture.covariances_[0])).logpdf
    at_reference = own(detector.reference_)
    expected = own(X) - at_reference + at_reference.mean()
    assert_allclose(detector.explain(X), expected, rtol=1e-8, atol=1e-8)


def test_strange_feature_is_named(learner, table, strange):
    if isinstance(learner, IsolationForest):
        pytest.skip("it uses one feature at a time")
    rows, feature = strange
    detector = OutlierDetector(learner, random_state=0).fit(table)
    top = detector.top_features(rows, 2)
    assert top.shape == (20, 2)
    # An error of one feature spreads over the others of a bottleneck.
    assert (top == feature[:, None]).any(axis=1).mean() >= 0.7
    order = np.argsort(detector.explain(rows), axis=1)
    assert_array_equal(detector.top_features(rows, 5), order)


def test_explanations_have_names_if_the_features_have(table):
    frame = pd.DataFrame(table, columns=list("abcde"), index=np.arange(300) + 7)
    detector = OutlierDetector(PCA(2)).fit(frame)
    explained = detector.explain(frame[:4])
    assert list(explained.columns) == list("abcde")
    assert list(explained.index) == [7, 8, 9, 10]
    assert_allclose(explained, OutlierDetector(PCA(2)).fit(table).explain(table[:4]))
    top = detector.top_features(frame[:4], 1)
    assert_array_equal(top[:, 0], explained.idxmin(axis=1))


# -- ensembles -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Autoencoder", "GaussianRBM", "IsolationForest"])
def test_members_differ_and_all_count(name, table):
    detector = OutlierDetector(LEARNERS[name], n_estimators=3, random_state=0).fit(table)
    scores = np.stack([member.score_samples(table) for member in detector.estimators_])
    for one, other in itertools.combinations(scores, 2):
        assert not np.allclose(one, other)
    assert_allclose(detector.score_samples(table), scores.mean(axis=0))
    assert_allclose(detector.score_std(table), scores.std(axis=0))
    assert detector.estimators_[0].random_state == LEARNERS[name].random_state


def test_members_have_their_own_rows_and_features(table):
    parameters = dict(n_estimators=4, max_samples=0.5, max_features=2, random_state=0)
    detector = OutlierDetector(PCA(1), **parameters).fit(table)
    seen = detector.estimators_features_
    assert {len(features) for features in seen} == {2}
    assert len({tuple(features) for features in seen}) > 1
    assert {member.n_samples_ for member in detector.estimators_} == {150}
    scores = [m.score_samples(table[:, f]) for m, f in zip(detector.estimators_, seen, strict=True)]
    assert_allclose(detector.score_samples(table), np.mean(scores, axis=0))


def test_seeds_reach_inside_a_pipeline(table):
    learner = make_pipeline(StandardScaler(), quick(Autoencoder, random_state=None))
    detector = OutlierDetector(learner, n_estimators=2, random_state=0).fit(table)
    seeds = [member[-1].random_state for member in detector.estimators_]
    assert len(set(seeds)) == 2
    assert None not in seeds
    assert detector.score_std(table).min() > 0


def test_members_with_the_same_scores_are_warned_of(table):
    with pytest.warns(UserWarning, match=r"3 learners give every row the same score.*max_samples"):
        OutlierDetector(PCA(2), n_estimators=3).fit(table)


# -- what it takes -------------------------------------------------------------------------------


def test_sparse_rows(table):
    dense = np.where(np.abs(table) < 0.5, 0, table)
    X = sparse.csr_matrix(dense)
    parameters = dict(n_estimators=2, max_features=4, calibration_fraction=0.2, random_state=0)
    learner = quick(Autoencoder)
    detector = OutlierDetector(learner, **parameters).fit(X)
    twin = OutlierDetector(learner, **parameters).fit(dense)
    assert_allclose(detector.score_samples(X), twin.score_samples(dense), rtol=1e-9)
    assert_allclose(detector.explain(X), twin.explain(dense), rtol=1e-9)
    assert detector.offset_ == pytest.approx(twin.offset_)
    with pytest.raises(TypeError, match=r"[Ss]parse data was passed"):
        OutlierDetector(GaussianMixture()).fit(X)


def test_signals(digits):
    signals = digits[:100].reshape(100, 1, 64)
    learner = quick(Autoencoder, hidden_layers=Conv1d((1, 64), channels=(4,)))
    detector = OutlierDetector(learner).fit(signals)
    assert_array_equal(detector.score_samples(signals), detector.score_samples(digits[:100]))
    explained = detector.explain(signals)
    assert explained.shape == signals.shape
    assert_allclose(explained.sum(axis=(1, 2)), detector.score_samples(signals), rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_is_kept(table, dtype):
    X = table.astype(dtype)
    detector = OutlierDetector(LEARNERS["Autoencoder"], n_estimators=2, random_state=0).fit(X)
    assert detector.score_samples(X).dtype == dtype
    assert detector.decision_function(X).dtype == dtype
    assert detector.explain(X).dtype == dtype


def test_weights_reach_the_learner(table):
    weight = np.ones(300)
    weight[:100] = 0
    learner = LEARNERS["Autoencoder"]
    detector = OutlierDetector(learner, contamination=0.1).fit(table, sample_weight=weight)
    without = OutlierDetector(learner, contamination=0.1).fit(table[100:])
    assert_array_equal(detector.score_samples(table), without.score_samples(table))
    assert detector.offset_ == without.offset_
    weight = np.random.default_rng(0).random(300)
    detector = OutlierDetector(learner).fit(table, sample_weight=weight)
    expected = clone(learner).fit(table, sample_weight=weight).score_samples(table)
    assert_array_equal(detector.score_samples(table), expected)
    parameters = dict(n_estimators=2, max_samples=0.5, calibration_fraction=0.5, random_state=0)
    OutlierDetector(learner, **parameters).fit(table, sample_weight=weight)
    with pytest.raises(TypeError, match="sample_weight"):
        OutlierDetector(PCA(2)).fit(table, sample_weight=weight)


def test_weights_are_routed(table):
    weight = np.random.default_rng(0).random(300)
    with sklearn.config_context(enable_metadata_routing=True):
        learner = quick(Autoencoder).set_fit_request(sample_weight=True)
        for detector in (OutlierDetector(learner), OutlierDetector(random_state=0)):
            pipeline = make_pipeline(
                StandardScaler().set_fit_request(sample_weight=False), detector
            )
            routed = pipeline.fit(table, sample_weight=weight)[-1]
            Z = StandardScaler().fit_transform(table)
            direct = clone(detector).fit(Z, sample_weight=weight)
            assert_array_equal(routed.score_samples(Z), direct.score_samples(Z))


def test_frames_in_a_pipeline_under_a_grid_search(table):
    frame = pd.DataFrame(table, columns=list("abcde"))
    detector = OutlierDetector(PCA(1), contamination=0.1)
    pipeline = Pipeline([("scaler", StandardScaler()), ("detector", detector)])
    pipeline.set_output(transform="pandas")
    search = GridSearchCV(pipeline, {"detector__estimator__n_components": [1, 2]}).fit(frame)
    assert search.best_params_ == {"detector__estimator__n_components": 2}
    assert search.predict(frame).tolist().count(-1) == 30
    assert list(search.best_estimator_[-1].explain(frame[:2]).columns) == list("abcde")
    y = np.where(np.arange(300) % 10 < 3, -1, 1)
    search.set_params(scoring="roc_auc").fit(frame, y)


# -- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"estimator": KMeans()}, "'estimator'.*'fit' and 'score_samples'.*KMeans"),
        ({"contamination": 0.0}, r"'contamination'.*\(0.0, 0.5\].*Got 0.0"),
        ({"contamination": 0.6}, "'contamination'"),
        ({"contamination": "most"}, "'contamination'.*'auto'"),
        ({"contamination": lambda scores: np.nan}, "gives the threshold nan, .* not a finite"),
        ({"calibration_fraction": 1.0}, r"'calibration_fraction'.*\[0.0, 1.0\)"),
        ({"n_estimators": 0}, "'n_estimators'"),
        ({"max_samples": 0.0}, "'max_samples'"),
        ({"max_samples": 301}, "max_samples=301 is more than there are: 300"),
        ({"max_features": 6}, "max_features=6 is more than there are: 5"),
        ({"store_scores": "yes"}, "'store_scores'"),
        ({"random_state": "seed"}, "'random_state'"),
    ],
    ids=lambda value: str(value).split(" at 0x")[0],
)
def test_bad_parameters(table, parameters, message):
    with pytest.raises((ValueError, TypeError), match=message):
        OutlierDetector(**{"estimator": PCA(2), **parameters}).fit(table)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ([[1.0, np.nan], [1.0, 2.0]], r"NaN"),
        (
            [["red", "blue"], ["red", "red"]],
            "PCA needs numbers, but X holds str.*OneHotEncoder",
        ),
        ([[1.0, 2.0]], "needs 2 rows or more, got n_samples=1"),
        ([1.0, 2.0], "Expected 2D array"),
    ],
    ids=str,
)
def test_bad_rows(table, X, message):
    detector = OutlierDetector(PCA(2)).fit(table)
    before = detector.score_samples(table)
    with pytest.raises(ValueError, match=message):
        detector.fit(X)
    assert_array_equal(detector.score_samples(table), before)


METHODS = ("score_samples", "score_std", "decision_function", "predict", "p_values", "explain")


@pytest.mark.parametrize("method", [*METHODS, "top_features", "score"])
def test_bad_reading(table, method):
    detector = OutlierDetector(PCA(2), calibration_fraction=0.2)
    with pytest.raises(NotFittedError):
        getattr(detector, method)(table)
    with pytest.raises(ValueError, match=r"3 features.*expecting 5 features"):
        getattr(detector.fit(table), method)(table[:, :3])


def test_p_values_without_calibration(table):
    with pytest.raises(ValueError, match="fit with calibration_fraction > 0"):
        OutlierDetector(PCA(2)).fit(table).p_values(table)


def test_a_detector_of_no_estimator_is_not_fitted(table):
    detector = OutlierDetector(-1)
    with pytest.raises(NotFittedError, match="OutlierDetector"):
        detector.predict(table)
    with pytest.raises(ValueError, match="'estimator' parameter of OutlierDetector"):
        detector.fit(table)


@pytest.mark.parametrize("k", [0, 6, 1.5])
def test_bad_number_of_top_features(table, k):
    with pytest.raises(ValueError, match=f"k must be an int from 1 to 5, got {k}"):
        OutlierDetector(PCA(2)).fit(table).top_features(table, k)


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (None, "gives None rather than a number"),
        (True, "gives True rather than a number"),
        (np.zeros(300), "rather than a number"),
        ("0.1", "gives '0.1' rather than a number"),
        (-np.inf, "gives the threshold -inf, which is not a finite number"),
        (1e6, r"gives the threshold 1e\+06, above all scores"),
    ],
    ids=str,
)
def test_callable_that_gives_no_threshold(table, returned, message):
    def rule(scores):
        return returned

    detector = OutlierDetector(PCA(2), contamination=rule)
    with pytest.raises(ValueError, match=message) as raised:
        detector.fit(table)
    scores = PCA(2).fit(table).score_samples(table)
    assert f"from {scores.min():.6g} to {scores.max():.6g}" in str(raised.value)
    assert not hasattr(detector, "estimators_")


@pytest.mark.parametrize("name", ["n_estimators", "max_samples", "max_features"])
def test_bools_are_no_numbers(table, name):
    with pytest.raises(ValueError, match=f"'{name}' parameter of OutlierDetector must be a number"):
        OutlierDetector(PCA(2), **{name: True}).fit(table)


# -- rows as they were given ---------------------------------------------------------------------


def mixed_frame():
    """Return rows with numbers, categories, strings and gaps, and two learners that take them."""
    rng = np.random.default_rng(0)
    size = rng.normal(size=200)
    frame = pd.DataFrame(
        {
            "size": np.where(rng.random(200) < 0.1, np.nan, size),
            "colour": rng.choice(["red", "green", "blue"], 200),
            "kind": pd.Categorical(np.where(size > 0, "large", "small")),
            "count": rng.integers(0, 5, 200),
        },
        index=np.arange(200) + 7,
    )
    encoder = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), ["size", "count"]),
            ("words", OneHotEncoder(sparse_output=False), ["colour", "kind"]),
        ]
    )
    return frame, encoder


@pytest.mark.parametrize("last", [PCA(2), Autoencoder(2, max_iter=5, tol=1, random_state=0), None])
def test_a_pipeline_sees_a_frame_with_columns_of_all_types(last):
    frame, encoder = mixed_frame()
    learner = make_pipeline(encoder, CodebookEnsemble(random_state=0) if last is None else last)
    parameters = dict(calibration_fraction=0.2, n_estimators=2, max_samples=0.5, random_state=0)
    detector = OutlierDetector(learner, **parameters).fit(frame)
    for member in detector.estimators_:
        assert list(member.feature_names_in_) == list(frame.columns)
    expected = np.mean([member.score_samples(frame) for member in detector.estimators_], axis=0)
    assert_array_equal(detector.score_samples(frame), expected)
    assert len(detector.reference_) == 4
    explained = detector.explain(frame[:6])
    assert isinstance(explained, pd.DataFrame)
    assert_array_equal(explained.index, frame.index[:6])
    assert_array_equal(explained.columns, frame.columns)
    assert_allclose(explained.sum(axis=1), expected[:6], rtol=1e-6, atol=1e-9)
    strange = frame[:1].assign(size=50.0)
    assert detector.top_features(strange, 1) == [["size"]]
    assert (detector.predict(strange), detector.p_values(strange) < 0.05) == (-1, True)


def test_contributions_of_a_frame_are_those_of_an_array(table):
    frame = pd.DataFrame(table, columns=list("abcde"), index=np.arange(300)[::-1])
    of_frame, of_array = (OutlierDetector(PCA(2)).fit(X) for X in (frame, table))
    expected = of_array.explain(table[:9])
    assert isinstance(expected, np.ndarray)
    assert_allclose(of_frame.explain(frame[:9]), expected, rtol=1e-9, atol=1e-9)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="X (has feature names|does not have valid)")
        swapped = of_frame.explain(table[:9]), of_array.explain(frame[:9])
    assert isinstance(swapped[0], np.ndarray)
    assert list(swapped[1].columns) == list("abcde")
    for contributions in swapped:
        assert_allclose(contributions, expected, rtol=1e-9, atol=1e-9)


def test_frames_of_polars(table):
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame(table, schema=list("abcde"))
    parameters = dict(n_estimators=2, max_features=3, calibration_fraction=0.2, random_state=0)
    for learner in (PCA(2), None):
        detector = OutlierDetector(learner, **parameters).fit(frame)
        twin = OutlierDetector(learner, **parameters).fit(table)
        explained = detector.explain(frame[:9])
        assert isinstance(explained, pl.DataFrame)
        assert explained.columns == list("abcde")
        assert_allclose(explained.to_numpy(), twin.explain(table[:9]), rtol=1e-9, atol=1e-9)
        assert_array_equal(detector.predict(frame), twin.predict(table))


@pytest.mark.parametrize(
    "learner",
    [
        SelfOrganizingMap((3, 3), n_iter=5, random_state=0),
        IsolationForest(n_estimators=10, random_state=0),
        make_pipeline(SimpleImputer(), PCA(2)),
    ],
    ids=["map", "forest", "pipeline"],
)
@pytest.mark.parametrize("kind", [np.asarray, pd.DataFrame])
def test_missing_values_where_the_learner_takes_them(table, learner, kind):
    X = table.copy()
    X[np.random.default_rng(0).random(X.shape) < 0.2] = np.nan
    X = X[~np.isnan(X).all(axis=1)]
    detector = OutlierDetector(learner, random_state=0).fit(kind(X))
    expected = clone(learner).fit(X).score_samples(X)
    assert_allclose(detector.score_samples(kind(X)), expected, rtol=1e-9)
    assert np.isfinite(detector.reference_).all()
    total = np.asarray(detector.explain(kind(X))).sum(axis=1)
    assert_allclose(total, detector.score_samples(kind(X)), rtol=1e-6, atol=1e-6)


def test_arrays_of_strings_and_sparse_rows_where_the_learner_takes_them(table):
    words = np.random.default_rng(0).choice(["red", "green", "blue"], size=(100, 3))
    learner = make_pipeline(OneHotEncoder(sparse_output=False), PCA(2))
    for X in (words, words.astype(object), words.tolist()):
        detector = OutlierDetector(learner).fit(X)
        assert_array_equal(detector.score_samples(X), clone(learner).fit(X).score_samples(X))
        assert detector.explain(X).shape == (100, 3)
    learner = make_pipeline(TruncatedSVD(2, random_state=0), GaussianMixture(random_state=0))
    X = sparse.csc_matrix(table)
    scores = OutlierDetector(learner).fit(X).score_samples(X)
    assert_allclose(scores, clone(learner).fit(X).score_samples(X))


def test_tags_follow_the_learner():
    for learner in (
        PCA(2),
        SelfOrganizingMap(),
        IsolationForest(),
        GaussianMixture(),
        Autoencoder(),
    ):
        own, tags = (get_tags(one).input_tags for one in (learner, OutlierDetector(learner)))
        assert tags.allow_nan == own.allow_nan
        assert (tags.string, tags.categorical) == (own.string, own.categorical)
        assert tags.sparse == (own.sparse and not isinstance(learner, PCA))
    assert get_tags(OutlierDetector(OneHotScorer())).input_tags.categorical


class OneHotScorer(OneHotEncoder):
    def score_samples(self, X):
        return np.zeros(len(X))


# -- many learners -------------------------------------------------------------------------------


@pytest.mark.parametrize("learner", [IsolationForest(n_estimators=5), None], ids=str)
def test_number_of_jobs_changes_no_bit(table, learner):
    parameters = dict(n_estimators=3, max_samples="auto", max_features=3, random_state=0)
    one, two = (OutlierDetector(learner, n_jobs=n, **parameters).fit(table) for n in (None, 2))
    assert_array_equal(one.score_samples(table), two.score_samples(table))
    assert one.offset_ == two.offset_


@pytest.mark.parametrize(("n_rows", "expected"), [(100, 100), (256, 256), (300, 256)])
def test_auto_is_256_rows_at_most(table, n_rows, expected):
    detector = OutlierDetector(PCA(1), max_samples="auto").fit(table[:n_rows])
    assert detector.estimators_[0].n_samples_ == detector.max_samples_ == expected
    forest = IsolationForest(n_estimators=5).fit(table[:n_rows])
    assert forest.max_samples_ == expected


@pytest.mark.parametrize(
    ("learner", "rtol"),
    [(CodebookEnsemble(random_state=0), 1e-12), (None, 1e-3)],  # learns in float32
    ids=str,
)
def test_offsets_of_float64_make_no_difference(learner, rtol):
    rng = np.random.default_rng(0)
    # Multiples of 1/64, which are exact at either place.
    X = np.round(64 * (rng.normal(size=(200, 2)) + 50 * rng.integers(0, 2, (200, 1)))) / 64
    near, far = (OutlierDetector(learner, random_state=0).fit(rows) for rows in (X, X + 1.7e9))
    assert_allclose(far.score_samples(X + 1.7e9), near.score_samples(X), rtol=rtol, atol=rtol)
    assert_array_equal(far.predict(X + 1.7e9), near.predict(X))


@pytest.mark.parametrize("load", [load_iris, load_wine, load_breast_cancer, load_digits])
def test_defaults_warn_of_nothing_on_well_known_tables(load):
    X = StandardScaler().fit_transform(load().data)
    for one in (OutlierDetector(), CodebookEnsemble(), SelfOrganizingMap()):
        with warnings.catch_warnings(action="error"):
            one.set_params(random_state=0).fit(X).score_samples(X)
