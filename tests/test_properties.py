"""The promises of the estimators, each once, over all public estimators that make it."""

import contextlib
import os
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
from conftest import draw, epochs, has, modules_of, quick, width
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler, minmax_scale
from skorch.callbacks import Callback

from skae import (
    Autoencoder,
    BernoulliRBM,
    OutlierDetector,
    SelfOrganizingMap,
    VariationalAutoencoder,
)
from skae._training._net import Net
from skae.layers import Dense


@contextlib.contextmanager
def steps_do(action, after: int, monkeypatch):
    """Run `action` in place of the training step, from call number `after` + 1 on."""
    original, calls = Net.train_step, 0

    def train_step(self, *batch):
        nonlocal calls
        calls += 1
        losses = original(self, *batch)
        if calls <= after:
            return losses
        return {name: action(self.module_, loss) for name, loss in losses.items()}

    with monkeypatch.context() as patch:
        patch.setattr(Net, "train_step", train_step)
        yield


def explode(module, loss):
    """Be a step after which nothing is finite."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(torch.nan)
    return loss * torch.nan


# -- the same bits ---------------------------------------------------------------------


def test_refit_clone_and_pickle_give_the_same_bits(estimator, table):
    # More rows than a batch, so that their order counts; so few features that matrix
    # products round differently with another number of threads.
    estimator.set_params(batch_size=50)
    first = estimator.fit_transform(table)
    assert_array_equal(estimator.fit(table).transform(table), first)
    assert_array_equal(clone(estimator).fit(table).transform(table), first)
    assert_array_equal(pickle.loads(pickle.dumps(estimator)).transform(table), first)
    if getattr(estimator, "init", None) != "pca":  # which draws nothing that matters
        other = clone(estimator).set_params(random_state=1).fit_transform(table)
        assert not np.array_equal(other, first)


def test_number_of_jobs_does_not_change_the_bits(estimator_class, table):
    widths = [width(estimator_class, n) for n in (2, 5)]
    grid = [{name: [value]} for parameter in widths for name, value in parameter.items()]
    estimator = quick(estimator_class, batch_size=50)
    one = GridSearchCV(estimator, grid, n_jobs=1, cv=2).fit(table)
    two = GridSearchCV(estimator, grid, n_jobs=2, cv=2).fit(table)
    for split in range(2):
        key = f"split{split}_test_score"
        assert_array_equal(one.cv_results_[key], two.cv_results_[key])
    assert_array_equal(one.transform(table), two.transform(table))


def test_number_of_threads_does_not_change_the_bits(estimator_class, table):
    codes, before = [], torch.get_num_threads()
    try:
        for n_threads in (1, 2, 4):
            torch.set_num_threads(n_threads)
            estimator = quick(estimator_class, batch_size=50)
            codes.append([estimator.fit_transform(table)])
            if hasattr(estimator, "sample"):
                codes[-1].append(draw(estimator, 1000))
            assert torch.get_num_threads() == n_threads
    finally:
        torch.set_num_threads(before)
    for other in codes[1:]:
        for one, same in zip(codes[0], other, strict=True):
            assert_array_equal(one, same)


def test_partial_fit_goes_on_bit_for_bit_after_a_pickle(estimator, table):
    straight = estimator.partial_fit(table[:150])
    resumed = pickle.loads(pickle.dumps(straight))
    straight.partial_fit(table[150:])
    resumed.partial_fit(table[150:])
    assert_array_equal(straight.transform(table), resumed.transform(table))


def test_partial_fit_takes_a_changed_learning_rate(estimator_class, table):
    averaging = {"ema_decay": 0.0} if has(estimator_class, "ema_decay") else {}  # it goes on
    if has(estimator_class, "bandwidth"):
        averaging = {"sparsity": "gated"}  # as does the mean of a threshold
    estimator = quick(estimator_class, **averaging).partial_fit(table)
    before = estimator.transform(table)
    estimator.set_params(learning_rate=1e-30).partial_fit(table)
    assert_allclose(estimator.transform(table), before, rtol=1e-12)


# Threads share the filters of warnings, and `catch_warnings` in one may undo them in another.
@pytest.mark.filterwarnings("ignore")
def test_concurrent_fits_in_threads_give_the_same_bits(estimator, table):
    from joblib import Parallel, delayed

    estimator.set_params(batch_size=100)
    threads = torch.get_num_threads()
    alone = clone(estimator).fit_transform(table)
    together = Parallel(n_jobs=4, backend="threading")(
        delayed(clone(estimator).fit_transform)(table) for _ in range(4)
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
def test_global_state_is_as_it_was(estimator, table, random_state):
    estimator.set_params(random_state=random_state, batch_size=50)
    with unchanged_global_state():
        estimator.fit(table).partial_fit(table)
        estimator.transform(table)
        estimator.score(table)
        if hasattr(estimator, "sample"):
            draw(estimator, 3)
        if hasattr(estimator, "gibbs"):
            estimator.gibbs(table)


def test_global_state_is_as_it_was_after_an_exception_in_fit(estimator_class, table, monkeypatch):
    def fail(module, loss):
        raise MemoryError

    with (
        unchanged_global_state(),
        steps_do(fail, 2, monkeypatch),
        pytest.raises(MemoryError),
    ):
        quick(estimator_class).fit(table)


def test_default_dtype_and_no_grad_of_the_caller_do_not_matter(estimator, table):
    def results():
        codes = estimator.fit(table).partial_fit(table).transform(table)
        return np.column_stack([codes, estimator.score_samples(table)])

    expected = results()
    torch.set_default_dtype(torch.float64)
    try:
        with torch.no_grad():
            assert_array_equal(results(), expected)
        with torch.inference_mode():
            assert_array_equal(results(), expected)
    finally:
        torch.set_default_dtype(torch.float32)


# -- scores and codes ----------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scores_are_deterministic_and_independent_of_the_other_rows(estimator, table, dtype):
    X = table.astype(dtype)
    estimator.fit(X)
    scores, codes = estimator.score_samples(X), estimator.transform(X)
    assert scores.shape == (300,)
    assert_array_equal(estimator.score_samples(X), scores)
    order = np.random.default_rng(0).permutation(len(X))
    # The score of a Boltzmann machine is a sum over the features.
    tolerance = {np.float32: 2e-6, np.float64: 1e-14}[dtype] * max(1, np.abs(scores).max())
    assert_allclose(estimator.score_samples(X[order]), scores[order], rtol=0, atol=tolerance)
    one_by_one = np.concatenate([estimator.score_samples(X[i : i + 1]) for i in range(20)])
    assert_allclose(one_by_one, scores[:20], rtol=0, atol=tolerance)
    assert_allclose(estimator.transform(X[::7]), codes[::7], rtol=0, atol=tolerance)
    assert estimator.score(X) == pytest.approx(scores.mean())


def test_scores_are_higher_for_what_was_trained_on(estimator_class, table):
    X = np.round(table)  # a binary machine has little to learn from greys
    n_epochs = 10 if has(estimator_class, "discriminator_layers") else 50  # of three networks
    settings = width(estimator_class, 8) | epochs(estimator_class, n_epochs)
    estimator = quick(estimator_class, batch_size=10, **settings).fit(X)
    shuffled = np.column_stack([np.roll(column, i) for i, column in enumerate(X.T)])
    assert estimator.score(X) > estimator.score(shuffled)


def test_weighted_score_is_the_weighted_mean(network_class, table):
    estimator = quick(network_class).fit(table)
    weight = np.arange(300.0)
    expected = np.average(estimator.score_samples(table), weights=weight)
    assert estimator.score(table, sample_weight=weight) == pytest.approx(expected)


# -- any number of rows ----------------------------------------------------------------------


@pytest.mark.parametrize("n_rows", [1, 2, 19, 21, 40])
def test_any_number_of_rows(estimator, table, n_rows):
    estimator.set_params(batch_size=20, **epochs(type(estimator), 2))
    X = table[:n_rows]
    assert np.isfinite(estimator.fit(X).transform(X)).all()
    assert np.isfinite(clone(estimator).partial_fit(X).score_samples(X)).all()


@pytest.mark.parametrize("chunk", [50, 400])
def test_partial_fit_reaches_the_loss_of_fit(converging_class, digits, chunk):
    X, n_epochs = digits[:400], 20
    estimator = quick(
        converging_class, n_components=16, learning_rate=3e-3, max_iter=n_epochs, tol=0
    ).set_params(batch_size=100)
    fitted, chunked = clone(estimator).fit(X), go_through(estimator, X, chunk, n_epochs)
    # A constant answer has the variance as its error; smaller chunks make more steps.
    error, chunked_error = (((X - one.reconstruct(X)) ** 2).mean() for one in (fitted, chunked))
    # Not of one that begins by ignoring the rows, nor where three of the units win on average.
    if not has(converging_class, "beta") and not has(converging_class, "pool_size"):
        assert error < 0.6 * X.var(axis=0).mean()
    assert chunked_error < 1.05 * error
    assert chunked.n_iter_ == n_epochs * -(-400 // chunk)


@pytest.mark.parametrize("chunk", [7, 300])
def test_partial_fit_gains_nearly_what_fit_does(non_converging_class, digits, chunk):
    X, n_epochs = digits[:300], 5
    estimator = quick(non_converging_class, n_iter=n_epochs)
    start = clone(estimator).set_params(n_iter=0).fit(X).score(X)
    fitted, chunked = clone(estimator).fit(X), go_through(estimator, X, chunk, n_epochs)
    assert chunked.score(X) - start > 0.8 * (fitted.score(X) - start) > 0
    assert chunked.n_iter_ == n_epochs * -(-300 // chunk)


def go_through(estimator, X, chunk, n_epochs):
    """Fit the estimator to chunks of the rows."""
    for _ in range(n_epochs):
        for start in range(0, len(X), chunk):
            estimator.partial_fit(X[start : start + chunk])
    return estimator


# -- kinds of input ------------------------------------------------------------------------


def test_csr_equals_dense(estimator_class, digits):
    X = sparse.csr_matrix(digits[:200])
    dense = quick(estimator_class).fit(X.toarray())
    for container in (sparse.csr_matrix, sparse.csr_array, sparse.csc_matrix):
        from_sparse = quick(estimator_class).fit(container(X))
        assert_array_equal(from_sparse.transform(container(X)), dense.transform(X.toarray()))
        assert_array_equal(from_sparse.score_samples(container(X)), dense.score_samples(X))
    assert_array_equal(
        quick(estimator_class).partial_fit(X).transform(X),
        quick(estimator_class).partial_fit(X.toarray()).transform(X),
    )


#: One of each way to train, and to read the rows after that.
OF_EACH_KIND = [BernoulliRBM, SelfOrganizingMap, VariationalAutoencoder]


def test_large_csr_trains_without_a_dense_copy():
    # Dense, these rows would take 477 MiB in float32; the CSR matrix takes 1 MB. One process for
    # all, whose import takes longer than a fit: the memory is the largest of any so far.
    of_each = {
        one.__name__: width(one, 2)
        | epochs(one, 1)
        | ({"hidden_layers": ()} if has(one, "hidden_layers") else {})
        for one in OF_EACH_KIND
    }
    program = f"""
        import resource, warnings
        import numpy as np
        import skae
        from scipy import sparse

        warnings.simplefilter("ignore")
        n_rows, n_columns, per_row = 12_500, 10_000, 10
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
        for name, settings in {of_each}.items():
            estimator = getattr(skae, name)(**settings, batch_size=500, device="cpu")
            estimator.fit(X)
            estimator.transform(X)
            print(name, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True
    )
    grown_mib = {
        name: int(grown) / 1024
        for name, grown in (line.split() for line in result.stdout.splitlines())
    }
    assert max(grown_mib.values()) < 350, grown_mib


def test_array_likes_give_the_same_fit(estimator_class, digits, tmp_path):
    X = digits[:100]
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
    X = (digits[:100] > 0.5).astype(dtype)
    estimator = quick(estimator_class).fit(X)
    codes = estimator.transform(X)
    assert codes.dtype == result
    assert estimator.inverse_transform(codes).dtype == result
    assert estimator.score_samples(X).dtype == result
    for module in modules_of(estimator):
        assert {parameter.dtype for parameter in module.parameters()} == {torch.float32}


def test_nothing_changes_its_input(estimator, table):
    X = table.astype(np.float32)
    before = X.copy()
    estimator.fit(X).partial_fit(X).score_samples(X)
    codes = estimator.transform(X)
    assert_array_equal(X, before)
    before = codes.copy()
    estimator.inverse_transform(codes)
    assert_array_equal(codes, before)


def test_fit_does_not_change_the_weights_of_the_rows(weighted_class, table):
    weight = np.arange(300.0)
    before = weight.copy()
    quick(weighted_class).fit(table, sample_weight=weight)
    assert_array_equal(weight, before)


def test_dataframe_in_dataframe_out(estimator_class, table):
    X = pd.DataFrame(table, columns=list("abcde"), index=np.arange(300) + 7)
    estimator = quick(estimator_class, **width(estimator_class, 2)).set_output(transform="pandas")
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
    pipeline = Pipeline([("scale", MinMaxScaler()), ("learn", quick(estimator_class))])
    (name, narrow), (_, wide) = (
        *width(estimator_class, 1).items(),
        *width(estimator_class, 4).items(),
    )
    grid = {f"learn__{name}": [narrow, wide], "learn__learning_rate": [1e-3, 1e-2]}
    search = GridSearchCV(pipeline, grid, cv=2).fit(X)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_grid_search_reaches_into_the_layers(autoencoder_class, table):
    pipeline = Pipeline([("scale", MinMaxScaler()), ("learn", quick(autoencoder_class))])
    search = GridSearchCV(pipeline, {"learn__hidden_layers": [(), Dense((8,))]}, cv=2).fit(table)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    inside = GridSearchCV(
        clone(pipeline).set_params(learn__hidden_layers=Dense((8,))),
        {"learn__hidden_layers__dropout": [0.0, 0.5]},
        cv=2,
    ).fit(table)
    assert set(inside.best_params_) == {"learn__hidden_layers__dropout"}


# -- sample weights --------------------------------------------------------------------------


def test_weight_zero_removes_a_row(weighted_class, table):
    weight = np.random.default_rng(0).integers(0, 2, 300)
    weighted = quick(weighted_class, batch_size=50).fit(table, sample_weight=weight)
    removed = quick(weighted_class, batch_size=50).fit(table[weight > 0])
    assert_array_equal(weighted.transform(table), removed.transform(table))
    weighted = quick(weighted_class, batch_size=50).partial_fit(table, sample_weight=weight)
    removed = quick(weighted_class, batch_size=50).partial_fit(table[weight > 0])
    assert_array_equal(weighted.transform(table), removed.transform(table))


def test_scale_of_the_weights_does_not_matter(weighted_class, table):
    weight = np.random.default_rng(0).uniform(0.1, 1, 300)
    once = quick(weighted_class).fit(table, sample_weight=weight)
    scaled = quick(weighted_class).fit(table, sample_weight=1024 * weight)
    assert_array_equal(once.transform(table), scaled.transform(table))
    equal = quick(weighted_class).fit(table, sample_weight=np.full(300, 0.3))
    assert_array_equal(equal.transform(table), quick(weighted_class).fit_transform(table))


def test_weights_of_chunks_are_relative_to_all_rows_so_far(converging_class, table):
    weight = np.random.default_rng(0).uniform(0.1, 1, 300)

    def streamed(first, second):
        estimator = quick(converging_class, batch_size=300)
        estimator.partial_fit(table, sample_weight=first)
        return estimator.partial_fit(table, sample_weight=second)

    once, scaled = streamed(weight, weight / 2), streamed(1024 * weight, 512 * weight)
    assert_array_equal(once.transform(table), scaled.transform(table))
    plain, equal = streamed(None, None), streamed(np.full(300, 0.25), np.full(300, 0.25))
    assert_array_equal(plain.transform(table), equal.transform(table))
    # Chunks of weights 1 and 3 have the mean 2, of which the second has half as much again.
    for heavy in (streamed(None, np.full(300, 3.0)), streamed(np.full(300, 1 / 3), None)):
        first, second = np.divide(heavy.loss_curve_, plain.loss_curve_)
        assert first == 1
        assert second == pytest.approx(1.5)


def test_heavy_rows_are_learned_better(weighted_class, table):
    other = -3 * table[:, ::-1]
    X = np.vstack([table, other])
    weight = np.repeat([1.0, 0.01], 300)
    n_epochs = 15 if has(weighted_class, "discriminator_layers") else 60  # of three networks
    parameters = width(weighted_class, 1) | epochs(weighted_class, n_epochs)
    parameters |= dict(learning_rate=1e-2)
    plain = quick(weighted_class, **parameters).fit(X)
    weighted = quick(weighted_class, **parameters).fit(X, sample_weight=weight)
    assert weighted.score(table) > plain.score(table)
    assert weighted.score(other) < plain.score(other)


def test_metadata_routing(weighted_class, table):
    weight = np.random.default_rng(0).integers(0, 2, 300)
    with config_context(enable_metadata_routing=True):
        learner = quick(weighted_class).set_fit_request(sample_weight=True)
        routed = make_pipeline(MinMaxScaler(), learner).fit(table, sample_weight=weight)
    direct = quick(weighted_class).fit(minmax_scale(table), sample_weight=weight)
    assert_array_equal(routed.transform(table), direct.transform(minmax_scale(table)))


# -- validation rows -------------------------------------------------------------------------


def test_routing_of_validation_rows(validating_class, table):
    X_val = table[:50] ** 2
    with config_context(enable_metadata_routing=True):
        learner = quick(validating_class).set_fit_request(X_val=True)
        routed = make_pipeline(MinMaxScaler(), learner, transform_input=["X_val"])
        routed.fit(2 * table, X_val=2 * X_val)
    direct = quick(validating_class).fit(table, X_val=X_val)
    for name in {"validation_loss_curve_", "history_"} & set(vars(direct)):
        assert getattr(routed[-1], name) == getattr(direct, name)


# -- stopping --------------------------------------------------------------------------------


def test_training_stops_when_the_loss_stops_improving(converging_class, table):
    estimator = quick(converging_class, max_iter=1000, tol=1e4, n_iter_no_change=3)
    with warnings.catch_warnings(action="error"):
        warnings.filterwarnings("ignore", message="The posterior of .* has collapsed")
        estimator.fit(table)
    assert estimator.n_iter_ == 4  # the first epoch improves on nothing, then three do not
    assert len(estimator.loss_curve_) == 4
    assert estimator.validation_loss_curve_ is None


def test_max_iter_warns(converging_class, table):
    with pytest.warns(ConvergenceWarning, match="max_iter=3"):
        estimator = quick(converging_class, max_iter=3, tol=0).fit(table)
    assert estimator.n_iter_ == 3


def weights_of(estimator):
    modules = modules_of(estimator)
    return [p.detach().clone() for module in modules for p in module.parameters()]


def test_early_stopping_stops_and_brings_back_the_best_weights(
    converging_class, table, monkeypatch
):
    # From step 12 on, each step ruins the weights: the best epoch is before that.
    def ruin(module, loss):
        with torch.no_grad():
            for parameter in module.parameters():
                parameter += 1
        return loss

    parameters = dict(early_stopping=True, max_iter=100, n_iter_no_change=4, tol=0)
    parameters |= dict(batch_size=90, learning_rate=1e-2)  # 270 rows: three steps an epoch
    with steps_do(ruin, 12, monkeypatch):
        stopped = quick(converging_class, **parameters).fit(table)
    curve = stopped.validation_loss_curve_
    best = int(np.argmin(curve))
    assert best <= 3
    assert stopped.n_iter_ == len(curve) == best + 1 + 4
    up_to_best = quick(converging_class, **parameters).set_params(max_iter=best + 1).fit(table)
    for kept, expected in zip(weights_of(stopped), weights_of(up_to_best), strict=True):
        assert torch.equal(kept, expected)


def test_x_val_decides_when_to_stop(converging_class, table):
    train, X_val = table[:200], table[200:]
    parameters = dict(max_iter=30, tol=0, n_iter_no_change=30, learning_rate=1e-2)
    fitted = quick(converging_class, **parameters).fit(train, X_val=X_val)
    assert len(fitted.validation_loss_curve_) == fitted.n_iter_
    # Nothing of the training rows is held out.
    plain = quick(converging_class, **parameters).fit(train)
    assert_array_equal(fitted.loss_curve_, plain.loss_curve_)


def test_warm_start_goes_on(converging_class, table):
    estimator = quick(converging_class, warm_start=True, max_iter=10)
    first = estimator.fit(table).score(table)
    assert estimator.fit(table).score(table) > first
    assert estimator.n_iter_ == len(estimator.loss_curve_) == 20
    with pytest.raises(ValueError, match="warm_start"):
        estimator.set_params(n_components=3).fit(table)
    assert estimator.score(table) > first
    assert estimator.set_params(warm_start=False).fit(table).n_iter_ == 10


# -- when something goes wrong -------------------------------------------------------------


def test_loss_turning_non_finite_keeps_the_last_good_weights(network_class, table, monkeypatch):
    # Three steps an epoch, and steps of the same size in the second fit.
    parameters = epochs(network_class, 20) | dict(batch_size=100)
    if has(network_class, "learning_rate_schedule"):
        parameters["learning_rate_schedule"] = "constant"
    estimator = quick(network_class, **parameters)
    # No learning rate makes the rules of a map diverge.
    is_map = network_class is SelfOrganizingMap
    advice = "Scale X first" if is_map else "[Ll]ower learning_rate"
    with (
        steps_do(explode, 10, monkeypatch),
        pytest.raises(ValueError, match=rf"stopped being finite in epoch 4.*{advice}"),
    ):
        estimator.fit(table)
    assert estimator.n_iter_ == 3
    if network_class is SelfOrganizingMap:  # whose first epochs depend on how many follow
        assert np.isfinite(estimator.transform(table)).all()
        return
    # The loss of the third epoch vouches for the weights that the second one left.
    parameters |= epochs(network_class, 2)
    expected = quick(network_class, **parameters).fit(table)
    assert_array_equal(estimator.transform(table), expected.transform(table))


def test_real_divergence_says_what_to_try(network_class, table):
    if network_class in (BernoulliRBM, SelfOrganizingMap):
        pytest.skip("its gradient or learning rate is bounded: it diverges by none")
    estimator = quick(network_class, learning_rate=1e12, batch_size=300)
    with pytest.raises(ValueError, match=r"stopped being finite.*learning_rate \(now 1e\+12\)"):
        estimator.fit(table)
    assert np.isfinite(estimator.score(table))


def test_divergence_in_the_first_epoch_keeps_nothing(estimator, table, monkeypatch):
    with steps_do(explode, 1, monkeypatch), pytest.raises(ValueError, match="nothing is kept"):
        estimator.set_params(batch_size=20).fit(table)
    assert [name for name in vars(estimator) if name.endswith("_")] == []


def test_diverging_partial_fit_leaves_the_estimator_as_it_was(estimator, table, monkeypatch):
    estimator.set_params(batch_size=300).partial_fit(table)
    straight = pickle.loads(pickle.dumps(estimator))
    before = estimator.transform(table)
    last = len(modules_of(estimator)) - 1  # of a stack, the topmost one diverges
    with (
        steps_do(explode, last, monkeypatch),
        pytest.raises(ValueError, match="stopped being finite"),
    ):
        estimator.partial_fit(table**2)
    assert_array_equal(estimator.transform(table), before)
    # It goes on as if the call had never been.
    expected = straight.partial_fit(table).transform(table)
    assert_array_equal(estimator.partial_fit(table).transform(table), expected)


def test_failed_refit_leaves_the_first_fit(estimator_class, table):
    estimator = quick(estimator_class).fit(table)
    before = estimator.transform(table)
    for bad in (np.full((5, 3), np.nan), np.zeros((0, 3)), [["a", "b"]]):
        with pytest.raises(ValueError, match=r".+"):
            estimator.fit(bad)
        assert estimator.n_features_in_ == 5
        assert_array_equal(estimator.transform(table), before)


@contextlib.contextmanager
def ctrl_c(after: int, monkeypatch):
    """Press Ctrl-C in the training step that comes after so many; expect that it ends all."""

    def press(module, loss):
        signal.raise_signal(signal.SIGINT)
        return loss

    # A shell that runs the tests in the background has the signal ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with steps_do(press, after, monkeypatch), pytest.raises(KeyboardInterrupt):
            yield
    finally:
        signal.signal(signal.SIGINT, before)


def test_ctrl_c_ends_fit_and_keeps_the_complete_epochs(network_class, table, monkeypatch):
    settings = dict(batch_size=100)  # three steps an epoch
    if has(network_class, "ema_decay"):  # both of which depend on how many epochs are planned
        settings |= dict(learning_rate_schedule="constant", ema_decay=0.0)
    estimator = quick(network_class, **settings, **epochs(network_class, 50))
    with ctrl_c(7, monkeypatch):
        estimator.fit(table)
    assert estimator.n_iter_ == 2
    codes = estimator.transform(table)
    assert_array_equal(pickle.loads(pickle.dumps(estimator)).transform(table), codes)
    if network_class is SelfOrganizingMap:  # whose first epochs depend on how many are planned
        assert_array_equal(estimator.labels_, estimator.predict(table))
        return
    shorter = quick(network_class, **settings, **epochs(network_class, 2)).fit(table)
    assert_array_equal(codes, shorter.transform(table))


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_ctrl_c_in_the_first_epoch_changes_nothing(estimator, table, monkeypatch, method):
    estimator.set_params(batch_size=100)
    with ctrl_c(1, monkeypatch):
        getattr(estimator, method)(table)
    assert [name for name in vars(estimator) if name.endswith("_")] == []
    getattr(estimator, method)(table)
    before = {name: value for name, value in vars(estimator).items() if name.endswith("_")}
    codes = estimator.transform(table)
    straight = pickle.loads(pickle.dumps(estimator))
    with ctrl_c(1, monkeypatch):
        getattr(estimator, method)(table**2)
    assert before == {n: v for n, v in vars(estimator).items() if n.endswith("_")}
    assert_array_equal(estimator.transform(table), codes)
    # It goes on as if the call had never been.
    expected = straight.partial_fit(table).transform(table)
    assert_array_equal(estimator.partial_fit(table).transform(table), expected)


def test_ctrl_c_in_a_refit_keeps_the_new_weights(network_class, table, monkeypatch):
    estimator = quick(network_class, batch_size=100).fit(table**2)
    with ctrl_c(7, monkeypatch):
        estimator.fit(table)
    assert estimator.n_iter_ == 2
    alone = quick(network_class, batch_size=100)
    with ctrl_c(7, monkeypatch):
        alone.fit(table)
    assert_array_equal(estimator.transform(table), alone.transform(table))


@pytest.mark.parametrize("n_steps", [1, 4])
def test_one_ctrl_c_ends_searches_pipelines_and_detectors(table, monkeypatch, n_steps):
    n_fits, original = 0, Autoencoder.fit

    def fit(self, *arguments, **settings):
        nonlocal n_fits
        n_fits += 1
        return original(self, *arguments, **settings)

    monkeypatch.setattr(Autoencoder, "fit", fit)
    learner = quick(Autoencoder, batch_size=100)
    for whole in (
        GridSearchCV(learner, {"n_components": [2, 3]}),
        make_pipeline(MinMaxScaler(), learner, StandardScaler()),
        OutlierDetector(learner, n_estimators=3, max_samples=0.9),
        quick(Autoencoder, hidden_layers=(6, 4), pretrain=True, batch_size=100),
    ):
        n_fits = 0
        with ctrl_c(n_steps, monkeypatch):
            whole.fit(table)
        assert n_fits == 1 + getattr(whole, "pretrain", False)
        if isinstance(whole, OutlierDetector | Autoencoder):
            assert [name for name in vars(whole) if name.endswith("_")] == []


def test_ctrl_c_in_a_callback_is_no_stop_of_the_callback(table, monkeypatch):
    class Slow(Callback):
        def on_epoch_end(self, net, **_):
            if len(net.history) == 2:
                signal.raise_signal(signal.SIGINT)

    estimator = quick(Autoencoder, callbacks=[Slow()])
    with ctrl_c(1000, monkeypatch):
        estimator.fit(table)
    assert estimator.n_iter_ == 2


def test_a_signal_from_outside_ends_a_fit(tmp_path):
    """As Ctrl-C in a terminal does, when the program may be anywhere."""
    program = """
        import numpy as np
        from skae import Autoencoder
        from skorch.callbacks import Callback

        class Ready(Callback):
            def on_epoch_begin(self, net, **_):
                print("ready", flush=True)

        X = np.random.default_rng(0).random((300, 5))
        estimator = Autoencoder(2, max_iter=10**9, tol=0, n_iter_no_change=10**9)
        estimator.set_params(batch_size=10, callbacks=[Ready()], random_state=0)
        try:
            estimator.fit(X)
        except KeyboardInterrupt:
            print(estimator.n_iter_, np.isfinite(estimator.transform(X)).all(), flush=True)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        for _ in range(20):
            assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        *_, last = process.stdout.read().splitlines()
        assert process.wait() == 0
    n_iter, is_finite = last.split()
    assert int(n_iter) >= 19
    assert is_finite == "True"


# -- pickles and devices ---------------------------------------------------------------------


def test_pickle_holds_no_skorch_and_little_more_than_the_weights(estimator_class, digits):
    X = digits[:600]
    estimator = quick(estimator_class).fit(X)
    n_bytes = sum(
        tensor.numel() * tensor.element_size()
        for module in modules_of(estimator)
        for tensor in module.state_dict().values()  # a Boltzmann machine keeps its chains, too
    )
    around = 40_000 * len(modules_of(estimator))  # the rows have 154 kB
    pickled = pickle.dumps(estimator)
    assert b"skorch" not in pickled
    assert len(pickled) <= n_bytes + around
    pickled = pickle.dumps(estimator.partial_fit(X))
    assert b"skorch" not in pickled
    assert len(pickled) <= 3 * n_bytes + around  # with the two moments of Adam


def test_pickle_of_another_machine_loads_where_its_device_is_missing(network_class, table):
    if torch.cuda.is_available():
        pytest.skip("this machine has the device")
    estimator = quick(network_class).fit(table)
    estimator.set_params(device="cuda")  # as pickled where there is one: see __getstate__
    loaded = pickle.loads(pickle.dumps(estimator))
    assert loaded.device_ == torch.device("cpu")
    assert_array_equal(loaded.transform(table), estimator.transform(table))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_fit_gives_the_same_on_the_cpu(estimator_class, digits, tmp_path):
    estimator = quick(estimator_class, device="auto").fit(digits)
    assert {p.device.type for m in modules_of(estimator) for p in m.parameters()} == {"cuda"}
    assert_array_equal(clone(estimator).fit(digits).transform(digits), estimator.transform(digits))
    np.save(tmp_path / "X.npy", digits)
    (tmp_path / "fitted.pickle").write_bytes(pickle.dumps(estimator))
    program = """
        import pickle, sys, numpy as np
        from pathlib import Path
        folder = Path(sys.argv[1])
        estimator = pickle.loads((folder / "fitted.pickle").read_bytes())
        np.save(folder / "codes.npy", estimator.transform(np.load(folder / "X.npy")))
    """
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        check=True,
    )
    assert_allclose(np.load(tmp_path / "codes.npy"), estimator.transform(digits), atol=1e-4)


# -- what a user sees ------------------------------------------------------------------------


def test_silent_by_default_and_a_progress_bar_when_asked(estimator_class, table, capfd):
    quick(estimator_class).fit(table).transform(table)
    assert capfd.readouterr() == ("", "")
    quick(estimator_class, verbose=1, batch_size=150).fit(table)
    out, err = capfd.readouterr()
    if has(estimator_class, "n_gibbs_steps"):  # which print a line as scikit-learn's does
        assert "pseudo-likelihood" in out
        assert "pseudo_likelihood" in err
    else:
        assert out == ""
        assert "loss" in err
    assert "1.50k/1.50k" in err  # five epochs of 300 rows
    assert "rows/s" in err
    assert "epoch 5 of 5" in err
    assert "\r" not in err  # whole lines, since this is no terminal


def test_a_terminal_has_a_bar_that_moves_in_place(table, capfd, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    quick(Autoencoder, verbose=1).fit(table)
    err = capfd.readouterr().err
    assert err.count("\r") > 1
    assert "1.50k/1.50k" in err
