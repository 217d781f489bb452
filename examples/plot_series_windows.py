"""
=================================
Where a series leaves its rhythm
=================================

`WindowedDetector` cuts a series of three channels into windows, and a convolutional autoencoder
learns those of a stretch without trouble. Of another stretch each time step has a score, the mean
over all windows that it is in, which shows where it goes wrong; the contributions of the channels
show which of them does.

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
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import roc_auc_score

from skae import Autoencoder
from skae.layers import Conv1d
from skae.metrics import vus_pr
from skae.outlier import WindowedDetector

WINDOW = 48
CHANNELS = ("pressure", "flow", "speed")


def make_series(n_steps, random_state):
    """Return three channels with one rhythm, whose strength and pace wander."""
    rng = np.random.default_rng(random_state)
    pace = 1 + 0.05 * np.sin(np.arange(n_steps) / 150)
    phase = 2 * np.pi * np.cumsum(pace) / 24
    strength = 1 + 0.2 * np.sin(np.arange(n_steps) / 90)
    pressure = strength * (np.sin(phase) + 0.5 * np.sin(2 * phase + 1))
    flow = strength * np.cos(phase - 0.5)
    speed = strength * (np.cos(phase + 1) + 0.3 * np.sin(2 * phase))
    return np.column_stack([pressure, flow, speed]) + 0.05 * rng.normal(size=(n_steps, 3))


def add_faults(series):
    """Return the series with five faults, and where they are: steps and channels."""
    faulty = series.copy()
    faults = {
        "stuck": (slice(150, 165), [0]),
        "upside down": (slice(320, 350), [1]),
        "half as strong": (slice(500, 530), [0, 1, 2]),
        "two spikes": (slice(700, 706), [0]),
        "out of step": (slice(820, 850), [1]),
    }
    faulty[150:165, 0] = series[150, 0]
    faulty[320:350, 1] *= -1
    faulty[500:530] *= 0.5
    faulty[[700, 705], 0] += [1.5, -1.5]
    faulty[820:850, 1] = series[808:838, 1]  # half a period late
    return faulty, faults


def plot_series(series, detector, faults):
    """Draw the channels, and what each contributes to the error of a step; the faults shaded."""
    figure, axes = plt.subplots(4, 1, figsize=(10, 7), sharex=True, layout="constrained")
    contributions = -detector.explain(series)
    for i, (ax, name) in enumerate(zip(axes, CHANNELS, strict=False)):
        ax.plot(series[:, i], f"C{i}", lw=0.9)
        ax.set_ylabel(name)
        axes[3].plot(contributions[:, i], f"C{i}", lw=0.9, label=name)
    axes[3].axhline(-detector.offset_, color="k", ls="--", lw=1, label="threshold of their sum")
    lowest = np.quantile(contributions, 0.2)
    axes[3].set(ylabel="share of the error", xlabel="time step", yscale="log", ylim=(lowest, 30))
    axes[3].legend(loc="upper right", fontsize=8, ncols=4)
    for name, (steps, channels) in faults.items():
        for i in (*channels, 3):
            axes[i].axvspan(steps.start, steps.stop, color="0.6", alpha=0.4, lw=0)
        axes[0].annotate(name, (steps.start, 1.03), xycoords=("data", "axes fraction"), fontsize=9)
    axes[0].set_xlim(0, len(series))
    return figure


def main(folder):
    """Print the figures, save the picture."""
    series, faults = add_faults(make_series(1000, random_state=1))
    is_fault = np.zeros(len(series), dtype=bool)
    for steps, _ in faults.values():
        is_fault[steps] = True
    layers = Conv1d((3, WINDOW), channels=(8, 16), kernel_size=5)
    autoencoder = Autoencoder(6, hidden_layers=layers, learning_rate=3e-3, max_iter=30)
    detector = WindowedDetector(
        autoencoder, WINDOW, contamination=0.005, calibration_fraction=0.25, random_state=0
    ).fit(make_series(4000, random_state=0))
    scores, contributions = detector.score_samples(series), detector.explain(series)
    outlying = detector.predict(series) == -1
    far = ~np.convolve(is_fault, np.ones(2 * WINDOW + 1), mode="same").astype(bool)
    print(f"false alarms far from faults {outlying[far].mean():.4f}")
    for name, (steps, channels) in faults.items():
        worst = np.argsort(contributions[steps].sum(axis=0))[: len(channels)]
        blamed = " and ".join(CHANNELS[i] for i in sorted(worst))
        print(f"{name}: {outlying[steps].mean():.2f} of its steps found, in {blamed}")
    print(f"time steps: ROC-AUC {roc_auc_score(~is_fault, scores):.3f}")
    print(f"time steps: VUS-PR {vus_pr(is_fault, -scores, max_buffer=WINDOW):.3f}")
    folder.mkdir(parents=True, exist_ok=True)
    plot_series(series, detector, faults).savefig(folder / "series_windows.png", dpi=100)
    print(f"saved {folder / 'series_windows.png'}")


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "output"))
