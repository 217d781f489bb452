"""The codebook ensemble."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from skae.autoencoders import CodebookEnsemble


@parametrize_with_checks([CodebookEnsemble(), CodebookEnsemble([(1, 2)])])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_error_is_that_of_the_nearest_entry_in_the_mean(table):
    ensemble = CodebookEnsemble([(5, 3), (20, 2)], random_state=0).fit(table[:200])
    new = table[200:220]
    expected = []
    for codebooks in ensemble.entries_:
        errors = np.abs(new[None, :, None] - codebooks[:, None])  # codebook, row, entry, feature
        nearest = errors.sum(axis=3).argmin(axis=2)
        chosen = np.take_along_axis(errors, nearest[:, :, None, None], axis=2)[:, :, 0]
        expected.append(chosen.mean(axis=0))
    assert_allclose(
        ensemble.reconstruction_error(new, per_feature=True), np.mean(expected, axis=0), rtol=1e-12
    )


def test_errors_add_up_to_the_score(table):
    ensemble = CodebookEnsemble(random_state=0).fit(table)
    errors = ensemble.reconstruction_error(table, per_feature=True)
    assert_allclose(ensemble.score_samples(table), -errors.mean(axis=1), rtol=1e-14)
    assert_array_equal(ensemble.reconstruction_error(table), -ensemble.score_samples(table))


def test_one_codebook_of_all_rows_is_the_nearest_other_row():
    X = np.array([[0.0], [1.0], [1.0], [4.0]])
    ensemble = CodebookEnsemble([(4, 1)]).fit(X)
    # The row that is there twice stands for itself, the others have no one at their place.
    assert_array_equal(ensemble.score_samples(X), [-1, 0, 0, -3])
    assert_array_equal(ensemble.score_samples([[3.0], [1.0]]), [-1, 0])


def test_training_rows_score_like_new_ones():
    X = np.random.default_rng(0).normal(size=(2000, 3))
    ensemble = CodebookEnsemble(random_state=0).fit(X[:200])
    # The standard errors of the two means are 0.02 and 0.006. Without leaving a row out of
    # its own codebooks, the first mean were less than half as large.
    seen, new = ensemble.score_samples(X[:200]).mean(), ensemble.score_samples(X[200:]).mean()
    assert seen == pytest.approx(new, abs=0.08)


def test_expected_error_is_that_of_the_order_statistics():
    # The nearest of m entries, drawn without replacement from n rows, is the k-th nearest
    # of all rows with probability C(n - k, m - 1) / C(n, m).
    X, new = np.arange(5.0)[:, None] ** 2, np.array([[-1.0]])
    ensemble = CodebookEnsemble([(2, 4000)], random_state=0).fit(X)
    expected = np.array([4, 3, 2, 1, 0]) / 10 @ (X[:, 0] + 1)
    assert ensemble.reconstruction_error(new)[0] == pytest.approx(expected, abs=0.2)  # 4 s.e.


def test_sizes_have_the_same_weight():
    X = np.array([[0.0], [1.0], [3.0]])
    small, large = CodebookEnsemble([(1, 5)], random_state=0), CodebookEnsemble([(3, 1)])
    both = CodebookEnsemble([(1, 5), (3, 1)], random_state=0)
    scores = [one.fit(X).score_samples([[7.0]])[0] for one in (small, large, both)]
    assert scores[2] == pytest.approx((scores[0] + scores[1]) / 2, rel=1e-12)


def test_rows_of_small_weight_are_seldom_entries():
    X = np.array([[0.0], [1.0]])
    ensemble = CodebookEnsemble([(1, 2000)], random_state=0).fit(X, sample_weight=[1, 3])
    assert ensemble.entries_[0].mean() == pytest.approx(0.75, abs=0.04)  # 4 standard errors
    assert_array_equal(ensemble.fit(X, sample_weight=[0, 3]).entries_[0], 1)


def test_scores_do_not_depend_on_other_rows_form_or_copy(table):
    ensemble = CodebookEnsemble(random_state=0).fit(table)
    scores = ensemble.score_samples(table)
    assert_array_equal(np.concatenate([ensemble.score_samples(row[None]) for row in table]), scores)
    assert_array_equal(ensemble.score_samples(sparse.csr_matrix(table)), scores)
    assert_array_equal(pickle.loads(pickle.dumps(ensemble)).score_samples(table), scores)
    assert_array_equal(clone(ensemble).fit(table).score_samples(table), scores)
    assert_array_equal(clone(ensemble).fit(sparse.csr_matrix(table)).score_samples(table), scores)
    assert not np.array_equal(
        CodebookEnsemble(random_state=1).fit(table).score_samples(table), scores
    )


def test_dtype_of_the_scores_is_that_of_the_rows(table):
    ensemble = CodebookEnsemble(random_state=0).fit(table)
    scores = ensemble.score_samples(table.astype(np.float32))
    assert scores.dtype == np.float32
    assert_allclose(scores, ensemble.score_samples(table), rtol=1e-4)


@pytest.mark.parametrize("codebooks", [(), (16, 48), [(16, 0)], [(16,)], [(1.5, 2)]])
def test_codebooks_must_be_pairs_of_positive_integers(table, codebooks):
    with pytest.raises(ValueError, match="pairs of positive integers"):
        CodebookEnsemble(codebooks).fit(table)
