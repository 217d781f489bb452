"""Searches that train their candidates as one batch: scikit-learn's results."""

import gc
import pickle
import warnings
import weakref

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from numpy.testing import assert_allclose
from scipy.stats import loguniform
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning, FitFailedWarning
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    KFold,
    RandomizedSearchCV,
    ShuffleSplit,
)
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler
from sklearn.svm import LinearSVC

from skae import (
    Autoencoder,
    BernoulliRBM,
    ConditionalVariationalAutoencoder,
    DenoisingAutoencoder,
    OutlierDetector,
    VariationalAutoencoder,
    base,
)
from skae._training import _memory, _stack_training
from skae.model_selection import (
    BatchedGridSearchCV,
    BatchedHalvingGridSearchCV,
    BatchedRandomizedSearchCV,
    _memo,
)

SHORT = {"max_iter": 4, "tol": 1e-2, "random_state": 0}


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:303], y[:303]


@pytest.fixture
def n_stacked(monkeypatch):
    """The number of modules that are put in stacks."""
    sizes = []

    class Counted(_stack_training.Stack):
        def __init__(self, modules, **settings):
            sizes.append(len(modules))
            super().__init__(modules, **settings)

    monkeypatch.setattr(_stack_training, "Stack", Counted)
    return sizes


def assert_same_results(one, other):
    """But for times."""
    assert one.cv_results_.keys() == other.cv_results_.keys()
    for name, expected in one.cv_results_.items():
        found = other.cv_results_[name]
        if name.endswith("_time"):
            continue
        if name == "params" or found.dtype == object:
            assert [str(value) for value in expected] == [str(value) for value in found]
        elif "score" in name and not name.startswith("rank"):
            assert_allclose(found, expected, atol=1e-4)
        else:
            assert (found == expected).all()
    assert str(one.best_params_) == str(other.best_params_)
    assert one.best_index_ == other.best_index_


def both(estimator, grid, X, y=None, fit_params=None, **settings):
    searches = [
        kind(clone(estimator), grid, **settings).fit(X, y, **(fit_params or {}))
        for kind in (GridSearchCV, BatchedGridSearchCV)
    ]
    assert_same_results(*searches)
    return searches


PIPELINE = make_pipeline(
    MinMaxScaler(), DenoisingAutoencoder(8, hidden_layers=(), **SHORT), GaussianNB()
)
NOISE = {"denoisingautoencoder__noise_level": [0.1, 0.5]}


def test_a_learner_by_itself(digits, n_stacked):
    X, _ = digits
    grid = {"learning_rate": [1e-3, 1e-2], "l1": [1e-4, 1e-3]}
    both(Autoencoder(4, **SHORT), grid, X / 16, return_train_score=True, refit=False)
    assert sum(n_stacked) == 4 * 5  # folds of 242 and of 243 rows


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_in_the_middle_of_a_pipeline(digits, n_stacked, n_jobs):
    X, y = digits
    grid = {**NOISE, "gaussiannb__var_smoothing": [1e-9, 1e-3], "minmaxscaler__clip": [True, False]}
    plain, batched = both(PIPELINE, grid, X, y, cv=3, n_jobs=n_jobs)
    assert sum(n_stacked) == 2 * 3  # neither smoothing nor clipping makes another learner
    assert_allclose(plain.predict_proba(X), batched.predict_proba(X), atol=1e-5)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_any_place_in_a_pipeline(digits, n_stacked, place):
    X, y = digits
    learner = Autoencoder(6, **SHORT)
    steps = [("scale", MinMaxScaler()), ("reduce", PCA(5)), ("classify", GaussianNB())]
    steps[place] = ("learner", learner)
    grid = {"learner__learning_rate": [1e-3, 1e-2]}
    both(Pipeline(steps), grid, X / 16, y, cv=3)
    assert sum(n_stacked) == 6


def test_two_learners_in_a_row(digits, n_stacked):
    X, y = digits
    pipeline = Pipeline(
        [
            ("scale", MinMaxScaler()),
            ("first", Autoencoder(12, hidden_layers=(), **SHORT)),
            ("second", Autoencoder(6, hidden_layers=(), **SHORT)),
            ("classify", GaussianNB()),
        ]
    )
    grid = {"first__learning_rate": [1e-3, 1e-2], "second__learning_rate": [1e-3, 1e-2]}
    both(pipeline, grid, X, y, cv=3)
    assert sum(n_stacked) == 2 * 3 + 4 * 3


def test_in_a_column_transformer(digits, n_stacked):
    """Of a DataFrame, with strings in it."""
    X, y = digits
    frame = pd.DataFrame(X / 16, columns=[f"pixel{i}" for i in range(64)]).assign(kind="a")
    columns = list(frame.columns[:64])
    learner = make_pipeline(StandardScaler(), Autoencoder(6, **SHORT))
    pipeline = make_pipeline(ColumnTransformer([("code", learner, columns)]), GaussianNB())
    grid = {"columntransformer__code__autoencoder__learning_rate": [1e-3, 1e-2]}
    both(pipeline, grid, frame, y, cv=3)
    assert sum(n_stacked) == 6


def test_inside_an_outlier_detector(digits, n_stacked):
    X, _ = digits
    detector = OutlierDetector(Autoencoder(4, **SHORT), random_state=0)
    _, found = both(detector, {"estimator__learning_rate": [1e-3, 1e-2, 1e-1]}, X / 16, cv=3)
    assert sum(n_stacked) == 9
    assert "_memo" not in vars(found.best_estimator_.estimators_[0])
    n_stacked.clear()
    detector.set_params(n_estimators=3, max_samples=0.5)
    both(detector, {"estimator__learning_rate": [1e-3, 1e-2]}, X / 16, cv=3, refit=False)
    assert sum(n_stacked) >= 2 * 3 * 3


def test_whole_learners_in_a_grid(digits):
    X, y = digits
    pipeline = Pipeline(
        [
            ("scale", MinMaxScaler()),
            ("code", Autoencoder(6, **SHORT)),
            ("classify", KNeighborsClassifier()),
        ]
    )
    learners = [Autoencoder(6, **SHORT), DenoisingAutoencoder(6, **SHORT), PCA(6), "passthrough"]
    grid = [{"code": learners}, {"code__learning_rate": [1e-2, 1e-1]}]
    _, batched = both(pipeline, grid, X, y, cv=4)
    assert batched.cv_results_["params"][0]["code"] is learners[0]
    assert not any("_memo" in vars(one) for one in learners[:2])


@pytest.mark.parametrize(
    "learner",
    [
        VariationalAutoencoder(3, **SHORT),
        ConditionalVariationalAutoencoder(3, likelihood="bernoulli", **SHORT),
        BernoulliRBM(5, n_iter=2, random_state=0),
    ],
    ids=lambda one: type(one).__name__,
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_other_learners(digits, learner):
    X, y = digits
    both(learner, {"learning_rate": [1e-3, 1e-2]}, X / 16, y, cv=3)


def test_transformers_before_it_run_once_for_each_fold(digits):
    X, y = digits
    pipeline = clone(PIPELINE).set_params(minmaxscaler=CountedScaler())
    CountedScaler.n_fits = 0
    grid = {**NOISE, "denoisingautoencoder__learning_rate": [1e-3, 1e-2, 3e-2]}
    BatchedGridSearchCV(pipeline, grid, cv=3, refit=False).fit(X, y)
    assert CountedScaler.n_fits == 3
    CountedScaler.n_fits = 0
    grid["minmaxscaler__factor"] = [1, 2]
    BatchedGridSearchCV(pipeline, grid, cv=3, refit=False).fit(X, y)
    assert CountedScaler.n_fits == 6


class CountedScaler(TransformerMixin, BaseEstimator):
    n_fits = 0

    def __init__(self, factor=1):
        self.factor = factor

    def fit(self, X, y=None):
        CountedScaler.n_fits += 1
        return self

    def transform(self, X):
        return X / 16 * self.factor


def test_rows_and_settings_of_one_candidate_are_not_those_of_another(digits):
    """A transformer that writes to its rows, and transformers that differ in their output alone."""
    X, y = digits
    learner = Autoencoder(6, **SHORT)
    in_place = StandardScaler(copy=False)
    pipeline = make_pipeline(MinMaxScaler(), in_place, learner, GaussianNB())
    both(pipeline, {"autoencoder__learning_rate": [1e-3, 1e-2]}, X, y, cv=3)
    seen = []
    pipeline = make_pipeline(MinMaxScaler(), FunctionTransformer(Spy(seen)), learner, GaussianNB())
    scalers = [MinMaxScaler().set_output(transform="pandas"), MinMaxScaler()]
    both(pipeline, {"minmaxscaler": scalers}, X, y, cv=2, refit=False)
    assert set(seen[: len(seen) // 2]) == set(seen[len(seen) // 2 :]) == {"DataFrame", "ndarray"}


class Spy:
    def __init__(self, seen):
        self.seen = seen

    def __call__(self, X):
        self.seen.append(type(X).__name__)
        return X

    def __deepcopy__(self, memo):
        return self


def test_what_cannot_be_pickled(digits):
    X, y = digits
    halved = FunctionTransformer(lambda X: X / 2)
    pipeline = make_pipeline(MinMaxScaler(), halved, Autoencoder(6, **SHORT), GaussianNB())
    both(pipeline, {"autoencoder__learning_rate": [1e-3, 1e-2]}, X, y, cv=3)


def test_without_seeds_a_learner_is_trained_once(digits, n_stacked):
    """Two in a row, that draw from a RandomState or from fresh entropy."""
    X, y = digits
    for random_state in (np.random.RandomState(0), None):
        n_stacked.clear()
        learner = Autoencoder(6, hidden_layers=(), **{**SHORT, "random_state": random_state})
        pipeline = Pipeline([("a", learner), ("b", clone(learner)), ("c", GaussianNB())])
        grid = {"a__learning_rate": [1e-3, 1e-2], "b__learning_rate": [1e-3, 1e-2]}
        BatchedGridSearchCV(pipeline, grid, cv=3, refit=False).fit(X / 16, y)
        assert sum(n_stacked) == 2 * 3 + 4 * 3


def test_a_search_in_a_search(digits):
    X, _ = digits
    learner, grid = Autoencoder(4, **SHORT), {"learning_rate": [1e-3, 1e-2]}
    inner = BatchedGridSearchCV(learner, grid, cv=2)
    both(inner, {"estimator__weight_decay": [0.0, 0.1]}, X / 16, cv=2, refit=False)


def test_pretraining_inside_of_a_search(digits, n_stacked):
    X, _ = digits
    learner = Autoencoder(4, hidden_layers=(10,), pretrain=True, **SHORT)
    both(learner, {"learning_rate": [1e-3, 1e-2]}, X / 16, cv=3)
    assert sum(n_stacked) == 6


def test_sample_weight_and_routing(digits, n_stacked):
    X, _ = digits
    weight = np.random.default_rng(0).integers(1, 4, len(X))
    learner, grid = Autoencoder(4, **SHORT), {"learning_rate": [1e-3, 1e-2]}
    given = {"sample_weight": weight}
    both(learner, grid, X / 16, fit_params=given, cv=3)
    with sklearn.config_context(enable_metadata_routing=True):
        learner.set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        both(learner, grid, X / 16, fit_params=given, cv=3)
    assert sum(n_stacked) == 12


def test_splits_that_are_drawn_anew_each_time(digits, n_stacked):
    """They are drawn once, for the learners and for the evaluation."""
    X, _ = digits
    cv = ShuffleSplit(2, random_state=np.random.RandomState(0))
    search = BatchedGridSearchCV(
        Autoencoder(4, **SHORT), {"learning_rate": [1e-3, 3e-3, 1e-2, 3e-2]}, cv=cv
    ).fit(X / 16)
    assert sum(n_stacked) == 8
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_splits_that_can_be_read_once(digits, n_stacked):
    X, _ = digits
    learner, grid = Autoencoder(4, **SHORT), {"learning_rate": [1e-3, 1e-2]}
    of_list = GridSearchCV(learner, grid, cv=list(KFold(2).split(X))).fit(X / 16)
    of_generator = BatchedGridSearchCV(learner, grid, cv=KFold(2).split(X)).fit(X / 16)
    assert_same_results(of_list, of_generator)
    assert sum(n_stacked) == 4


def test_multimetric_and_callable_refit(digits):
    X, y = digits
    settings = {"scoring": ["accuracy", "f1_macro"], "cv": 3}
    both(PIPELINE, NOISE, X, y, refit="f1_macro", **settings)
    both(PIPELINE, NOISE, X, y, refit=lambda results: 1, **settings)


def test_randomised(digits, n_stacked):
    X, _ = digits
    distributions = {"learning_rate": loguniform(1e-4, 1e-2)}
    searches = [
        kind(Autoencoder(4, **SHORT), distributions, n_iter=5, random_state=0, cv=3).fit(X / 16)
        for kind in (RandomizedSearchCV, BatchedRandomizedSearchCV)
    ]
    assert_same_results(*searches)
    assert sum(n_stacked) == 15


@pytest.mark.parametrize("resource", ["n_samples", "max_iter"])
def test_halving(digits, n_stacked, resource):
    X, _ = digits
    settings = {"resource": resource, "random_state": 0, "cv": 3, "factor": 2}
    settings |= {"max_resources": 8} if resource == "max_iter" else {"min_resources": 60}
    searches = [
        kind(Autoencoder(4, **SHORT), {"learning_rate": [1e-4, 1e-3, 1e-2]}, **settings).fit(X / 16)
        for kind in (HalvingGridSearchCV, BatchedHalvingGridSearchCV)
    ]
    assert_same_results(*searches)
    assert searches[0].n_resources_ == searches[1].n_resources_
    assert sum(n_stacked) >= 9


def test_what_is_left_behind(digits):
    """No trace in the estimator, in the search, or in the best estimator."""
    X, y = digits
    search = BatchedGridSearchCV(PIPELINE, NOISE, cv=3)
    before = set(vars(search))
    search.fit(X, y)
    assert search.estimator is PIPELINE
    assert PIPELINE.memory is None
    assert search.best_estimator_.memory is None
    assert "_memo" not in vars(PIPELINE[1])
    assert "_memo" not in vars(search.best_estimator_[1])
    assert not {name for name in set(vars(search)) - before if not name.endswith("_")} - {
        "_checked_cv_orig"
    }
    assert_allclose(pickle.loads(pickle.dumps(search)).predict(X), search.predict(X))
    assert clone(search).fit(X, y).best_params_ == search.best_params_


def test_a_pipeline_with_a_memory_of_its_own(digits, tmp_path):
    X, y = digits
    pipeline = clone(PIPELINE).set_params(memory=str(tmp_path))
    _, batched = both(pipeline, NOISE, X, y, cv=3)
    assert batched.best_estimator_.memory == str(tmp_path)


def test_fit_times_include_training(digits):
    X, _ = digits
    grid = {"learning_rate": [1e-3, 1e-2]}
    slow = Autoencoder(4, max_iter=300, tol=0, random_state=0)
    search = BatchedGridSearchCV(slow, grid, cv=3, refit=False).fit(X / 16)
    quick = BatchedGridSearchCV(slow.set_params(max_iter=1), grid, cv=3, refit=False).fit(X / 16)
    assert (search.cv_results_["mean_fit_time"] > quick.cv_results_["mean_fit_time"]).all()


# -- bad input, beside scikit-learn's search -----------------------------------------------


@pytest.mark.parametrize(
    ("grid", "settings"),
    [
        ({"no_such_parameter": [1, 2]}, {}),
        ({}, {"cv": 2}),
        ({"learning_rate": []}, {}),
        ({"learning_rate": 0.1}, {}),
        ({"learning_rate": [1e-3]}, {"cv": 1}),
        ({"learning_rate": [1e-3]}, {"cv": 500}),
        ({"learning_rate": [1e-3]}, {"scoring": "no such score"}),
        ({"learning_rate": [-1, -2]}, {}),
        ({"learning_rate": [1e-3, -2]}, {"error_score": "raise"}),
        ({"learning_rate": [1e-3]}, {"n_jobs": "two"}),
    ],
)
def test_errors_are_those_of_grid_search(digits, grid, settings):
    X, _ = digits
    said = []
    for kind in (GridSearchCV, BatchedGridSearchCV):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                kind(Autoencoder(4, **SHORT), grid, **settings).fit(X / 16)
        except Exception as error:
            lines = str(error).replace("BatchedGrid", "Grid").splitlines()
            said.append((type(error), lines[:2]))
        else:
            said.append(None)
    assert said[0] == said[1]


@pytest.mark.filterwarnings("ignore:passing a class:FutureWarning")  # scikit-learn 1.6
@pytest.mark.parametrize("estimator", ["text", None, Autoencoder])
def test_no_estimator(digits, estimator):
    X, _ = digits
    raised = []
    for kind in (GridSearchCV, BatchedGridSearchCV):
        with pytest.raises((TypeError, ValueError, AttributeError)) as caught:
            kind(estimator, {"learning_rate": [1e-3]}).fit(X)
        raised.append(caught.type)
    assert raised[0] is raised[1]


def test_failing_candidates(digits):
    """Invalid ones, and ones that diverge in training."""
    X, _ = digits
    grid = {"learning_rate": [1e-3, -1, 1e30]}
    results = []
    for kind in (GridSearchCV, BatchedGridSearchCV):
        search = kind(Autoencoder(4, **SHORT), grid, cv=3, error_score=-7)
        with pytest.warns(FitFailedWarning, match="6 fits failed out of a total of 9"):
            results.append(search.fit(X / 16))
    assert_same_results(*results)
    assert list(results[1].cv_results_["mean_test_score"][1:]) == [-7, -7]


def test_warnings_of_training_are_given(digits):
    X, _ = digits
    grid = {"learning_rate": [1e-4, 2e-4]}
    said = []
    for kind in (GridSearchCV, BatchedGridSearchCV):
        search = kind(Autoencoder(4, max_iter=1, tol=0, random_state=0), grid, cv=3, refit=False)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            search.fit(X / 16)
        said.append([(one.category, str(one.message), one.filename) for one in caught])
    assert said[0] == said[1]
    assert said[0][0][0] is ConvergenceWarning


def test_without_learners_it_is_a_plain_search(digits):
    X, y = digits
    both(LinearSVC(), {"C": [0.1, 1]}, X, y, cv=3)


def test_verbose_says_what_is_not_batched(digits, capsys):
    X, _ = digits
    machine = BernoulliRBM(4, n_iter=1, random_state=0)
    BatchedGridSearchCV(machine, {"learning_rate": [0.1, 0.2]}, cv=2, verbose=1).fit(X / 16)
    assert "4 learners cannot be trained with others" in capsys.readouterr().out
    learner = Autoencoder(4, **SHORT)
    BatchedGridSearchCV(learner, {"learning_rate": [0.1, 0.2]}, cv=2, verbose=1).fit(X[:302] / 16)
    shown = capsys.readouterr()
    assert "cannot" not in shown.out
    assert "epoch" in shown.err


def test_interrupt_ends_the_search(digits, monkeypatch):
    X, _ = digits

    def press(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(_stack_training, "_means", press)
    learner = Autoencoder(4, **SHORT)
    search = BatchedGridSearchCV(learner, {"learning_rate": [1e-3, 1e-2]}, cv=KFold(3))
    with pytest.raises(KeyboardInterrupt):
        search.fit(X / 16)
    assert search.estimator is learner
    assert "_memo" not in vars(search)
    assert "_memo" not in vars(learner)


def test_memory_is_that_of_the_models_in_flight(digits, monkeypatch):
    """Not that of all candidates; what is fitted waits in files."""
    X, _ = digits
    alive, most = weakref.WeakSet(), [0]
    make = base.BaseTorchEstimator._new_module

    def counted(estimator, *arguments):
        module = make(estimator, *arguments)
        alive.add(module)
        gc.collect()
        most[0] = max(most[0], len(alive))
        return module

    grid = {"learning_rate": [1e-3, 2e-3, 5e-3], "weight_decay": [1e-4, 1e-3, 1e-2, 0.1]}
    learner = Autoencoder(4, **SHORT)
    plain = GridSearchCV(learner, grid, cv=3).fit(X / 16)
    monkeypatch.setattr(base.BaseTorchEstimator, "_new_module", counted)
    monkeypatch.setattr(_memory, "_PART_WAITING", 0)
    monkeypatch.setattr(_memo, "_MOST_BYTES", 0)
    batched = BatchedGridSearchCV(learner, grid, cv=3, n_batched=2).fit(X / 16)
    assert_same_results(plain, batched)
    assert most[0] <= 2 * torch.get_num_threads() + 1
