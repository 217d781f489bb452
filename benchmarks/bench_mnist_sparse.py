"""Sparse codes of MNIST before a linear classifier: two published rows.

- k-sparse, 1,000 units, k = 25, tied weights, code -> logistic regression without
  fine-tuning; published: 1.35 % error (Makhzani and Frey 2013).
- lifetime sparsity, 2,000 units, code -> LinearSVC with C by cross-validation;
  published: 98.62 to 98.80 % accuracy (Makhzani and Frey 2015).

Minutes for the first row and up to an hour for the second, on two cores; an accelerator
is used where there is one. `make bench` does not run it.

Command: ``python benchmarks/bench_mnist_sparse.py [k] [lifetime]``
"""

import sys
import time
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler
from sklearn.svm import LinearSVC

from skae import SparseAutoencoder
from skae.datasets import fetch_mnist
from skae.layers import Dense

warnings.filterwarnings("ignore", category=ConvergenceWarning)

SETTINGS = {"batch_size": 100, "tol": 0, "random_state": 0, "verbose": 1}

ROWS = {
    "k": (
        SparseAutoencoder(
            1000,
            sparsity="k",
            k=25,
            alpha_test=3.0,
            hidden_layers=Dense((), tied_weights=True),
            code_activation="identity",
            max_iter=50,
            **SETTINGS,
        ),
        LogisticRegression(C=1.0, max_iter=300),
    ),
    "lifetime": (
        SparseAutoencoder(
            2000,
            sparsity="lifetime",
            lifetime_fraction=0.05,
            hidden_layers=(),
            max_iter=50,
            **SETTINGS,
        ),
        GridSearchCV(LinearSVC(dual=False), {"C": [0.01, 0.1, 1.0]}, cv=3),
    ),
}


def load(subset: str) -> tuple[np.ndarray, np.ndarray]:
    X, y = fetch_mnist(subset=subset, return_X_y=True)
    return X.astype(np.float32) / 255, y


def main() -> None:
    (X_train, y_train), (X_test, y_test) = load("train"), load("test")
    for name in sys.argv[1:] or ROWS:
        learner, classifier = ROWS[name]
        start = time.perf_counter()
        codes = learner.fit_transform(X_train)
        trained = time.perf_counter() - start
        pipeline = make_pipeline(MaxAbsScaler(), classifier).fit(codes, y_train)
        accuracy = pipeline.score(learner.transform(X_test), y_test)
        print(
            f"{name}: test accuracy {accuracy:.4f}, error {100 * (1 - accuracy):.2f} %; "
            f"{len(learner.dead_units_)} dead units; {trained:.0f} s for the code, "
            f"{time.perf_counter() - start:.0f} s in all"
        )


if __name__ == "__main__":
    main()
