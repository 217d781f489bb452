"""Lists of learners, trimming, the default learner, and the learners made for it."""

import pickle
import tracemalloc

import numpy as np
import pandas as pd
import pytest
import sklearn
from conftest import quick
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.integrate import quad
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score
from sklearn.mixture import GaussianMixture
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks

from skae import Autoencoder, OutlierDetector, SelfOrganizingMap
from skae.autoencoders import CodebookEnsemble, NestedCodebooks
from skae.outlier import ValueGaps, ValueRarity

ERRORS = [NestedCodebooks(random_state=0), quick(SelfOrganizingMap), quick(Autoencoder)]
LISTS = {"errors": ERRORS, "likelihoods": [PCA(2), GaussianMixture(2, random_state=0)]}
LISTS["both"] = [ERRORS[0], PCA(2)]


@pytest.fixture(params=[*LISTS, None], ids=str)
def learners(request):
    return LISTS.get(request.param)


@pytest.fixture
def contaminated():
    """Return rows of which a seventh are outliers, and which are normal."""
    rng = np.random.default_rng(0)
    outliers = rng.normal([5, -5, 0, 0, 0], size=(40, 5))
    return np.vstack([rng.normal(size=(240, 5)), outliers]), np.arange(280) < 240


@parametrize_with_checks(
    [NestedCodebooks(), NestedCodebooks(4, smallest=2), ValueRarity(), ValueGaps()]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


# -- lists ---------------------------------------------------------------------------------


def test_contributions_of_a_list_add_up(learners, table):
    detector = OutlierDetector(learners, n_estimators=2, max_features=4, random_state=0).fit(table)
    total = detector.explain(table[:50]).sum(axis=1)
    assert_allclose(total, detector.score_samples(table[:50]), rtol=1e-4, atol=1e-5)


def test_an_error_counts_by_its_logarithm(table):
    learners = [PCA(2), CodebookEnsemble(random_state=0)]
    detector = OutlierDetector(learners).fit(table)
    error = clone(learners[1]).fit(table).reconstruction_error(table)
    logs = np.log(error + 1e-3 * np.median(error))
    scores = clone(learners[0]).fit(table).score_samples(table)
    deviations = scores - np.median(scores)
    squeezed = np.arcsinh(deviations / (1.4826 * np.median(np.abs(deviations))))
    expected = [squeezed / squeezed.std(), (np.median(logs) - logs) / logs.std()]
    each = detector.decision_function(table, per_learner=True) + detector.offset_
    assert_allclose(each, np.transpose(expected), rtol=1e-6, atol=1e-6)
    assert_allclose(detector.score_samples(table), np.mean(expected, axis=0), atol=1e-6)


def test_contributions_of_logarithms_are_integrals(table):
    learner = CodebookEnsemble(random_state=0)
    detector = OutlierDetector([learner]).fit(table)
    errors = clone(learner).fit(table).reconstruction_error(table, per_feature=True)
    floor = 1e-3 * np.median(errors.mean(axis=1))
    logs = np.log(errors.mean(axis=1) + floor)
    typical, row = np.median(errors, axis=0), errors[7]

    def gradient(t, feature):
        at = typical + t * (row - typical)
        return (row - typical)[feature] / 5 / (at.mean() + floor)

    gained = [-quad(gradient, 0, 1, args=(feature,))[0] for feature in range(5)]
    start = (np.median(logs) - np.log(typical.mean() + floor)) / logs.std()
    assert_allclose(detector.explain(table[7:8])[0], np.array(gained) / logs.std() + start / 5)


def test_an_error_in_other_units_is_the_same_score(table):
    class InOtherUnits(CodebookEnsemble):
        def reconstruction_error(self, X, per_feature=False):
            return 1000 * super().reconstruction_error(X, per_feature)

    one, other = (
        OutlierDetector([kind(random_state=0), PCA(2)]).fit(table).score_samples(table)
        for kind in (CodebookEnsemble, InOtherUnits)
    )
    assert_allclose(one, other)


def test_decision_functions_of_one_learner_are_those_of_its_fits(table):
    detector = OutlierDetector(PCA(1), n_estimators=3, max_samples=0.5, random_state=0).fit(table)
    each = detector.decision_function(table, per_learner=True)
    assert each.shape == (300, 3)
    assert_allclose(each.mean(axis=1), detector.decision_function(table))


@pytest.mark.parametrize("n_estimators", [1, 2])
def test_a_list_has_the_seeds_of_the_detector(table, n_estimators):
    without = [NestedCodebooks(20), quick(Autoencoder, random_state=None)]
    detector = OutlierDetector(without, n_estimators=n_estimators, random_state=0)
    scores = detector.fit(table).score_samples(table)
    assert_array_equal(clone(detector).fit(table).score_samples(table), scores)
    other = clone(detector).set_params(random_state=1).fit(table)
    assert not np.array_equal(other.score_samples(table), scores)


def test_weights_go_to_the_learners_of_a_list_that_take_them(table):
    weight = np.r_[np.zeros(100), np.ones(200)]
    learners = [PCA(2), CodebookEnsemble(random_state=0)]
    weighted = OutlierDetector(learners).fit(table, sample_weight=weight)
    assert_allclose(
        weighted.score_samples(table),
        OutlierDetector(learners).fit(table[100:], sample_weight=np.ones(200)).score_samples(table),
    )
    with pytest.raises(ValueError, match="sample_weight was given, but no learner"):
        OutlierDetector([PCA(2), PCA(1)]).fit(table, sample_weight=weight)
    with sklearn.config_context(enable_metadata_routing=True):
        routed = OutlierDetector(learners).fit(table, sample_weight=weight)
    assert_array_equal(routed.score_samples(table), weighted.score_samples(table))


@pytest.mark.parametrize(
    ("learners", "message"),
    [([], "estimator is an empty list"), ([PCA(2), 3], "got 3 in the list"), ([PCA], "PCA")],
    ids=str,
)
def test_bad_lists(table, learners, message):
    with pytest.raises(ValueError, match=message):
        OutlierDetector(learners).fit(table)


@pytest.mark.parametrize("learners", [[], [3], [PCA], (PCA(1), None)], ids=str)
def test_bad_lists_are_shown(learners):
    detector = OutlierDetector(learners)
    assert not get_tags(detector).input_tags.sparse
    detector.get_metadata_routing()
    assert "OutlierDetector" in detector._repr_html_()


def test_scales_of_many_features_are_found_from_fewer_rows(monkeypatch):
    class Measured(CodebookEnsemble):
        def reconstruction_error(self, X, per_feature=False):
            if per_feature:
                n_rows.append(len(X))
            return super().reconstruction_error(X, per_feature)

    n_rows = []
    monkeypatch.setattr("skae.outlier._combined.DENSE_NUMBERS", 1200 * 40)
    X = np.random.default_rng(0).normal(size=(1500, 40))
    OutlierDetector([Measured(random_state=0)]).fit(X)
    assert max(n_rows) == 1200


# -- trimming ------------------------------------------------------------------------------


def test_trimming_fits_again_to_the_rows_of_the_highest_scores(table):
    detector = OutlierDetector(PCA(2), trim=0.25).fit(table)
    order = np.argsort(-PCA(2).fit(table).score_samples(table), kind="stable")
    expected = PCA(2).fit(table[np.sort(order[:225])]).score_samples(table)
    assert_allclose(detector.score_samples(table), expected)


@pytest.mark.parametrize("learner", [PCA(1), [PCA(2), GaussianMixture(random_state=0)]], ids=str)
def test_trimming_makes_a_learner_robust(contaminated, learner):
    X, is_normal = contaminated
    detectors = (OutlierDetector(learner, trim=trim).fit(X) for trim in (0.0, 0.2))
    plain, trimmed = (roc_auc_score(is_normal, one.score_samples(X)) for one in detectors)
    assert 1 - trimmed < (1 - plain) / 2


@pytest.mark.parametrize("name", ["trim", "clean"])
def test_bad_values(table, name):
    with pytest.raises(ValueError, match=f"'{name}' parameter of OutlierDetector"):
        OutlierDetector(PCA(2), **{name: 1.5}).fit(table)


# -- the default learner -------------------------------------------------------------------


@pytest.mark.parametrize("clean", [None, True, False])
def test_the_default_finds_strange_rows_of_any_scale(table, clean):
    X = table * [1e-6, 1, 1e3, 1, 1] + [0, 0, 1e4, 0, 0]
    strange = X[:20].copy()
    feature = np.arange(20) % 5
    strange[np.arange(20), feature] += 4 * np.ptp(X, axis=0)[feature]
    detector = OutlierDetector(clean=clean, random_state=0).fit(X[20:])
    assert (
        roc_auc_score(np.arange(300) < 280, detector.score_samples(np.vstack([X[20:], strange])))
        > 0.99
    )
    assert (detector.top_features(strange, 1)[:, 0] == feature).mean() >= 0.9


def test_outliers_beside_each_other_are_found_unless_rows_are_said_to_be_clean():
    rng = np.random.default_rng(0)
    outliers = np.repeat(rng.normal(0, 2.5, size=(20, 5)), 3, axis=0)
    outliers += rng.normal(0, 0.01, size=(60, 5))
    X, is_normal = np.vstack([rng.normal(size=(240, 5)), outliers]), np.arange(300) < 240
    detectors = (OutlierDetector(clean=clean, random_state=0) for clean in (True, None, False))
    clean, unknown, unclean = (
        roc_auc_score(is_normal, one.fit(X).score_samples(X)) for one in detectors
    )
    assert min(unknown, unclean) > clean + 0.1


def test_the_default_takes_sparse_rows(table):
    X = np.where(table < 0.4, 0, table)
    detector = OutlierDetector(random_state=0).fit(sparse.csr_matrix(X))
    assert_allclose(
        detector.explain(sparse.csr_matrix(X[:9])).sum(axis=1),
        detector.score_samples(sparse.csr_matrix(X[:9])),
        rtol=1e-4,
        atol=1e-5,
    )


# -- nested codebooks ----------------------------------------------------------------------


def test_errors_of_nested_codebooks_by_their_definition(table):
    codebooks = NestedCodebooks(100, smallest=10, random_state=0).fit(table[:200])
    assert codebooks.sizes_ == [12, 24, 48, 96]
    new = table[200:220]
    expected = np.zeros_like(new)
    for size, typical in zip(codebooks.sizes_, codebooks.typical_errors_, strict=True):
        for start in range(0, 96, size):
            entries = codebooks.entries_[start : start + size]
            errors = np.abs(new[:, None] - entries)
            nearest = errors.sum(axis=2).argmin(axis=1)
            expected += errors[np.arange(20), nearest] * size / 96 / typical / 4
    assert_allclose(codebooks.reconstruction_error(new, per_feature=True), expected)
    assert_allclose(codebooks.score_samples(new), -expected.mean(axis=1))


def test_the_whole_sample_is_the_nearest_other_row():
    X = np.array([[0.0], [1.0], [1.0], [4.0]])
    codebooks = NestedCodebooks(4).fit(X)
    assert_array_equal(codebooks.sizes_, [4])
    assert_array_equal(codebooks.typical_errors_, [0.5])  # the median of 1, 0, 0 and 3
    assert_array_equal(codebooks.score_samples([[0.0], [1.0], [4.0], [6.0]]), [-2, 0, -6, -4])


def test_typical_training_rows_have_the_error_1(table):
    codebooks = NestedCodebooks(random_state=0).fit(table)
    assert np.median(codebooks.reconstruction_error(table)) == pytest.approx(1, abs=0.1)


# -- the error of a map, and the rarity of values --------------------------------------------


def test_error_of_a_map_is_the_squared_distance_from_the_winner(table):
    som = quick(SelfOrganizingMap).fit(table)
    errors = som.reconstruction_error(table, per_feature=True)
    assert_allclose(errors, (table - som.codebook_[som.predict(table)]) ** 2, rtol=1e-4, atol=1e-6)
    assert_allclose(som.score_samples(table), -np.sqrt(errors.sum(axis=1)), rtol=1e-4, atol=1e-5)
    assert_allclose(som.reconstruction_error(table), errors.mean(axis=1))


def test_rarity_is_minus_the_logarithm_of_the_frequency():
    X = np.column_stack([np.repeat([3, 7, 5], [10, 6, 4]), np.arange(20)])
    rarity = ValueRarity().fit(X)
    assert_array_equal(rarity.counted_features_, [0])
    new = [[3, 0.5], [5, 0], [4, 1], [9, 1]]
    expected = -np.log(np.array([10, 4, 0.3, 0.3]) / 20)
    for kind in (np.asarray, sparse.csr_matrix):
        errors = rarity.reconstruction_error(kind(new), per_feature=True)
        assert_allclose(errors, np.column_stack([expected, np.zeros(4)]))
    assert_allclose(rarity.score_samples(new), -expected / 2)
    again = ValueRarity().fit(sparse.csr_matrix(X)).score_samples(new)
    assert_array_equal(again, rarity.score_samples(new))


def test_gaps_by_their_definition(table):
    X = np.column_stack([table[:100, :4], np.arange(100) // 3])
    learner = ValueGaps().fit(X)
    new = np.vstack([table[100:120, :4].T, np.linspace(-5, 40, 20)]).T
    gaps = np.abs(new[:, None] - X).min(axis=1)
    others = [np.abs(X[i] - np.delete(X, i, axis=0)).min(axis=0) for i in range(100)]
    expected = [*np.median(np.array(others)[:, :4], axis=0), np.mean(others, axis=0)[4]]
    assert_allclose(learner.typical_gaps_, expected)
    for rows, gap in ((new, gaps), (X, np.array(others))):
        logarithms = np.log1p(gap / expected)
        mean = logarithms.mean(axis=1, keepdims=True)
        assert_allclose(learner.score_samples(rows), -np.exp(mean[:, 0]))
        errors = learner.reconstruction_error(rows, per_feature=True)
        assert_allclose(errors, np.exp(mean) * logarithms / mean)


def test_gaps_of_observed_values_only(table):
    X = table[:100, :3].copy()
    X[0, 1] = np.nan
    learner = ValueGaps().fit(X)
    row = np.array([[np.nan, 9.0, np.nan]])
    gap = (9 - np.nanmax(X[:, 1])) / learner.typical_gaps_[1]
    assert_allclose(learner.score_samples(row), [-1 - gap])
    assert_allclose(
        learner.reconstruction_error(row, per_feature=True), [[np.nan, 1 + gap, np.nan]]
    )
    assert np.isfinite(learner.score_samples(X)).all()
    X[:, 2] = np.nan  # nothing is known of it, and it says nothing
    assert_allclose(ValueGaps().fit(X).score_samples([[np.nan, np.nan, 5.0]]), [-1])


def test_gaps_of_one_row_and_of_constant_features():
    one = ValueGaps().fit([[1.0, 2.0]])
    assert_allclose(one.score_samples([[1.0, 2.0], [2.0, 2.0]]), -np.sqrt([1, 2]))
    constant = ValueGaps().fit(np.ones((5, 1)))
    assert_array_equal(constant.typical_gaps_, [1])
    assert_allclose(constant.score_samples([[1.0], [3.0]]), [-1, -3])


def test_a_value_in_a_gap_of_one_feature_among_many_stands_out():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 12))
    X[:, 0] = np.sign(X[:, 0]) * 2 + 0.3 * X[:, 0]
    train, normal, strange = X[:1000], X[1000:2000], X[2000:].copy()
    strange[:, 0] = 0.3 * rng.normal(size=1000)
    is_strange = np.repeat([0, 1], 1000)
    aucs = [
        roc_auc_score(is_strange, -one.fit(train).score_samples(np.vstack([normal, strange])))
        for one in (ValueGaps(), NestedCodebooks(random_state=0))
    ]
    assert aucs[0] > aucs[1] + 0.05


def test_scores_of_training_rows_are_those_of_new_rows_for_gaps():
    X = np.random.default_rng(0).normal(size=(2000, 5))
    learner = ValueGaps().fit(X[:1000])
    old, new = learner.score_samples(X[:1000]), learner.score_samples(X[1000:])
    assert np.median(old) == pytest.approx(np.median(new), rel=0.1)
    of_sparse = ValueGaps().fit(sparse.csr_matrix(X[:1000])).score_samples(sparse.csr_matrix(X))
    assert_array_equal(of_sparse, np.r_[old, new])
    of_float32 = ValueGaps().fit(X[:1000].astype(np.float32))
    assert_allclose(of_float32.score_samples(X[:1000].astype(np.float32)), old, rtol=0.05)


def test_training_rows_are_known_again_in_other_types_and_with_other_nan():
    X = np.random.default_rng(0).normal(size=(50, 3))
    X[:10, 0] = np.nan
    learner = ValueGaps().fit(X)
    again = X.copy()
    again[:10, 0] = -np.nan  # as 0 / 0 is on many processors
    assert_array_equal(learner.score_samples(again), learner.score_samples(X))
    in_float32 = learner.score_samples(X.astype(np.float32))
    assert_allclose(in_float32, learner.score_samples(X), rtol=1e-4)


@pytest.mark.parametrize(("dtype", "scale"), [(np.float32, 1e-40), (np.float64, 1e-320)])
@pytest.mark.filterwarnings("error")
def test_gaps_too_large_for_a_float_are_the_largest(dtype, scale):
    X = (np.arange(1, 9).reshape(4, 2) * scale).astype(dtype)
    far = np.array([[1e37, 1e37]], dtype=dtype)
    learner = ValueGaps().fit(X)
    largest = np.finfo(dtype).max
    assert_allclose(learner.score_samples(far), [-largest], rtol=1e-12)
    errors = learner.reconstruction_error(far, per_feature=True)
    assert_allclose(errors, [[largest, largest]], rtol=1e-12)


def test_gaps_of_sparse_rows_need_no_dense_copy_of_them(monkeypatch):
    monkeypatch.setattr("skae._compute._NUMBERS_CPU", 2**12)
    X = sparse.random(500, 1000, density=0.01, format="csr", random_state=0)
    tracemalloc.start()
    learner = ValueGaps().fit(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 500 * 1000 * 4  # in float32
    assert len(pickle.dumps(learner)) < 500 * 1000


def gaussians_beside(column):
    normal = np.random.default_rng(0).normal(size=(len(column), 4))
    return np.column_stack([column, normal])


@pytest.mark.parametrize(
    "X",
    [
        gaussians_beside(np.ones(200)),
        np.ones((60, 3)),
        np.repeat([[0.0, 1.0], [1.0, 0.0]], 50, axis=0),
        gaussians_beside(np.repeat([0, 1], 100)),
        np.vstack([np.zeros((150, 3)), np.random.default_rng(0).normal(size=(100, 3))]),
    ],
    ids=["constant column", "equal rows", "two kinds of rows", "binary column", "duplicates"],
)
def test_equal_errors_are_no_scale(X):
    outliers = X[:2] + np.array([[1], [20]])
    learners = [ValueRarity(), ValueGaps(), NestedCodebooks(64), CodebookEnsemble()]
    detector = OutlierDetector(learners, random_state=0).fit(X)
    each = np.vstack([detector.decision_function(rows, per_learner=True) for rows in (X, outliers)])
    assert np.abs(each).max() < 100
    scores = detector.score_samples(outliers)
    assert scores[1] < scores[0] - 0.5 < np.median(detector.score_samples(X))


def test_rounded_values_were_seen():
    steps = np.random.default_rng(0).integers(0, 20, size=(400, 2))
    X = steps * [0.1, 0.7] + [0, 2000.1]
    X = np.column_stack([X, np.full(400, 0.1)])
    rarity = ValueRarity().fit(X)
    assert_allclose(rarity.score_samples(X.astype(np.float32)), rarity.score_samples(X), rtol=1e-5)
    assert rarity.reconstruction_error([[0.05, 2000.2, 0.11]], per_feature=True).min() > 7
    rarity.fit(X.astype(np.float32))
    assert_allclose(rarity.score_samples(X), rarity.score_samples(X.astype(np.float32)), rtol=1e-5)


def test_weights_are_frequencies():
    X = np.array([[0.0], [0.0], [1.0], [1.0], [1.0], [1.0], [2.0]])
    weight = np.array([4, 0, 1, 1, 1, 1, 0])
    weighted = ValueRarity(min_repetition=2).fit(X, sample_weight=weight)
    assert_allclose(weighted.score_samples([[0], [1]]), np.log([0.5, 0.5]))
    assert_allclose(weighted.score_samples([[2]]), np.log(0.3 / 5))
    scaled = ValueRarity(min_repetition=2).fit(X, sample_weight=weight / 100)
    assert_allclose(scaled.score_samples(X), weighted.score_samples(X))


def test_rows_unlike_the_training_rows(table):
    frame = pd.DataFrame(table, columns=list("abcde"))
    gap = table[:3].copy()
    gap[1, 2] = np.nan
    detector = OutlierDetector(PCA(1), categorical_features="from_dtype").fit(table)
    with pytest.raises(ValueError, match=r"^column\(s\) 2 of X have missing values, but had none"):
        detector.predict(gap)
    detector.fit(frame)
    with pytest.raises(ValueError, match=r"^column\(s\) 'c' of X have missing values"):
        detector.predict(pd.DataFrame(gap, columns=list("abcde")))
    detector = OutlierDetector(random_state=0).fit(table)  # whose learners take them
    assert np.isfinite(detector.score_samples(gap)).all()
    with pytest.raises(TypeError, match=r"^X is sparse, but the training rows were not"):
        detector.predict(sparse.csr_matrix(table))
    detector.fit(frame)
    assert np.isfinite(detector.score_samples(pd.DataFrame(gap, columns=list("abcde")))).all()
    with pytest.warns(UserWarning, match="X does not have valid feature names") as said:
        detector.predict(table)
    assert len(said) == 1


@pytest.mark.parametrize("cls", [NestedCodebooks, CodebookEnsemble])
def test_equal_weights_are_none(cls):
    X = np.random.default_rng(0).random((200, 6))
    plain, weighted = cls(random_state=0), cls(random_state=0)
    plain.fit(X), weighted.fit(X, sample_weight=np.full(200, 2.0))
    assert_array_equal(plain.score_samples(X), weighted.score_samples(X))


def test_a_threshold_of_few_calibration_rows_is_refused():
    X = np.random.default_rng(0).normal(size=(150, 4))
    with pytest.raises(ValueError, match="needs 5 calibration rows or more"):
        OutlierDetector(calibration_fraction=0.001, random_state=0).fit(X)
