"""The engine: rows, batches, and the global state that it restores."""

import threading
import tracemalloc

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from scipy import sparse, stats

from skae import Autoencoder
from skae._compute import SINGLE_THREAD_WORK, limit_threads, resolve_device
from skae._random import Generator, seeded_initialisation
from skae._training import as_source, merge_equal_rows
from skae._training._batches import Batches

CPU = torch.device("cpu")


@pytest.mark.parametrize(("n_rows", "batch_size"), [(1, 5), (5, 5), (6, 5), (101, 10), (99, 100)])
def test_batches_hold_every_row_once_in_nearly_equal_sizes(n_rows, batch_size):
    X = np.arange(n_rows, dtype=np.float32)[:, None]
    source = as_source(X, X[:, 0] + 1, CPU, scaled=False)
    batches = Batches(source, batch_size, torch.Generator().manual_seed(0))
    seen, sizes = [], []
    for x, weight, _ in batches:
        assert_array_equal(weight, x[:, 0] + 1)
        seen += x[:, 0].tolist()
        sizes.append(len(x))
    assert sorted(seen) == list(range(n_rows))
    assert sizes == batches.sizes
    assert len(sizes) == len(batches) == -(-n_rows // batch_size)
    assert max(sizes) <= batch_size
    assert max(sizes) - min(sizes) <= 1
    assert float(batches.share.sum()) == pytest.approx(1)


def test_order_is_drawn_anew_each_epoch():
    X = np.arange(50, dtype=np.float32)[:, None]
    batches = Batches(as_source(X, None, CPU), 10, torch.Generator().manual_seed(0))
    first = torch.cat([batch.x.clone() for batch in batches])
    second = torch.cat([batch.x.clone() for batch in batches])
    assert not torch.equal(first, second)
    in_order = torch.cat([batch.x.clone() for batch in Batches(as_source(X, None, CPU), 10)])
    assert_array_equal(in_order, X)


@pytest.mark.parametrize("container", [sparse.csr_matrix, sparse.csr_array])
def test_sparse_rows_equal_dense_rows(container):
    dense = np.random.default_rng(0).random((40, 9)).astype(np.float32)
    dense[dense < 0.8] = 0
    dense[[0, 17, 39]] = 0  # empty rows, the first and the last too
    rows = as_source(container(dense), None, CPU)
    index = torch.tensor([39, 3, 3, 0, 17, 22])
    assert_array_equal(rows.take(index).x, dense[index])
    assert_array_equal(rows.all().x, dense)


def test_duplicate_entries_of_a_csr_matrix_add_up():
    X = sparse.csr_matrix(
        (np.array([1, 2, 3], np.float32), np.array([1, 1, 0]), np.array([0, 2, 3])), shape=(2, 3)
    )
    assert_array_equal(as_source(X, None, CPU).all().x, [[0, 3, 0], [3, 0, 0]])
    assert X.nnz == 3  # the caller's matrix is as it was


def test_equal_rows_merge_to_a_weighted_set():
    X = np.array([[1, 2], [0, 0], [1, 2], [-0.0, 0]], np.float32)
    rows, weight = merge_equal_rows(X, None)
    shuffled_rows, shuffled_weight = merge_equal_rows(sparse.csr_matrix(X[[3, 0, 2, 1]]), None)
    assert_array_equal(rows, shuffled_rows)
    assert_array_equal(weight, shuffled_weight)
    assert sorted(map(tuple, rows.tolist())) == [(0, 0), (1, 2)]
    assert_array_equal(weight, [2, 2])


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_matrix])
def test_validation_rows_are_held_out_by_their_numbers(container):
    X = np.eye(40, 9, dtype=np.float32) * np.arange(40, dtype=np.float32)[:, None]
    X[:, 0] = np.arange(40)
    rows = as_source(container(X), np.arange(1.0, 41), CPU)
    parts = rows.hold_out(0.25, np.random.RandomState(0))
    assert [part.n_rows for part in parts] == [30, 10]
    seen = []
    for part in parts:
        numbers = part.all().x[:, 0].numpy().astype(int)
        seen += numbers.tolist()
        assert_array_equal(part.all().x, X[numbers])
        assert_array_equal(part.take(torch.tensor([3, 1])).x, X[numbers[[3, 1]]])
        assert_array_equal(part.sample_weight, numbers + 1)
        weight = part.all().weight.numpy()
        np.testing.assert_allclose(weight, (numbers + 1) / (numbers + 1).mean(), rtol=1e-6)
        chunk, chunk_weight = next(part.chunks())
        assert_array_equal(as_source(chunk, None, CPU).all().x, X[numbers])
        assert_array_equal(chunk_weight, numbers + 1)
    assert sorted(seen) == list(range(40))


def test_holding_out_copies_no_rows():
    tracemalloc.start()
    X = np.zeros((2000, 1000), np.float32)
    before, _ = tracemalloc.get_traced_memory()
    rows = as_source(X, None, CPU)
    tracemalloc.reset_peak()
    parts = rows.hold_out(0.1, np.random.RandomState(0))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak - before < X.nbytes / 20
    assert len(parts[0]) == 1800


def test_initialisation_is_seeded_and_gives_the_generator_back():
    before = torch.get_rng_state()
    with seeded_initialisation(5):
        first = torch.nn.Linear(3, 3).weight
    with seeded_initialisation(5):
        second = torch.nn.Linear(3, 3).weight
    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), before)


def test_threads_come_back_from_concurrent_limiters():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    seen = {}

    def limit(name, enter, entered, leave):
        enter.wait(10)
        with limit_threads(1), limit_threads(1):
            seen[name] = torch.get_num_threads()
            entered.set()
            leave.wait(10)
        seen[name, "after"] = torch.get_num_threads()

    try:
        # One comes first, another while it is in, and the first leaves first.
        events = [threading.Event() for _ in range(4)]
        first_in, first_out, second_in, second_out = events
        go = threading.Event()
        first = threading.Thread(target=limit, args=("first", go, first_in, first_out))
        second = threading.Thread(target=limit, args=("second", first_in, second_in, second_out))
        first.start(), second.start()
        go.set()
        second_in.wait(10)
        first_out.set()
        first.join()
        second_out.set()
        second.join()
        assert seen == {"first": 1, "second": 1, ("first", "after"): 2, ("second", "after"): 2}
        assert torch.get_num_threads() == 2
        with limit_threads(SINGLE_THREAD_WORK):
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_limiter_keeps_its_one_thread_when_another_gives_back():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    inside, given_back = threading.Event(), threading.Event()
    seen = []

    def limit():
        with limit_threads(1):
            inside.set()
            given_back.wait(10)
            seen.append(torch.get_num_threads())

    try:
        with limit_threads(1):
            other = threading.Thread(target=limit)
            other.start()
            inside.wait(10)
        given_back.set()
        other.join()
        assert seen == [1]
    finally:
        torch.set_num_threads(before)


def test_devices():
    assert resolve_device("cpu") == CPU
    assert resolve_device(CPU) == CPU
    assert resolve_device("auto").type in ("cpu", "cuda", "mps")
    for unavailable in ("cuda:99", "xpu", "nonsense"):
        with pytest.raises(ValueError, match=f"device='{unavailable}' is not available.*'auto'"):
            resolve_device(unavailable)


@pytest.mark.parametrize("shape", [(7, 3), (100, 50), (300, 200)])  # within a block, and beyond
def test_uniform_numbers_are_uniform_and_never_come_twice(shape):
    generator = Generator(0)
    drawn = torch.stack([generator.uniform(shape) for _ in range(200_000 // np.prod(shape) + 1)])
    assert drawn.dtype == torch.float32
    assert drawn.min() >= 0
    assert drawn.max() < 1
    values = drawn.double().numpy().ravel()
    assert stats.kstest(values, "uniform").pvalue > 1e-3
    assert abs(stats.pearsonr(values[1:], values[:-1])[0]) < 5 / np.sqrt(len(values))
    # Of n draws from 2**24 values, n**2 / 2**25 pairs are equal by chance.
    by_chance = len(values) ** 2 / 2**25
    assert len(values) - len(np.unique(values)) < by_chance + 5 * np.sqrt(by_chance)


def test_random_numbers_are_determined_by_the_seed():
    one, same, other = (Generator(seed) for seed in (0, 0, 1))
    for draw in (Generator.uniform, Generator.normal):
        first = draw(one, (3, 4), torch.float64)
        assert first.dtype == torch.float64
        assert torch.equal(first, draw(same, (3, 4), torch.float64))
        assert not torch.equal(first, draw(other, (3, 4), torch.float64))


def change_in_place(module):
    with torch.no_grad():
        module.encoder[0].weight.add_(1)


def change_data(module):
    module.encoder[0].weight.data[:] = 2


def replace_weight(module):
    module.encoder[0].weight = torch.nn.Parameter(torch.ones(128, 5))


def replace_layer(module):
    module.encoder[1] = torch.nn.Tanh()


def remove_layers(module):
    module.encoder = torch.nn.Linear(5, 3)


def add_hook(module):
    module.encoder.register_forward_hook(lambda layer, inputs, output: 2 * output)


CHANGES = [change_in_place, change_data, replace_weight, replace_layer, remove_layers, add_hook]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_float64_codes_follow_the_module(change):
    X = np.random.default_rng(0).random((20, 5))
    estimator = Autoencoder(3, max_iter=2, tol=1, random_state=0).fit(X)
    before = estimator.transform(X)
    assert_array_equal(estimator.transform(X), before)
    change(estimator.module_)
    after = estimator.transform(X)
    assert np.abs(after - before).max() > 1e-3
    np.testing.assert_allclose(after, estimator.transform(X.astype(np.float32)), atol=1e-4)
