"""scikit-learn's callbacks: what they are told of each fit, and that they change nothing."""

import pickle
import signal
from collections import Counter

import numpy as np
import pytest
from conftest import epochs, has, quick
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skae import (
    Autoencoder,
    ConditionalVariationalAutoencoder,
    DeepBeliefNetwork,
    DenoisingAutoencoder,
    OutlierDetector,
    SelfOrganizingMap,
    VariationalAutoencoder,
    fit_many,
)
from skae._training._net import Net
from skae.model_selection import BatchedGridSearchCV, BatchedHalvingGridSearchCV

pytest.importorskip("sklearn.callback", reason="scikit-learn has callbacks since 1.9")

from skae.callback import ScoreMonitor


class Listener:
    """Notes what it is told, and stops a task of some name after so many."""

    def __init__(self, stops=None, after=0):
        self.stops, self.after = stops, after
        self.told, self.scores = [], []

    def setup(self, estimator, context):
        self.told.append(("setup", path(context)))

    def teardown(self, estimator, context):
        self.told.append(("teardown", path(context)))

    def on_fit_task_begin(self, estimator, context):
        self.told.append(("begin", path(context)))

    def on_fit_task_end(self, estimator, context, *, X=None, fitted_estimator=None):
        self.told.append(("end", path(context)))
        if fitted_estimator is not None and context.task_name == "epoch":
            self.scores.append(fitted_estimator.score(X))
        return context.task_name == self.stops and context.task_id + 1 == self.after

    def ended(self, name):
        """Return the paths of ended tasks of some name."""
        return [path for what, path in self.told if what == "end" and path[-1][1] == name]


class Follower(Listener):
    """One that follows into estimators inside."""

    max_propagation_depth = None


def path(context):
    """Return estimator, task and number from the outermost task to this one."""
    own = (context.estimator_name, context.task_name, context.task_id)
    return (*(() if context.parent is None else path(context.parent)), own)


def assert_whole(told):
    """What is set up is torn down, what begins ends, and what lies inside ends before."""
    open_tasks = []
    for what, one in told:
        if what == "begin":
            open_tasks.append(one)
        elif what == "end":
            assert not [other for other in open_tasks if other[:-1] == one], one
            open_tasks.remove(one)
    assert open_tasks == []
    counts = Counter(what for what, _ in told)
    assert counts["setup"] == counts["teardown"] > 0


def assert_same_weights(one, other):
    first, second = one.module_.state_dict(), other.module_.state_dict()
    for name, value in first.items():
        assert_array_equal(value.numpy(), second[name].numpy(), err_msg=name)


# -- a fit ---------------------------------------------------------------------------------


def test_each_epoch_is_told_of_and_nothing_changes(estimator_class, table):
    plain = quick(estimator_class, batch_size=100, **epochs(estimator_class, 5)).fit(table)
    listener = Follower()
    estimator = clone(plain).set_callbacks(listener).fit(table)
    assert_whole(listener.told)
    n_networks = len(getattr(estimator, "rbms_", [1]))
    assert len(listener.ended("epoch")) == 5 * n_networks
    assert len(listener.scores) == 5 * n_networks
    assert_same_weights(plain, estimator)
    if n_networks == 1:
        assert listener.scores[-1] == estimator.score(table)
        if not isinstance(estimator, VariationalAutoencoder):  # at first its prior pulls
            assert len(set(listener.scores)) > 3


def test_an_epoch_leaves_what_a_fit_of_so_many_epochs_leaves(network_class, table):
    class Keeper(Listener):
        def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
            if context.task_name == "epoch":
                kept.append(fitted_estimator)

    kept = []
    quick(network_class, **epochs(network_class, 5)).set_callbacks(Keeper()).fit(table)
    # The steps of some depend on how many epochs are planned.
    n_first = 2 if has(network_class, "n_gibbs_steps") or has(network_class, "tol") else 5
    fitted = quick(network_class, **epochs(network_class, n_first)).fit(table)
    assert_same_weights(kept[n_first - 1], fitted)
    attributes = {name for name in vars(fitted) if name.endswith("_")} - {"labels_"}
    assert attributes <= set(vars(kept[n_first - 1]))
    assert kept[n_first - 1].n_iter_ == fitted.n_iter_ == n_first
    assert kept[n_first - 1].score(table) == fitted.score(table)


def test_a_true_value_ends_the_training(network_class, table):
    listener = Listener("epoch", after=2)
    estimator = quick(network_class).set_callbacks(listener).fit(table)
    assert estimator.n_iter_ == 2
    assert_whole(listener.told)


def test_a_stopped_training_has_the_weights_of_its_best_validated_epoch(table):
    settings = dict(learning_rate=0.03, batch_size=10, max_iter=30, n_iter_no_change=30, tol=0)
    settings |= dict(early_stopping=True)
    listener = Listener("epoch", after=20)
    stopped = quick(Autoencoder, **settings).set_callbacks(listener).fit(table)
    best = int(np.argmin(stopped.validation_loss_curve_))
    assert best < 19
    assert stopped.score(table) == listener.scores[best]


def test_a_fit_that_fails_or_is_interrupted_tears_down(table, monkeypatch):
    class Failing(Listener):
        def on_fit_task_end(self, estimator, context):
            super().on_fit_task_end(estimator, context)
            raise ArithmeticError

    listener = Failing()
    estimator = quick(Autoencoder).set_callbacks(listener)
    before = dict(vars(estimator))
    with pytest.raises(ArithmeticError):
        estimator.fit(table)
    assert [what for what, _ in listener.told] == ["setup", "begin", "begin", "end", "teardown"]
    assert vars(estimator) == before

    train_step, calls = Net.train_step, []

    def interrupted_step(net, *batch):
        calls.append(1)
        if len(calls) == 8:  # in the second epoch of five steps
            signal.raise_signal(signal.SIGINT)
        return train_step(net, *batch)

    monkeypatch.setattr(Net, "train_step", interrupted_step)
    listener = Listener()
    estimator = quick(Autoencoder, batch_size=60).set_callbacks(listener)
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(table)
    assert_whole(listener.told)
    assert len(listener.ended("epoch")) == 2
    assert len(listener.scores) == estimator.n_iter_ == 1  # the second one is not complete


def test_partial_fit_tells_nobody(table):
    listener = Listener()
    quick(Autoencoder).set_callbacks(listener).partial_fit(table).partial_fit(table)
    assert listener.told == []


@pytest.mark.parametrize("kind", [Autoencoder, DeepBeliefNetwork, SelfOrganizingMap])
def test_a_pickle_and_a_clone_have_the_callbacks_and_no_rest(kind, table):
    monitor = ScoreMonitor()
    estimator = quick(kind).set_callbacks(monitor).fit(table)
    others = {name for name in vars(estimator) if "callback" in name} - {"callbacks"}
    assert others == {"_skl_callbacks"}
    assert clone(estimator)._skl_callbacks == [monitor]
    loaded = pickle.loads(pickle.dumps(estimator))
    assert_array_equal(loaded.transform(table), estimator.transform(table))
    assert "_skl_callbacks" not in vars(estimator.set_callbacks())


def test_the_two_kinds_of_callbacks_are_told_apart(table):
    with pytest.raises(TypeError, match="scikit-learn are for set_callbacks"):
        Autoencoder(2, callbacks=[ScoreMonitor()]).fit(table)


# -- warm starts, both kinds of early stopping, chunks ----------------------------------------


@pytest.mark.parametrize("stopping", [{"early_stopping": True}, {"tol": 10.0}])
def test_callbacks_compose_with_warm_starts_and_early_stopping(converging_class, table, stopping):
    settings = dict(max_iter=3, n_iter_no_change=1, warm_start=True, tol=0, batch_size=150)
    plain = quick(converging_class, **settings | stopping)
    told = clone(plain)
    for estimator, listener in ((plain, None), (told, Listener())):
        if listener is not None:
            estimator.set_callbacks(listener)
        estimator.fit(table).fit(table).partial_fit(table).fit(table)
    assert_whole(listener.told)
    assert_same_weights(plain, told)
    assert plain.history_ == told.history_
    n_in_chunks = 1
    assert len(listener.ended("epoch")) == told.n_iter_ - n_in_chunks


# -- estimators inside of others ------------------------------------------------------------

LEARNER = Autoencoder(2, max_iter=3, tol=0)


def test_a_deep_network_tells_of_layers(table):
    follower, stopping, monitor = Follower(), Listener("layer", after=2), ScoreMonitor()
    network = DeepBeliefNetwork((6, 4, 2), n_iter=3, random_state=0)
    network.set_callbacks(follower, stopping, monitor).fit(table)
    assert_whole(follower.told)
    assert len(follower.ended("epoch")) == 2 * 3
    assert network.transform(table).shape == (300, 4)  # stopped after its second layer
    below = DeepBeliefNetwork((6,), n_iter=3, random_state=0).fit(table)
    scores = [row["score"] for row in monitor.get_logs().data if row["task_name"] == "layer"]
    assert scores == [below.score(table), network.score(table)]


@pytest.mark.parametrize(("learner", "n_jobs"), [(LEARNER, None), (LEARNER, 2), (PCA(2), None)])
def test_a_detector_tells_of_its_learners(table, learner, n_jobs):
    # In another process a listener is a copy; what the score monitor logs comes back.
    detector = OutlierDetector(
        learner, n_estimators=2, max_samples=0.5, n_jobs=n_jobs, random_state=0
    )
    plain = clone(detector).fit(table)
    listener, monitor = Listener(), ScoreMonitor()
    if isinstance(learner, Autoencoder):
        detector.set_params(estimator=clone(learner).set_callbacks(monitor))
    detector.set_callbacks(listener).fit(table)
    assert_array_equal(detector.score_samples(table), plain.score_samples(table))
    assert not [name for one in detector.estimators_ for name in vars(one) if "_ctx" in name]
    if n_jobs is None:
        assert_whole(listener.told)
        assert len(listener.ended("learner")) == 2
    if isinstance(learner, Autoencoder):
        n_rows = Counter(row["task_id_path"][:2] for row in monitor.get_logs().data)
        assert n_rows == {(0, 0): 3 + 1, (0, 1): 3 + 1}


@pytest.mark.parametrize("kind", [DenoisingAutoencoder, VariationalAutoencoder])
def test_fits_in_a_stack_tell_of_their_epochs(kind, table):
    """As each one's own fit does."""
    rates = [1e-3, 3e-3, 1e-2]
    alone = [quick(kind, learning_rate=rate, tol=0) for rate in rates]
    together = [clone(one) for one in alone]
    first, second = ([Listener() for _ in rates] for _ in range(2))
    second[1] = Listener("epoch", after=2)
    for one, listener in zip(alone, first, strict=True):
        one.set_callbacks(listener).fit(table)
    for one, listener in zip(together, second, strict=True):
        one.set_callbacks(listener)
    fit_many(together, table)
    assert [one.n_iter_ for one in together] == [5, 2, 5]
    for mine, others in zip(first, second, strict=True):
        assert_whole(others.told)
        n_epochs = len(others.scores)
        assert others.scores == pytest.approx(mine.scores[:n_epochs], rel=1e-4, abs=1e-5)


SEARCHED = make_pipeline(StandardScaler(), Autoencoder(2, max_iter=3, tol=0, random_state=0))
GRID = {"autoencoder__learning_rate": [1e-3, 1e-2]}


@pytest.mark.parametrize("search_class", [GridSearchCV, BatchedGridSearchCV])
def test_a_search_tells_of_candidates_and_epochs(search_class, table):
    plain = search_class(SEARCHED, GRID, cv=2).fit(table)
    follower = Follower()
    search = search_class(SEARCHED, GRID, cv=2).set_callbacks(follower).fit(table)
    assert_whole(follower.told)
    for name in ("mean_test_score", "std_test_score"):
        assert_array_equal(search.cv_results_[name], plain.cv_results_[name])
    assert len(follower.ended("epoch")) == (2 * 2 + 1) * 3
    tasks = {"/".join(name for _, name, _ in one[:3]) for what, one in follower.told}
    assert {"fit", "fit/search", "fit/search/fit", "fit/fit"} <= tasks
    assert ("fit/training/fit" in tasks) == (search_class is BatchedGridSearchCV)
    assert not [name for name in vars(search.best_estimator_[-1]) if "_callback" in name]


def test_a_learner_in_a_search_tells_of_its_epochs_once(table):
    monitor = ScoreMonitor()
    pipeline = clone(SEARCHED)
    pipeline[-1].set_callbacks(monitor)
    BatchedGridSearchCV(pipeline, GRID, cv=2).fit(table)
    names = Counter(row["task_name"] for row in monitor.get_logs().data)
    # Each learner is fitted in the training, and found in the evaluation.
    assert names == {"epoch": (2 * 2 + 1) * 3, "fit": 2 * 2 * 2 + 1}


@pytest.mark.parametrize("search_class", [GridSearchCV, BatchedGridSearchCV])
def test_what_cannot_be_batched_is_fitted_once_for_each_candidate_and_fold(search_class, table):
    monitor = ScoreMonitor()
    network = DeepBeliefNetwork((4, 2), n_iter=1, random_state=0).set_callbacks(monitor)
    search_class(network, {"n_iter": [1, 2]}, cv=2, refit=False).fit(table)
    (log,) = monitor.get_logs(select="all")
    assert Counter(row["task_name"] for row in log.data) == {"layer": 2 * 2 * 2, "fit": 2 * 2}


def test_a_halving_search_tells_of_each_round(table):
    follower = Follower()
    BatchedHalvingGridSearchCV(
        Autoencoder(2, tol=0, random_state=0),
        {"learning_rate": [1e-4, 1e-3, 1e-2]},
        resource="max_iter",
        max_resources=3,
        cv=2,
        random_state=0,
    ).set_callbacks(follower).fit(table)
    assert_whole(follower.told)
    assert len(follower.ended("training")) == 2


def test_a_learner_that_holds_a_follower_is_refused_by_both_searches(table):
    learner = Autoencoder(2, max_iter=2).set_callbacks(Follower())
    for search_class in (GridSearchCV, BatchedGridSearchCV):
        with pytest.raises(TypeError, match="auto-propagated"):
            search_class(learner, {"learning_rate": [1e-3, 1e-2]}, cv=2, error_score="raise").fit(
                table
            )


# -- the monitor -----------------------------------------------------------------------------


def test_the_monitor_scores_given_rows(table):
    monitor = ScoreMonitor(table[200:])
    estimator = quick(Autoencoder).set_callbacks(monitor).fit(table[:200])
    log = monitor.get_logs().data_as_pandas
    assert list(log.task_name) == ["fit"] + 5 * ["epoch"]
    assert log.score[0] == log.score[5] == estimator.score(table[200:])
    estimator.fit(table[:200])
    first, second = monitor.get_logs(select="all")
    assert [row["score"] for row in first.data] == [row["score"] for row in second.data]


def test_the_monitor_takes_labels(table):
    class Labels(Listener):
        def on_fit_task_end(self, estimator, context, *, y=None):
            seen.append(y)

    seen, y = [], table[:, 0]
    kind = ConditionalVariationalAutoencoder
    for monitor in (ScoreMonitor(), ScoreMonitor(table[100:], y[100:])):
        estimator = quick(kind, max_iter=1).set_callbacks(monitor, Labels()).fit(table, y)
        rows = slice(0 if monitor.X is None else 100, None)
        assert monitor.get_logs().data[0]["score"] == estimator.score(table[rows], y[rows])
    assert all(one is y for one in seen)


def test_the_monitor_takes_weights(weighted_class, table):
    weight = np.arange(len(table)) % 3
    monitor = ScoreMonitor()
    estimator = quick(weighted_class).set_callbacks(monitor)
    estimator.fit(table, sample_weight=weight)
    assert monitor.get_logs().data[0]["score"] == pytest.approx(
        estimator.score(table, sample_weight=weight)
    )
