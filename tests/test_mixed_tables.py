"""Outliers in tables with categories, booleans and missing values."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn import config_context
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.impute import SimpleImputer
from sklearn.mixture import GaussianMixture
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils import get_tags

from skae import DenoisingAutoencoder, OutlierDetector
from skae.autoencoders import CodebookEnsemble
from skae.outlier import _encoding, _rows

NUMBERS, CATEGORIES = ["size", "count", "works"], ["colour", "kind"]


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    size = rng.normal(size=300)
    table = pd.DataFrame(
        {
            "size": np.where(rng.random(300) < 0.1, np.nan, 5 * size),
            "colour": rng.choice(["red", "green", None], 300, p=[0.5, 0.4, 0.1]),
            "works": rng.random(300) < 0.5,
            "kind": pd.Categorical(np.where(size > 0, 1, 2)),
            "count": pd.array(rng.integers(0, 5, 300), dtype="Int64"),
        },
        index=np.arange(300) + 7,
    )
    table.loc[table.index[:9], "count"] = pd.NA
    return table


def by_hand(frame):
    """Return the rows as scikit-learn encodes them, which have no columns for new categories."""
    numbers = frame[NUMBERS].astype(float)
    missing = numbers[["size", "count"]].isna().to_numpy(float)
    scaled = make_pipeline(StandardScaler(), SimpleImputer(strategy="median"))
    one_hot = OneHotEncoder(sparse_output=False)
    encoder = make_column_transformer((scaled, NUMBERS), (one_hot, CATEGORIES))
    encoded = encoder.fit_transform(frame.assign(**numbers))
    return np.hstack([encoded, missing])


def test_default_learner_sees_what_scikit_learn_encodes(frame):
    Z = by_hand(frame)
    expected = CodebookEnsemble(random_state=0).fit(Z).score_samples(Z)
    detector = OutlierDetector(CodebookEnsemble(random_state=0), categorical_features="from_dtype")
    scores = detector.fit(frame).score_samples(frame)
    # The columns for new categories are 0 here, and count in the mean.
    assert Z.shape[1] == 3 + 3 + 2 + 2
    assert_allclose(scores, expected * 10 / 12, rtol=1e-5)


@pytest.mark.parametrize(
    "learner",
    [None, GaussianMixture(random_state=0), DenoisingAutoencoder(3, max_iter=60, random_state=0)],
    ids=["default", "mixture", "autoencoder"],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_what_is_strange_is_found_and_named(frame, learner):
    detector = OutlierDetector(learner, categorical_features="from_dtype", random_state=0)
    detector.fit(frame)
    usual = frame[frame.notna().all(axis=1) & frame["works"] & (frame["size"] > 3)][:1]
    strange = pd.concat([usual] * 3)
    strange.iloc[0, 0] = 80.0
    strange.iloc[1, 1] = "purple"
    strange["kind"] = pd.Categorical([1, 1, 3])
    explained = detector.explain(strange)
    assert list(explained.columns) == list(frame.columns)
    assert_array_equal(explained.index, strange.index)
    scores = detector.score_samples(strange)
    assert_allclose(explained.sum(axis="columns"), scores, rtol=1e-6, atol=1e-6)
    assert (scores < detector.score_samples(usual)).all()
    assert detector.top_features(strange, 1).ravel().tolist() == ["size", "colour", "kind"]


def test_new_categories_are_stranger_than_rare_ones():
    colours = ["red"] * 60 + ["green"] * 30 + ["blue"] * 10
    frame = pd.DataFrame({"colour": colours, "size": np.tile([1.0, 2.0], 50)})
    detector = OutlierDetector(random_state=0).fit(frame)
    tested = pd.DataFrame({"colour": ["red", "blue", "purple"], "size": 1.0})
    red, blue, purple = detector.score_samples(tested)
    assert red > blue > purple


@pytest.mark.parametrize("kind", [np.asarray, pd.DataFrame])
def test_missing_numbers_of_the_default_learner(table, kind):
    X = table.copy()
    X[np.random.default_rng(0).random(300) < 0.1, 2] = np.nan
    settings = dict(n_estimators=3, max_samples=0.5, max_features=3, random_state=0)
    detector = OutlierDetector(calibration_fraction=0.3, **settings).fit(kind(X))
    scores = detector.score_samples(kind(X))
    assert np.isfinite(scores).all()
    total = np.asarray(detector.explain(kind(X))).sum(axis=1)
    assert_allclose(total, scores, rtol=1e-6, atol=1e-6)
    strange = X[:1].copy()
    strange[0, 1] = np.nan
    assert np.isfinite(detector.score_samples(kind(strange))).all()


def test_a_rare_value_only_among_calibration_rows():
    frame = pd.DataFrame({"a": np.zeros(40), "b": ["x"] * 40})
    for row in range(40):
        one = frame.copy()
        one.loc[row, "a"], one.loc[row, "b"] = np.nan, "y"
        detector = OutlierDetector(calibration_fraction=0.5, random_state=0).fit(one)
        assert np.isfinite(detector.calibration_scores_).all()


def test_tables_of_numbers_are_left_alone(table):
    for X in (table, pd.DataFrame(table, columns=list("abcde"))):
        fitted = OutlierDetector(random_state=0).fit(X)
        assert not hasattr(fitted.estimators_[0], "encoder")
        plain = OutlierDetector(random_state=0, categorical_features=None).fit(X)
        assert_array_equal(fitted.score_samples(X), plain.score_samples(X))


def test_columns_by_name_index_and_mask(frame):
    coded = pd.DataFrame(
        {"size": np.arange(60.0) % 7, "colour": np.arange(60) % 3, "kind": np.arange(60) % 4}
    )
    learner = IsolationForest(n_estimators=20, random_state=0)
    scores = [
        OutlierDetector(learner, categorical_features=columns).fit(X).score_samples(X)
        for X, columns in [
            (coded, ["colour", "kind"]),
            (coded, [1, 2]),
            (coded.to_numpy(), [False, True, True]),
            (coded.astype({"colour": "category", "kind": str}), "from_dtype"),
        ]
    ]
    for of_other in scores[1:-1]:
        assert_array_equal(of_other, scores[0])
    assert_allclose(scores[-1], scores[0])
    other = OutlierDetector(learner, categorical_features=[1]).fit(coded).score_samples(coded)
    assert not np.allclose(other, scores[0])


def test_a_whole_number_is_one_category_whatever_its_type():
    frame = pd.DataFrame({"kind": np.arange(60) % 3, "size": np.arange(60.0) % 7})
    learner = IsolationForest(n_estimators=20, random_state=0)
    detector = OutlierDetector(learner, categorical_features=["kind"]).fit(frame)
    as_floats = frame.astype({"kind": float})
    assert_array_equal(detector.score_samples(as_floats), detector.score_samples(frame))


@pytest.mark.parametrize("put_out", ["pandas", "polars"])
def test_output_of_transformers_as_frames(frame, table, put_out):
    pytest.importorskip(put_out)
    for X in (frame, table, sparse.csr_matrix(table)):
        expected = OutlierDetector(random_state=0).fit(X).score_samples(X)
        with config_context(transform_output=put_out):
            detector = OutlierDetector(random_state=0).fit(X)
            assert_array_equal(detector.score_samples(X), expected)


def as_polars(frame):
    return pytest.importorskip("polars").DataFrame(frame)


@pytest.mark.parametrize(
    "kind",
    [pd.DataFrame, as_polars, lambda frame: pd.DataFrame(frame).to_numpy(dtype=object)],
    ids=["pandas", "polars", "objects"],
)
def test_the_reference_misses_no_value(kind):
    # All complete rows are strange, so that the most normal one has a missing value.
    size = [1.0 + i % 2 for i in range(60)]
    frame = {"size": [*size, 9.0], "colour": [None] * 60 + ["red"]}
    detector = OutlierDetector(
        IsolationForest(n_estimators=20, random_state=0), categorical_features=[0, 1]
    )
    assert list(detector.fit(kind(frame)).reference_) == [9.0, "red"]


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_column_without_values(table):
    X = np.column_stack([table, np.full(300, np.nan)])
    assert np.isfinite(OutlierDetector(random_state=0).fit(X).score_samples(X)).all()


def test_no_more_rows_are_encoded_than_are_needed_at_a_time(frame, monkeypatch):
    def transform(self, X):
        n_rows.append(len(X))
        return whole(self, X)

    n_rows, whole = [], _encoding.TableEncoder.transform
    detector = OutlierDetector(random_state=0).fit(frame)
    expected = detector.score_samples(frame)
    monkeypatch.setattr(_encoding.TableEncoder, "transform", transform)
    monkeypatch.setattr(_rows, "DENSE_NUMBERS", 40 * 10)  # 5 columns, which make 10
    assert_allclose(detector.score_samples(frame), expected, rtol=1e-5, atol=1e-5)
    assert max(n_rows) == 40
    n_rows.clear()
    monkeypatch.setattr("skae.outlier._default.MAX_SAMPLES", 50)
    weight = np.linspace(1, 2, 300)
    drawn = OutlierDetector(random_state=0).fit(frame, sample_weight=weight)
    assert n_rows[0] == 50
    assert np.corrcoef(drawn.score_samples(frame), expected)[0, 1] > 0.5


def test_weights_reach_a_learner_behind_the_encoder(frame):
    weight = np.where(np.arange(300) < 200, 1.0, 0.0)
    detector = OutlierDetector(random_state=0).fit(frame, sample_weight=weight)
    expected = OutlierDetector(random_state=0).fit(frame[:200], sample_weight=np.ones(200))
    assert_array_equal(detector.score_samples(frame), expected.score_samples(frame))


@pytest.mark.parametrize(
    ("columns", "change", "kind", "message"),
    [
        (None, {}, ValueError, r"column\(s\) 'colour', 'kind' of X hold strings .* encode"),
        (["hue"], {}, ValueError, "hue"),
        (["colour"], {}, ValueError, r"column\(s\) 'kind' of X hold no numbers; name them in"),
        ([9], {}, ValueError, "9|features"),
        ("all", {}, ValueError, "'categorical_features' parameter of OutlierDetector.*'auto'"),
        (
            "from_dtype",
            {"when": pd.Timestamp("2020-01-01")},
            TypeError,
            r"column\(s\) 'when' of X hold dates or times; encode it first",
        ),
    ],
    ids=["none", "name", "too few", "index", "word", "date"],
)
def test_bad_columns(frame, columns, change, kind, message):
    whole = frame.assign(kind="a", **change).dropna()
    with pytest.raises(kind, match=message):
        OutlierDetector(categorical_features=columns).fit(whole)


def test_arrays_of_objects():
    X = np.array([["red", 1.0], ["green", None], ["red", 3.0]] * 20, dtype=object)
    detector = OutlierDetector(categorical_features=[0], random_state=0).fit(X)
    assert detector.top_features(np.array([["blue", 1.0]], dtype=object), 1) == [[0]]
    for columns in ([1], "from_dtype", None):
        with pytest.raises((ValueError, TypeError), match="needs numbers, but X holds"):
            OutlierDetector(categorical_features=columns).fit(X)


def test_sparse_tables_have_no_categories(table):
    X = sparse.csr_matrix(table)
    OutlierDetector(random_state=0).fit(X)
    with pytest.raises(ValueError, match="categorical_features needs a dense table"):
        OutlierDetector(categorical_features=[0]).fit(X)


def test_the_default_gives_each_of_its_learners(frame):
    detector = OutlierDetector(random_state=0).fit(frame)
    each = detector.decision_function(frame, per_learner=True)
    numbers = OutlierDetector(random_state=0).fit(frame[["works"]].astype(float))
    n_learners = numbers.decision_function(frame[["works"]].astype(float), per_learner=True).shape[
        1
    ]
    assert each.shape == (300, n_learners)
    assert n_learners > 1


def test_rare_ones_of_many_categories_are_no_more_normal():
    rng = np.random.default_rng(0)
    zips = [f"common{i % 49}" for i in range(1470)] + [f"once{i}" for i in range(400)]
    table = pd.DataFrame(rng.normal(size=(1870, 3)), columns=list("abc")).assign(zip=zips)
    detector = OutlierDetector(random_state=0).fit(table)
    common, once = np.split(detector.score_samples(table), [1470])
    assert np.median(once) <= np.median(common)
    assert detector.explain(table[:2]).shape == (2, 4)
    new = table[:1].assign(zip="new")
    assert detector.score_samples(new)[0] <= detector.score_samples(table[:1])[0] + 0.1


def test_equally_many_rows_of_each_category_say_nothing():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"a": rng.normal(size=600), "id": [f"z{i % 300}" for i in range(600)]})
    detector = OutlierDetector(random_state=0).fit(table)
    named = detector.predict(table) == -1
    assert named.mean() < 0.15
    table.loc[0, "a"] = 9.0
    assert detector.score_samples(table).argmin() == 0


def test_empty_frames_are_named(frame):
    detector = OutlierDetector(random_state=0)
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        detector.fit(frame[:0])
    with pytest.raises(ValueError, match=r"0 feature\(s\)"):
        detector.fit(frame[[]])
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        detector.fit(frame).predict(frame[:0])


def test_tags_say_what_is_encoded():
    for detector, takes in [
        (OutlierDetector(), (True, True, True)),
        (OutlierDetector(categorical_features=None), (True, False, False)),
        (OutlierDetector(PCA(1)), (False, False, False)),
        (OutlierDetector(PCA(1), categorical_features=[0]), (True, True, True)),
    ]:
        tags = get_tags(detector).input_tags
        assert (tags.allow_nan, tags.string, tags.categorical) == takes


def test_frames_of_polars(frame):
    pl = pytest.importorskip("polars")
    columns = {
        name: frame[name].astype(object).where(frame[name].notna(), None).tolist() for name in frame
    }
    columns["kind"] = [str(value) for value in columns["kind"]]
    polars = pl.DataFrame(columns)
    detector = OutlierDetector(random_state=0).fit(polars)
    twin = OutlierDetector(random_state=0).fit(frame)
    assert_allclose(detector.score_samples(polars), twin.score_samples(frame), rtol=1e-6)
    explained = detector.explain(polars[:9])
    assert explained.columns == list(frame.columns)
