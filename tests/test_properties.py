"""The promises of every estimator, each once, over all public estimators."""

import contextlib
import pickle
import random
import signal
import subprocess
import sys
import textwrap
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import quick
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from skae._training import Trainable
from skae.layers import Dense

STOCHASTIC = Dense((32,), batch_norm=True, dropout=0.3)


@contextlib.contextmanager
def steps_do(action, after: int, monkeypatch):
    """Run `action` in place of the training step, from call number `after` + 1 on."""
    original, calls = Trainable.training_step, 0

    def training_step(self, *arguments):
        nonlocal calls
        calls += 1
        loss = original(self, *arguments)
        return loss if calls <= after else action(self, loss)

    with monkeypatch.context() as patch:
        patch.setattr(Trainable, "training_step", training_step)
        yield


# -- the same bits ---------------------------------------------------------------------


@pytest.mark.parametrize("hidden_layers", [(16,), STOCHASTIC], ids=["plain", "stochastic"])
def test_refit_clone_and_pickle_give_the_same_bits(estimator_class, table, hidden_layers):
    # More rows than a batch, so that their order counts; so few features that matrix
    # products round differently with another number of threads.
    estimator = quick(estimator_class, hidden_layers=hidden_layers, batch_size=50)
    first = estimator.fit_transform(table)
    assert_array_equal(estimator.fit(table).transform(table), first)
    assert_array_equal(clone(estimator).fit(table).transform(table), first)
    assert_array_equal(pickle.loads(pickle.dumps(estimator)).transform(table), first)
    assert not np.array_equal(
        clone(estimator).set_params(random_state=1).fit_transform(table), first
    )


def test_number_of_jobs_does_not_change_the_bits(estimator_class, table):
    grid = {"n_components": [2, 5], "learning_rate": [1e-3, 1e-2]}
    estimator = quick(estimator_class, hidden_layers=(64,), batch_size=50)
    one = GridSearchCV(estimator, grid, n_jobs=1, cv=3).fit(table)
    two = GridSearchCV(estimator, grid, n_jobs=2, cv=3).fit(table)
    for split in range(3):
        key = f"split{split}_test_score"
        assert_array_equal(one.cv_results_[key], two.cv_results_[key])
    assert_array_equal(one.transform(table), two.transform(table))


def test_number_of_threads_does_not_change_the_bits(estimator_class, table):
    codes, before = [], torch.get_num_threads()
    try:
        for n_threads in (1, 2, 4):
            torch.set_num_threads(n_threads)
            codes.append(quick(estimator_class, batch_size=50).fit_transform(table))
            assert torch.get_num_threads() == n_threads
    finally:
        torch.set_num_threads(before)
    assert_array_equal(codes[0], codes[1])
    assert_array_equal(codes[0], codes[2])


def test_partial_fit_goes_on_bit_for_bit_after_a_pickle(estimator_class, table):
    straight = quick(estimator_class).partial_fit(table[:150])
    resumed = pickle.loads(pickle.dumps(straight))
    straight.partial_fit(table[150:])
    resumed.partial_fit(table[150:])
    assert_array_equal(straight.transform(table), resumed.transform(table))


def test_partial_fit_takes_a_changed_learning_rate(estimator_class, table):
    estimator = quick(estimator_class).partial_fit(table)
    before = estimator.transform(table)
    estimator.set_params(learning_rate=1e-30).partial_fit(table)
    assert_allclose(estimator.transform(table), before, rtol=1e-12)


def test_concurrent_fits_in_threads_give_the_same_bits(estimator_class, table):
    from joblib import Parallel, delayed

    estimator = quick(estimator_class, hidden_layers=STOCHASTIC)
    threads = torch.get_num_threads()
    alone = clone(estimator).fit_transform(table)
    together = Parallel(n_jobs=4, backend="threading")(
        delayed(clone(estimator).fit_transform)(table) for _ in range(8)
    )
    for codes in together:
        assert_array_equal(codes, alone)
    assert torch.get_num_threads() == threads


# -- the caller's state ------------------------------------------------------------------


@contextlib.contextmanager
def unchanged_global_state():
    torch.manual_seed(3)
    np.random.seed(3)
    random.seed(3)
    threads = torch.get_num_threads()
    torch.set_default_dtype(torch.float64)
    before = (torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate())
    try:
        yield
        assert torch.get_default_dtype() == torch.float64
        assert torch.get_num_threads() == threads
        assert torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()
        assert torch.equal(torch.get_rng_state(), before[0])
        assert_array_equal(np.random.get_state()[1], before[1])
        assert random.getstate() == before[2]
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("random_state", [0, None])
def test_global_state_is_as_it_was(estimator_class, table, random_state):
    estimator = quick(estimator_class, hidden_layers=STOCHASTIC, random_state=random_state)
    with unchanged_global_state():
        estimator.fit(table).partial_fit(table)
        estimator.transform(table)
        estimator.score(table)


def test_global_state_is_as_it_was_after_an_exception_in_fit(estimator_class, table, monkeypatch):
    def fail(module, loss):
        raise MemoryError

    with (
        unchanged_global_state(),
        steps_do(fail, 2, monkeypatch),
        pytest.raises(MemoryError),
    ):
        quick(estimator_class).fit(table)


def test_default_dtype_and_no_grad_of_the_caller_do_not_matter(estimator_class, table):
    expected = quick(estimator_class).fit_transform(table)
    torch.set_default_dtype(torch.float64)
    try:
        with torch.no_grad():
            assert_array_equal(quick(estimator_class).fit_transform(table), expected)
        with torch.inference_mode():
            assert_array_equal(quick(estimator_class).fit_transform(table), expected)
    finally:
        torch.set_default_dtype(torch.float32)


# -- scores and codes ----------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scores_are_deterministic_and_independent_of_the_other_rows(estimator_class, table, dtype):
    X = table.astype(dtype)
    estimator = quick(estimator_class, hidden_layers=STOCHASTIC).fit(X)
    scores, codes = estimator.score_samples(X), estimator.transform(X)
    assert scores.shape == (300,)
    assert_array_equal(estimator.score_samples(X), scores)
    order = np.random.default_rng(0).permutation(len(X))
    tolerance = {np.float32: 2e-6, np.float64: 1e-14}[dtype]
    assert_allclose(estimator.score_samples(X[order]), scores[order], rtol=0, atol=tolerance)
    one_by_one = np.concatenate([estimator.score_samples(X[i : i + 1]) for i in range(20)])
    assert_allclose(one_by_one, scores[:20], rtol=0, atol=tolerance)
    assert_allclose(estimator.transform(X[::7]), codes[::7], rtol=0, atol=tolerance)
    assert estimator.score(X) == pytest.approx(scores.mean())


def test_scores_are_higher_for_what_was_trained_on(estimator_class, table):
    estimator = quick(estimator_class, n_components=2, max_iter=100, learning_rate=1e-2).fit(table)
    shuffled = np.column_stack([np.roll(column, i) for i, column in enumerate(table.T)])
    assert estimator.score(table) > estimator.score(shuffled)


def test_weighted_score_is_the_weighted_mean(estimator_class, table):
    estimator = quick(estimator_class).fit(table)
    weight = np.arange(300.0)
    expected = np.average(estimator.score_samples(table), weights=weight)
    assert estimator.score(table, sample_weight=weight) == pytest.approx(expected)


# -- any number of rows ----------------------------------------------------------------------


@pytest.mark.parametrize("n_rows", [1, 2, 19, 20, 21, 41])
def test_any_number_of_rows(estimator_class, table, n_rows):
    estimator = quick(estimator_class, hidden_layers=STOCHASTIC, batch_size=20)
    X = table[:n_rows]
    assert np.isfinite(estimator.fit(X).transform(X)).all()
    assert np.isfinite(clone(estimator).partial_fit(X).score_samples(X)).all()


@pytest.mark.parametrize("chunk", [7, 500, 1000])
def test_partial_fit_reaches_the_loss_of_fit(estimator_class, digits, chunk):
    X, n_epochs = digits[:1000], 20
    estimator = quick(
        estimator_class, n_components=16, learning_rate=3e-3, max_iter=n_epochs, tol=0
    )
    fitted = clone(estimator).fit(X)
    chunked = clone(estimator)
    for _ in range(n_epochs):
        for start in range(0, len(X), chunk):
            chunked.partial_fit(X[start : start + chunk])
    # A constant answer has the variance as its error; smaller chunks make more steps.
    assert -fitted.score(X) < 0.6 * X.var(axis=0).mean()
    assert -chunked.score(X) < 1.05 * -fitted.score(X)
    assert chunked.n_iter_ == n_epochs * -(-1000 // chunk)


# -- kinds of input ------------------------------------------------------------------------


def test_csr_equals_dense(estimator_class, digits):
    X = sparse.csr_matrix(digits[:400])
    dense = quick(estimator_class).fit(X.toarray())
    for container in (sparse.csr_matrix, sparse.csr_array, sparse.csc_matrix):
        from_sparse = quick(estimator_class).fit(container(X))
        assert_array_equal(from_sparse.transform(container(X)), dense.transform(X.toarray()))
        assert_array_equal(from_sparse.score_samples(container(X)), dense.score_samples(X))
    assert_array_equal(
        quick(estimator_class).partial_fit(X).transform(X),
        quick(estimator_class).partial_fit(X.toarray()).transform(X),
    )


def test_large_csr_trains_without_a_dense_copy(estimator_class):
    # Dense, these rows would take 7.5 GiB in float32; the CSR matrix takes 160 MB.
    program = f"""
        import resource, warnings
        import numpy as np
        from scipy import sparse
        from skae import {estimator_class.__name__} as Estimator

        warnings.simplefilter("ignore")
        n_rows, n_columns, per_row = 200_000, 10_000, 10
        rng = np.random.default_rng(0)
        X = sparse.csr_matrix(
            (
                rng.random(n_rows * per_row, dtype=np.float32),
                rng.integers(0, n_columns, n_rows * per_row, dtype=np.int32),
                np.arange(0, n_rows * per_row + 1, per_row, dtype=np.int32),
            ),
            shape=(n_rows, n_columns),
        )
        X.sum_duplicates()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        estimator = Estimator(2, hidden_layers=(), max_iter=1, batch_size=1000, device="cpu")
        estimator.fit(X)
        estimator.transform(X)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True
    )
    grown_mib = int(result.stdout) / 1024
    assert grown_mib < 700


def test_array_likes_give_the_same_fit(estimator_class, digits, tmp_path):
    X = digits[:300]
    expected = quick(estimator_class, batch_size=50).fit(X).transform(X)
    np.save(tmp_path / "X.npy", X)
    backwards = X[::-1].copy()[::-1]
    read_only = X.copy()
    read_only.setflags(write=False)
    for same in (
        np.load(tmp_path / "X.npy", mmap_mode="r"),
        read_only,
        backwards,
        np.asfortranarray(X),
        torch.from_numpy(X),
        torch.from_numpy(X).requires_grad_(),
        X.tolist(),
        pd.DataFrame(X),
    ):
        fitted = quick(estimator_class, batch_size=50).fit(same)
        assert_array_equal(fitted.transform(X), expected)
        assert_allclose(fitted.transform(same), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("dtype", "result"),
    [
        (np.float32, np.float32),
        (np.float64, np.float64),
        (np.float16, np.float64),
        (np.int64, np.float64),
        (np.uint8, np.float64),
        (bool, np.float64),
    ],
)
def test_dtype_of_the_results(estimator_class, digits, dtype, result):
    X = (digits[:100] * 16).astype(dtype)
    estimator = quick(estimator_class).fit(X)
    codes = estimator.transform(X)
    assert codes.dtype == result
    assert estimator.inverse_transform(codes).dtype == result
    assert estimator.score_samples(X).dtype == result
    assert next(estimator.module_.parameters()).dtype == torch.float32


def test_fit_does_not_change_its_input(estimator_class, table):
    X, weight = table.astype(np.float32), np.arange(300.0)
    copies = X.copy(), weight.copy()
    quick(estimator_class).fit(X, sample_weight=weight).transform(X)
    assert_array_equal(X, copies[0])
    assert_array_equal(weight, copies[1])


def test_dataframe_in_dataframe_out(estimator_class, table):
    X = pd.DataFrame(table, columns=list("abcde"), index=np.arange(300) + 7)
    estimator = quick(estimator_class, n_components=2).set_output(transform="pandas")
    codes = estimator.fit_transform(X)
    name = estimator_class.__name__.lower()
    assert list(codes.columns) == [f"{name}0", f"{name}1"]
    assert_array_equal(codes.index, X.index)
    assert_array_equal(estimator.get_feature_names_out(), codes.columns)
    assert_array_equal(estimator.feature_names_in_, X.columns)
    with pytest.raises(ValueError, match="feature names should match"):
        estimator.transform(X[["e", "d", "c", "b", "a"]])


def test_in_a_pipeline_under_a_grid_search(estimator_class, table):
    X = pd.DataFrame(table, columns=list("abcde"))
    pipeline = Pipeline([("scale", StandardScaler()), ("learn", quick(estimator_class))])
    search = GridSearchCV(
        pipeline,
        {"learn__n_components": [1, 4], "learn__hidden_layers": [(), Dense((8,))]},
        cv=2,
    ).fit(X)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    inside = GridSearchCV(
        clone(pipeline).set_params(learn__hidden_layers=Dense((8,))),
        {"learn__hidden_layers__dropout": [0.0, 0.5]},
        cv=2,
    ).fit(X)
    assert set(inside.best_params_) == {"learn__hidden_layers__dropout"}


# -- sample weights --------------------------------------------------------------------------


def test_weight_zero_removes_a_row(estimator_class, table):
    weight = np.random.default_rng(0).integers(0, 2, 300)
    weighted = quick(estimator_class, batch_size=50).fit(table, sample_weight=weight)
    removed = quick(estimator_class, batch_size=50).fit(table[weight > 0])
    assert_array_equal(weighted.transform(table), removed.transform(table))
    weighted = quick(estimator_class, batch_size=50).partial_fit(table, sample_weight=weight)
    removed = quick(estimator_class, batch_size=50).partial_fit(table[weight > 0])
    assert_array_equal(weighted.transform(table), removed.transform(table))


def test_scale_of_the_weights_does_not_matter(estimator_class, table):
    weight = np.random.default_rng(0).uniform(0.1, 1, 300)
    once = quick(estimator_class).fit(table, sample_weight=weight)
    scaled = quick(estimator_class).fit(table, sample_weight=1024 * weight)
    assert_array_equal(once.transform(table), scaled.transform(table))
    equal = quick(estimator_class).fit(table, sample_weight=np.full(300, 0.3))
    assert_array_equal(equal.transform(table), quick(estimator_class).fit_transform(table))


def test_heavy_rows_are_learned_better(estimator_class, table):
    other = -3 * table[:, ::-1]
    X = np.vstack([table, other])
    weight = np.repeat([1.0, 0.01], 300)
    parameters = dict(n_components=1, hidden_layers=(8,), max_iter=60, learning_rate=1e-2)
    plain = quick(estimator_class, **parameters).fit(X)
    weighted = quick(estimator_class, **parameters).fit(X, sample_weight=weight)
    assert weighted.score(table) > plain.score(table)
    assert weighted.score(other) < plain.score(other)


def test_metadata_routing(estimator_class, table):
    weight = np.random.default_rng(0).integers(0, 2, 300)
    X_val = table[:50] + 0.1
    with config_context(enable_metadata_routing=True):
        learner = quick(estimator_class).set_fit_request(sample_weight=True, X_val=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        routed = make_pipeline(scaler, learner, transform_input=["X_val"])
        routed.fit(table, sample_weight=weight, X_val=X_val)
    scaler = StandardScaler().fit(table)
    direct = quick(estimator_class).fit(
        scaler.transform(table), sample_weight=weight, X_val=scaler.transform(X_val)
    )
    assert routed[-1].validation_loss_curve_ == direct.validation_loss_curve_


# -- stopping --------------------------------------------------------------------------------


def test_training_stops_when_the_loss_stops_improving(estimator_class, table):
    estimator = quick(estimator_class, max_iter=1000, tol=10.0, n_iter_no_change=3)
    with warnings.catch_warnings(action="error"):
        estimator.fit(table)
    assert estimator.n_iter_ == 4  # the first epoch improves on nothing, then three do not
    assert len(estimator.loss_curve_) == 4
    assert estimator.validation_loss_curve_ is None


def test_max_iter_warns(estimator_class, table):
    with pytest.warns(ConvergenceWarning, match="max_iter=3"):
        estimator = quick(estimator_class, max_iter=3, tol=0).fit(table)
    assert estimator.n_iter_ == 3


def weights_of(estimator):
    return [p.detach().clone() for p in estimator.module_.parameters()]


def test_early_stopping_stops_and_brings_back_the_best_weights(estimator_class, table, monkeypatch):
    # From step 12 on, each step ruins the weights: the best epoch is before that.
    def ruin(module, loss):
        with torch.no_grad():
            for parameter in module.parameters():
                parameter += 1
        return loss

    parameters = dict(early_stopping=True, max_iter=100, n_iter_no_change=4, tol=0)
    parameters |= dict(batch_size=90, learning_rate=1e-2)  # 270 rows: three steps an epoch
    with steps_do(ruin, 12, monkeypatch):
        stopped = quick(estimator_class, **parameters).fit(table)
    curve = stopped.validation_loss_curve_
    best = int(np.argmin(curve))
    assert best <= 3
    assert stopped.n_iter_ == len(curve) == best + 1 + 4
    up_to_best = quick(estimator_class, **parameters).set_params(max_iter=best + 1).fit(table)
    for kept, expected in zip(weights_of(stopped), weights_of(up_to_best), strict=True):
        assert torch.equal(kept, expected)


def test_x_val_decides_when_to_stop(estimator_class, table):
    train, X_val = table[:200], table[200:]
    parameters = dict(max_iter=30, tol=0, n_iter_no_change=30, learning_rate=1e-2)
    fitted = quick(estimator_class, **parameters).fit(train, X_val=X_val)
    assert len(fitted.validation_loss_curve_) == fitted.n_iter_
    # Nothing of the training rows is held out.
    plain = quick(estimator_class, **parameters).fit(train)
    assert_array_equal(fitted.loss_curve_, plain.loss_curve_)


def test_warm_start_goes_on(estimator_class, table):
    estimator = quick(estimator_class, warm_start=True, max_iter=10)
    first = estimator.fit(table).score(table)
    assert estimator.fit(table).score(table) > first
    assert estimator.n_iter_ == len(estimator.loss_curve_) == 20
    with pytest.raises(ValueError, match="warm_start"):
        estimator.set_params(n_components=3).fit(table)
    assert estimator.score(table) > first
    assert estimator.set_params(warm_start=False).fit(table).n_iter_ == 10


# -- when something goes wrong -------------------------------------------------------------


def test_loss_turning_non_finite_keeps_the_last_good_weights(estimator_class, table, monkeypatch):
    def explode(module, loss):
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.fill_(torch.nan)
        return loss * torch.nan

    parameters = dict(max_iter=20, batch_size=100)  # three steps an epoch
    estimator = quick(estimator_class, **parameters)
    with (
        steps_do(explode, 10, monkeypatch),
        pytest.raises(ValueError, match=r"stopped being finite in epoch 4.*[Ll]ower learning_rate"),
    ):
        estimator.fit(table)
    assert estimator.n_iter_ == len(estimator.loss_curve_) == 3
    # The loss of the third epoch vouches for the weights that the second one left.
    expected = quick(estimator_class, **parameters).set_params(max_iter=2).fit(table)
    assert_array_equal(estimator.transform(table), expected.transform(table))


def test_real_divergence_says_what_to_try(estimator_class, table):
    estimator = quick(estimator_class, learning_rate=1e12, batch_size=300)
    with pytest.raises(ValueError, match=r"stopped being finite.*learning_rate \(now 1e\+12\)"):
        estimator.fit(table)
    assert np.isfinite(estimator.score(table))


def test_divergence_in_the_first_epoch_keeps_nothing(estimator_class, table):
    estimator = quick(estimator_class, learning_rate=1e12, batch_size=20)
    with pytest.raises(ValueError, match="nothing is kept"):
        estimator.fit(table)
    assert not hasattr(estimator, "module_")
    assert not hasattr(estimator, "n_features_in_")


def test_diverging_partial_fit_leaves_the_estimator_as_it_was(estimator_class, table):
    estimator = quick(estimator_class).partial_fit(table)
    before = estimator.transform(table)
    with pytest.raises(ValueError, match="stopped being finite"):
        estimator.partial_fit(table * 1e30)
    assert_array_equal(estimator.transform(table), before)
    assert estimator.n_iter_ == 1


def test_failed_refit_leaves_the_first_fit(estimator_class, table):
    estimator = quick(estimator_class).fit(table)
    before = estimator.transform(table)
    for bad in (np.full((5, 3), np.nan), np.zeros((0, 3)), [["a", "b"]]):
        with pytest.raises(ValueError, match=r".+"):
            estimator.fit(bad)
        assert estimator.n_features_in_ == 5
        assert_array_equal(estimator.transform(table), before)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_ctrl_c_leaves_a_fitted_estimator(estimator_class, table, monkeypatch, method):
    def press_ctrl_c(module, loss):
        signal.raise_signal(signal.SIGINT)
        return loss

    # A shell that runs the tests in the background has the signal ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    estimator = quick(estimator_class, max_iter=50, batch_size=100)
    expectation = (
        pytest.warns(UserWarning, match="interrupted by user")
        if method == "fit"
        else contextlib.nullcontext()
    )
    try:
        with steps_do(press_ctrl_c, 7 if method == "fit" else 1, monkeypatch), expectation:
            getattr(estimator, method)(table)
    finally:
        signal.signal(signal.SIGINT, before)
    assert estimator.n_iter_ == (2 if method == "fit" else 0)
    assert np.isfinite(estimator.transform(table)).all()


# -- pickles and devices ---------------------------------------------------------------------


def test_pickle_holds_no_skorch_and_little_more_than_the_weights(estimator_class, digits):
    estimator = quick(estimator_class).fit(digits)
    pickled = pickle.dumps(estimator)
    assert b"skorch" not in pickled
    n_bytes = sum(p.numel() * p.element_size() for p in estimator.module_.parameters())
    assert len(pickled) <= 3 * n_bytes


def test_pickle_of_another_machine_loads_where_its_device_is_missing(estimator_class, table):
    if torch.cuda.is_available():
        pytest.skip("this machine has the device")
    estimator = quick(estimator_class).fit(table)
    estimator.set_params(device="cuda")  # as pickled where there is one: see __getstate__
    loaded = pickle.loads(pickle.dumps(estimator))
    assert loaded.device_ == torch.device("cpu")
    assert_array_equal(loaded.transform(table), estimator.transform(table))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_fit_reads_alike_on_the_cpu(estimator_class, digits, tmp_path):
    estimator = quick(estimator_class, device="auto", max_iter=20).fit(digits)
    assert estimator.device_.type == "cuda"
    assert_array_equal(clone(estimator).fit(digits).transform(digits), estimator.transform(digits))
    np.save(tmp_path / "X.npy", digits)
    (tmp_path / "fitted.pickle").write_bytes(pickle.dumps(estimator))
    program = """
        import pickle, sys, numpy as np
        from pathlib import Path
        folder = Path(sys.argv[1])
        estimator = pickle.loads((folder / "fitted.pickle").read_bytes())
        np.save(folder / "codes.npy", estimator.transform(np.load(folder / "X.npy")))
        print(estimator.device_)
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)],
        env={"CUDA_VISIBLE_DEVICES": "", "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() == "cpu"
    assert_allclose(np.load(tmp_path / "codes.npy"), estimator.transform(digits), atol=1e-4)


# -- what a user sees ------------------------------------------------------------------------


def test_silent_by_default_and_a_progress_bar_when_asked(estimator_class, table, capfd):
    quick(estimator_class).fit(table).transform(table)
    assert capfd.readouterr() == ("", "")
    quick(estimator_class, verbose=1).fit(table)
    out, err = capfd.readouterr()
    assert out == ""
    assert "loss" in err
    assert "10/10" in err  # five epochs of two batches
