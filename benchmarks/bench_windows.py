"""Faults in series: VUS-PR and average precision of `WindowedDetector` with several learners.

- ECG5000 as a stream: learned from 200 normal beats of the train part, one after the other;
  tested on 90 normal and 10 abnormal beats of the test part in random order, of which all 140 steps
  of an abnormal one count as a fault. Windows of 140 steps, stride 10.
- Synthetic: a rhythm of 24 steps whose strength and pace wander; 4,000 steps to learn from, and
  1,500 with six kinds of faults of 3 to 40 steps at places drawn anew. Windows of 48, stride 2.

Each series is drawn anew for each seed; the largest buffer of VUS-PR is the window. The nearest
window of the training series (1-NN, the distance of a matrix profile) is the floor.

Measured, VUS-PR with 3 seeds, by step and by window: ECG5000: autoencoder with Conv1d 0.39 and
0.68, dense 0.44 and 0.76, codebooks 0.37 and 0.73; by window PCA 0.68, IsolationForest 0.22, 1-NN
0.90. Synthetic: 0.83 and 0.59, 0.82 and 0.60, 0.89 and 0.68; 0.63, 0.41, 0.69.

Command: ``python benchmarks/bench_windows.py [--seeds 3]``, where the environment variable
SKAE_DATA names a folder with ecg5000/ecg5000.npz
"""

import time
import warnings
from collections.abc import Iterator

import numpy as np
from _common import arguments, print_table
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import average_precision_score
from sklearn.neighbors import NearestNeighbors

from skae import DenoisingAutoencoder
from skae.datasets import fetch_ecg5000
from skae.layers import Conv1d
from skae.metrics import vus_pr
from skae.outlier import WindowedDetector

#: Training series, test series, which of its steps are faults.
Task = tuple[np.ndarray, np.ndarray, np.ndarray]


class NearestWindow(BaseEstimator):
    """Scores a row by minus its distance to the nearest other training row."""

    def fit(self, X: np.ndarray, y: None = None) -> "NearestWindow":
        """Keep the rows."""
        self.neighbours_ = NearestNeighbors(n_neighbors=2).fit(X)
        return self

    def score_samples(self, X: np.ndarray) -> np.ndarray:
        """Return minus the distances; a training row is not its own neighbour."""
        distances = self.neighbours_.kneighbors(X)[0]
        return -np.where(distances[:, 0] > 1e-9, distances[:, 0], distances[:, 1])


def heartbeats(seed: int) -> Task:
    X_train, y_train = fetch_ecg5000(subset="train", return_X_y=True)
    X, y = fetch_ecg5000(subset="test", return_X_y=True)
    rng = np.random.default_rng(seed)
    normal, abnormal = (rng.permutation(np.flatnonzero(found)) for found in (y == 1, y != 1))
    order = rng.permutation(np.concatenate([normal[:90], abnormal[:10]]))
    train = X_train[rng.permutation(np.flatnonzero(y_train == 1))[:200]]
    return train.ravel(), X[order].ravel(), np.repeat(y[order] != 1, X.shape[1])


def rhythm(n_steps: int, rng: np.random.Generator) -> np.ndarray:
    phase = 2 * np.pi * np.cumsum(1 + 0.05 * np.sin(np.arange(n_steps) / 150)) / 24
    strength = 1 + 0.2 * np.sin(np.arange(n_steps) / 90)
    waves = strength * (np.sin(phase) + 0.5 * np.sin(2 * phase + 1))
    return waves + 0.05 * rng.normal(size=n_steps)


def faults(seed: int) -> Task:
    rng = np.random.default_rng(seed)
    train, series = rhythm(4000, rng), rhythm(1500, rng)
    test, is_fault = series.copy(), np.zeros(1500, dtype=bool)
    kinds = ["stuck", "upside down", "weak", "spike", "noisy", "fast"]
    for place, kind in enumerate(rng.permutation(kinds)):
        length = 3 if kind == "spike" else int(rng.integers(8, 40))
        start = 100 + 220 * place + int(rng.integers(0, 120))
        steps = slice(start, start + length)
        is_fault[steps] = True
        values = series[steps]
        quick = np.arange(start, start + 2 * length, 2)
        test[steps] = {
            "stuck": np.full(length, values[0]),
            "upside down": -values,
            "weak": values / 2,
            "spike": values + 1.5 * (np.arange(length) == 1),
            "noisy": values + 0.3 * rng.normal(size=length),
            "fast": series[quick],
        }[str(kind)]
    return train, test, is_fault


def detectors(window: int, stride: int, seed: int) -> Iterator[tuple[str, WindowedDetector]]:
    layers = Conv1d((1, window), channels=(8, 16), kernel_size=5)
    settings = dict(noise_level=0.1, learning_rate=3e-3, max_iter=20)
    convolutional = DenoisingAutoencoder(8, hidden_layers=layers, **settings)
    learners = {
        "autoencoder, Conv1d": convolutional,
        "autoencoder, dense": DenoisingAutoencoder(8, **settings),
        "codebooks (default)": None,
        "PCA(8)": PCA(8),
        "IsolationForest": IsolationForest(),
        "1-NN": NearestWindow(),
    }
    for name, learner in learners.items():
        for resolution in ("step", "window"):
            if resolution == "window" or name.startswith(("auto", "code")):
                yield (
                    f"{name}, by {resolution}",
                    WindowedDetector(
                        learner, window, stride, resolution=resolution, random_state=seed
                    ),
                )


def main() -> None:
    options = arguments(__doc__, seeds=3)
    for title, task, window, stride in (
        ("ECG5000 as a stream", heartbeats, 140, 10),
        ("Synthetic faults", faults, 48, 2),
    ):
        found: dict[str, list[tuple[float, ...]]] = {}
        for seed in range(options.seeds):
            train, test, is_fault = task(seed)
            for name, detector in detectors(window, stride, seed):
                start = time.perf_counter()
                strange = -detector.fit(train).score_samples(test)
                seconds = time.perf_counter() - start
                volume = vus_pr(is_fault, strange, window)
                precision = average_precision_score(is_fault, strange)
                found.setdefault(name, []).append((volume, precision, seconds))
        rows = []
        for name, figures in found.items():
            volume, precision, seconds = np.mean(figures, axis=0)
            spread = np.std([figure[0] for figure in figures])
            rows.append(
                [name, f"{volume:.3f}", f"{spread:.3f}", f"{precision:.3f}", f"{seconds:.1f}"]
            )
        columns = ["", "VUS-PR", "+-", "average precision", "seconds"]
        print_table(f"{title}, {options.seeds} seeds", columns, rows)


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        main()
