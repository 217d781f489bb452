"""The scaler: its two maps against their definitions, and what it keeps."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.stats import kurtosis, norm, rankdata
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from skae.preprocessing import RobustFeatureScaler


@pytest.fixture
def mixed():
    """Return rows with a normal, a heavy-tailed, a rare binary and a constant feature."""
    rng = np.random.default_rng(0)
    heavy = rng.standard_t(2, size=401)
    return np.column_stack([rng.normal(size=401), heavy, np.arange(401) < 8, np.full(401, 3.0)])


@parametrize_with_checks([RobustFeatureScaler()])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_heavy_tails_are_mapped_to_the_mean_of_z_score_and_normal_quantile(mixed):
    scaler = RobustFeatureScaler(n_quantiles=401).fit(mixed)
    assert scaler.kinds_.tolist() == ["standard", "quantile", "standard", "standard"]
    assert_allclose(scaler.kurtosis_[:3], kurtosis(mixed[:, :3]))
    expected = StandardScaler().fit_transform(mixed)
    quantile = norm.ppf((rankdata(mixed[:, 1]) - 0.5) / 401)
    expected[:, 1] = (expected[:, 1] + quantile) / 2
    assert_allclose(scaler.transform(mixed), expected, atol=1e-12)


def test_fewer_quantiles_are_close(mixed):
    exact, few = (RobustFeatureScaler(n_quantiles=n).fit_transform(mixed) for n in (401, 100))
    assert_allclose(few, exact, atol=0.05)


def test_equal_values_have_the_mean_of_their_ranks():
    x = np.r_[np.zeros(60), np.arange(1, 41.0) ** 4][:, None]
    scaler = RobustFeatureScaler().fit(x)
    assert_array_equal(scaler.kinds_, ["quantile"])
    expected = ((0 - x.mean()) / x.std() + norm.ppf(0.3)) / 2
    assert_allclose(scaler.transform([[0.0]]), [[expected]])


@pytest.mark.parametrize(("n_distinct", "kind"), [(10, "standard"), (11, "quantile")])
def test_few_distinct_values_are_discrete(n_distinct, kind):
    x = np.r_[np.zeros(500), np.arange(n_distinct)][:, None]
    assert RobustFeatureScaler().fit(x).kinds_ == kind


@pytest.mark.parametrize("clip", [1.0, 50.0])
def test_the_map_is_monotone_and_clipped(mixed, clip):
    scaler = RobustFeatureScaler(clip=clip).fit(mixed)
    line = np.sort(np.r_[mixed[:, 1], np.linspace(-1e4, 1e4, 1001)])
    mapped = scaler.transform(np.column_stack([line] * 4))
    assert (np.diff(mapped, axis=0) >= 0).all()
    assert_array_equal(np.abs(mapped[[0, -1]])[:, [0, 2]], clip)
    rank = norm.ppf(1 - 0.5 / 401)
    assert_allclose(mapped[[0, -1], 1], [-(clip + rank) / 2, (clip + rank) / 2])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_inverse(mixed, dtype):
    X = (mixed * 3 + 1000).astype(dtype)
    scaler = RobustFeatureScaler(n_quantiles=50).fit(X)
    mapped = scaler.transform(X)
    assert mapped.dtype == dtype
    between = X.mean(axis=0) + 2 * X.std(axis=0) * np.linspace(-1, 1, 99)[:, None]
    for rows in (X, between.astype(dtype)):
        back = scaler.inverse_transform(scaler.transform(rows))
        assert_allclose(back, rows, rtol=1e-5 if dtype == np.float32 else 1e-10)


def test_missing_values_stay_and_count_for_nothing(mixed):
    with_gaps = np.vstack([mixed, np.full((50, 4), np.nan)])
    scaler, twin = RobustFeatureScaler().fit(with_gaps), RobustFeatureScaler().fit(mixed)
    mapped = scaler.transform(with_gaps)
    assert_allclose(mapped[:401], twin.transform(mixed))
    assert np.isnan(mapped[401:]).all()
    assert np.isnan(scaler.inverse_transform(mapped)[401:]).all()
    empty = RobustFeatureScaler().fit(with_gaps[401:])
    assert_array_equal(empty.transform(np.ones((1, 4))), 1)


@pytest.mark.parametrize("magnitude", [1e-300, 1e300])
def test_any_magnitude(mixed, magnitude):
    mapped = RobustFeatureScaler().fit_transform(mixed * magnitude)
    assert_allclose(mapped, RobustFeatureScaler().fit_transform(mixed), rtol=1e-9, atol=1e-9)


def test_frames_keep_their_names(mixed):
    frame = pd.DataFrame(mixed, columns=list("abcd"), index=np.arange(401) + 7)
    scaler = RobustFeatureScaler().set_output(transform="pandas").fit(frame)
    mapped = scaler.transform(frame)
    assert_array_equal(mapped.columns, scaler.get_feature_names_out())
    assert_array_equal(mapped.index, frame.index)
    assert_allclose(mapped, RobustFeatureScaler().fit_transform(mixed))


def test_quantiles_of_a_sample_of_the_rows():
    X = np.random.default_rng(0).laplace(size=(5000, 1))
    settings = dict(max_samples=2000, random_state=0)
    few, same = (RobustFeatureScaler(**settings).fit_transform(X) for _ in range(2))
    assert_array_equal(few, same)
    exact = RobustFeatureScaler().fit_transform(X)
    assert not np.array_equal(few, exact)
    # A normal quantile within 2 of the centre, of 2000 draws, has a standard error of 0.06.
    within = np.abs(exact) < 2
    assert np.abs(few - exact)[within].max() < 4 * 0.06 / 2


def test_sparse_rows_are_refused_with_a_reason(mixed):
    with pytest.raises(TypeError, match=r"sparse.*zeros.*toarray.*MaxAbsScaler"):
        RobustFeatureScaler().fit(sparse.csr_matrix(mixed))


def test_inverse_of_another_width(mixed):
    scaler = RobustFeatureScaler().fit(mixed)
    with pytest.raises(ValueError, match=r"X has 3 features, but RobustFeatureScaler .* 4"):
        scaler.inverse_transform(mixed[:, :3])


def test_smallest_numbers_have_a_scale():
    X = np.array([[0.0], [5e-324]])
    assert np.isfinite(RobustFeatureScaler().fit_transform(X)).all()


def test_a_kurtosis_that_is_no_number(mixed):
    with pytest.raises(ValueError, match="min_kurtosis"):
        RobustFeatureScaler(min_kurtosis=np.nan).fit(mixed)
