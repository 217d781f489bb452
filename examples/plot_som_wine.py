"""
==================================
A map of wines: what the units say
==================================

A hexagonal self-organising map of scikit-learn's wines (13 measurements of wines from three
cultivars) is drawn in three ways: the U-matrix, whose ridges part the map into regions; the
hit map, coloured by the cultivar of the rows that each unit wins, which the map does not
use; and one plane for each feature, which shows what makes the regions differ.

Run it with ``python examples/plot_som_wine.py [folder]``; the pictures go to
``examples/output`` unless a folder is given.
"""

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from sklearn.datasets import load_wine
from sklearn.preprocessing import StandardScaler

from skae import SelfOrganizingMap
from skae.plotting import SOMDisplay
from skae.som import quantization_error, topographic_error


def plot_regions(som, X, y, names):
    """Draw the U-matrix, and the hits with the colours of the classes."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.6), layout="constrained")
    display = SOMDisplay.from_estimator(som, X, names[y], ax=left)
    left.set_title("U-matrix")
    display.plot(right, kind="hits")
    return figure


def plot_planes(som, names):
    """Draw the prototypes feature by feature."""
    display = SOMDisplay.from_estimator(som, feature_names=names, kind="planes")
    display.figure_.suptitle("prototypes, from low (dark) to high (light)")
    return display.figure_


def main(folder):
    """Fit, and save the pictures."""
    wine = load_wine()
    X = StandardScaler().fit_transform(wine.data)
    # Few rows, many features: an end of 1 makes the map stiff enough not to follow the noise.
    som = SelfOrganizingMap("auto", topology="hexagonal", radius=(6, 1), random_state=0).fit(X)
    print(f"{som.shape_[0]} x {som.shape_[1]} units")
    print(f"quantisation error {quantization_error(som, X):.2f}")
    print(f"topographic error {topographic_error(som, X):.2f}")
    found = som.label_units(X, wine.target).predict_label(X)
    print(f"rows in a unit of their class {(found == wine.target).mean():.3f}")
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in {
        "som_regions": plot_regions(som, X, wine.target, wine.target_names),
        "som_planes": plot_planes(som, [name.split("/")[0] for name in wine.feature_names]),
    }.items():
        figure.savefig(folder / f"{name}.png", dpi=100)
        print(f"saved {folder / name}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "output"))
