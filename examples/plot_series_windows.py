"""
=================================
Where a series leaves its rhythm
=================================

Windows of a series are rows: numpy's ``sliding_window_view`` makes them without copying. A
convolutional autoencoder learns the windows of a stretch without trouble. The contributions
of the time steps of each window, averaged over all windows that a step is in, bring the scores
back to the time steps, and show where another stretch goes wrong.

Run it with ``python examples/plot_series_windows.py [folder]``, where the picture goes to
``examples/output`` unless a folder is given.
"""

import sys
import warnings
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import roc_auc_score

from skae import Autoencoder
from skae.layers import Conv1d
from skae.outlier import OutlierDetector

WIDTH = 48


def make_series(n_steps, random_state):
    """Return a rhythm of two waves whose strength and pace wander."""
    rng = np.random.default_rng(random_state)
    pace = 1 + 0.05 * np.sin(np.arange(n_steps) / 150)
    phase = 2 * np.pi * np.cumsum(pace) / 24
    strength = 1 + 0.2 * np.sin(np.arange(n_steps) / 90)
    waves = strength * (np.sin(phase) + 0.5 * np.sin(2 * phase + 1))
    return waves + 0.05 * rng.normal(size=n_steps)


def add_faults(series):
    """Return the series with four faults, and where they are."""
    faulty, is_fault = series.copy(), np.zeros(len(series), dtype=bool)
    faults = {
        "stuck": slice(150, 165),
        "upside down": slice(320, 350),
        "half as strong": slice(500, 530),
        "two spikes": slice(700, 706),
    }
    faulty[faults["stuck"]] = series[150]
    faulty[faults["upside down"]] *= -1
    faulty[faults["half as strong"]] *= 0.5
    faulty[[700, 705]] += [1.5, -1.5]
    for steps in faults.values():
        is_fault[steps] = True
    return faulty, is_fault, faults


def to_steps(contributions):
    """Return the mean over all windows that a time step is in."""
    n_windows, width = contributions.shape
    total, count = np.zeros((2, n_windows + width - 1))
    for step in range(width):
        total[step : step + n_windows] += contributions[:, step]
        count[step : step + n_windows] += 1
    return total / count


def plot_series(series, scores, normal_scores, faults):
    """Draw the series and the error of each time step, the faults shaded.

    The line is where the error of one normal time step in a thousand lies above.
    """
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(10, 5), sharex=True, layout="constrained")
    top.plot(series, "k", lw=0.8)
    top.set_ylabel("series")
    bottom.plot(-scores, "C3", lw=1)
    bottom.axhline(-np.quantile(normal_scores, 0.001), color="k", ls="--", lw=1)
    bottom.set(yscale="log", ylabel="error of a time step", xlabel="time step")
    for name, steps in faults.items():
        for ax in (top, bottom):
            ax.axvspan(steps.start, steps.stop, color="C0", alpha=0.2)
        top.annotate(name, (steps.start, 1.02), xycoords=("data", "axes fraction"), fontsize=9)
    return figure


def main(folder):
    """Print the figures, save the picture."""
    normal = make_series(4000, random_state=0)
    series, is_fault, faults = add_faults(make_series(900, random_state=1))
    layers = Conv1d((1, WIDTH), channels=(8, 16), kernel_size=5)
    autoencoder = Autoencoder(6, hidden_layers=layers, learning_rate=3e-3, max_iter=40)
    detector = OutlierDetector(
        autoencoder, contamination=0.01, calibration_fraction=0.2, random_state=0
    ).fit(sliding_window_view(normal, WIDTH))
    windows = sliding_window_view(series, WIDTH)
    touched = sliding_window_view(is_fault, WIDTH).any(axis=1)
    outlying = detector.predict(windows) == -1
    found, false_alarms = outlying[touched].mean(), outlying[~touched].mean()
    print(f"windows: found {found:.2f}, false alarms {false_alarms:.3f}")
    scores = to_steps(detector.explain(windows))
    normal_scores = to_steps(detector.explain(sliding_window_view(normal, WIDTH)))
    print(f"time steps: ROC-AUC {roc_auc_score(~is_fault, scores):.3f}")
    folder.mkdir(parents=True, exist_ok=True)
    figure = plot_series(series, scores, normal_scores, faults)
    figure.savefig(folder / "series_windows.png", dpi=100)
    print(f"saved {folder / 'series_windows.png'}")


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "output"))
