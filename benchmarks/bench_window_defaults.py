"""Defaults of `WindowFeatures`, chosen on one half of the sets and measured on the other.

On 12 sets of the UCR archive. For each of 16 settings (units of the default learner, parts,
pooling, dilations) features are learned from the training part without its labels, and
threefold cross-validation on it gives the accuracy of a ridge classifier (quicker than an SVM), its
penalty being chosen too. The setting with the best mean over one half of the sets (every second by
name) is then measured on the test parts of the other half, and the other way round, beside the
default. Test parts take no part in a choice.

With ``--columns 1`` each time step is standardised over the training series first, as by a
`StandardScaler` in a pipeline; the 24 settings are then the scaling of windows, the pooling, the
parts, and whether each series is standardised by itself after that.

Measured: the second half chooses the default, which has 0.897 on the test parts of the first; the
first half chooses 4 parts, with 0.956 on the second, where the default has 0.962. With
``--columns 1`` the default has 0.885 and 0.943, and cross-validated 0.881 and 0.943 (from 0.891 and
0.955); series standardised by themselves after that have 0.860 and 0.941, windows standardised
0.853 and 0.931.

Command: ``python benchmarks/bench_window_defaults.py [--sets 12] [--columns 0] [--seed 0]``, where
the environment variable SKAE_DATA names a folder with the sets.
A quick look: ``--sets 4``.
"""

import warnings
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
from _common import arguments, print_table
from bench_features import SETS, ucr, window_learner
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skae.features import WindowFeatures

#: Values of each setting; the first of each is the default.
VALUES: dict[str, list[Any]] = {
    "units": [64, 32],
    "n_segments": [1, 4],
    "pooling": ["proportion", "max"],
    "dilations": ["auto", [1, 2]],
}
VALUES_BY_COLUMN: dict[str, list[Any]] = {
    "scaling": ["center", "standard", None],
    "pooling": ["proportion", "max"],
    "n_segments": [1, 4],
    "rows": [False, True],
}


def candidates(values: dict[str, list[Any]]) -> Iterator[dict[str, Any]]:
    """Yield each setting, the default first."""
    for some in product(*values.values()):
        yield dict(zip(values, some, strict=True))


def features(setting: dict[str, Any], seed: int) -> Pipeline:
    """Return features with a setting, not fitted."""
    parameters = dict(setting)
    learner = window_learner(parameters.pop("units", 64))
    rows = FunctionTransformer(by_row if parameters.pop("rows", False) else None)
    found = WindowFeatures(learner, **parameters, random_state=seed)
    return make_pipeline(rows, found)


def by_row(X: np.ndarray) -> np.ndarray:
    """Return each series at mean 0 and standard deviation 1."""
    return (X - X.mean(axis=1, keepdims=True)) / X.std(axis=1, keepdims=True)


def search(X: np.ndarray, y: np.ndarray, seed: int) -> GridSearchCV:
    """Return a linear model of features, its penalty chosen by cross-validation."""
    folds = StratifiedKFold(3, shuffle=True, random_state=seed)
    return GridSearchCV(RidgeClassifier(), {"alpha": np.logspace(1, 4, 4)}, cv=folds).fit(X, y)


def main() -> None:
    options = arguments(__doc__, sets=12, columns=0, seed=0)
    names, seed = SETS[: options.sets], options.seed
    settings = list(candidates(VALUES_BY_COLUMN if options.columns else VALUES))
    tasks = {}
    for name in names:
        X, y, X_test, y_test = ucr(name, seed)
        if options.columns:
            scaler = StandardScaler().fit(X)
            X, X_test = scaler.transform(X), scaler.transform(X_test)
        tasks[name] = X, y, X_test, y_test
    validated = np.empty((len(settings), len(names)))
    for j, (X, y, *_) in enumerate(tasks.values()):
        for i, setting in enumerate(settings):
            found = features(setting, seed).fit_transform(X)
            validated[i, j] = search(found, y, seed).best_score_
        print(names[j], *(f"{accuracy:.3f}" for accuracy in validated[:, j]), flush=True)

    def tested(setting: dict[str, Any], name: str) -> float:
        X, y, X_test, y_test = tasks[name]
        fitted = features(setting, seed).fit(X)
        return search(fitted.transform(X), y, seed).score(fitted.transform(X_test), y_test)

    halves = [np.arange(start, len(names), 2) for start in (0, 1)]
    means = np.array([validated[:, half].mean(axis=1) for half in halves])
    rows = [
        [*map(str, setting.values()), *(f"{mean:.3f}" for mean in column)]
        for setting, column in zip(settings, [*means.T], strict=True)
    ]
    print_table("Cross-validated accuracy", [*settings[0], "first half", "second half"], rows)
    rows = []
    for chosen_on, measured_on in ((0, 1), (1, 0)):
        chosen = settings[int(means[chosen_on].argmax())]
        accuracies = [
            np.mean([tested(setting, names[j]) for j in halves[measured_on]])
            for setting in (chosen, settings[0])
        ]
        label = ", ".join(map(str, chosen.values()))
        rows.append([("first", "second")[chosen_on], label, *(f"{a:.3f}" for a in accuracies)])
    print_table(
        "Test accuracy on the other half", ["chosen on", "setting", "chosen", "default"], rows
    )


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*least populated")
        main()
