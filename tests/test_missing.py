"""Rows with missing entries: in autoencoders, codebooks and outlier detectors."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import TwoGroups, fixture_over, groups, has, quick
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import BaseEstimator, clone
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks

import skae._checkpoint
from skae import (
    Autoencoder,
    ConditionalVariationalAutoencoder,
    ContractiveAutoencoder,
    DenoisingAutoencoder,
    OutlierDetector,
    SelfOrganizingMap,
    SparseAutoencoder,
    VariationalAutoencoder,
    WinnerTakeAllAutoencoder,
    config_context,
    fit_many,
)
from skae._missing import fill_with_means
from skae._random import Generator
from skae._training import Batch
from skae.autoencoders import CodebookEnsemble, NestedCodebooks
from skae.layers import Conv2d, Dense
from skae.outlier import ValueRarity

autoencoder_class = fixture_over(lambda one: has(one, "missing_values"))

CODEBOOKS = [
    CodebookEnsemble([(5, 3), (20, 2)], random_state=0),
    NestedCodebooks(64, random_state=0),
]
by_name = {"ids": lambda one: type(one).__name__}


def masked(estimator_class, **parameters):
    return quick(estimator_class, **{"n_components": 3, "missing_values": "mask", **parameters})


def with_gaps(X, part=0.2):
    missing = np.random.default_rng(0).random(X.shape) < part
    missing[:, 0] &= ~missing.all(axis=1)
    return np.where(missing, np.nan, X)


@pytest.fixture(scope="module")
def gaps(table):
    return with_gaps(table)


def fit(estimator, X, **arguments):
    """Fit, with labels that do not depend on what is missing."""
    if isinstance(estimator, TwoGroups):
        labels = groups(np.nan_to_num(X.toarray() if sparse.issparse(X) else X))
        return ConditionalVariationalAutoencoder.fit(estimator, X, labels, **arguments)
    return estimator.fit(X, **arguments)


# -- autoencoders ------------------------------------------------------------------------


def test_without_missing_entries_nothing_changes(autoencoder_class, table):
    plain = quick(autoencoder_class, n_components=3).fit(table)
    masking = masked(autoencoder_class).fit(table)
    assert plain.loss_curve_ == masking.loss_curve_
    assert_array_equal(plain.transform(table), masking.transform(table))
    assert_array_equal(plain.score_samples(table), masking.score_samples(table))
    assert_array_equal(masking.impute(table), table)


@pytest.mark.parametrize("mask_as_input", [False, True])
def test_missing_entries_are_filled_in_and_the_others_stay(autoencoder_class, gaps, mask_as_input):
    one = fit(masked(autoencoder_class, mask_as_input=mask_as_input), gaps)
    missing, filled = np.isnan(gaps), one.impute(gaps)
    assert_array_equal(filled[~missing], gaps[~missing])
    if not has(autoencoder_class, "likelihood"):
        assert_array_equal(filled[missing], one.reconstruct(gaps)[missing])
    assert np.isfinite(filled).all()
    assert np.isfinite(one.transform(gaps)).all()
    assert len(one.get_feature_names_out()) == 3
    alone = one.score_samples(gaps[:1])
    assert_allclose(one.score_samples(gaps)[:1], alone, rtol=1e-6)


def test_score_is_the_mean_over_observed_entries(autoencoder_class, gaps):
    one = fit(masked(autoencoder_class), gaps)
    errors = one.reconstruction_error(gaps, per_feature=True)
    assert_array_equal(np.isnan(errors), np.isnan(gaps))
    assert_allclose(one.reconstruction_error(gaps), np.nanmean(errors, axis=1), rtol=1e-6)
    if not has(autoencoder_class, "likelihood"):
        expected = np.nanmean(np.square(one.reconstruct(gaps) - gaps), axis=1)
        assert_allclose(one.score_samples(gaps), -expected, rtol=1e-6)


def test_evidence_of_rows_is_on_the_scale_of_complete_ones(table):
    """What is not known of independent columns makes no difference to the mean score."""
    X = np.random.default_rng(0).normal(size=(2000, 10))
    one = VariationalAutoencoder(
        1, missing_values="mask", max_iter=20, tol=1.0, random_state=0, learning_rate=0.01
    ).fit(X)
    hidden = with_gaps(X, 0.3)
    # The entropy of ten standard normal entries is 14.2 nats.
    assert one.score(hidden) == pytest.approx(one.score(X), abs=0.3)


def test_loss_is_the_sum_over_observed_entries(gaps):
    one = masked(Autoencoder, weight_decay=0.0).fit(gaps)
    x = torch.tensor(gaps, dtype=torch.float32)
    with torch.no_grad():
        losses = one.module_.loss(Batch(x), None).numpy()
    errors = np.square(one.reconstruct(gaps.astype(np.float32)) - gaps)
    assert_allclose(losses, np.nansum(errors, axis=1) / gaps.shape[1], rtol=1e-4)


def test_evidence_in_training_is_that_of_the_observed_entries(gaps):
    one = masked(VariationalAutoencoder).fit(gaps)
    batch = Batch(torch.tensor(gaps, dtype=torch.float32))
    normal, *others = one.module_.sample_noise(batch, Generator(0))
    with torch.no_grad():
        losses = one.module_.loss(batch, (normal, *others)).numpy()
    mean, std = one.posterior(gaps.astype(np.float32))
    rows = one.inverse_transform(mean + std * normal.numpy())
    variance = one.noise_variance_
    density = -0.5 * (np.square(rows - gaps) / variance + np.log(2 * np.pi * variance))
    divergence = 0.5 * (mean**2 + std**2 - 1 - 2 * np.log(std)).sum(axis=1)
    assert_allclose(losses, divergence - np.nansum(density, axis=1), rtol=1e-3)


def test_imputation_of_a_linear_model_is_the_conditional_mean(normal_table):
    """The decoder's, whatever the encoder says of incomplete rows: of factor analysis."""
    X = with_gaps(normal_table, 0.3)
    one = VariationalAutoencoder(
        2,
        hidden_layers=(),
        missing_values="mask",
        n_score_samples=3000,
        learning_rate=0.02,
        max_iter=100,
        tol=0.1,
        random_state=0,
    ).fit(X)
    layer = one.module_.decoder[0]
    W, mean = (t.detach().double().numpy() for t in (layer.weight, layer.bias))
    filled, expected = one.impute(X[:50]), X[:50].copy()
    for row in expected:
        known = ~np.isnan(row)
        precise = W[known] / one.noise_variance_[known, None]
        code = np.linalg.solve(np.eye(2) + W[known].T @ precise, precise.T @ (row - mean)[known])
        row[~known] = (W @ code + mean)[~known]
    assert_allclose(filled, expected, atol=0.1)  # of 3000 draws; the deviations are about 1


def completed_by_low_rank(X, rank, n_iter=2000):
    """Return rows whose missing entries are those of the best table of low rank (EM)."""
    missing = np.isnan(X)
    filled = fill_with_means(X, np.ones(len(X)))
    for _ in range(n_iter):
        mean = filled.mean(axis=0)
        U, values, V = np.linalg.svd(filled - mean, full_matrices=False)
        filled = np.where(missing, (U[:, :rank] * values[:rank]) @ V[:rank] + mean, filled)
    return filled


def test_a_refined_linear_autoencoder_is_the_low_rank_completion():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 2)) @ rng.normal(size=(2, 8)) + 0.1 * rng.normal(size=(60, 8))
    X = with_gaps(X, 0.15)
    expected = completed_by_low_rank(X, 2)
    linear = Autoencoder(
        2,
        hidden_layers=(),
        init="pca",
        missing_values="mask",
        n_refinements=20,
        learning_rate=0.02,
        learning_rate_schedule="cosine",
        max_iter=600,
        n_iter_no_change=1000,
        random_state=0,
    )
    with warnings.catch_warnings(action="ignore"):  # it goes through all epochs
        filled = linear.fit(X).impute(X)
    assert_allclose(filled, expected, atol=0.02)  # with the columns' deviations near 1


@pytest.mark.parametrize("mask_as_input", [False, True])
def test_rows_that_go_together_are_imputed_by_each_other(mask_as_input):
    """A column is twice another: what is missing in one is known from the other."""
    x = np.random.default_rng(0).normal(size=(400, 1))
    X = np.hstack([x, 2 * x, -x])
    hidden = with_gaps(X, 0.2)
    missing = np.isnan(hidden)
    one = DenoisingAutoencoder(
        4,
        noise="masking",
        missing_values="mask",
        mask_as_input=mask_as_input,
        learning_rate=0.01,
        max_iter=60,
        tol=1e-2,
        random_state=0,
    ).fit(hidden)
    error, of_mean = (
        np.square(rows - X)[missing].mean()
        for rows in (one.impute(hidden), fill_with_means(hidden, np.ones(len(X))))
    )
    assert error < 0.1 * of_mean


def test_sparse_rows_are_dense_ones(autoencoder_class, gaps):
    X = np.where(np.random.default_rng(1).random(gaps.shape) < 0.3, 0.0, gaps)
    X[np.isnan(X).all(axis=1), 0] = 0
    dense = fit(masked(autoencoder_class), X.astype(np.float32))
    other = fit(masked(autoencoder_class), sparse.csr_matrix(X.astype(np.float32)))
    assert dense.loss_curve_ == other.loss_curve_
    rows = sparse.csr_matrix(X)
    assert_array_equal(dense.impute(X), other.impute(rows))
    assert_array_equal(dense.score_samples(X), other.score_samples(rows))


def test_convolutions_take_the_mask_as_more_channels(digits):
    X = with_gaps(digits[:60])
    layers = Conv2d((1, 8, 8), (4,), dropout=0.1, batch_norm=True)
    one = masked(Autoencoder, hidden_layers=layers, mask_as_input=True).fit(X)
    assert one.module_.encoder[1].in_channels == 2
    images = X.reshape(-1, 8, 8)
    assert one.impute(images).shape == images.shape
    assert_array_equal(one.impute(images).reshape(X.shape), one.impute(X))
    assert layers.shape == (1, 8, 8)


@pytest.mark.parametrize("mask_as_input", [False, True])
def test_maps_of_winners_are_refined_by_their_own_reconstruction(digits, mask_as_input):
    X = with_gaps(digits[:60])
    settings = {"hidden_layers": Conv2d((1, 8, 8), (), stride=1), "mask_as_input": mask_as_input}
    plain, refined = (
        masked(WinnerTakeAllAutoencoder, n_refinements=n, pool_size=3, **settings).fit(X)
        for n in (0, 1)
    )
    assert plain.module_.encoder[1].in_channels == 1 + mask_as_input
    plain.module_.load_state_dict(refined.module_.state_dict())
    module, x, once = refined.module_, torch.from_numpy(X), plain.impute(X)
    with torch.no_grad():
        maps = module.code_of(module.seen(torch.from_numpy(once), x))
        expected = module.decoder_output(maps).numpy()
    assert_allclose(refined.reconstruct(X).reshape(X.shape), expected, atol=1e-5)
    assert np.abs(expected - plain.reconstruct(X).reshape(X.shape)).max() > 1e-3


@pytest.mark.parametrize("noise", ["gaussian", "masking", "salt_and_pepper", "swap"])
def test_noise_leaves_missing_entries_missing(noise, gaps):
    one = masked(DenoisingAutoencoder, noise=noise, noise_level=0.3).fit(gaps)
    assert np.isfinite(one.loss_curve_).all()
    corrupted = one.corrupt(gaps, random_state=0)
    missing = np.isnan(gaps)
    assert np.isnan(corrupted[missing]).mean() > (0.7 if noise == "swap" else 0.999)
    hidden = np.isnan(corrupted[~missing]).mean()
    assert hidden == pytest.approx(0.3 if noise == "masking" else 0, abs=0.08)
    if noise in ("gaussian", "masking"):
        scoring = masked(DenoisingAutoencoder, noise=noise, score_draws=2).fit(gaps)
        assert np.isfinite(scoring.score_samples(gaps)).all()


@pytest.mark.parametrize("penalty", ["closed_form", "exact"])
def test_nothing_depends_on_missing_entries(penalty, gaps):
    linear = masked(ContractiveAutoencoder, hidden_layers=(), penalty=penalty).fit(gaps)
    assert_array_equal(linear.jacobian(gaps).transpose(0, 2, 1)[np.isnan(gaps)], 0)
    x = torch.tensor(gaps, dtype=torch.float32)
    expected = np.square(linear.jacobian(gaps)).sum(axis=(1, 2))
    found = linear.module_.squared_norm(x).detach()
    # What a refined entry is taken for has no derivative by the others.
    assert_allclose(found, expected, rtol=1e-4)


def test_partial_fit_fills_in_the_mean_of_all_chunks(autoencoder_class, gaps):
    one = masked(autoencoder_class)
    labels = groups(np.nan_to_num(gaps))
    for rows in np.split(np.arange(len(gaps)), 3):
        if isinstance(one, TwoGroups):
            ConditionalVariationalAutoencoder.partial_fit(
                one, gaps[rows], labels[rows], classes=None if hasattr(one, "module_") else [0, 1]
            )
        else:
            one.partial_fit(gaps[rows])
    assert_allclose(one.module_.gaps.fill, np.nanmean(gaps, axis=0), rtol=1e-5)
    assert np.isfinite(one.score_samples(gaps)).all()


def test_recorded_steps_have_the_bits_of_plain_ones(autoencoder_class, gaps):
    recorded = fit(masked(autoencoder_class, batch_size=100), gaps)
    with config_context(record_steps=False):
        plain = fit(masked(autoencoder_class, batch_size=100), gaps)
    assert recorded.loss_curve_ == plain.loss_curve_
    assert_array_equal(recorded.impute(gaps), plain.impute(gaps))


@pytest.mark.parametrize("kind", [Autoencoder, DenoisingAutoencoder, VariationalAutoencoder])
def test_fits_as_one_batch_are_those_alone(kind, gaps):
    rates = [1e-3, 1e-2]
    alone = [masked(kind, learning_rate=rate).fit(gaps) for rate in rates]
    together = fit_many([masked(kind, learning_rate=rate) for rate in rates], gaps)
    for one, other in zip(alone, together, strict=True):
        assert_allclose(other.loss_curve_, one.loss_curve_, rtol=1e-4)
        assert_allclose(other.impute(gaps), one.impute(gaps), atol=1e-4)


@pytest.mark.parametrize("settings", [{}, {"early_stopping": True}])
def test_weights_are_repetitions(settings, gaps):
    X = gaps[:50]
    weight = np.random.default_rng(0).integers(1, 4, size=len(X))
    weighted = masked(SparseAutoencoder, **settings).fit(X, sample_weight=weight)
    repeated = masked(SparseAutoencoder, **settings).fit(np.repeat(X, weight, axis=0))
    assert weighted.loss_curve_ == repeated.loss_curve_
    assert_array_equal(weighted.impute(X), repeated.impute(X))


def test_a_fit_that_was_killed_goes_on_to_the_same_bits(gaps, tmp_path, monkeypatch):
    class Killed(BaseException):
        pass

    save, done = skae._checkpoint.Checkpoint.save, []

    def save_and_end(checkpoint, state):
        save(checkpoint, state)
        done.append(state)
        if len(done) == 2:
            raise Killed

    whole = masked(DenoisingAutoencoder, max_iter=4).fit(gaps)
    one = masked(DenoisingAutoencoder, max_iter=4, checkpoint=str(tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr(skae._checkpoint.Checkpoint, "save", save_and_end)
        with pytest.raises(Killed):
            clone(one).fit(gaps)
    one.fit(gaps)
    assert one.loss_curve_ == whole.loss_curve_
    assert_array_equal(one.impute(gaps), whole.impute(gaps))


@pytest.mark.parametrize("settings", [{"init": "pca"}, {"ordered": True}, {"pretrain": True}])
def test_starts_and_ordered_components(settings, gaps):
    one = masked(Autoencoder, mask_as_input=True, **settings).fit(gaps)
    assert np.isfinite(one.score(gaps))
    if "init" in settings:
        # The start of a complete table is that of PCA, also by its own account.
        start = masked(Autoencoder, max_iter=1, learning_rate=1e-9, init="pca").fit(gaps)
        assert start.r2_ == pytest.approx(start.r2_pca_, abs=1e-5)
        assert 0.5 < start.r2_ < 1


def test_validation_rows_may_miss_entries(gaps):
    one = masked(Autoencoder).fit(gaps[:200], X_val=gaps[200:])
    assert np.isfinite(one.validation_loss_curve_).all()


@parametrize_with_checks(
    [
        quick(DenoisingAutoencoder, missing_values="mask", mask_as_input=True),
        NestedCodebooks(missing_values="mask"),
    ]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


# -- what is refused -----------------------------------------------------------------------


def test_missing_entries_are_refused_unless_asked_for(autoencoder_class, gaps):
    plain = quick(autoencoder_class)
    assert not get_tags(plain).input_tags.allow_nan
    assert not hasattr(plain, "impute")
    with pytest.raises(ValueError, match="NaN; set missing_values='mask' of"):
        fit(plain, gaps)
    assert get_tags(masked(autoencoder_class)).input_tags.allow_nan


def test_a_network_of_complete_rows_takes_no_others(table, gaps):
    """Which had NaN for scores, without a word."""
    one = quick(Autoencoder).fit(table).set_params(missing_values="mask")
    assert_array_equal(one.impute(table), table)
    for method in (one.score_samples, one.impute, one.transform):
        with pytest.raises(ValueError, match="missing_values was set to 'mask' after the fit"):
            method(gaps)


def test_rows_without_a_value_have_no_score_beside_their_class_either(gaps):
    X = gaps.copy()
    one = masked(ConditionalVariationalAutoencoder).fit(X, groups(np.nan_to_num(X)))
    X[7] = np.nan
    with pytest.raises(ValueError, match="Row 7 of X has no value"):
        one.score_samples(X, groups(np.nan_to_num(X)))


@pytest.mark.parametrize(
    "one",
    [masked(Autoencoder), *[clone(c).set_params(missing_values="mask") for c in CODEBOOKS]],
    **by_name,
)
def test_what_cannot_be_filled_in_is_named(one, gaps):
    one = clone(one)
    column, row, infinite = gaps.copy(), gaps.copy(), gaps.copy()
    column[:, 0] = 1.0  # so that no row is empty
    column[:, 2], row[7], infinite[3, 1] = np.nan, np.nan, np.inf
    with pytest.raises(ValueError, match="Column 2 of X has no value"):
        one.fit(column)
    for X in (row, sparse.csr_matrix(np.nan_to_num(row, nan=-1.0))):
        if sparse.issparse(X):
            X.data[X.data == -1] = np.nan
        with pytest.raises(ValueError, match="Row 7 of X has no value"):
            one.fit(X)
    with pytest.raises(ValueError, match="infinity"):
        one.fit(infinite)
    assert not hasattr(one, "n_features_in_")
    one.fit(gaps)
    for method in (one.score_samples, one.impute):
        with pytest.raises(ValueError, match="Row 7 of X has no value"):
            method(row)
    with pytest.raises(ValueError, match="'missing_values' parameter"):
        clone(one).set_params(missing_values="drop").fit(gaps)


def test_validation_rows_without_a_value_are_named(gaps):
    empty = np.full((2, 5), np.nan)
    with pytest.raises(ValueError, match="Row 0 of X_val has no value"):
        masked(Autoencoder).fit(gaps, X_val=empty)


def test_tied_weights_take_no_mask(gaps):
    layers = Dense((8,), tied_weights=True)
    with pytest.raises(ValueError, match="mask_as_input=True does not go with tied_weights"):
        masked(Autoencoder, hidden_layers=layers, mask_as_input=True).fit(gaps)


@pytest.mark.parametrize(
    "likelihood", ["bernoulli", "continuous_bernoulli", "poisson", "categorical"]
)
def test_values_are_checked_where_they_are_observed(likelihood, gaps):
    rng = np.random.default_rng(0)
    X = {"poisson": rng.poisson(3.0, (80, 4)), "categorical": np.eye(4)[rng.integers(4, size=80)]}
    X = X.get(likelihood, rng.random((80, 4))).astype(float)
    X[::4] = np.where([True, True, False, False], X[::4], np.nan)
    if likelihood == "categorical":  # of a choice, all or no indicators
        X = np.hstack([X, np.eye(4)[rng.integers(4, size=80)]])
        X[::4, :4] = np.nan
        likelihood = skae.outputs.Categorical((4, 4))
    one = masked(VariationalAutoencoder, likelihood=likelihood).fit(X)
    assert np.isfinite(one.score_samples(X)).all()


# -- codebooks -------------------------------------------------------------------------------


@pytest.mark.parametrize("one", CODEBOOKS, **by_name)
def test_codebooks_score_complete_rows_alike(one, table, gaps):
    plain = clone(one).fit(table)
    masking = clone(one).set_params(missing_values="mask").fit(table)
    assert_array_equal(plain.score_samples(table), masking.score_samples(table))
    among = np.vstack([table[:5], gaps[:50]])
    assert_array_equal(masking.score_samples(among)[:5], plain.score_samples(table[:5]))


def test_codebooks_compare_what_is_observed(table, gaps):
    one = CodebookEnsemble([(20, 1)], missing_values="mask", random_state=0).fit(table[:200])
    new, (entries,) = gaps[200:], one.entries_[0]
    errors = np.abs(new[:, None] - entries)
    nearest = np.nanmean(errors, axis=2).argmin(axis=1)
    expected = errors[np.arange(len(new)), nearest]
    assert_allclose(one.reconstruction_error(new, per_feature=True), expected, rtol=1e-12)
    assert_allclose(one.score_samples(new), -np.nanmean(expected, axis=1), rtol=1e-12)
    assert_array_equal(one.impute(new), np.where(np.isnan(new), entries[nearest], new))


@pytest.mark.parametrize("one", CODEBOOKS, **by_name)
def test_codebooks_of_rows_with_gaps(one, table, gaps):
    one = clone(one).set_params(missing_values="mask").fit(gaps)
    errors = one.reconstruction_error(gaps, per_feature=True)
    assert_array_equal(np.isnan(errors), np.isnan(gaps))
    assert_allclose(np.nanmean(errors, axis=1), -one.score_samples(gaps), rtol=1e-6)
    of_mean = np.square(fill_with_means(gaps, np.ones(len(gaps))) - table).mean()
    assert np.square(one.impute(gaps) - table).mean() < 0.5 * of_mean
    twin = clone(one).fit(sparse.csr_matrix(gaps))
    rows = sparse.csr_matrix(gaps)
    assert_allclose(twin.score_samples(rows), one.score_samples(gaps), rtol=1e-9)


# -- outliers ----------------------------------------------------------------------------------


def test_the_default_detector_takes_missing_entries(table, gaps):
    detector = OutlierDetector(random_state=0).fit(table)  # which had none
    assert get_tags(detector).input_tags.allow_nan
    scores = detector.score_samples(gaps)
    assert np.isfinite(scores).all()
    complete = ~np.isnan(gaps).any(axis=1)
    assert_array_equal(scores[complete], detector.score_samples(table[complete]))
    for one in (detector, OutlierDetector(random_state=0).fit(gaps)):
        assert_allclose(one.explain(gaps).sum(axis=1), one.score_samples(gaps), atol=1e-5)
    strange = gaps[:1].copy()
    strange[0] = [np.nan, np.nan, table[:, 2].max() + 2, np.nan, np.nan]
    assert detector.predict(strange) == [-1]
    assert detector.top_features(strange, 1) == [[2]]


def test_a_detector_takes_what_its_learner_takes(gaps):
    learner = masked(Autoencoder)
    assert get_tags(OutlierDetector(learner)).input_tags.allow_nan
    detector = OutlierDetector(learner, random_state=0).fit(gaps)
    assert_allclose(detector.explain(gaps).sum(axis=1), detector.score_samples(gaps), atol=1e-6)
    assert_array_equal(detector.explain(gaps)[np.isnan(gaps)], 0)
    plain = OutlierDetector(quick(Autoencoder, n_components=3), random_state=0)
    assert not get_tags(plain).input_tags.allow_nan
    with pytest.raises(ValueError, match="NaN"):
        plain.fit(gaps)


class SizeOfEntries(BaseEstimator):
    """A learner whose error is the size of each entry."""

    def fit(self, X):
        return self

    def reconstruction_error(self, X, per_feature=False):
        return np.abs(X) if per_feature else np.nanmean(np.abs(X), axis=1)

    def score_samples(self, X):
        return -self.reconstruction_error(X)


@pytest.mark.parametrize("kind", [np.asarray, pd.DataFrame])
def test_a_missing_entry_counts_as_the_mean_error_of_its_feature(kind):
    """Features of unlike errors: a row does not seem stranger for what it misses."""
    X = np.random.default_rng(0).normal(size=(200, 3)) * [1, 5, 20]
    X[:20, 0] = np.nan
    detector = OutlierDetector([SizeOfEntries(), SizeOfEntries()]).fit(kind(X))
    gaps, filled = X[30:60].copy(), X[30:60].copy()
    gaps[:20, 1], filled[:20, 1] = np.nan, np.abs(X[:, 1]).mean()
    gaps[10:15, 2], filled[10:15, 2] = np.nan, np.abs(X[:, 2]).mean()
    scores = detector.score_samples(kind(gaps))
    assert_allclose(scores, detector.score_samples(kind(filled)), rtol=1e-12)
    explained = np.asarray(detector.explain(kind(gaps)))
    assert_allclose(explained.sum(axis=1), scores, rtol=1e-12)
    assert_allclose(explained[10:15, 1], explained[10:15, 2])  # the even share alone


def test_rarity_is_that_of_the_observed_values():
    X = np.array([[0.0, 1], [0, 1], [0, 1], [np.nan, 1], [1, 1], [np.nan, 1]])
    rarity = ValueRarity(min_repetition=2).fit(X)
    errors = rarity.reconstruction_error(X, per_feature=True)
    assert_allclose(errors[:, 0], [*[np.log(4 / 3)] * 3, np.nan, np.log(4), np.nan])
    assert_allclose(rarity.score_samples(X), -np.nanmean(errors, axis=1))


def test_maps_share_the_refusal(gaps):
    row = gaps.copy()
    row[4] = np.nan
    with pytest.raises(ValueError, match="Row 4 of X has no value"):
        SelfOrganizingMap((3, 3), n_iter=2).fit(row)
