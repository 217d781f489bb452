"""Data that are read a window at a time: what comes out is what the table in memory gives."""

import re
import sys
import tracemalloc
import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from conftest import quick
from numpy.testing import assert_allclose
from pyarrow import dataset, parquet
from scipy import sparse
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skae._checkpoint
import skae._training._source
import skae._training._streams
import skae.autoencoders._checks
from skae import (
    Autoencoder,
    ConditionalVariationalAutoencoder,
    DeepBeliefNetwork,
    DenoisingAutoencoder,
    DictionaryAutoencoder,
    GaussianRBM,
    SelfOrganizingMap,
    VariationalAutoencoder,
    fit_many,
)
from skae._random import Generator
from skae._training import as_source
from skae._training._batches import Batches
from skae._training._trainable import tensors_of
from skae.outlier import OutlierDetector
from skae.streaming import ChunkSource, ParquetSource, transform

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def frame():
    """Return 600 rows of five columns that depend on each other, near 0."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(600, 2)) @ rng.normal(size=(2, 5)) + 0.1 * rng.normal(size=(600, 5))
    return pd.DataFrame(rows.astype(np.float32), columns=list("abcde"))


@pytest.fixture(scope="module")
def path(frame, tmp_path_factory):
    """Return a folder of two files, in row groups of 50."""
    folder = tmp_path_factory.mktemp("table")
    frame[:350].to_parquet(folder / "1.parquet", row_group_size=50)
    frame[350:].to_parquet(folder / "2.parquet", row_group_size=50)
    return folder


def in_chunks(X, window, n_chunks=9):
    parts = np.array_split(np.arange(X.shape[0]), n_chunks)
    rows = X.iloc if hasattr(X, "iloc") else X
    return ChunkSource(lambda: (rows[part] for part in parts), window=window)


def assert_same(one, other):
    for a, b in zip(tensors_of(one.module_), tensors_of(other.module_), strict=True):
        assert torch.equal(a, b)


ESTIMATORS = [
    Autoencoder(2),
    Autoencoder(2, early_stopping=True),
    Autoencoder(2, hidden_layers=(), init="pca"),
    DenoisingAutoencoder(2, pretrain=True),
    VariationalAutoencoder(2),
    GaussianRBM(3),
    DeepBeliefNetwork((4, 2), visible="gaussian"),
    SelfOrganizingMap((4, 4), init="random"),
]


@pytest.fixture(params=ESTIMATORS, ids=lambda one: repr(one).replace("\n", ""))
def estimator(request):
    one = clone(request.param).set_params(random_state=0)
    few = {"max_iter": 3, "n_iter": 5, "tol": 0.1, "batch_size": 64}
    return one.set_params(**{k: v for k, v in few.items() if k in one.get_params()})


def test_a_table_of_one_window_has_the_bits_of_the_table(estimator, frame, path):
    in_memory = clone(estimator).fit(frame)
    for source in (ParquetSource(path, window=600), in_chunks(frame, 600)):
        streamed = clone(estimator).fit(source)
        assert_same(in_memory, streamed)
        assert streamed.feature_names_in_.tolist() == list("abcde")
    first = clone(estimator).partial_fit(frame)
    assert_same(first, clone(estimator).partial_fit(in_chunks(frame, 600)))


def test_windows_have_the_same_bits_each_time_and_learn(estimator, frame, path):
    source = ParquetSource(path, window=170)
    one, other = (clone(estimator).fit(source) for _ in range(2))
    assert_same(one, other)
    untrained = clone(estimator).partial_fit(frame[:3])
    assert one.score(source) > untrained.score(source)
    again = clone(estimator).partial_fit(source)
    assert_same(again, clone(estimator).partial_fit(ParquetSource(path, window=170)))


def test_an_epoch_has_each_row_once_shuffled_within_its_window(path):
    X = np.arange(600, dtype=np.float32)[:, None]
    weight = np.arange(600.0) + 1
    source = as_source(in_chunks(X, 100), weight, CPU, condition=X)
    generator = Generator(0)
    epochs = []
    for _ in range(2):
        order = []
        for batch in Batches(source, 30, generator):
            assert torch.equal(batch.condition, batch.x)
            assert_allclose(batch.weight, (batch.x[:, 0] + 1) / weight.mean(), rtol=1e-6)
            order += batch.x[:, 0].tolist()
        epochs.append(np.array(order))
    for order in epochs:
        assert sorted(order) == list(range(600))
        assert (order // 100 == np.arange(600) // 100).all()  # each in the window that it is in
    assert (epochs[0] != epochs[1]).any()


def test_row_groups_come_in_an_order_drawn_anew(tmp_path):
    table = pd.DataFrame({"x": np.arange(600, dtype=np.float32)})
    table.to_parquet(tmp_path / "t.parquet", row_group_size=50)
    rows = ParquetSource(tmp_path / "t.parquet", window=100).map(lambda chunk: chunk.to_numpy())
    weight = np.arange(600.0) + 1
    source, generator = as_source(rows, weight, CPU), Generator(0)
    groups = []
    for _ in range(2):
        found = [(b.x[:, 0].clone(), b.weight) for b in Batches(source, 40, generator)]
        order = np.concatenate([x for x, _ in found])
        assert sorted(order) == list(range(600))
        assert_allclose(np.concatenate([w for _, w in found]), (order + 1) / weight.mean(), 1e-6)
        groups.append([sorted(set(window // 50)) for window in np.split(order, 6)])
        assert all(len(two) == 2 for two in groups[-1])
    assert groups[0] != groups[1]


def test_early_stopping_holds_out_whole_chunks():
    X = np.arange(600, dtype=np.float32)[:, None]
    weight = np.arange(600.0) + 1
    source = as_source(in_chunks(X, 100, 12), weight, CPU)
    training, validation = source.hold_out(0.2, np.random.RandomState(0))
    parts = [
        np.concatenate([rows[:, 0] for rows, _ in part.chunks()])
        for part in source.hold_out(0.2, np.random.RandomState(0))
    ]
    assert training.n_rows == 500  # 2 of 12 are the nearest to 0.2
    assert sorted(np.concatenate(parts)) == list(range(600))
    held_out = set(parts[1] // 50)
    assert len(held_out) == 2
    assert not held_out & set(parts[0] // 50)
    assert_allclose(validation.sample_weight, parts[1] + 1)


def test_what_is_fitted_from_one_pass_is_that_of_the_table(frame, path):
    settings = {"hidden_layers": (), "max_iter": 1, "tol": 1, "random_state": 0}
    far = frame + 100  # where sums of squares lose digits
    far = ParquetSource(path, window=100).map(lambda chunk: chunk + 100)
    one = Autoencoder(2, init="pca", **settings).fit(far)
    pca = PCA().fit(frame)
    assert_allclose(one.r2_pca_, pca.explained_variance_ratio_[:2].sum(), atol=1e-4)
    source = ParquetSource(path, window=100)
    ordered = Autoencoder(2, ordered=True, **settings).fit(source)
    residual = np.square(frame - ordered.reconstruct(frame)).to_numpy().sum()
    kept = 1 - residual / np.square(frame - frame.mean()).to_numpy().sum()
    assert_allclose(ordered.explained_reconstruction_ratio_[-1], kept, atol=1e-5)
    with pytest.warns(UserWarning, match="between 0 and 1") as caught:
        Autoencoder(2, loss="binary_cross_entropy", **settings).fit(source)
    assert len([one for one in caught if "between 0 and 1" in str(one.message)]) == 1
    rbm = GaussianRBM(2, n_iter=0, random_state=0)
    whole, streamed = (clone(rbm).fit(X) for X in (frame, source))
    for a, b in zip(tensors_of(whole.module_), tensors_of(streamed.module_), strict=True):
        assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("method", ["transform", "score_samples", "reconstruct"])
def test_a_source_is_applied_as_its_table(method, frame, path):
    autoencoder = quick(Autoencoder).fit(frame)
    of_table = getattr(autoencoder, method)(frame)
    for source in (ParquetSource(path), in_chunks(frame, 50)):
        assert_allclose(getattr(autoencoder, method)(source), of_table, rtol=1e-5, atol=1e-6)
    assert_allclose(autoencoder.score(ParquetSource(path)), autoencoder.score(frame), rtol=1e-5)


def test_the_codes_of_a_dictionary(frame, path):
    dictionary = quick(DictionaryAutoencoder).fit(frame)
    source = ParquetSource(path)
    of_table, of_source = (dictionary.code_statistics(X) for X in (frame, source))
    assert_allclose(of_source.density, of_table.density)
    assert_allclose(of_source.explained_variance, of_table.explained_variance, rtol=1e-4)
    unit = int(of_table.density.argmax())
    found, there = (dictionary.top_activating(X, unit, k=3) for X in (source, frame))
    assert found[0].tolist() == there[0].tolist()


def test_labels_weights_and_validation_rows(frame):
    y = np.arange(600) % 2
    conditional = quick(ConditionalVariationalAutoencoder, max_iter=2)
    whole, streamed = (clone(conditional).fit(X, y) for X in (frame, in_chunks(frame, 600)))
    assert_same(whole, streamed)
    clone(conditional).fit(in_chunks(frame, 90), y)
    weight = (np.arange(600) < 400).astype(float)
    autoencoder = quick(Autoencoder, max_iter=2)
    weighted = clone(autoencoder).fit(in_chunks(frame, 40, 6), sample_weight=weight)
    assert_same(weighted, clone(autoencoder).fit(in_chunks(frame[:400], 40, 4)))
    validated = [
        clone(autoencoder).fit(frame, X_val=X) for X in (frame[:90], in_chunks(frame[:90], 90))
    ]
    assert_same(*validated)


def test_sparse_chunks(frame):
    X = sparse.csr_matrix(np.where(frame > 0, frame, 0))
    for cls in (Autoencoder, SelfOrganizingMap):
        whole, one = (quick(cls).fit(rows) for rows in (X, in_chunks(X, 600)))
        assert_same(whole, one)
    dense, some = (quick(Autoencoder).fit(in_chunks(rows, 100)) for rows in (X.toarray(), X))
    assert_same(dense, some)


def test_several_estimators_and_their_callbacks(frame):
    def new():
        return [quick(Autoencoder, learning_rate=rate, max_iter=2) for rate in (1e-3, 1e-2)]

    together, alone = fit_many(new(), in_chunks(frame, 100)), new()
    for one, other in zip(together, alone, strict=True):
        assert_same(one, other.fit(in_chunks(frame, 100)))


def end_after_two_epochs(estimator, source, monkeypatch):
    save = skae._checkpoint.Checkpoint.save

    def save_and_end(checkpoint, state):
        save(checkpoint, state)
        if len(state.history) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(skae._checkpoint.Checkpoint, "save", save_and_end)
        with pytest.raises(KeyboardInterrupt):
            estimator.fit(source)


def test_a_killed_fit_of_a_source_goes_on(frame, path, tmp_path, monkeypatch):
    source = ParquetSource(path, window=100)
    estimator = quick(DenoisingAutoencoder, early_stopping=True, max_iter=5, tol=0)
    straight = clone(estimator).fit(source)
    estimator.set_params(checkpoint=tmp_path)
    end_after_two_epochs(clone(estimator), source, monkeypatch)
    for other in (
        ParquetSource(path, window=150),
        ParquetSource(path, window=100).map(np.negative),
    ):
        with pytest.raises(ValueError, match="differs in the training rows"):
            clone(estimator).fit(other)
    assert_same(straight, clone(estimator).fit(source))


# -- missing values --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gaps(frame):
    """Return the rows sorted by a column, with a fifth of the other entries missing."""
    is_gone = np.random.default_rng(1).random(frame.shape) < 0.2
    is_gone[:, 0] = False
    return frame.mask(is_gone).sort_values("a", ignore_index=True)


@pytest.mark.parametrize(
    "estimator",
    [
        DenoisingAutoencoder(2, noise="masking", mask_as_input=True, n_refinements=1),
        SelfOrganizingMap((4, 4)),
    ],
    ids=["DenoisingAutoencoder", "SelfOrganizingMap"],
)
def test_missing_values_in_a_source(estimator, gaps, tmp_path, monkeypatch):
    gaps.to_parquet(tmp_path / "gaps.parquet", row_group_size=50)
    settings = {"missing_values": "mask", "max_iter": 4, "tol": 0, "n_iter": 4, "random_state": 0}
    parameters = estimator.get_params()
    estimator = clone(estimator).set_params(
        **{name: value for name, value in settings.items() if name in parameters}
    )
    source = ParquetSource(tmp_path / "gaps.parquet", window=600)
    assert_same(clone(estimator).fit(gaps), clone(estimator).fit(source))

    source = ParquetSource(tmp_path / "gaps.parquet", window=130)
    one = clone(estimator).fit(source)
    assert_allclose(one.score_samples(source), one.score_samples(gaps), rtol=1e-4)
    filled = one.impute(source)
    assert_allclose(filled, one.impute(gaps), rtol=1e-4, atol=1e-5)
    known = gaps.notna().to_numpy()
    assert np.array_equal(filled[known], gaps.to_numpy()[known])
    interrupted = clone(estimator).set_params(checkpoint=tmp_path / "fit")
    end_after_two_epochs(clone(interrupted), source, monkeypatch)
    assert_same(one, clone(interrupted).fit(source))


def test_pca_of_rows_with_missing_values_does_not_depend_on_chunks(gaps):
    """The rows of the first chunk are not like the others, since they are sorted."""
    settings = {"hidden_layers": (), "init": "pca", "missing_values": "mask", "n_refinements": 0}
    few = {"learning_rate": 1e-12, "max_iter": 1, "tol": 1, "random_state": 0}
    one = Autoencoder(2, **settings, **few).fit(in_chunks(gaps, 50))
    filled = SimpleImputer().fit_transform(gaps)
    assert_allclose(abs(one.transform(gaps)), abs(PCA(2).fit_transform(filled)), atol=1e-4)


def test_a_map_whose_first_chunk_has_weight_0(gaps):
    weight = (np.arange(600) >= 100).astype(float)
    weighted = quick(SelfOrganizingMap).fit(in_chunks(gaps, 50, 6), sample_weight=weight)
    assert_same(weighted, quick(SelfOrganizingMap).fit(in_chunks(gaps[100:], 50, 5)))


# -- results that go elsewhere --------------------------------------------------------------


def test_results_go_to_a_memory_map_and_to_a_file(frame, path, tmp_path):
    scaler = StandardScaler()
    for chunk in ParquetSource(path):
        scaler.partial_fit(chunk)
    assert_allclose(scaler.mean_, frame.mean(), atol=1e-6)
    source = ParquetSource(path, window=100)
    autoencoder = quick(Autoencoder, n_components=2).fit(source.map(scaler.transform))
    pipeline = make_pipeline(scaler, autoencoder)
    out = np.lib.format.open_memmap(tmp_path / "z.npy", "w+", np.float32, (600, 2))
    with warnings.catch_warnings(action="ignore"):  # the scaler hands arrays on
        codes = pipeline.transform(frame)
        assert transform(pipeline, source, out) is out
        assert_allclose(out, codes, rtol=1e-4, atol=1e-5)
        transform(pipeline, source, tmp_path / "scores.parquet", method="score_samples")
        scores = pd.read_parquet(tmp_path / "scores.parquet")
        assert list(scores) == ["score_samples"]
        assert_allclose(scores["score_samples"], pipeline.score_samples(frame), rtol=1e-4)
    transform(autoencoder, frame.to_numpy(), str(tmp_path / "z.parquet"))
    assert list(pd.read_parquet(tmp_path / "z.parquet")) == ["autoencoder0", "autoencoder1"]


def test_results_that_do_not_fit_are_refused(frame, tmp_path):
    autoencoder = quick(Autoencoder, n_components=2).fit(frame)
    for shape in [(600, 3), (599, 2), (601, 2)]:
        with pytest.raises(ValueError, match="out has"):
            transform(autoencoder, frame, np.empty(shape))
    with pytest.raises(TypeError, match="no method 'predict'"):
        transform(autoencoder, frame, np.empty(600), method="predict")
    with pytest.raises(TypeError, match="out must be"):
        transform(autoencoder, frame, None)
    with pytest.raises(ValueError, match="out holds int64, but transform gives float32"):
        transform(autoencoder, frame, np.empty((600, 2), dtype=int))
    with pytest.raises(ValueError, match="out cannot be written to"):
        transform(autoencoder, frame, np.broadcast_to(np.float32(0), (600, 2)))
    with pytest.raises(ValueError, match="score does not give one result for each row"):
        transform(autoencoder, frame, np.empty(600), method="score")
    with pytest.raises(ValueError, match="X has no rows"):
        transform(autoencoder, frame[:0], np.empty((0, 2)))
    bad = [frame[:100], frame[:3] * np.nan]
    with pytest.raises(ValueError, match=r"Chunk 2 of X.*NaN"):
        transform(autoencoder, ChunkSource(lambda: bad), tmp_path / "z.parquet")
    assert list(tmp_path.iterdir()) == []


# -- outliers --------------------------------------------------------------------------------


def test_a_detector_takes_a_source(frame):
    X = frame.copy()
    X.iloc[:5] += 5
    # The same rows for a learner in memory.
    forest = OutlierDetector(IsolationForest(random_state=0), max_samples=256, random_state=0)
    whole, streamed = (clone(forest).fit(rows) for rows in (X, in_chunks(X, 300)))
    assert whole.offset_ == streamed.offset_
    assert np.array_equal(whole.predict(X), streamed.predict(in_chunks(X, 50)))
    for learner, parameters in [
        (quick(Autoencoder), {"calibration_fraction": 0.2}),
        (quick(Autoencoder), {"trim": 0.1, "max_features": 4, "n_estimators": 2}),
        (SelfOrganizingMap((3, 3), n_iter=2), {"store_scores": True}),
        (None, {}),
    ]:
        detector = OutlierDetector(learner, random_state=0, **parameters).fit(in_chunks(X, 100))
        assert (detector.predict(X[:5]) == -1).all()
        assert_allclose(detector.score_samples(in_chunks(X, 7)), detector.score_samples(X), 1e-4)
    with pytest.raises(TypeError, match="needs a table in memory"):
        OutlierDetector(PCA(2)).fit(in_chunks(X, 100))


def test_a_detector_takes_a_mixed_table(frame, tmp_path):
    X = frame.assign(colour=np.where(frame["a"] > 0, "red", "blue"))
    X.loc[400:420, "b"] = np.nan
    X.loc[0, "colour"] = "green"
    X.to_parquet(tmp_path / "t.parquet", row_group_size=60)
    source = ParquetSource(tmp_path / "t.parquet", window=200)
    detector = OutlierDetector(random_state=0).fit(source)
    scores = detector.score_samples(source)
    assert np.argmin(scores) == 0
    assert_allclose(scores, detector.score_samples(X), rtol=1e-6)


# -- memory -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["memory map", "CSR", "chunks"])
def test_no_copy_of_all_rows_is_made(kind, tmp_path, monkeypatch):
    for module in (skae._training._source, skae.autoencoders._checks):
        monkeypatch.setattr(module, "DENSE_NUMBERS", 2**17)
    monkeypatch.setattr(skae._training._streams, "_WINDOW_NUMBERS", 2**17)
    X = np.lib.format.open_memmap(tmp_path / "X.npy", "w+", np.float32, (60_000, 40))
    X[:] = np.random.default_rng(0).random(X.shape, dtype=np.float32)
    n_bytes = X.nbytes
    if kind == "CSR":
        X = sparse.csr_matrix(X)
    if kind == "chunks":
        X = in_chunks(X, 5000, 20)
    settings = {"early_stopping": True, "max_iter": 1, "batch_size": 1000, "random_state": 0}
    start = {"init": "glorot" if kind == "CSR" else "pca", "hidden_layers": ()}
    some = Autoencoder(2, **start, **settings), DenoisingAutoencoder(2, pretrain=True, **settings)
    for autoencoder in some:
        autoencoder.fit(np.random.default_rng(0).random((100, 40)))  # what the first fit imports
    tracemalloc.start()
    try:
        for autoencoder in some[: 1 if kind == "CSR" else 2]:
            autoencoder.fit(X)
            autoencoder.score_samples(X)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < n_bytes


# -- what is refused --------------------------------------------------------------------------

GOOD = np.random.default_rng(0).normal(size=(50, 3))
NAMED = pd.DataFrame(GOOD, columns=list("abc"))
BAD_CHUNKS = {
    "no rows": ([], "no rows"),
    "empty chunks": ([GOOD[:0]], "no rows"),
    "width": ([GOOD, GOOD[:, :2]], r"Chunk 2 of X has rows of shape \(2,\), but the first"),
    "names": (
        [NAMED, NAMED.rename(columns={"c": "d"})],
        "Chunk 2 .* lacks 'c' and has besides 'd'",
    ),
    "order": ([NAMED, NAMED[["b", "a", "c"]]], "Chunk 2 of X has columns b, a, c, but the first"),
    "no names": ([NAMED, GOOD], "Chunk 2 of X is of type ndarray, but the first .* DataFrame"),
    "sparse": ([GOOD, sparse.csr_matrix(GOOD)], "Chunk 2 of X is of type csr_matrix, but the"),
    "NaN": ([GOOD, np.full((2, 3), np.nan)], "Chunk 2 of X: .*NaN"),  # also of rows of a map
    "strings": ([NAMED, NAMED.assign(b="x")], r"Chunk 2 of X: .*column\(s\) 'b' of X hold strings"),
    "one row": ([GOOD[0]], r"Chunk 1 of X has shape \(3,\)"),
}


@pytest.mark.parametrize("cls", [Autoencoder, SelfOrganizingMap])
@pytest.mark.parametrize("case", BAD_CHUNKS)
def test_bad_chunks_change_nothing(case, cls):
    chunks, message = BAD_CHUNKS[case]
    fitted = quick(cls).fit(NAMED)
    before = dict(vars(fitted))
    for method in (fitted.fit, fitted.partial_fit):
        with pytest.raises(ValueError, match=message):
            method(ChunkSource(lambda: chunks, window=10))
        assert vars(fitted) == before


def test_rows_that_are_none_of_the_source():
    source = in_chunks(GOOD, 10)
    for kept in (np.ones(3, bool), np.arange(50), np.zeros(50, bool)):
        with pytest.raises(ValueError, match="kept must be an array of 50 bools"):
            source.select(kept)
    for numbers in ([], [50], [-1], [0.5], np.ones(50, bool)):
        with pytest.raises(ValueError, match="integers from 0 to 49"):
            source.take(numbers)
    with pytest.raises(ValueError, match="one row for each row of a chunk; of 6 rows"):
        quick(Autoencoder).fit(source.map(lambda chunk: chunk[:3]))


def test_factories_that_are_none():
    with pytest.raises(TypeError, match="factory must be a function"):
        ChunkSource(one for one in [GOOD])
    with pytest.raises(TypeError, match="factory must return an iterable of chunks"):
        quick(Autoencoder).fit(ChunkSource(lambda: 3))
    exhausted = iter([GOOD, GOOD])
    with pytest.raises(ValueError, match="gave 2 chunks with 100 rows before and 0 with 0 now"):
        list(source := ChunkSource(lambda: exhausted)) + list(source)
    growing = iter([[GOOD], [GOOD, GOOD]])
    source = ChunkSource(lambda: next(growing))
    with pytest.raises(ValueError, match="gave 1 chunks with 50 rows before and at least 2 with"):
        list(source) + list(source)
    for window in (0, 2.5, "all", True):
        with pytest.raises(ValueError, match="window must be"):
            ChunkSource(lambda: [GOOD], window=window)


def test_bad_files(frame, tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError):
        ParquetSource(tmp_path / "none.parquet")
    with pytest.raises(ValueError, match="no rows"):  # an empty folder
        ParquetSource(tmp_path)
    (tmp_path / "a.parquet").write_bytes(b"words")
    with pytest.raises(ValueError, match="cannot be read as Parquet"):
        ParquetSource(tmp_path / "a.parquet")
    frame.to_parquet(tmp_path / "a.parquet")
    with pytest.raises(ValueError, match="'z'"):
        ParquetSource(tmp_path / "a.parquet", columns=["a", "z"])
    for columns in ("a", 3):
        with pytest.raises(ValueError, match="list of names"):
            ParquetSource(tmp_path / "a.parquet", columns=columns)
    with pytest.raises(ValueError, match="differ from each other"):
        ParquetSource(tmp_path / "a.parquet", columns=["a", "a"])
    source = ParquetSource(tmp_path / "a.parquet")
    whole = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(whole[:100])
    with pytest.raises(ValueError, match=r"a.parquet' has changed since"):
        quick(Autoencoder).fit(source)
    (tmp_path / "a.parquet").write_bytes(whole)
    with pytest.raises(TypeError, match="path must be"):
        ParquetSource(frame)
    frame.astype({"b": float}).to_parquet(tmp_path / "b.parquet")
    with pytest.raises(ValueError, match=r"b.parquet' has type double in column 'b'"):
        ParquetSource(tmp_path)
    assert ParquetSource(tmp_path, columns=["a", "c"]).shape == (1200, 2)
    frame.drop(columns="b").to_parquet(tmp_path / "b.parquet")
    with pytest.raises(ValueError, match=r"b.parquet' has no column 'b'"):
        ParquetSource(tmp_path)
    autoencoder = quick(Autoencoder).fit(frame)
    with pytest.raises(ValueError, match="feature names should match"):
        autoencoder.score_samples(ParquetSource(tmp_path, columns=["a", "c"]))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=re.escape("pip install 'skae[parquet]'")):
        ParquetSource(tmp_path)
    with pytest.raises(ImportError, match=re.escape("pip install 'skae[parquet]'")):
        transform(autoencoder, frame, tmp_path / "z.parquet")
    assert_same(quick(Autoencoder).fit(in_chunks(frame, 600)), autoencoder)  # without pyarrow


def test_an_index_of_pandas_is_no_feature(frame, tmp_path):
    some = frame[frame["a"] > 0]
    some.to_parquet(tmp_path / "some.parquet")  # with the numbers of the rows
    streamed = quick(Autoencoder).fit(ParquetSource(tmp_path / "some.parquet"))
    assert_same(quick(Autoencoder).fit(some), streamed)


def test_datasets_of_arrow(frame, tmp_path):
    table = pa.table(frame.assign(year=np.repeat([1, 2], 300)))
    parquet.write_to_dataset(table, tmp_path, partition_cols=["year"])
    found = ParquetSource(dataset.dataset(tmp_path, partitioning="hive"), columns=["a", "year"])
    assert pd.concat(list(found))["year"].tolist() == [1] * 300 + [2] * 300
    ints = pd.DataFrame({"n": pd.array([1, None, 3], "Int64"), "b": [True, False, True]})
    ints.to_parquet(tmp_path / "ints.parquet")
    (chunk,) = ParquetSource(tmp_path / "ints.parquet")
    assert np.array_equal(chunk.to_numpy(float), [[1, 1], [np.nan, 0], [3, 1]], equal_nan=True)


def test_other_estimators_say_what_to_do(path):
    with pytest.raises(TypeError, match="partial_fit for instance"):
        StandardScaler().fit(ParquetSource(path))
