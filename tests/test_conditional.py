"""The conditional variational autoencoder: labels, values, and sums over labels."""

import numpy as np
import pandas as pd
import pytest
from conftest import quick
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse, special, stats
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.svm import LinearSVC

from skae import ConditionalVariationalAutoencoder
from skae.layers import Conv2d
from skae.outputs import Gaussian


@pytest.fixture(scope="module")
def labelled():
    X, y = load_digits(return_X_y=True)
    return (X / 16).astype(np.float32), y


@pytest.fixture(scope="module")
def fitted(labelled):
    X, y = labelled
    names = np.array([f"digit {digit}" for digit in range(10)], dtype=object)
    return ConditionalVariationalAutoencoder(
        8, likelihood="bernoulli", max_iter=200, tol=0.01, random_state=0, device="cpu"
    ).fit(X[::2], names[y[::2]])


def test_labels_of_any_kind(labelled):
    X, y = labelled[0][:300], labelled[1][:300] % 3
    fits = {}
    for name, labels in {
        "integers": y,
        "strings": np.array(["b", "c", "d"])[y],
        "floats": y.astype(float),
        "column": y[:, None],
        "series": pd.Series(y, index=range(300, 600)),
        "categories": pd.Series(pd.Categorical.from_codes(y, ["b", "c", "d"])),
        "list": y.tolist(),
    }.items():
        one = quick(ConditionalVariationalAutoencoder)
        with pytest.warns() if name == "column" else _nothing():
            fits[name] = one.fit(X, labels)
        assert_array_equal(fits[name].transform(X), fits["integers"].transform(X))
    assert_array_equal(fits["strings"].classes_, ["b", "c", "d"])
    assert_allclose(fits["integers"].mean_condition_, np.bincount(y) / 300)
    booleans = quick(ConditionalVariationalAutoencoder).fit(X, y == 1)
    assert_array_equal(booleans.classes_, [False, True])
    assert booleans.predict(X).dtype == bool


def _nothing():
    from contextlib import nullcontext

    return nullcontext()


def test_the_score_is_the_sum_over_labels(fitted, labelled):
    X = labelled[0][1:40:2].astype(np.float64)
    each = [fitted.score_samples(X, np.full(len(X), c, dtype=object)) for c in fitted.classes_]
    joint = np.stack(each, axis=1) + np.log(fitted.mean_condition_)
    assert_allclose(fitted.score_samples(X), special.logsumexp(joint, axis=1), rtol=1e-10)
    assert_allclose(fitted.predict_proba(X), special.softmax(joint, axis=1), rtol=1e-7)
    assert_array_equal(fitted.predict(X), fitted.classes_[joint.argmax(1)])
    assert_allclose(fitted.score(X, labelled[1][1:40:2]), fitted.score_samples(X).mean())
    label = np.full(len(X), fitted.classes_[3], dtype=object)
    assert (fitted.elbo(X, label) <= fitted.score_samples(X, label)).mean() > 0.9


def test_labels_are_predicted_from_rows(fitted, labelled):
    X, y = labelled
    names = np.array([f"digit {digit}" for digit in y])
    assert (fitted.predict(X[1::2]) == names[1::2]).mean() > 0.88


def test_rows_drawn_by_label_are_read_as_that_label(fitted, labelled):
    X, y = labelled
    judge = KNeighborsClassifier().fit(X[1::2], y[1::2])  # which the fit has not seen
    labels = np.repeat(np.arange(10), 50)
    names = np.array([f"digit {digit}" for digit in labels], dtype=object)
    rows = fitted.sample(500, random_state=0, y=names, return_mean=True)
    assert (judge.predict(rows) == labels).mean() >= 0.95
    assert (judge.predict(fitted.sample(50, 0, y="digit 4", return_mean=True)) == 4).mean() >= 0.9
    assert_array_equal(fitted.sample(5, 1, y="digit 4"), fitted.sample(5, 1, y="digit 4"))
    assert fitted.sample(5, sampler="gmm").shape == (5, 64)


def test_a_code_goes_under_any_label(fitted, labelled):
    X = labelled[0][:20]
    codes = fitted.transform(X)
    as_sevens = fitted.inverse_transform(codes, np.full(20, "digit 7", dtype=object))
    assert (fitted.predict(as_sevens) == "digit 7").mean() > 0.9
    # Without labels it is under the mean one, as `reconstruct` says.
    assert_allclose(fitted.inverse_transform(codes), fitted.reconstruct(X), rtol=1e-5, atol=1e-6)


def test_a_row_is_rebuilt_under_any_label(fitted, labelled):
    X, label = labelled[0][:20], np.full(20, "digit 7", dtype=object)
    expected = fitted.inverse_transform(fitted.transform(X), label)
    assert_allclose(fitted.reconstruct(X, label), expected, rtol=1e-5, atol=1e-6)
    assert_array_equal(fitted.reconstruct(X, "digit 7"), fitted.reconstruct(X, label))
    assert not np.allclose(fitted.reconstruct(X), expected, atol=0.1)
    with pytest.raises(ValueError, match="not seen in fit"):
        fitted.reconstruct(X, 7)


def test_the_marginal_is_the_sum_by_hand():
    """Of a linear decoder, whose rows are normal under each label, with labels of any frequency."""
    rng = np.random.default_rng(0)
    y = (rng.random(400) < 0.2).astype(int)
    X = rng.normal(size=(400, 1)) @ [[1.0, 2.0, -1.0]] + 3 * y[:, None]
    X += 0.5 * rng.normal(size=X.shape)
    autoencoder = quick(
        ConditionalVariationalAutoencoder,
        n_components=1,
        hidden_layers=(),
        likelihood=Gaussian(variance=0.25),
        learning_rate=0.05,
        max_iter=60,
        n_score_samples=2000,
    ).fit(X, y)
    decoder = autoencoder.module_.decoder[0]
    weight = decoder.weight.detach().numpy().astype(float)
    loadings, bias = weight[:, :1], decoder.bias.detach().numpy()
    covariance = loadings @ loadings.T + 0.25 * np.eye(3)
    density = sum(
        share * stats.multivariate_normal(bias + weight[:, 1 + c], covariance).pdf(X)
        for c, share in enumerate([1 - y.mean(), y.mean()])
    )
    assert_allclose(autoencoder.score_samples(X).mean(), np.log(density).mean(), atol=0.02)


def test_sparse_rows_with_conditions_are_read_some_at_a_time(fitted, labelled, monkeypatch):
    X, names = sparse.csr_matrix(labelled[0]), np.full(1797, "digit 1", dtype=object)
    sizes, original = [], sparse.csr_matrix.toarray

    def toarray(matrix, *arguments, **keywords):
        sizes.append(matrix.shape[0])
        return original(matrix, *arguments, **keywords)

    monkeypatch.setattr(sparse.csr_matrix, "toarray", toarray)
    monkeypatch.setattr("skae._training._reading.chunk_rows", lambda *_: 100)
    found = fitted.set_params(n_score_samples=2).elbo(X, names)
    fitted.set_params(n_score_samples=100)
    assert max(sizes) == 100
    assert len(found) == 1797


def test_values_as_conditions():
    rng = np.random.default_rng(0)
    size = rng.random((600, 1)).astype(np.float32)
    X = size @ np.ones((1, 4)) + 0.1 * rng.normal(size=(600, 4))
    settings = dict(likelihood=Gaussian(variance=0.01), max_iter=300, learning_rate=0.01)
    autoencoder = quick(ConditionalVariationalAutoencoder, n_components=1, **settings)
    autoencoder.fit(X, size)
    assert not hasattr(autoencoder, "predict")
    assert not hasattr(autoencoder, "classes_")
    assert_allclose(autoencoder.mean_condition_, size.mean(0), rtol=1e-6)
    wanted = np.linspace(0.1, 0.9, 400)[:, None]
    drawn = autoencoder.sample(400, random_state=0, y=wanted).mean(axis=1)
    assert_allclose(drawn, wanted[:, 0], atol=0.25)
    assert autoencoder.score(X, size) > autoencoder.score(X, 1 - size)
    with pytest.raises(ValueError, match="needs y"):
        autoencoder.score_samples(X)
    with pytest.raises(ValueError, match="needs y"):
        autoencoder.sample(3)
    with pytest.raises(ValueError, match="2 columns of values"):
        autoencoder.score_samples(X, np.hstack([size, size]))


def test_weights_are_frequencies(labelled):
    X, y = labelled[0][:100], labelled[1][:100] % 2
    fitted = quick(ConditionalVariationalAutoencoder).fit(X, y, sample_weight=1 + 2 * y)
    assert_allclose(fitted.mean_condition_[1], 3 * y.sum() / (100 + 2 * y.sum()))


def test_chunks_count_together(labelled):
    X, y = labelled[0][:300], labelled[1][:300]
    chunked = quick(ConditionalVariationalAutoencoder)
    chunked.partial_fit(X[:50], y[:50], classes=range(10))
    for start in range(50, 300, 50):
        chunked.partial_fit(X[start : start + 50], y[start : start + 50])
    assert_allclose(chunked.mean_condition_, np.bincount(y) / 300, rtol=1e-6)
    first = quick(ConditionalVariationalAutoencoder).partial_fit(X, y % 3)
    with pytest.raises(ValueError, match="not seen in fit"):
        first.partial_fit(X, y)


def test_a_refit_with_values_forgets_the_labels(labelled):
    X, y = labelled[0][:100], labelled[1][:100]
    autoencoder = quick(ConditionalVariationalAutoencoder).fit(X, y)
    autoencoder.fit(X, np.random.default_rng(0).random((100, 2)))
    assert not hasattr(autoencoder, "classes_")
    assert autoencoder.n_conditions_ == 2


def test_validation_rows_have_their_labels(labelled):
    X, y = labelled[0][:300], labelled[1][:300]
    autoencoder = quick(ConditionalVariationalAutoencoder)
    given = autoencoder.fit(X[:200], y[:200], X_val=X[200:], y_val=y[200:])
    assert len(given.validation_loss_curve_) == given.n_iter_
    held = quick(ConditionalVariationalAutoencoder, early_stopping=True).fit(X, y)
    assert len(held.validation_loss_curve_) == held.n_iter_
    with pytest.raises(ValueError, match="y_val is None"):
        autoencoder.fit(X[:200], y[:200], X_val=X[200:])


def test_in_the_middle_of_a_pipeline(labelled):
    X, y = labelled[0][:400], labelled[1][:400]
    codes = quick(ConditionalVariationalAutoencoder, max_iter=20)
    pipeline = make_pipeline(MinMaxScaler(), codes, LinearSVC())
    grid = {"conditionalvariationalautoencoder__n_components": [2, 16]}
    search = GridSearchCV(pipeline, grid, cv=2).fit(pd.DataFrame(X), pd.Series(y))
    assert search.best_params_["conditionalvariationalautoencoder__n_components"] == 16
    own = GridSearchCV(codes, {"n_components": [2, 4]}, cv=2).fit(X, y)
    assert np.isfinite(own.best_score_)


def test_images(labelled):
    X, y = labelled[0][:200].reshape(-1, 8, 8), labelled[1][:200]
    layers = Conv2d((1, 8, 8), (4,))
    fitted = quick(ConditionalVariationalAutoencoder, hidden_layers=layers).fit(X, y)
    assert fitted.sample(3, y=[1, 2, 3]).shape == (3, 8, 8)
    assert fitted.predict(X).shape == (200,)


@pytest.mark.parametrize(
    ("y", "sentence"),
    [
        (None, "requires y to be passed"),
        ([0, 1], "entries for"),
        ([np.nan] * 100, "contains NaN"),
        ([0.5] * 99 + [np.inf], "infinity"),
    ],
)
def test_bad_labels_in_fit(labelled, y, sentence):
    autoencoder = quick(ConditionalVariationalAutoencoder)
    with pytest.raises(ValueError, match=sentence):
        autoencoder.fit(labelled[0][:100], y)
    assert not hasattr(autoencoder, "module_")
    assert not hasattr(autoencoder, "classes_")


def test_bad_labels_afterwards(fitted, labelled):
    X = labelled[0][:3]
    with pytest.raises(ValueError, match="not seen in fit"):
        fitted.sample(1, y="digit 10")
    with pytest.raises(ValueError, match="not seen in fit"):
        fitted.sample(1, y=3)
    with pytest.raises(ValueError, match="entries for"):
        fitted.sample(3, y=["digit 1", "digit 2"])
    with pytest.raises(ValueError, match="not seen in fit"):
        fitted.score_samples(X, [0, 1, 2])
    with pytest.raises(ValueError, match="requires y"):
        fitted.elbo(X)


@pytest.mark.parametrize(
    ("labels", "other"),
    [
        (np.array(["a", "b", "c"]), "apple"),  # which a string of one letter would be cut down to
        (np.array([0, 1, 2]), 1.5),
        (np.array([0, 1, 2]), "1"),
        (np.array([0, 1, 2], dtype=np.uint8), 257),
        (np.array([False, True, True]), 7),
    ],
)
def test_labels_are_compared_and_not_cast(labelled, labels, other):
    X, y = labelled[0][:60], labelled[1][:60] % 3
    fitted = quick(ConditionalVariationalAutoencoder).fit(X, labels[y])
    with pytest.raises(ValueError, match="not seen in fit"):
        fitted.sample(1, y=other)
    with pytest.raises(ValueError, match="not seen in fit"):
        fitted.score_samples(X[:2], [other, other])


def test_bools_as_objects_are_labels(labelled):
    X, y = labelled[0][:60], np.array([False, True], dtype=object)[labelled[1][:60] % 2]
    assert_array_equal(quick(ConditionalVariationalAutoencoder).fit(X, y).classes_, [False, True])


def test_other_classes_in_a_later_chunk(labelled):
    X, y = labelled[0][:60], labelled[1][:60] % 3
    chunked = quick(ConditionalVariationalAutoencoder).partial_fit(X, y, classes=[0, 1, 2])
    chunked.partial_fit(X, y, classes=[2, 1, 0])
    with pytest.raises(ValueError, match="not the same as in the first call"):
        chunked.partial_fit(X, y, classes=[0, 1, 2, 3])


def test_weights_of_a_score_are_checked(fitted, labelled):
    X, y = labelled[0][:5], labelled[1][:5]
    for weight, sentence in [
        (np.zeros(5), "at least one"),
        ([np.nan] * 5, "NaN"),
        ([1, 2], "shape"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            fitted.score(X, y, sample_weight=weight)
