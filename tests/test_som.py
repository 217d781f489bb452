"""The self-organising map: k-means, formulas and maps small enough to do by hand."""

import itertools
import pickle
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.spatial.distance import cdist
from sklearn.base import clone
from sklearn.cluster import AgglomerativeClustering, KMeans
from sklearn.datasets import load_iris, make_blobs
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score
from sklearn.metrics.pairwise import cosine_distances, nan_euclidean_distances
from sklearn.utils.estimator_checks import parametrize_with_checks

from skae import SelfOrganizingMap
from skae.som import (
    _refinements,
    neighborhood_preservation,
    quantization_error,
    topographic_error,
    topographic_product,
    trustworthiness,
)
from skae.som._batch_rule import add_up
from skae.som._grid import NEIGHBORHOODS, Grid, spread
from skae.som._refinements import (
    are_idle_units_revived,
    are_prototypes_exchanged,
    exchange,
    falling_epochs,
    is_over_relaxed,
    over_relaxation,
    revival,
)
from skae.som._untangling import untangled

GRIDS = [
    Grid((4, 5)),
    Grid((4, 5), toroidal=True),
    Grid((4, 5), hexagonal=True),
    Grid((4, 5), hexagonal=True, toroidal=True),
    Grid((5, 3), hexagonal=True, toroidal=True),
    Grid((1, 6)),
    Grid((1, 1)),
]
METRICS = ["euclidean", "cosine", "manhattan"]


def quick(shape=(4, 3), **parameters):
    return SelfOrganizingMap(
        shape, **{"n_iter": 10, "random_state": 0, "device": "cpu", **parameters}
    )


def positions(grid):
    return grid.positions(torch.empty(0, dtype=torch.float64))


def map_distances(grid):
    return grid.squared_distances(positions(grid)).sqrt().numpy()


def with_gaps(X, part=0.2):
    X = X.copy()
    gaps = np.random.default_rng(0).random(X.shape) < part
    gaps[:, 0] &= ~gaps.all(axis=1)
    X[gaps] = np.nan
    return X


# -- scikit-learn's checks -----------------------------------------------------------------


@parametrize_with_checks(
    [
        SelfOrganizingMap(algorithm="online", n_iter=5, shape=(4, 3)),
        quick("auto", topology="hexagonal", toroidal=True, output="coordinates"),
        quick(output="membership", init="sample", neighborhood="mexican_hat"),
        quick(metric="manhattan", init="random", neighborhood="triangle"),
    ]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


# -- maps ------------------------------------------------------------------------------------


def test_hexagonal_neighbours_by_hand():
    #  0   1   2
    #    3   4   5
    #  6   7   8
    by_hand = {
        0: {1, 3},
        1: {0, 2, 3, 4},
        2: {1, 4, 5},
        3: {0, 1, 4, 6, 7},
        4: {1, 2, 3, 5, 7, 8},
        5: {2, 4, 8},
        6: {3, 7},
        7: {3, 4, 6, 8},
        8: {4, 5, 7},
    }
    grid = Grid((3, 3), hexagonal=True)
    adjacent = grid.adjacent(positions(grid)).numpy()
    assert {unit: set(np.flatnonzero(row)) for unit, row in enumerate(adjacent)} == by_hand
    distances = map_distances(grid)
    for unit, neighbours in by_hand.items():
        assert_allclose(distances[unit, list(neighbours)], 1)


def test_rectangular_neighbours_by_hand():
    grid = Grid((3, 3))
    adjacent = grid.adjacent(positions(grid)).numpy()
    assert set(np.flatnonzero(adjacent[0])) == {1, 3, 4}
    assert set(np.flatnonzero(adjacent[4])) == {0, 1, 2, 3, 5, 6, 7, 8}
    closed = Grid((4, 4), toroidal=True)
    adjacent = closed.adjacent(positions(closed)).numpy()
    assert set(np.flatnonzero(adjacent[0])) == {1, 3, 4, 5, 7, 12, 13, 15}


@pytest.mark.parametrize("grid", [grid for grid in GRIDS if grid.toroidal], ids=str)
def test_toroidal_distances_by_brute_force(grid):
    # The shortest of the ways to all copies of the map around it.
    places = positions(grid).numpy()
    gap = np.sqrt(3) / 2 if grid.hexagonal else 1
    shift = 0.5 if grid.hexagonal and grid.shape[0] % 2 else 0
    copies = [
        places + np.array([across * grid.shape[1] + down * shift, down * grid.shape[0] * gap])
        for across in range(-3, 4)
        for down in range(-3, 4)
    ]
    expected = np.min([cdist(places, copy) for copy in copies], axis=0)
    assert_allclose(map_distances(grid), expected, atol=1e-12)


def test_all_units_of_a_toroidal_map_have_as_many_neighbours():
    for hexagonal, n_neighbours in ((False, 8), (True, 6)):
        for n_rows in (4, 5):
            grid = Grid((n_rows, 6), hexagonal, toroidal=True)
            assert (grid.adjacent(positions(grid)).sum(1) == n_neighbours).all()


@pytest.mark.parametrize("grid", GRIDS, ids=str)
@pytest.mark.parametrize("neighborhood", NEIGHBORHOODS)
def test_spread_is_the_product_with_the_neighbourhood_matrix(grid, neighborhood, monkeypatch):
    monkeypatch.setattr("skae.som._grid.chunk_rows", lambda *_: 3)  # at a time
    radius, d = 1.5, map_distances(grid)
    matrix = {
        "gaussian": np.exp(-(d**2) / (2 * radius**2)),
        "bubble": (d <= radius).astype(float),
        "triangle": np.maximum(0, 1 - d / radius),
        "mexican_hat": 1.1 * np.exp(-(d**2) / (2 * radius**2))
        - 0.1 * np.exp(-(d**2) / (8 * radius**2)),
    }[neighborhood]
    sums = np.random.default_rng(0).normal(size=(grid.n_units, 3))
    received = spread(grid, neighborhood, radius, torch.from_numpy(sums))
    assert_allclose(received, matrix @ sums, atol=1e-12)
    nothing = spread(grid, neighborhood, 0.0, torch.from_numpy(sums))
    assert_array_equal(nothing, sums)


@pytest.mark.parametrize("grid", [*GRIDS, Grid((6, 1), hexagonal=True)], ids=str)
def test_interpolation_is_linear_and_exact_at_the_units(grid):
    places = positions(grid)
    assert_allclose(grid.interpolation(places), np.eye(grid.n_units), atol=1e-12)
    rng = np.random.default_rng(0)
    inside = places + torch.from_numpy(rng.uniform(-0.4, 0.4, size=places.shape))
    weights = grid.interpolation(inside)
    assert (weights >= 0).all()
    assert_allclose(weights.sum(1), 1)
    far = grid.interpolation(torch.full((1, 2), 1000.0, dtype=torch.float64))
    assert_allclose(far.sum(), 1)


@pytest.mark.parametrize("hexagonal", [False, True])
def test_interpolation_keeps_planes(hexagonal):
    grid = Grid((6, 7), hexagonal)
    places = positions(grid)
    rng = np.random.default_rng(0)
    inside = torch.from_numpy(rng.uniform([1, 1], [5, 3.5], size=(50, 2)))
    assert_allclose(grid.interpolation(inside) @ places, inside, atol=1e-12)


def test_layout_of_a_torus_keeps_neighbourhoods():
    for grid in (Grid((8, 9), toroidal=True), Grid((9, 8), hexagonal=True, toroidal=True)):
        layout = grid.layout(torch.empty(0, dtype=torch.float64)).numpy()
        distances, near = map_distances(grid), map_distances(grid) < 1.2
        assert_allclose(cdist(layout, layout)[near], distances[near], rtol=0.1)


# -- the batch rule --------------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("neighborhood", NEIGHBORHOODS)
def test_radius_of_0_is_lloyds_k_means(table, neighborhood, weighted):
    weight = np.random.default_rng(0).uniform(0.5, 2, 300) if weighted else None
    start = table[:12]
    som = quick(init=start, radius=0, neighborhood=neighborhood, n_iter=100)
    som.fit(table, sample_weight=weight)
    kmeans = KMeans(12, init=start, n_init=1, max_iter=100, tol=0, algorithm="lloyd")
    kmeans.fit(table, sample_weight=weight)
    assert_allclose(som.codebook_, kmeans.cluster_centers_, atol=1e-5)
    assert_array_equal(som.labels_, kmeans.labels_)
    assert_allclose(som.transform(table), kmeans.transform(table), atol=1e-5)


@pytest.mark.parametrize("neighborhood", ["gaussian", "bubble", "triangle"])
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("gaps", [False, True])
def test_one_epoch_of_the_batch_rule_is_the_formula(table, neighborhood, metric, gaps):
    X = with_gaps(table) if gaps else table
    som = quick(
        topology="hexagonal",
        neighborhood=neighborhood,
        metric=metric,
        init=table[:12],
        radius=1.5,
        n_iter=1,
    ).fit(X)
    start = table[:12]
    if metric == "cosine":
        X = X / np.sqrt(np.nansum(X**2, axis=1, keepdims=True))
        start = start / np.linalg.norm(start, axis=1, keepdims=True)
    error = np.array([distances_to(row, start, metric) for row in X])
    d = map_distances(Grid((4, 3), hexagonal=True))
    h = {
        "gaussian": np.exp(-(d**2) / (2 * 1.5**2)),
        "bubble": (d <= 1.5) * 1.0,
        "triangle": np.maximum(0, 1 - d / 1.5),
    }[neighborhood][error.argmin(axis=1)]
    expected = (h.T @ np.nan_to_num(X)) / (h.T @ ~np.isnan(X))
    if metric == "cosine":
        expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert_allclose(som.codebook_, expected, atol=1e-5)
    assert_allclose(som.quantization_errors_, [error.min(axis=1).mean()], rtol=1e-5)


def distances_to(row, prototypes, metric):
    """Return the distances by their definitions, over the entries that are there."""
    known = ~np.isnan(row)
    row, prototypes = row[known], prototypes[:, known]
    if metric == "cosine":
        return cosine_distances(row[None], prototypes)[0]
    if metric == "manhattan":
        return np.abs(prototypes - row).sum(axis=1) / known.mean()
    return np.sqrt(((prototypes - row) ** 2).sum(axis=1) / known.mean())


def textbook(X, weight, prototypes, reach, radii):
    """Return Kohonen's batch rule as it stands in his book, a row of `reach` for each winner."""
    for radius in radii:
        shares = weight * reach(radius)[:, cdist(X, prototypes).argmin(axis=1)]
        total = shares.sum(axis=1, keepdims=True)
        # Where weights of both signs have no mean, the prototype stays.
        enough = total > np.maximum(0.1 * np.abs(shares).sum(axis=1, keepdims=True), 1e-30)
        means = shares @ X / np.where(enough, total, 1)
        prototypes = np.where(enough, means, prototypes)
    return prototypes


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("decay", ["exponential", "linear"])
@pytest.mark.parametrize("neighborhood", NEIGHBORHOODS)
@pytest.mark.parametrize("topology", ["rectangular", "hexagonal"])
def test_without_refinements_it_is_kohonens_batch_rule(
    table, topology, neighborhood, decay, weighted
):
    weight = np.random.default_rng(0).uniform(0.5, 2, 300) if weighted else np.ones(300)
    som = quick(
        topology=topology,
        neighborhood=neighborhood,
        decay=decay,
        init=table[:12],
        radius=(2, 0.5),
        n_iter=8,
        refine=False,
    ).fit(table, sample_weight=weight)
    d = map_distances(Grid((4, 3), hexagonal=topology == "hexagonal"))
    reach = {
        "gaussian": lambda r: np.exp(-(d**2) / (2 * r**2)),
        "bubble": lambda r: (d <= r) * 1.0,
        "triangle": lambda r: np.maximum(0, 1 - d / r),
        "mexican_hat": lambda r: (
            1.1 * np.exp(-(d**2) / (2 * r**2)) - 0.1 * np.exp(-(d**2) / (8 * r**2))
        ),
    }[neighborhood]
    radii = np.geomspace(2, 0.5, 8) if decay == "exponential" else np.linspace(2, 0.5, 8)
    # A bubble of radius 1, say, must not miss the neighbours by rounding.
    expected = textbook(table, weight, table[:12], lambda r: reach(r * (1 + 1e-9)), radii)
    assert_allclose(som.codebook_, expected, atol=1e-4)


def test_refinements_are_off_with_a_radius_of_0(table):
    plain, refined = (quick(init=table[:12], radius=0, refine=r).fit(table) for r in (False, True))
    assert_array_equal(plain.codebook_, refined.codebook_)


def test_refinements_make_better_maps():
    X = load_iris().data
    plain, refined = (quick((8, 8), n_iter=50, refine=refine).fit(X) for refine in (False, True))
    assert quantization_error(refined, X) < quantization_error(plain, X)
    assert topographic_error(refined, X) < topographic_error(plain, X)


def test_over_relaxation_goes_beyond_the_means_until_the_last_epochs():
    start, means = torch.tensor([[1.0, 0.0]]), torch.tensor([[2.0, -1.0]])
    assert_allclose(over_relaxation(start, means), [[1 + 1.8, -1.8]])
    assert [is_over_relaxed(epoch, 20, 0.5) for epoch in (0, 16, 17, 19)] == [True, True, 0, 0]
    assert not is_over_relaxed(0, 20, 0.0)


def test_radius_is_held_in_the_last_quarter():
    assert [falling_epochs(n) for n in (4, 40, 100)] == [3, 30, 75]


def test_revived_units_go_halfway_to_the_adjacent_unit_with_the_largest_error():
    before = torch.tensor([[0.0], [4.0], [10.0], [20.0], [30.0]])
    moved = torch.tensor([[1.0], [5.0], [12.0], [21.0], [31.0]])
    energy = torch.tensor([3.0, 0.0, 7.0, 0.0, 0.0])
    grid = Grid((1, 5))
    # Unit 1 lies between 0 and 2; unit 3 beside 2; unit 4 beside none that wins anything.
    revived = revival(moved, before, energy == 0, energy, grid)
    assert_allclose(revived, [[1], [(4 + 12) / 2], [12], [(20 + 12) / 2], [31]])
    assert_allclose(moved, [[1], [5], [12], [21], [31]])
    assert_array_equal(revival(moved, before, energy < 0, energy, grid), moved)
    asked = [are_idle_units_revived(8, 10, radius) for radius in (0.0, 0.5, 1.0)]
    assert asked == [False, True, False]
    assert not are_idle_units_revived(9, 10, 0.5)


def test_exchange_puts_a_broken_chain_in_order():
    # Prototypes 1 and 3 of a chain are in each other's place.
    codebook = torch.tensor([[0.0], [3.0], [2.0], [1.0], [4.0]])
    pairs = torch.zeros(5, 5)
    for one, other in ((0, 3), (3, 2), (2, 1), (1, 4)):
        pairs[one, other] = pairs[other, one] = 5
    in_order = exchange(codebook, pairs, Grid((5, 1)))[:, 0].tolist()
    assert in_order in ([0, 1, 2, 3, 4], [4, 3, 2, 1, 0])
    last_radii = [are_prototypes_exchanged(9, 10, radius, 5) for radius in (0.0, 0.5, 1.0)]
    assert last_radii == [False, True, False]
    assert not are_prototypes_exchanged(8, 10, 0.5, 5)
    assert not are_prototypes_exchanged(0, 1, 0.5, 5)  # a single epoch has to move them
    assert not are_prototypes_exchanged(9, 10, 0.5, 5000)


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_sums_of_an_epoch_do_not_depend_on_its_parts(table, gaps, weighted, monkeypatch):
    X = with_gaps(table) if gaps else table
    weight = np.random.default_rng(0).uniform(0.5, 2, 300)
    known = ~np.isnan(X)
    error = np.array([distances_to(row, table[:12], "euclidean") for row in X])
    nearest, w = np.argsort(error, axis=1)[:, :2], weight if weighted else np.ones(300)
    won = w * (nearest[:, 0] == np.arange(12)[:, None])
    x, prototypes = torch.from_numpy(X), torch.from_numpy(table[:12])
    monkeypatch.setattr("skae.som._winners.chunk_rows", lambda *_: 7)  # at a time
    for least in (10**9, 500):
        monkeypatch.setattr("skae.som._batch_rule._WORK_OF_PART", least)
        sums = add_up(
            x,
            torch.from_numpy(w) if weighted else None,
            prototypes,
            "euclidean",
            gaps=gaps,
            count_pairs=True,
        )
        assert_allclose(sums.rows, won @ np.nan_to_num(X), rtol=1e-9)
        assert_allclose(np.broadcast_to(sums.weights, (12, 5)), won @ known)
        assert_allclose(sums.energies, won @ (error.min(axis=1) ** 2 / 2))
        assert_allclose(sums.distance, (w * error.min(axis=1)).sum())
        assert_allclose(sums.total, w.sum())
        pairs = np.zeros((12, 12))
        np.add.at(pairs, tuple(nearest.T), w)
        assert_allclose(sums.pairs, pairs, rtol=1e-6)


def test_interrupted_epoch_leaves_the_map_as_it_was_before(table, monkeypatch):
    seen = []

    def interrupted(x, weight, codebook, *arguments, **options):
        seen.append(codebook.numpy().copy())
        if len(seen) == 8:  # in the middle of the third epoch
            raise KeyboardInterrupt
        return add_up(x, weight, codebook, *arguments, **options)

    monkeypatch.setattr("skae.som._module.add_up", interrupted)
    som = quick(batch_size=100)
    with pytest.raises(KeyboardInterrupt):
        som.fit(table)
    assert not np.array_equal(seen[3], seen[6])
    assert_array_equal(som.codebook_, seen[6])
    assert som.n_iter_ == 2


@pytest.mark.parametrize("metric", METRICS)
def test_threads_change_no_bit(metric, monkeypatch):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2000, 5)) + 1
    monkeypatch.setattr("skae.som._batch_rule._WORK_OF_PART", 5000)
    monkeypatch.setattr("skae._training._reading.chunk_rows", lambda *_: 100)  # at a time
    before, results = torch.get_num_threads(), []
    try:
        for n_threads in (1, 2, 3):
            torch.set_num_threads(n_threads)
            som = quick(metric=metric).fit(X)
            results.append((som.codebook_, som.labels_, som.transform(X), som.score_samples(X)))
            assert torch.get_num_threads() == n_threads
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        for one, same in zip(results[0], other, strict=True):
            assert_array_equal(one, same)


def test_all_but_the_last_epochs_go_beyond_the_means(table):
    som = quick(init=table[:12], radius=1.5, n_iter=2).fit(table)
    h = np.exp(-(map_distances(Grid((4, 3))) ** 2) / (2 * 1.5**2))

    def means(prototypes):
        shares = h[cdist(table, prototypes).argmin(axis=1)]
        return (shares.T @ table) / shares.sum(axis=0)[:, None]

    start = table[:12]
    assert_allclose(som.codebook_, means(start + 1.8 * (means(start) - start)), atol=1e-5)


def test_idle_units_move_to_the_largest_error():
    # Of two clusters the wide one has the larger error, the narrow one more rows.
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(0, 0.01, 60), rng.normal(10, 1, 40)])[:, None]
    idle = quick((1, 3), init=[[0], [4.9], [10]], radius=0).fit(X)
    assert_array_equal(idle.hit_map(X), [[60, 0, 40]])
    som = quick((1, 3), init=[[0], [4.9], [10]], radius=0.35, n_iter=20).fit(X)
    hits = som.hit_map(X)[0]
    assert hits[0] == 60
    assert hits[1] > 0
    assert hits[2] > 0


@pytest.mark.parametrize("grid", [Grid((2, 4)), Grid((2, 4), hexagonal=True), Grid((8, 1))])
@pytest.mark.parametrize("seed", range(3))
def test_untangling_stops_where_no_two_prototypes_mend_the_map(grid, seed, monkeypatch):
    rng = np.random.default_rng(seed)
    pairs = rng.integers(1, 9, (8, 8)) * (rng.random((8, 8)) < 0.2) * (1 - np.eye(8, dtype=int))
    prototypes = rng.normal(size=(8, 2))
    d = map_distances(grid)
    apart = d > (1.2 if grid.hexagonal else 1.6)
    near = ~apart & (d > 0)

    def errors(order):
        return (pairs[order][:, order] * apart).sum()

    def length(order, units):
        """Return the length of the links of two units, one between them counted twice."""
        return (cdist(prototypes[order], prototypes[order]) * near)[units].sum()

    start = np.arange(8)
    monkeypatch.setattr("skae.som._untangling._N_PASSES", 100)
    order = untangled(near, pairs, prototypes)
    assert sorted(order) == list(start)
    assert errors(order) < errors(start)
    for two in itertools.combinations(range(8), 2):
        swapped, two = order.copy(), list(two)
        swapped[two] = swapped[two[::-1]]
        longer = length(swapped, two) - length(order, two)
        assert errors(swapped) >= errors(order) or longer > 0.1 * length(order, two)


def test_prototypes_change_places_at_the_end_and_nothing_else(monkeypatch):
    X = load_iris().data
    som = quick((8, 8), n_iter=50).fit(X)
    monkeypatch.setattr(_refinements, "_MOST_UNTANGLED", 0)
    tangled = quick((8, 8), n_iter=50).fit(X)
    assert topographic_error(som, X) < topographic_error(tangled, X)
    in_order = [som.codebook_[np.lexsort(som.codebook_.T)] for som in (som, tangled)]
    assert_array_equal(*in_order)


@pytest.mark.parametrize("batch_size", [1, 7, 100, "auto"])
def test_batch_size_does_not_change_the_map(table, batch_size):
    expected = quick(batch_size=300).fit(table)
    som = quick(batch_size=batch_size).fit(table)
    assert_allclose(som.codebook_, expected.codebook_, atol=1e-4)
    assert_allclose(som.quantization_errors_, expected.quantization_errors_, rtol=1e-4)


def test_order_of_the_rows_does_not_change_the_map(table):
    order = np.random.default_rng(0).permutation(300)
    som, other = quick().fit(table), quick().fit(table[order])
    assert_array_equal(som.codebook_, other.codebook_)
    assert_array_equal(som.labels_[order], other.labels_)


def test_rows_far_from_zero_have_the_same_map(table):
    # In float32 these rows keep three digits of their deviations from the mean.
    som = quick(n_iter=30).fit(table)
    far = quick(n_iter=30).fit(table + 1000)
    assert_allclose(
        quantization_error(far, table + 1000), quantization_error(som, table), rtol=0.02
    )
    nearest = cdist(table, far.codebook_.astype(float) - 1000)
    worse = nearest[np.arange(300), far.labels_] - nearest.min(axis=1)
    assert worse.max() < 1e-2


@pytest.mark.parametrize("decay", ["exponential", "linear"])
def test_radius_goes_from_start_to_end(table, decay, monkeypatch):
    radii = []

    def note(grid, neighborhood, radius, sums, **options):
        radii.append(radius)
        return spread(grid, neighborhood, radius, sums, **options)

    monkeypatch.setattr("skae.som._batch_rule.spread", note)
    quick(radius=(4, 0.5), decay=decay, n_iter=6).fit(table)
    expected = {"exponential": [4, 2, 1, 0.5], "linear": np.linspace(4, 0.5, 4)}[decay]
    assert_allclose(radii, [*expected, 0.5])  # the last epoch moves no prototype
    radii.clear()
    quick(radius=(4, 0.5), decay=decay, n_iter=4, refine=False).fit(table)
    assert_allclose(radii, expected)  # in the last epoch, and not before
    for init, start in (("pca", 0.4 * 6), ("sample", 0.5 * 6)):
        radii.clear()
        quick((6, 3), init=init).fit(table)
        assert_allclose(radii[0], start)
        assert radii[-1] < 1


def test_units_without_rows_nearby_keep_their_prototypes(table):
    start = np.vstack([table[:11], np.full(5, 1000.0)])
    som = quick(init=start, radius=0).fit(table)
    assert_allclose(som.codebook_[11], 1000)


# -- the online rule ---------------------------------------------------------------------------


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("gaps", [False, True])
def test_one_online_step_is_the_formula(table, metric, gaps):
    row = table[20].copy()
    if gaps:
        row[2] = np.nan
    start = table[:12]
    som = quick(init=start, metric=metric, radius=1.5, learning_rate=0.3)
    som.partial_fit(row[None])
    if metric == "cosine":
        row = row / np.sqrt(np.nansum(row**2))
        start = start / np.linalg.norm(start, axis=1, keepdims=True)
    winner = distances_to(row, start, metric).argmin()
    h = np.exp(-(map_distances(Grid((4, 3)))[winner] ** 2) / (2 * 1.5**2))
    expected = start + 0.3 * h[:, None] * np.where(np.isnan(row), 0, row - start)
    if metric == "cosine":
        expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert_allclose(som.codebook_, expected, atol=1e-6)
    error = distances_to(row, start, metric)[winner]
    assert_allclose(som.quantization_errors_, [error], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("decay", ["exponential", "linear"])
@pytest.mark.parametrize("n_rows", [40, 700])
def test_learning_rate_falls_to_a_hundredth(decay, n_rows):
    # A map of one unit, with a feature that is 1 in all rows and 0 in the first prototype.
    X = np.column_stack([np.ones(n_rows), np.linspace(0, 1, n_rows)])
    part = np.arange(n_rows) / n_rows
    stream = np.minimum(1, np.arange(n_rows) / 500)  # there after 500 rows for each unit
    for method, over in (("fit", part), ("partial_fit", stream)):
        rate = 0.3 * (0.01**over if decay == "exponential" else 1 - 0.99 * over)
        som = quick(
            (1, 1), init=[[0, 0]], algorithm="online", decay=decay, learning_rate=0.3, n_iter=1
        )
        getattr(som, method)(X)
        assert_allclose(1 - som.codebook_[0, 0], np.prod(1 - rate), atol=1e-5)


def test_weights_are_repetitions_of_a_row_in_succession(table):
    weight = np.random.default_rng(0).integers(1, 4, 50)
    for n_rows in (1, 50):
        X, w = table[:n_rows], weight[-n_rows:]
        weighted = quick(init=table[:12], radius=1).partial_fit(X, sample_weight=w)
        repeated = quick(init=table[:12], radius=1).partial_fit(np.repeat(X, w, axis=0))
        # The learning rate falls between repetitions, and the winner may change in rare cases.
        assert_allclose(weighted.codebook_, repeated.codebook_, atol=0.01)


@pytest.mark.parametrize("chunk", [1, 7, 250])
def test_cuts_of_a_stream_do_not_matter(table, chunk):
    straight, cut = (quick().partial_fit(table[:50]) for _ in range(2))
    straight.partial_fit(table[50:])
    for start in range(50, 300, chunk):
        cut.partial_fit(table[start : start + chunk])
    assert_array_equal(straight.codebook_, cut.codebook_)
    assert_allclose(straight.transform(table), cut.transform(table))


def test_online_learning_nears_the_batch_rule(table):
    batch = quick((6, 6), n_iter=20).fit(table)
    online = quick((6, 6), n_iter=20, algorithm="online").fit(table)
    stream = quick((6, 6))
    for _ in range(60):  # 500 rows for each unit
        stream.partial_fit(table)
    for som in (online, stream):
        assert quantization_error(som, table) < 1.15 * quantization_error(batch, table)
        assert topographic_error(som, table) < 0.15


def test_partial_fit_after_fit_changes_little(table):
    som = quick(n_iter=30).fit(table)
    before = som.codebook_.copy()
    som.partial_fit(table)
    change = np.abs(som.codebook_ - before).mean()
    assert 0 < change < 0.1 * before.std()


# -- starts ------------------------------------------------------------------------------------


def untrained(X, **parameters):
    """Return a map as it starts: the online rule hardly moves it."""
    som = quick(algorithm="online", learning_rate=1e-30, n_iter=1, **parameters)
    return som.fit(X)


def test_pca_start_is_a_grid_in_the_principal_plane(table):
    start = untrained(table, shape=(6, 4)).codebook_
    pca = PCA(2).fit(table)
    along = pca.transform(start)
    assert_allclose(pca.inverse_transform(along), start, atol=1e-4)
    long, short = np.sqrt(pca.explained_variance_ * 299 / 300)
    along = along.reshape(6, 4, 2)
    assert_allclose(np.abs(along[[0, -1], :, 0]), long, rtol=1e-3)  # the long side
    assert_allclose(np.abs(along[:, [0, -1], 1]), short, rtol=1e-3)


def test_pca_start_counts_weights(table):
    weight = np.random.default_rng(0).integers(0, 4, 300)
    weighted = quick("auto", n_iter=1).fit(table, sample_weight=weight)
    repeated = quick("auto", n_iter=1).fit(np.repeat(table, weight, axis=0))
    assert weighted.shape_ == repeated.shape_
    assert_array_equal(weighted.codebook_, repeated.codebook_)


def test_sample_start_is_rows_and_random_start_fills_their_box(table):
    X = table.astype(np.float32)
    start = untrained(X, init="sample").codebook_
    assert (cdist(start, X).min(axis=1) == 0).all()
    assert len(np.unique(start, axis=0)) == 12
    start = untrained(X, init="random", shape=(10, 10)).codebook_
    assert (start >= X.min(axis=0)).all()
    assert (start <= X.max(axis=0)).all()
    assert (np.ptp(start, axis=0) > 0.9 * np.ptp(X, axis=0)).all()
    few = untrained(X[:3], init="sample").codebook_
    assert (cdist(few, X[:3]).min(axis=1) == 0).all()


def test_given_start_is_not_changed(table):
    start = table[:12].copy()
    quick(init=start).fit(table)
    assert_array_equal(start, table[:12])
    with pytest.raises(ValueError, match=r"init has shape \(5, 5\), but the map has 12 units"):
        quick(init=start[:5]).fit(table)


@pytest.mark.parametrize("topology", ["rectangular", "hexagonal"])
def test_automatic_shape_follows_the_data(topology):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1000, 6)) * [9, 3, 0.1, 0.1, 0.1, 0.1]
    n_rows, n_columns = quick("auto", topology=topology, n_iter=1).fit(X).shape_
    assert n_rows * n_columns == pytest.approx(5 * np.sqrt(1000), rel=0.1)
    gap = np.sqrt(3) / 2 if topology == "hexagonal" else 1
    assert n_rows * gap / n_columns == pytest.approx(3, rel=0.25)
    assert quick("auto", n_iter=1).fit(X[:, :1]).shape_[1] == 1  # on a line, a line
    assert quick("auto", n_iter=1).fit(X[:1]).shape_[1] == 1


# -- reading -----------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_distances_winners_and_scores(table, metric, gaps, dtype):
    X = (with_gaps(table) if gaps else table).astype(dtype)
    som = quick(metric=metric).fit(X)
    tolerance = 1e-5 if dtype == np.float32 else 1e-7  # prototypes of float32, of unit length
    expected = np.array([distances_to(row, som.codebook_.astype(float), metric) for row in X])
    assert_allclose(som.transform(X), expected, atol=tolerance)
    assert_allclose(som.score_samples(X), -expected.min(axis=1), atol=tolerance)
    near = np.sort(expected, axis=1)
    clear = near[:, 1] - near[:, 0] > tolerance
    assert_array_equal(som.predict(X)[clear], expected.argmin(axis=1)[clear])
    assert quantization_error(som, X) == pytest.approx(expected.min(axis=1).mean(), abs=tolerance)


def test_distances_with_gaps_are_those_of_scikit_learn(table):
    X = with_gaps(table)
    som = quick().fit(X)
    assert_allclose(som.transform(X), nan_euclidean_distances(X, som.codebook_.astype(float)))


def test_inverse_of_each_output(table):
    som = quick().fit(table)
    prototypes = som.codebook_[som.labels_]
    for output in ("distances", "coordinates"):
        som.set_params(output=output)
        assert_allclose(som.inverse_transform(som.transform(table)), prototypes, atol=1e-6)
    assert som.transform(table).shape == (300, 2)
    assert_array_equal(som.transform(table), som.grid_positions_[som.labels_])
    assert_allclose(
        som.inverse_transform([[0.25, 0.5]]),
        [[0.375, 0.125, 0.375, 0.125] @ som.codebook_[[0, 1, 3, 4]]],
        rtol=1e-6,
    )
    som.set_params(output="membership")
    membership = som.transform(table)
    assert_allclose(membership.sum(axis=1), 1)
    assert_array_equal(membership.argmax(axis=1), som.labels_)
    assert_allclose(som.inverse_transform(membership), membership @ som.codebook_.astype(float))
    with pytest.raises(ValueError, match=r"X has 2 columns.*12"):
        som.inverse_transform(np.ones((3, 2)))


def test_membership_is_the_posterior_of_equal_gaussians(table):
    som = quick(radius=0, output="membership", n_iter=50).fit(table)
    distances = cdist(table, som.codebook_.astype(float))
    variance = (distances.min(axis=1) ** 2).mean() / 5  # of a feature
    density = np.exp(-(distances**2) / (2 * variance))
    expected = density / density.sum(axis=1, keepdims=True)
    assert_allclose(som.transform(table), expected, rtol=1e-3, atol=1e-6)
    on_prototypes = quick((2, 2), radius=0, output="membership").fit(table[:4])
    assert_allclose(on_prototypes.transform(table[:4]).max(axis=1), 1)


def test_output_can_be_set_after_fit(table):
    som = quick().fit(table)
    assert len(som.get_feature_names_out()) == 12
    som.set_params(output="coordinates")
    assert len(som.get_feature_names_out()) == 2
    assert list(som.set_output(transform="pandas").transform(table).columns) == [
        "selforganizingmap0",
        "selforganizingmap1",
    ]
    with pytest.raises(ValueError, match="'output'"):
        som.set_params(output="position").transform(table)


# -- missing entries -----------------------------------------------------------------------------


def test_impute_takes_the_prototype_of_the_winner(table):
    X = with_gaps(table)
    som = quick((6, 6), n_iter=20).fit(X)
    filled = som.impute(X)
    known = ~np.isnan(X)
    assert_array_equal(filled[known], X[known])
    assert_array_equal(filled[~known], som.codebook_[som.predict(X)][~known])
    error = np.abs(filled - table)[~known].mean()
    by_means = np.abs(np.nanmean(X, axis=0) - table)[~known].mean()
    assert error < 0.6 * by_means
    assert_array_equal(som.impute(sparse.csr_matrix(X)), filled)


def test_gaps_do_not_matter_where_the_map_does_not_look(table):
    # Rows seen in part equal rows seen whole, if what is hidden is constant.
    X = np.column_stack([table, np.full(300, 7.0)])
    hidden = X.copy()
    hidden[::2, 5] = np.nan
    whole, part = quick().fit(X), quick().fit(hidden)
    assert_allclose(part.codebook_, whole.codebook_, atol=1e-4)


@pytest.mark.parametrize("algorithm", ["batch", "online"])
@pytest.mark.parametrize("init", ["pca", "sample", "random"])
def test_csr_with_gaps_equals_dense(table, algorithm, init):
    X = with_gaps(np.where(table > 0, table, 0))
    dense = quick(algorithm=algorithm, init=init, n_iter=3).fit(X)
    csr = quick(algorithm=algorithm, init=init, n_iter=3).fit(sparse.csr_matrix(X))
    assert_allclose(csr.codebook_, dense.codebook_, atol=1e-5)
    assert_array_equal(csr.labels_, dense.labels_)


# -- measures ------------------------------------------------------------------------------------


@pytest.mark.parametrize("topology", ["rectangular", "hexagonal"])
@pytest.mark.parametrize("toroidal", [False, True])
def test_topographic_error_by_brute_force(table, topology, toroidal):
    som = quick((5, 4), topology=topology, toroidal=toroidal, radius=0.4).fit(table)
    nearest = np.argsort(cdist(table, som.codebook_.astype(float)), axis=1)[:, :2]
    apart = map_distances(som.module_.grid)[nearest[:, 0], nearest[:, 1]]
    limit = 1.01 if topology == "hexagonal" else 1.42
    assert 0 < topographic_error(som, table) == pytest.approx((apart > limit).mean())


def test_a_good_map_keeps_neighbourhoods_and_a_shuffled_one_does_not(table):
    good = quick((8, 8), radius=(4, 0.8), n_iter=30).fit(table)
    shuffled = pickle.loads(pickle.dumps(good))
    order = torch.randperm(64, generator=torch.Generator().manual_seed(0))
    shuffled.module_.codebook.copy_(good.module_.codebook[order])
    assert quantization_error(good, table) == pytest.approx(quantization_error(shuffled, table))
    assert topographic_error(good, table) < 0.1 < 0.5 < topographic_error(shuffled, table)
    for measure in (trustworthiness, neighborhood_preservation):
        assert 0.9 < measure(good, table) <= 1
        assert measure(shuffled, table) < measure(good, table)
    assert abs(topographic_product(good)) < 0.5 * abs(topographic_product(shuffled))


def test_topographic_product_tells_the_dimension():
    # Bauer and Pawelzik: negative where the map has too few dimensions.
    rng = np.random.default_rng(0)
    line, square = rng.uniform(size=(500, 1)), rng.uniform(size=(500, 2))
    chain, sheet = quick((25, 1), n_iter=30), quick((5, 5), n_iter=30)
    assert abs(topographic_product(chain.fit(line))) < 0.01
    assert topographic_product(chain.fit(square)) < -0.02
    assert abs(topographic_product(sheet.fit(square))) < 0.02


def test_topographic_product_is_0_for_a_map_as_it_is(table):
    som = quick((4, 5), n_iter=1).fit(table)
    som.module_.codebook = torch.nn.Parameter(
        3 * som.module_.grid.positions(som.module_.codebook), requires_grad=False
    )
    assert topographic_product(som) == pytest.approx(0, abs=1e-6)


def test_one_unit_has_no_neighbourhoods(table):
    som = quick((1, 1)).fit(table)
    assert_allclose(som.codebook_[0], table.mean(axis=0), atol=1e-5)
    for call in (lambda: topographic_error(som, table), lambda: topographic_product(som)):
        with pytest.raises(ValueError, match="A map of one unit has no neighbourhoods"):
            call()


@pytest.mark.parametrize("topology", ["rectangular", "hexagonal"])
def test_u_matrix_hit_map_and_component_planes(table, topology):
    som = quick(topology=topology).fit(table)
    between = cdist(som.codebook_.astype(float), som.codebook_)
    d = map_distances(som.module_.grid)
    near = (d > 0) & (d < (1.2 if topology == "hexagonal" else 1.5))
    expected = [row[which].mean() for row, which in zip(between, near, strict=True)]
    assert_allclose(som.u_matrix(), np.reshape(expected, (4, 3)), rtol=1e-5)
    hits = som.hit_map(table)
    assert hits.shape == (4, 3)
    assert_array_equal(hits.ravel(), [(som.labels_ == unit).sum() for unit in range(12)])
    planes = som.component_planes()
    assert planes.shape == (5, 4, 3)
    assert_array_equal(planes[2, 3, 1], som.codebook_[3 * 3 + 1, 2])


# -- clusters and classes of units ------------------------------------------------------------


def test_clusters_of_units_are_clusters_of_rows():
    X, y = make_blobs(300, 3, centers=[[0, 0, 0], [9, 0, 0], [0, 9, 9]], random_state=0)
    som = quick((6, 6), radius=(3, 0.1)).fit(X).cluster_units(AgglomerativeClustering(3))
    clusters = som.predict_cluster(X)
    assert all(len(np.unique(clusters[y == one])) == 1 for one in range(3))
    assert len(np.unique(clusters)) == 3
    assert_array_equal(som.unit_clusters_[som.labels_], clusters)


def test_idle_units_do_not_join_clusters():
    # Two linked rings: only units that win no row lie between them.
    rng = np.random.default_rng(0)
    angle, ring = rng.uniform(0, 2 * np.pi, 1000), np.repeat([0, 1], 500)
    cosine, sine, nothing = np.cos(angle), np.sin(angle), np.zeros(1000)
    first = np.column_stack([cosine, sine, nothing])
    second = np.column_stack([cosine + 1, nothing, sine])
    X = np.where(ring[:, None] == 0, first, second)
    som = quick((12, 12), radius=(4, 0.3), n_iter=50).fit(X)
    assert (som.hit_map(X) == 0).any()
    clusters = som.cluster_units(AgglomerativeClustering(2, linkage="single")).predict_cluster(X)
    assert adjusted_rand_score(ring, clusters) == 1
    won = np.unique(som.labels_)
    nearest = won[cdist(som.codebook_, som.codebook_[won]).argmin(axis=1)]
    assert_array_equal(som.unit_clusters_, som.unit_clusters_[nearest])


def test_labels_of_units_are_those_of_most_rows():
    X, y = load_iris(return_X_y=True)
    names = load_iris().target_names[y]
    som = quick((9, 9)).fit(X).label_units(X, names)
    assert (som.predict_label(X) == names).mean() > 0.95
    for unit in range(81):
        won = names[som.labels_ == unit]
        if len(won):
            values, counts = np.unique(won, return_counts=True)
            assert som.unit_labels_[unit] == values[counts.argmax()]
        by_name = dict(zip(som.label_names_, som.unit_label_counts_[unit], strict=True))
        assert by_name == {name: (won == name).sum() for name in som.label_names_}
    empty = np.flatnonzero(som.hit_map(X).ravel() == 0)
    full = np.flatnonzero(som.hit_map(X).ravel())
    assert len(empty)
    near = cdist(som.codebook_[empty], som.codebook_[full]).argmin(axis=1)
    assert_array_equal(som.unit_labels_[empty], som.unit_labels_[full[near]])
    with pytest.raises(ValueError, match="y has 3 labels, but X has 150 rows"):
        som.label_units(X, y[:3])


def test_clusters_and_labels_are_gone_after_another_fit(table):
    som = quick().fit(table).cluster_units(KMeans(2)).label_units(table, np.arange(300) % 2)
    for method in ("fit", "partial_fit"):
        again = getattr(pickle.loads(pickle.dumps(som)), method)(table)
        with pytest.raises(AttributeError, match=r"cluster_units\(clusterer\)"):
            again.predict_cluster(table)
        with pytest.raises(AttributeError, match=r"label_units\(X, y\)"):
            again.predict_label(table)
        assert not hasattr(again, "unit_label_counts_")


# -- attributes and bad input --------------------------------------------------------------------


def test_attributes(table):
    som = quick((4, 3)).fit(table)
    assert som.codebook_.shape == (12, 5)
    assert som.codebook_.dtype == np.float64
    assert som.grid_positions_.shape == (12, 2)
    assert_array_equal(som.grid_positions_[:4], [[0, 0], [1, 0], [2, 0], [0, 1]])
    assert som.shape_ == (4, 3)
    assert som.n_iter_ == len(som.quantization_errors_) == 10
    assert som.quantization_errors_[-1] < som.quantization_errors_[0]
    assert_array_equal(som.labels_, som.predict(table))
    assert som.labels_.dtype == np.int32
    assert_array_equal(clone(som).fit_predict(table), som.labels_)
    assert not hasattr(SelfOrganizingMap(), "codebook_")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"shape": 0}, "'shape'"),
        ({"shape": (0, 5)}, r"shape must be two positive integers.*got \(0, 5\)"),
        ({"shape": (5,)}, "shape must be two positive integers"),
        ({"shape": (5, 2.5)}, "shape must be two positive integers"),
        ({"radius": -1}, r"'radius'"),
        ({"radius": (3, -1)}, r"radius must be a number of at least 0, or two.*got \(3, -1\)"),
        ({"radius": (3, 2, 1)}, "radius must be a number of at least 0"),
        ({"radius": (True, 0.5)}, r"radius must be a number of at least 0.*got \(True, 0.5\)"),
        ({"radius": True}, r"'radius'"),
        ({"radius": (3, 0)}, r"radius=\(3, 0\) cannot decay exponentially.*decay='linear'"),
        ({"topology": "square"}, "'topology'.*'hexagonal'"),
        ({"neighborhood": "box"}, "'neighborhood'.*'bubble'"),
        ({"decay": "cosine"}, "'decay'"),
        ({"algorithm": "minibatch"}, "'algorithm'"),
        ({"learning_rate": 2}, r"'learning_rate'.*\(0.0, 1.0\]"),
        ({"n_iter": 0}, "'n_iter'"),
        ({"init": "kmeans"}, "'init'"),
        ({"metric": "chebyshev"}, "'metric'"),
        ({"output": "winner"}, "'output'"),
    ],
    ids=str,
)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_bad_parameters(table, parameters, message, method):
    with pytest.raises(ValueError, match=message):
        getattr(quick(**parameters), method)(table)


def test_bad_rows(table):
    empty, column, zero = table.copy(), table.copy(), table.copy()
    empty[7], column[:, 2], zero[5] = np.nan, np.nan, 0
    for kind in (np.asarray, sparse.csr_matrix):
        with pytest.raises(ValueError, match="Row 7 of X has no value, all its entries are NaN"):
            quick().fit(kind(empty))
        with pytest.raises(ValueError, match="Column 2 of X has no value"):
            quick().fit(kind(column))
        with pytest.raises(ValueError, match=r"Row 5 of X is all zeros.*metric='cosine'"):
            quick(metric="cosine").fit(kind(zero))
        fitted = quick(metric="cosine").fit(table)
        with pytest.raises(ValueError, match="Row 5 of X is all zeros"):
            fitted.predict(kind(zero))
        with pytest.raises(ValueError, match="Row 7 of X has no value"):
            quick().fit(table).score_samples(kind(empty))


def test_far_more_units_than_rows_are_warned_of(table):
    with pytest.warns(UserWarning, match="400 units for 30 distinct rows"):
        quick((20, 20), n_iter=1).fit(table[:30])
    with warnings.catch_warnings(action="error"):
        quick((20, 20), n_iter=1).fit(table[:60])
        quick((20, 20)).partial_fit(table[:1])


# -- offsets and magnitudes --------------------------------------------------------------------


def two_groups(offset):
    """Return two groups of rows 50 apart, each of a spread of 1, far from zero."""
    rng = np.random.default_rng(0)
    group = np.repeat([0, 1], 40)
    return offset + 50.0 * group[:, None] + rng.uniform(-1, 1, size=(80, 2)), group


@pytest.mark.parametrize("algorithm", ["batch", "online"])
@pytest.mark.parametrize("metric", ["euclidean", "manhattan"])
@pytest.mark.parametrize("init", ["pca", "sample", "random"])
def test_groups_far_from_zero_are_separated(algorithm, metric, init):
    far, group = two_groups(1.7e9)  # seconds since 1970, whose float32 are 128 apart
    som = quick((2, 3), init=init, algorithm=algorithm, metric=metric).fit(far)
    assert not set(som.labels_[group == 0]) & set(som.labels_[group == 1])
    nearest = cdist(far, som.codebook_, "cityblock" if metric == "manhattan" else metric).min(1)
    assert nearest.mean() < 2
    assert_allclose(som.score_samples(far), -nearest, atol=1e-4)


@pytest.mark.parametrize("metric", ["euclidean", "manhattan"])
@pytest.mark.parametrize("init", ["pca", "array"])
def test_offsets_make_no_difference(metric, init):
    near, group = two_groups(0.0)
    far, _ = two_groups(1.7e9)
    start = near[::14] if init == "array" else init
    som = quick((2, 3), init=start, metric=metric).fit(near)
    offset = quick((2, 3), init=start + 1.7e9 if init == "array" else init, metric=metric).fit(far)
    assert_array_equal(offset.labels_, som.labels_)
    assert not set(offset.labels_[group == 0]) & set(offset.labels_[group == 1])
    assert_allclose(offset.codebook_ - 1.7e9, som.codebook_, atol=1e-3)
    assert_allclose(offset.quantization_errors_, som.quantization_errors_, rtol=1e-4)
    assert_allclose(offset.u_matrix(), som.u_matrix(), atol=1e-3)
    assert_allclose(offset.score_samples(far), som.score_samples(near), atol=1e-3)
    for output in ("distances", "membership", "coordinates"):
        codes = offset.set_params(output=output).transform(far)
        assert_allclose(codes, som.set_params(output=output).transform(near), atol=1e-3)
        rows = som.inverse_transform(codes)
        assert_allclose(offset.inverse_transform(codes), rows + 1.7e9, rtol=0, atol=1e-3)
    gaps = far.copy()
    gaps[::3, 0] = np.nan
    filled = offset.impute(gaps)
    assert_array_equal(filled[:, 1], far[:, 1])
    assert_allclose(filled[::3, 0], offset.codebook_[offset.predict(gaps[::3]), 0])
    assert_allclose(topographic_product(offset), topographic_product(som), atol=1e-3)


def test_offsets_of_a_stream_and_of_float32_make_no_difference():
    (near, _), (far, _) = two_groups(0.0), two_groups(1.7e9)
    som, offset = quick((2, 3)).partial_fit(near[::2]), quick((2, 3)).partial_fit(far[::2])
    som.partial_fit(near[1::2])
    offset.partial_fit(far[1::2])
    assert_array_equal(offset.labels_, som.labels_)
    # In float32 these rows are multiples of 1/32, and sums of them are not.
    single, _ = two_groups(3e5)
    single = single.astype(np.float32)
    som = quick((2, 3)).fit(single)
    exact = quick((2, 3)).fit(single.astype(np.float64) - 3e5)
    assert_allclose(som.codebook_ - 3e5, exact.codebook_, atol=1e-4)
    assert_allclose(som.score_samples(single), exact.score_samples(single - 3e5), atol=1e-3)
    assert som.transform(single).dtype == np.float32


def test_a_constant_column_and_offsets_with_gaps_and_weights():
    far, _ = two_groups(1.7e9)
    X = np.column_stack([far, np.full(80, 1.7e9 + 1 / 3)])
    X[::5, 0] = np.nan
    weight = np.random.default_rng(0).integers(0, 3, 80)
    som = quick((2, 3)).fit(X, sample_weight=weight)
    assert_array_equal(som.codebook_[:, 2], X[0, 2])
    repeated = quick((2, 3)).fit(np.repeat(X, weight, axis=0))
    assert_array_equal(som.codebook_, repeated.codebook_)


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize(
    ("scale", "problem"), [(1e20, "large"), (1e200, "large"), (1e-25, "small")], ids=str
)
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("algorithm", ["batch", "online"])
def test_values_that_float32_cannot_square_are_refused(
    table, scale, problem, metric, algorithm, kind
):
    som = quick(metric=metric, algorithm=algorithm)
    message = f"X has values whose distances are too {problem} to be squared.*StandardScaler"
    for fit in (som.fit, som.partial_fit):
        with pytest.raises(ValueError, match=message):
            fit(kind(table * scale))
        assert not hasattr(som, "module_")
    if problem == "large":
        with pytest.raises(ValueError, match="too large"):
            som.fit(table).predict(kind(np.full((1, 5), 1e25, dtype=np.float32)))
        assert np.isfinite(som.score_samples(kind(np.full((1, 5), 1e25)))).all()


def test_divergence_of_the_batch_rule_says_what_helps(table, monkeypatch):
    seen = []

    def overflowing(*arguments, **options):
        sums = add_up(*arguments, **options)
        seen.append(sums)
        return replace(sums, distance=torch.tensor(torch.inf)) if len(seen) == 3 else sums

    monkeypatch.setattr("skae.som._module.add_up", overflowing)
    with pytest.raises(ValueError, match="stopped being finite in epoch 3") as raised:
        quick().fit(table)
    assert "neighborhood='gaussian'" in str(raised.value)
    assert "learning_rate" not in str(raised.value)  # the batch rule has none


def test_topographic_product_of_prototypes_that_coincide():
    same = quick((2, 3), n_iter=2).fit(np.full((80, 2), 3.0))
    with pytest.warns(UserWarning, match="All prototypes of the map coincide"):
        assert np.isnan(topographic_product(same))
    start = np.zeros((6, 2))
    start[3:] = 5.0  # three in one place and three in another
    some = quick((2, 3), init=start, radius=0, n_iter=2).fit(start)
    with warnings.catch_warnings(action="error"):
        assert np.isfinite(topographic_product(some))
