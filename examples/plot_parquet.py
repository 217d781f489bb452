"""
=========================================
A Parquet file, a window at a time
=========================================

Readings of twelve sensors, in the order of their dates, in a file that is read a window at a time:
a scaler learns from one pass by `partial_fit`, an autoencoder from some epochs, with whole row
groups held out for early stopping, and the scores go to another file. At the end of a year
some sensors fail. As the readings drift with the seasons, neighbouring rows are alike: a window of
few rows shows the network one season after the other, and its loss is worse than that of a fit
in memory; a window of a tenth of the file does as well.

Run it with ``python examples/plot_parquet.py [folder]``; the picture goes to
``examples/output`` unless a folder is given. It needs pyarrow and pandas.
"""

import sys
import tempfile
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skae import Autoencoder
from skae.plotting import LossCurveDisplay, ScoreHistogramDisplay
from skae.streaming import ParquetSource, transform

N_ROWS, N_SENSORS = 20_000, 12


def write_readings(path):
    """Write readings of sensors that follow four causes; return which rows are faults."""
    rng = np.random.default_rng(0)
    season = 2 * np.pi * np.arange(N_ROWS)[:, None] / N_ROWS
    causes = rng.normal(size=(N_ROWS, 4)) + 3 * np.sin(season + np.arange(4))
    readings = np.tanh(causes @ rng.normal(size=(4, N_SENSORS)) / 4)
    readings += 0.05 * rng.normal(size=readings.shape)
    is_fault = np.arange(N_ROWS) >= N_ROWS - 200
    readings[is_fault, :2] = rng.permutation(readings)[:200, :2]  # of another moment
    readings = 20 + 5 * readings
    names = [f"sensor_{i}" for i in range(N_SENSORS)]
    pd.DataFrame(readings.astype(np.float32), columns=names).to_parquet(path, row_group_size=500)
    return is_fault


def new_autoencoder():
    return Autoencoder(
        4,
        hidden_layers=(64,),
        batch_size=100,
        early_stopping=True,
        max_iter=12,
        tol=0,
        random_state=0,
    )


def main(folder):
    """Write the file, fit, score, and save the picture."""
    with tempfile.TemporaryDirectory() as data:
        path, scored = Path(data) / "readings.parquet", Path(data) / "scores.parquet"
        is_fault = write_readings(path)
        source = ParquetSource(path, window=N_ROWS // 10)
        print(f"{source.n_rows:,} rows in {len(source.sizes)} row groups")

        scaler = StandardScaler()
        for chunk in source:
            scaler.partial_fit(chunk)

        curves = {}
        for name, window in {
            "in memory": N_ROWS,
            "window of a tenth": N_ROWS // 10,
            "window of 100 rows": 100,
        }.items():
            rows = ParquetSource(path, window=window).map(scaler.transform)
            autoencoder = new_autoencoder().fit(rows)
            curves[name] = autoencoder.validation_loss_curve_
            print(f"{name:20s} loss of the rows held out {min(curves[name]):.4f}")
            if window == source.window:
                pipeline = make_pipeline(scaler, autoencoder)

        transform(pipeline, source, scored, method="score_samples")
        scores = pd.read_parquet(scored)["score_samples"].to_numpy()
    threshold = np.quantile(scores[~is_fault], 0.01)
    print(
        f"faults below the first percent of the others: {np.mean(scores[is_fault] < threshold):.0%}"
    )

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    LossCurveDisplay(curves, ylabel="loss of the rows held out").plot(left)
    left.set_yscale("log")
    kinds = np.where(is_fault, "fault", "normal")
    display = ScoreHistogramDisplay(scores, kinds, threshold=threshold)
    display.plot(right, as_errors=True)
    right.set(yscale="log", xlim=(2e-3, None))
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "parquet.png", dpi=100)
    print(f"saved {folder / 'parquet.png'}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "output"))
