"""
====================================
Outlier detectors on 24 small tables
====================================

No outlier detector is best on all tables, so the mean over many says too little. Here each of 24
small tables of OddBench, whose training rows are all normal, is a point: the area under the ROC
curve of the default `OutlierDetector` against that of the distance to the fifth neighbour, of an
`IsolationForest`, of empirical tail probabilities (ECOD) and, where pyod is installed, of its
`AutoEncoder`. Points above the diagonal are tables on which the default is better.

The detector is told that its training rows are normal. All have standardised rows.

Run it with ``python examples/plot_outlier_benchmark.py [folder]``, where the picture goes to
``examples/output`` unless a folder is given. It needs OddBench, see
`skae.datasets.fetch_oddbench`, and ends without it.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from skae import OutlierDetector
from skae.datasets import fetch_oddbench

N_TABLES, MAX_ROWS = 24, 500


def skae_default(train, test):
    return -OutlierDetector(clean=True, random_state=0).fit(train).score_samples(test)


def fifth_neighbour(train, test):
    return NearestNeighbors(n_neighbors=5).fit(train).kneighbors(test)[0][:, -1]


def isolation_forest(train, test):
    return -IsolationForest(random_state=0).fit(train).score_samples(test)


def tail_probabilities(train, test):
    """Return minus the log-probability of tails, added up over features (Li et al. 2022)."""
    ordered, n = np.sort(train, axis=0), len(train)
    left, right = np.empty_like(test), np.empty_like(test)
    for j, column in enumerate(test.T):
        left[:, j] = np.searchsorted(ordered[:, j], column, "right")
        right[:, j] = n - np.searchsorted(ordered[:, j], column, "left")
    left, right = (-np.log((count + 1) / (n + 1)) for count in (left, right))
    is_left = ((train - train.mean(axis=0)) ** 3).mean(axis=0) < 0
    by_skewness = np.where(is_left, left, right)
    return np.max([left.sum(axis=1), right.sum(axis=1), by_skewness.sum(axis=1)], axis=0)


def pyod_autoencoder(train, test):
    from pyod.models.auto_encoder import AutoEncoder

    detector = AutoEncoder(random_state=0, device="cpu", verbose=0)
    return detector.fit(train).decision_function(test)


PEERS = {
    "fifth neighbour": fifth_neighbour,
    "IsolationForest": isolation_forest,
    "ECOD": tail_probabilities,
}
if find_spec("pyod"):
    PEERS["pyod's AutoEncoder"] = pyod_autoencoder


def small(table, rng):
    """Return at most 500 training and 500 test rows, standardised, and the labels of the latter."""
    train, test = (np.clip(part.astype(float), -1e15, 1e15) for part in (table.train, table.test))
    train = rng.permutation(train)[:MAX_ROWS]
    kept = rng.permutation(len(test))[:MAX_ROWS]
    scaler = StandardScaler().fit(train)
    return scaler.transform(train), scaler.transform(test[kept]), table.target[kept]


def measure():
    """Return the ROC-AUC of each detector, of shape (n_tables, 1 + n_peers), in percent."""
    rng = np.random.default_rng(0)
    tables = fetch_oddbench()
    figures = []
    for place in rng.permutation(len(tables)):
        train, test, is_outlier = small(tables[place], rng)
        if 10 <= is_outlier.sum() <= len(is_outlier) - 10 and len(figures) < N_TABLES:
            found = [detect(train, test) for detect in (skae_default, *PEERS.values())]
            figures.append([100 * roc_auc_score(is_outlier, strange) for strange in found])
    return np.array(figures)


def draw(figures):
    """Draw a panel for each peer."""
    figure, axes = plt.subplots(
        1, len(PEERS), figsize=(3.6 * len(PEERS), 4), sharey=True, layout="constrained"
    )
    for ax, name, of_peer in zip(axes, PEERS, figures.T[1:], strict=True):
        wins = (figures[:, 0] > of_peer).sum()
        ax.plot([0, 100], [0, 100], color="k", lw=0.8)
        ax.scatter(of_peer, figures[:, 0], c=np.where(figures[:, 0] > of_peer, "C0", "C3"), s=25)
        ax.set(xlim=(0, 102), ylim=(0, 102), aspect="equal", xlabel=f"ROC-AUC of {name}, %")
        ax.set_title(f"better on {wins} of {len(figures)} tables", fontsize=10)
    axes[0].set_ylabel("ROC-AUC of OutlierDetector, %")
    return figure


def main(folder):
    """Print the figures, save the picture."""
    try:
        figures = measure()
    except OSError as error:
        print(f"skipped: {error}")
        return
    for name, auc in zip(["OutlierDetector", *PEERS], figures.T, strict=True):
        print(f"{name}: mean ROC-AUC {auc.mean():.1f} %")
    folder.mkdir(parents=True, exist_ok=True)
    draw(figures).savefig(folder / "outlier_benchmark.png", dpi=100)
    print(f"saved {folder / 'outlier_benchmark.png'}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "output"))
