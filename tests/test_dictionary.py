"""The dictionary autoencoder: what it selects, learns, counts, reports, and hands to others."""

import pickle

import numpy as np
import pytest
import torch
from conftest import quick
from numpy.testing import assert_allclose, assert_array_equal
from safetensors.torch import load_file, save_file
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import f1_score

from skae import DictionaryAutoencoder, config_context, fit_many
from skae._random import seeded_initialisation
from skae._training import Batch
from skae._training._source import as_source
from skae.autoencoders._dictionary_reading import geometric_median
from skae.metrics import matched_f1_score, mean_max_cosine_similarity
from skae.streaming import ChunkSource

SPARSITIES = ["batch_topk", "matryoshka", "jumprelu", "gated"]


@pytest.fixture(scope="module")
def world():
    """Rows that are sums of few of 24 directions in 12 dimensions, and what they are made of."""
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(24, 12))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    shape = 6000, 24
    activations = rng.uniform(0.5, 1.5, size=shape) * (rng.random(shape) < 0.05)
    rows = activations @ directions + 3.0
    return rows.astype(np.float32), activations, directions


def untrained(n_features=6, seed=0, **parameters):
    """Return a module in training with weights of every kind, and rows."""
    estimator = DictionaryAutoencoder(**{"n_components": 8, "k": 2, **parameters})
    with seeded_initialisation(seed):
        module = estimator._make_module(n_features).train()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
    return module, torch.randn(20, n_features, generator=generator)


def reconstruction(module, code):
    """Return rows by the definition: directions of length 1, and the bias."""
    weight = module.decoder.weight.detach()
    return code @ (weight / weight.norm(dim=1, keepdim=True)) + module.decoder.bias.detach()


def pre_activations(module, x):
    centred = x - module.decoder.bias.detach()
    return centred @ module.encoder.weight.detach().T + module.encoder.bias.detach()


# -- what is selected ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("k", "n_rows"), [(0.01, 1), (0.01, 20), (1, 1), (2.3, 1), (2.3, 7), (5, 20), (8, 7)]
)
def test_batch_topk_keeps_the_largest_of_the_batch(k, n_rows):
    module, x = untrained(k=k, n_features=6)
    x = x[:n_rows]
    pre = pre_activations(module, x).numpy()
    n_kept = max(1, round(k * n_rows))
    least = np.sort(pre, axis=None)[::-1][:n_kept][-1]
    expected = np.where((pre >= least) & (pre > 0), pre, 0)
    with torch.no_grad():
        found = module.selection.select(module.pre_activation(x), module.encoder.bias, None)
    assert_allclose(found.code, expected, atol=1e-6)
    assert_array_equal(found.active, expected != 0)


def test_of_many_entries_the_largest_are_found():
    """By groups, whose number does not divide that of the entries."""
    module, _ = untrained(n_components=61, n_features=6, k=1)
    x = torch.randn(211, 6, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        pre = module.pre_activation(x)
        found = module.selection.select(pre, module.encoder.bias, None)
    assert_array_equal(
        found.active.flatten().nonzero()[:, 0], pre.flatten().topk(211).indices.sort()[0]
    )


def test_a_weight_counts_as_so_many_rows():
    module, x = untrained()
    weight = torch.tensor([1.0, 2.0, 3.0] * 6 + [1.0, 1.0])
    repeated = x.repeat_interleave(weight.long(), dim=0)
    bias = module.encoder.bias
    with torch.no_grad():
        some = module.selection.select(module.pre_activation(x), bias, weight / weight.mean())
        every = module.selection.select(module.pre_activation(repeated), bias, None)
    assert_array_equal(some.active.repeat_interleave(weight.long(), dim=0), every.active)


def test_the_threshold_is_the_running_mean_of_the_smallest_kept(world):
    rows = world[0][:1000]
    seen = []
    module, _ = untrained(n_features=12, n_components=30, k=3)
    for start in [*range(0, 1000, 5)] * 6:
        x = torch.from_numpy(rows[start : start + 5])
        pre = pre_activations(module, x)
        seen.append(float(pre.flatten().sort(descending=True).values[14].clamp(min=0)))
        module.selection.select(pre, module.encoder.bias, None)
    expected = 0.0
    for number, value in enumerate(seen, start=1):
        share = max(0.01, 10 / (number + 9))  # of all that were, and of the last 100 at the end
        expected += share * (value - expected)
    assert_allclose(module.selection.threshold, expected, rtol=1e-4)
    module.eval().loss(Batch(x), None)
    assert_allclose(module.selection.threshold, expected, rtol=1e-4)


def test_codes_do_not_depend_on_batch_mates(world):
    rows = world[0]
    fitted = quick(DictionaryAutoencoder, n_components=30, k=2, batch_size=500).fit(rows)
    codes = fitted.transform(rows[:300])
    assert_allclose(fitted.transform(rows[7:8]), codes[7:8], rtol=1e-5, atol=1e-6)
    pre = pre_activations(fitted.module_, torch.from_numpy(rows[:300])).numpy()
    clear = np.abs(pre - fitted.thresholds_) > 1e-4
    assert_allclose(codes[clear], np.where(pre > fitted.thresholds_, pre, 0)[clear], atol=1e-5)
    assert (codes != 0).sum(axis=1).mean() == pytest.approx(2, rel=0.2)


# -- what is learned -----------------------------------------------------------------------


def test_the_gradient_of_jumprelu_is_that_of_the_paper():
    """Rajamanoharan et al. (2024b), equations 11 and 12, with a rectangular kernel."""
    bandwidth, alpha = 0.8, 0.3
    module, x = untrained(sparsity="jumprelu", alpha=alpha, bandwidth=bandwidth, aux_weight=0)
    module.selection.threshold.data[:2] = -0.2  # which counts as 0
    module.loss(Batch(x), None).sum().backward()
    level = module.selection.threshold.detach().clamp(min=0)
    pre = pre_activations(module, x)
    code = pre * (pre > level)
    rest = reconstruction(module, code) - x
    kernel = ((pre - level).abs() < bandwidth / 2).float() / bandwidth
    directions = module.decoder.directions().detach()
    of_error = 2 * rest @ directions.T  # of the squared error, by each entry of the code
    expected = (-kernel * (level * of_error + alpha)).sum(0) / 6
    assert_allclose(module.selection.threshold.grad, expected, rtol=1e-3, atol=1e-5)
    of_bias = ((pre > level) * of_error).sum(0) / 6
    assert_allclose(module.encoder.bias.grad, of_bias, rtol=1e-3, atol=1e-5)


def test_the_loss_of_gates_is_that_of_the_paper():
    """Rajamanoharan et al. (2024a), equation 8: error, penalty, and error by the gates."""
    module, x = untrained(sparsity="gated", alpha=0.7, aux_weight=0)
    selection, bias = module.selection, module.encoder.bias.detach()
    product = pre_activations(module, x) - bias
    gate = product + bias
    magnitude = product * selection.log_scale.detach().exp() + selection.magnitude_bias.detach()
    code = (gate > 0) * magnitude.clamp(min=0)
    opened = gate.clamp(min=0)
    loss = module.loss(Batch(x), None)
    errors = ((reconstruction(module, one) - x).square().sum(1) for one in (code, opened))
    assert_allclose(loss.detach(), (sum(errors) + 0.7 * opened.sum(1)) / 6, rtol=1e-4)
    loss.sum().backward()
    # The error by the gates does not teach the dictionary.
    of_code = 2 * code.T @ (reconstruction(module, code) - x) / 6
    directions, length = module.decoder.directions().detach(), module.decoder.weight.norm(dim=1)
    across = of_code - (of_code * directions).sum(1, keepdim=True) * directions
    expected = across / length[:, None]
    assert_allclose(module.decoder.weight.grad, expected.detach(), rtol=1e-3, atol=1e-4)


def test_nested_dictionaries_rebuild_the_rows_by_themselves():
    module, x = untrained(sparsity="matryoshka", widths=[2, 5], aux_weight=0)
    with torch.no_grad():
        code = module.selection.select(module.pre_activation(x), module.encoder.bias, None).code
        loss = module.loss(Batch(x), None)
    errors = []
    for width in (2, 5, 8):
        part = code * (torch.arange(8) < width)
        errors.append((reconstruction(module, part) - x).square().sum(1))
    assert_allclose(loss, sum(errors) / 3 / 6, rtol=1e-4)


def test_one_width_is_batch_topk(world):
    rows = world[0][:1000]
    parameters = dict(n_components=30, k=2, batch_size=200)
    nested = quick(DictionaryAutoencoder, sparsity="matryoshka", widths=[30], **parameters)
    whole = quick(DictionaryAutoencoder, **parameters)
    assert_array_equal(nested.fit_transform(rows), whole.fit_transform(rows))


@pytest.mark.parametrize("sparsity", SPARSITIES)
def test_directions_have_length_1_and_no_gradient_along_them(world, sparsity):
    rows = world[0][:500]
    fitted = quick(DictionaryAutoencoder, n_components=30, k=2, sparsity=sparsity).fit(rows)
    assert_allclose(np.linalg.norm(fitted.components_, axis=1), 1, rtol=1e-6)
    assert_allclose(
        fitted.inverse_transform(np.eye(30)) - fitted.inverse_transform(np.zeros((1, 30))),
        fitted.components_,
        atol=1e-6,
    )
    module = fitted.module_.train()
    module.loss(Batch(torch.from_numpy(rows)), None).mean().backward()
    gradient, weight = module.decoder.weight.grad, module.decoder.weight.detach()
    along = (gradient * weight).sum(1) / weight.norm(dim=1)
    assert gradient.norm() > 1e-3
    assert along.abs().max() < 1e-5 * gradient.norm()


def test_the_bias_starts_at_the_geometric_median():
    rng = np.random.default_rng(0)
    rows = np.vstack([rng.normal(size=(300, 3)), rng.normal(50, 1, size=(60, 3))])
    rows = rows.astype(np.float32)
    median = geometric_median(as_source(rows, None, torch.device("cpu")))

    def total(point):
        return np.linalg.norm(rows - point, axis=1).sum()

    least = total(median)
    assert all(total(median + step) > least for step in 0.05 * rng.normal(size=(50, 3)))
    start = quick(DictionaryAutoencoder, max_iter=1, learning_rate=1e-9).fit(rows)
    assert_allclose(start.module_.decoder.bias.detach(), median, rtol=1e-5)
    assert np.linalg.norm(median) < 1 < np.linalg.norm(rows.mean(axis=0))


@pytest.mark.parametrize(
    "parameters",
    [
        dict(sparsity="batch_topk"),
        dict(sparsity="matryoshka", widths=[16]),
        dict(sparsity="jumprelu", alpha=0.1, bandwidth=0.2),
        dict(sparsity="gated", alpha=0.8),
    ],
    ids=lambda one: one["sparsity"],
)
def test_known_directions_are_found(world, parameters):
    rows, _, directions = world
    fitted = quick(
        DictionaryAutoencoder,
        n_components=32,
        k=1.2,
        learning_rate=0.01,
        batch_size=256,
        max_iter=25,
        tol=0,
        **parameters,
    ).fit(rows)
    assert mean_max_cosine_similarity(directions, fitted.components_) > 0.9
    statistics = fitted.code_statistics(rows)
    assert statistics.explained_variance > 0.85
    assert statistics.l0 < 3


def test_a_short_training_finds_most_of_a_direction(world):
    rows, _, directions = world
    fitted = quick(DictionaryAutoencoder, n_components=32, k=1.2, batch_size=100, max_iter=10)
    fitted.fit(rows)  # 600 steps of the default length
    assert mean_max_cosine_similarity(directions, fitted.components_) > 0.75


# -- dead units --------------------------------------------------------------------------


def with_dead_units(rows, **parameters):
    fitted = quick(
        DictionaryAutoencoder, n_components=24, k=1.2, max_iter=1, batch_size=100, **parameters
    ).fit(rows)
    with torch.no_grad():
        fitted.module_.encoder.bias[:16] = -2.0
        fitted.module_.n_idle[:16] = 1e9
    return fitted.set_params(learning_rate=0.01)


def test_dead_units_come_back_by_the_auxiliary_loss(world):
    rows = world[0]
    revived = with_dead_units(rows, aux_weight=1.0, dead_after=500)
    for _ in range(15):
        revived.partial_fit(rows)
    assert len(revived.dead_units_) <= 5
    forgotten = with_dead_units(rows, aux_weight=0.0, dead_after=500).partial_fit(rows)
    assert set(forgotten.dead_units_) >= set(range(16))


def test_without_dead_units_the_auxiliary_loss_is_none():
    losses = []
    for aux_weight in (0.0, 1.0):
        module, x = untrained(aux_weight=aux_weight, dead_after=1000)
        losses.append(module.loss(Batch(x), None).detach())
    assert_array_equal(*losses)


def test_the_auxiliary_loss_is_the_error_of_the_residual_by_dead_units():
    module, x = untrained(aux_weight=0.5, dead_after=1000, n_components=32)
    other, _ = untrained(aux_weight=0.0, dead_after=1000, n_components=32)
    module.n_idle[[3, 11]] = 1e6  # as many as take part
    module.encoder.bias.data[[3, 11]] = other.encoder.bias.data[[3, 11]] = -9.0
    with torch.no_grad():
        extra = module.loss(Batch(x), None) - other.loss(Batch(x), None)
        code = other.selection.select(other.pre_activation(x), other.encoder.bias, None).code
        residual = x - reconstruction(other, code)
        of_dead = pre_activations(other, x)[:, [3, 11]]
        of_dead = torch.where(of_dead > 0, of_dead, 0.1 * of_dead)
        dead = of_dead @ other.decoder.directions()[[3, 11]]
    assert_allclose(extra, 0.5 * (residual - dead).square().sum(1) / 6, rtol=1e-3)


def test_a_warning_says_that_most_units_are_dead(world):
    silent = quick(DictionaryAutoencoder, k=0.05, aux_weight=0, n_components=200, max_iter=2)
    with pytest.warns(ConvergenceWarning, match="larger k, a larger aux_weight"):
        silent.fit(world[0][:400])


@pytest.mark.parametrize(
    ("parameters", "advises"),
    [({"learning_rate": 1e3}, False), ({"sparsity": "gated", "alpha": 1e4}, True)],
    ids=["batch_topk", "gated"],
)
def test_a_smaller_penalty_is_advised_where_there_is_one(world, parameters, advises):
    with pytest.warns(ConvergenceWarning, match="learned nothing") as caught:
        quick(DictionaryAutoencoder, max_iter=1, **parameters).fit(world[0][:400])
    assert ("a smaller alpha (now" in str(caught[0].message)) is advises


# -- counts and settings of a training -------------------------------------------------------


def test_firing_is_counted_over_all_calls(world):
    rows = world[0][:2000]
    fitted = quick(DictionaryAutoencoder, n_components=30, k=2, batch_size=100)
    fitted.partial_fit(rows[:1100]).partial_fit(rows[1100:])
    assert fitted.n_samples_seen_ == 2000
    assert fitted.firing_counts_.sum() == 2 * 2000  # k of each row
    again = pickle.loads(pickle.dumps(fitted)).partial_fit(rows)
    assert again.n_samples_seen_ == 4000
    assert again.firing_counts_.sum() == 2 * 4000
    assert_array_equal(again.transform(rows), fitted.partial_fit(rows).transform(rows))


def test_weights_are_counted_as_rows(world):
    rows = world[0][:150]
    weight = np.random.default_rng(0).integers(1, 4, size=150)
    parameters = dict(n_components=30, k=2, batch_size=1000)
    weighted = quick(DictionaryAutoencoder, **parameters).fit(rows, sample_weight=weight)
    repeated = quick(DictionaryAutoencoder, **parameters).fit(np.repeat(rows, weight, axis=0))
    assert_array_equal(weighted.transform(rows), repeated.transform(rows))


@pytest.mark.parametrize("sparsity", SPARSITIES)
def test_recorded_and_stacked_fits_are_those_of_plain_steps(world, sparsity):
    rows = world[0][:600]
    one = quick(
        DictionaryAutoencoder,
        sparsity=sparsity,
        n_components=30,
        k=2,
        batch_size=100,
        max_iter=3,
        alpha=0.05,
        dead_after=150,
    )
    recorded = clone(one).fit(rows)
    with config_context(record_steps=False):
        plain = clone(one).fit(rows)
    assert_array_equal(recorded.transform(rows), plain.transform(rows))
    assert_array_equal(recorded.firing_counts_, plain.firing_counts_)
    several = [clone(one).set_params(learning_rate=rate) for rate in (1e-3, 2e-3, 3e-3)]
    together = fit_many([clone(each) for each in several], rows)
    for each, stacked in zip(several, together, strict=True):
        alone = each.fit(rows)
        assert_allclose(stacked.components_, alone.components_, atol=0.01)
        assert_allclose(stacked.firing_counts_, alone.firing_counts_, rtol=0.03)


def test_a_memory_map_is_read_and_streamed(world, tmp_path):
    rows = world[0]
    path = tmp_path / "rows.npy"
    np.save(path, rows)
    mapped = np.load(path, mmap_mode="r")
    parameters = dict(n_components=30, k=2, batch_size=500)
    fitted = quick(DictionaryAutoencoder, **parameters).fit(mapped)
    assert_array_equal(
        fitted.transform(mapped),
        quick(DictionaryAutoencoder, **parameters).fit(rows).transform(rows),
    )


@pytest.mark.parametrize("widths", [[0], [4, 2], [40], [2.5], [True], "ab"])
def test_widths_must_increase(widths):
    one = quick(DictionaryAutoencoder, n_components=30, sparsity="matryoshka", widths=widths)
    with pytest.raises(ValueError, match="widths"):
        one.fit(np.eye(5))


# -- reports -------------------------------------------------------------------------------


def test_statistics_of_codes_are_those_of_all_rows_at_once(world, monkeypatch):
    from skae.autoencoders import _dictionary_reading

    rows = world[0].astype(np.float64)
    fitted = quick(DictionaryAutoencoder, n_components=30, k=2).fit(rows)
    monkeypatch.setattr(_dictionary_reading, "DENSE_NUMBERS", 30 * 700)  # in chunks
    found = fitted.code_statistics(rows)
    codes = fitted.transform(rows)
    error = np.square(rows - fitted.inverse_transform(codes)).sum()
    variance = np.square(rows - rows.mean(axis=0)).sum()
    assert found.explained_variance == pytest.approx(1 - error / variance)
    assert_allclose(found.density, (codes > 0).mean(axis=0))
    assert found.l0 == pytest.approx((codes > 0).sum(axis=1).mean())
    assert found.dead_share == (codes == 0).all(axis=0).mean()
    unit = int(codes.max(axis=0).argmax())
    indices, values = fitted.top_activating(rows, unit, k=7)
    assert_array_equal(indices, np.argsort(-codes[:, unit], kind="stable")[:7])
    assert_allclose(values, codes[indices, unit])
    stream = ChunkSource(lambda: np.array_split(rows, 7), window=1000)
    of_stream = fitted.code_statistics(stream)
    assert_array_equal(of_stream.density, found.density)
    assert of_stream.explained_variance == pytest.approx(found.explained_variance)
    assert_array_equal(fitted.top_activating(stream, unit, k=7)[0], indices)
    n_active = np.count_nonzero(codes[:, unit])
    assert len(fitted.top_activating(rows, unit, k=10**6)[0]) == n_active


def test_a_chunk_that_does_not_fit_is_named(world):
    fitted = quick(DictionaryAutoencoder, n_components=30).fit(world[0][:100])
    chunks = [world[0][:5], np.full((5, 12), np.nan)]
    with pytest.raises(ValueError, match="Chunk 2 of X: Input X contains NaN"):
        fitted.code_statistics(ChunkSource(lambda: chunks))


def test_before_fit_there_is_no_dictionary():
    with pytest.raises(NotFittedError):
        _ = DictionaryAutoencoder().components_


@pytest.mark.parametrize(("unit", "k"), [(30, 1), (-1, 1), (0.0, 1), (False, 1), (0, 0), (0, 1.5)])
def test_there_must_be_such_a_unit(world, unit, k):
    fitted = quick(DictionaryAutoencoder, n_components=30).fit(world[0][:100])
    fitted.set_params(n_components=1000)  # for another fit
    with pytest.raises(ValueError, match=r"unit must|k must"):
        fitted.top_activating(world[0], unit, k)


def test_f1_is_that_of_the_nearest_feature():
    rng = np.random.default_rng(0)
    reference, noise = rng.normal(size=(5, 9)), rng.normal(size=(3, 9))
    dictionary = 2 * reference[[4, 1, 1]] + 0.01 * noise
    activations = rng.random((50, 5)) * (rng.random((50, 5)) < 0.3)
    codes = rng.random((50, 3)) * (rng.random((50, 3)) < 0.5)
    codes[:, 2] = 0
    expected = [f1_score(activations[:, 4] > 0, codes[:, 0] > 0)]
    expected += [f1_score(activations[:, 1] > 0, codes[:, 1] > 0), 0]
    found = matched_f1_score(codes, activations, dictionary, reference)
    assert found == pytest.approx(np.mean(expected))
    with pytest.raises(ValueError, match="do not go with"):
        matched_f1_score(codes[:, :2], activations, dictionary, reference)
    with pytest.raises(ValueError, match="9 features, but reference 4"):
        mean_max_cosine_similarity(dictionary, np.eye(4))


# -- to and from SAELens -----------------------------------------------------------------


def codes_of_saelens(folder, x):
    """Return what SAELens computes from its files, by its definitions of two architectures."""
    w = {
        name: tensor.numpy()
        for name, tensor in load_file(folder / "sae_weights.safetensors").items()
    }
    product = (x - w["b_dec"]) @ w["W_enc"]
    if "b_gate" in w:
        magnitude = (x - w["b_dec"]) @ (w["W_enc"] * np.exp(w["r_mag"])) + w["b_mag"]
        code = (product + w["b_gate"] > 0) * np.maximum(magnitude, 0)
    else:
        code = np.maximum(product + w["b_enc"], 0) * (product + w["b_enc"] > w["threshold"])
    return code, code @ w["W_dec"] + w["b_dec"]


@pytest.mark.parametrize("sparsity", SPARSITIES)
def test_saelens_gets_the_same_codes_and_gives_them_back(world, sparsity, tmp_path):
    rows = world[0][:500]
    fitted = quick(
        DictionaryAutoencoder, sparsity=sparsity, n_components=30, k=2, learning_rate=0.01
    ).fit(rows)
    fitted.to_saelens(tmp_path / "sae")
    code, rebuilt = codes_of_saelens(tmp_path / "sae", rows)
    assert_allclose(fitted.transform(rows), code, atol=1e-4)
    assert_allclose(fitted.reconstruct(rows), rebuilt, atol=1e-4)
    again = DictionaryAutoencoder.from_saelens(tmp_path / "sae", random_state=0, max_iter=2)
    assert again.sparsity == ("gated" if sparsity == "gated" else "jumprelu")
    assert_allclose(again.transform(rows), fitted.transform(rows), atol=1e-5)
    assert clone(again).fit(rows).components_.shape == (30, 12)
    assert again.partial_fit(rows).n_samples_seen_ == 500
    with pytest.raises(TypeError, match="sparsity is in the files"):
        DictionaryAutoencoder.from_saelens(tmp_path / "sae", sparsity="batch_topk")


def test_other_forms_of_saelens_are_read_or_refused(world, tmp_path):
    rng = np.random.default_rng(0)
    weights = {
        "W_enc": rng.normal(size=(12, 5)), "W_dec": rng.normal(size=(5, 12)),
        "b_enc": rng.normal(size=5), "b_dec": rng.normal(size=12),
    }  # fmt: skip
    tensors = {name: torch.tensor(one, dtype=torch.float32) for name, one in weights.items()}
    save_file(tensors, tmp_path / "sae_weights.safetensors")
    config = tmp_path / "cfg.json"
    rows = world[0][:50].astype(np.float64)
    config.write_text('{"architecture": "standard", "apply_b_dec_to_input": false}')
    read = DictionaryAutoencoder.from_saelens(tmp_path)
    code = np.maximum(rows @ weights["W_enc"] + weights["b_enc"], 0)
    length = np.linalg.norm(weights["W_dec"], axis=1)
    assert_allclose(read.transform(rows), code * length, rtol=1e-4, atol=1e-4)
    assert_allclose(read.reconstruct(rows), code @ weights["W_dec"] + weights["b_dec"], atol=1e-4)
    for text, message in [
        ('{"architecture": "topk", "k": 3}', "'topk'"),
        ('{"architecture": "standard", "activation_fn_str": "topk"}', "'topk'"),
        ('{"architecture": "standard", "normalize_activations": "layer_norm"}', "'layer_norm'"),
        ('["standard"]', "JSON object"),
        ('{"architecture": "jumprelu"}', "lacks threshold"),
        ('{"architecture": "standard", "activation_fn": "jumprelu"}', "lacks threshold"),
    ]:
        config.write_text(text)
        with pytest.raises(ValueError, match=message):
            DictionaryAutoencoder.from_saelens(tmp_path)


def test_weights_of_saelens_that_do_not_go_together_are_named(tmp_path):
    (tmp_path / "cfg.json").write_text("{}")
    weights = {
        "W_enc": torch.ones(12, 5), "W_dec": torch.ones(5, 12),
        "b_enc": torch.zeros(5), "b_dec": torch.zeros(12),
    }  # fmt: skip
    for name, changed in [
        ("W_enc", weights["W_enc"].T.contiguous()),
        ("W_dec", torch.ones(12)),
        ("b_enc", torch.zeros(1)),
        ("b_dec", torch.full((12,), torch.nan)),
        ("b_dec", torch.full((12,), 1e300, dtype=torch.float64)),
    ]:
        save_file({**weights, name: changed}, tmp_path / "sae_weights.safetensors")
        with pytest.raises(ValueError, match=f"{name} in .*sae_weights"):
            DictionaryAutoencoder.from_saelens(tmp_path)
    weights["b_enc"] = weights["b_enc"].to(torch.float8_e4m3fn)
    save_file(weights, tmp_path / "sae_weights.safetensors")
    with pytest.raises(ValueError, match="'k' parameter"):
        DictionaryAutoencoder.from_saelens(tmp_path, k=-1)
    weights["W_dec"][2] = 0  # a unit that adds nothing
    save_file(weights, tmp_path / "sae_weights.safetensors")
    read = DictionaryAutoencoder.from_saelens(tmp_path)
    assert_allclose(np.linalg.norm(read.components_, axis=1), 1, rtol=1e-6)
    assert_allclose(
        read.transform(np.ones((1, 12))), 12**1.5 * np.array([[1, 1, 0, 1, 1]]), rtol=1e-6
    )
