"""
==============================
Heartbeats that are not normal
==============================

Denoising autoencoders learn normal heartbeats of ECG5000, and rebuild an abnormal one more like
a normal one: the error is large where the two part. The detector holds out some of the normal
beats for its threshold, the classical mean plus two standard deviations of their error, and
for its p-values: no label of an abnormal beat is needed.

Run it with ``python examples/plot_ecg_anomaly.py [folder]``, where the pictures go to
``examples/output`` unless a folder is given. It needs ECG5000, see
`skae.datasets.fetch_ecg5000`, and ends without it.
"""

import functools
import sys
import warnings
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import RocCurveDisplay, accuracy_score, roc_auc_score
from sklearn.model_selection import train_test_split

from skae import DenoisingAutoencoder
from skae.datasets import fetch_ecg5000
from skae.outlier import OutlierDetector, mean_threshold
from skae.plotting import ReconstructionDisplay, ScoreHistogramDisplay


def load_beats():
    """Return beats between 0 and 1 and whether they are normal, for training and testing."""
    X, y = fetch_ecg5000(subset="all", return_X_y=True)
    X_train, X_test, normal_train, normal_test = train_test_split(
        X, y == 1, test_size=0.2, random_state=21
    )
    low, high = X_train.min(), X_train.max()
    return (X_train - low) / (high - low), (X_test - low) / (high - low), normal_train, normal_test


def plot_beats(detector, X, is_normal):
    """Draw beats, what the autoencoder makes of them, and the error between."""
    scores = detector.score_samples(X)
    figure, axes = plt.subplots(1, 2, figsize=(10, 5), layout="constrained")
    rows = {"normal": np.flatnonzero(is_normal), "abnormal": np.flatnonzero(~is_normal)}
    for (kind, of_kind), ax in zip(rows.items(), axes, strict=True):
        by_score = of_kind[np.argsort(scores[of_kind])]
        # The quartiles: neither the clearest cases nor the most doubtful ones.
        beats = X[by_score[[3 * len(by_score) // 4, len(by_score) // 2, len(by_score) // 4]]]
        rebuilt = np.mean([member.reconstruct(beats) for member in detector.estimators_], axis=0)
        states = {"beat": beats, "rebuilt": rebuilt}
        display = ReconstructionDisplay(states, error=rebuilt - beats).plot(ax)
        for panel, p_value in zip(display.axes_, detector.p_values(beats), strict=True):
            panel.set_ylabel(f"p-value {p_value:.3f}")
        ax.set_title(kind)
    return figure


def plot_scores(detector, X, is_normal):
    """Draw the histogram of the scores with the threshold, and the ROC curve."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    kinds = np.where(is_normal, "normal beats", "abnormal beats")
    display = ScoreHistogramDisplay.from_estimator(detector, X, kinds, as_errors=True, ax=left)
    scores = display.scores
    left.set_ylabel("test beats")
    RocCurveDisplay.from_predictions(is_normal, scores, ax=right, name="detector")
    right.set(xlabel="rate of abnormal beats passed", ylabel="rate of normal beats passed")
    return figure


def main(folder):
    """Print the figures, save the pictures."""
    try:
        X_train, X_test, normal_train, normal_test = load_beats()
    except (ImportError, OSError) as error:
        print(f"skipped: {error}")
        return
    autoencoder = DenoisingAutoencoder(
        32, noise_level=0.1, max_iter=100, tol=0, n_iter_no_change=100
    )
    detector = OutlierDetector(
        autoencoder,
        contamination=functools.partial(mean_threshold, n_std=2),
        calibration_fraction=0.3,
        n_estimators=3,
        random_state=0,
    ).fit(X_train[normal_train])
    predicted_normal = detector.predict(X_test) == 1
    print(f"ROC-AUC {roc_auc_score(normal_test, detector.score_samples(X_test)):.4f}")
    print(f"accuracy {accuracy_score(normal_test, predicted_normal):.4f}")
    print(f"normal beats called abnormal {1 - predicted_normal[normal_test].mean():.3f}")
    print(f"abnormal beats missed {predicted_normal[~normal_test].mean():.3f}")
    folder.mkdir(parents=True, exist_ok=True)
    for name, plot in [("ecg_beats", plot_beats), ("ecg_scores", plot_scores)]:
        plot(detector, X_test, normal_test).savefig(folder / f"{name}.png", dpi=100)
        print(f"saved {folder / name}.png")


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "output"))
