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
import numpy as np
from matplotlib.collections import RegularPolyCollection
from matplotlib.colors import ListedColormap
from sklearn.datasets import load_wine
from sklearn.preprocessing import StandardScaler

from skae import SelfOrganizingMap
from skae.som import quantization_error, topographic_error

CLASS_COLOURS = ["tab:blue", "tab:orange", "tab:green"]


def draw_hexagons(ax, som, values=None, sizes=1.0, **settings):
    """Draw a hexagon for each unit, of full size or smaller."""
    places = som.grid_positions_
    ax.set(xlim=(-0.7, places[:, 0].max() + 0.7), aspect="equal")
    ax.set(ylim=(places[:, 1].max() + 0.8, -0.8))
    ax.set_axis_off()
    ax.figure.draw_without_rendering()  # the layout decides how long a unit is
    unit = ax.transData.transform([1, 0])[0] - ax.transData.transform([0, 0])[0]
    radius = unit / np.sqrt(3) * 72 / ax.figure.dpi  # from the centre to a corner, in points
    area = np.pi * (radius * np.sqrt(np.broadcast_to(sizes, len(places)))) ** 2
    hexagons = RegularPolyCollection(
        6, sizes=area, offsets=places, offset_transform=ax.transData, **settings
    )
    if values is not None:
        hexagons.set_array(values)
    ax.add_collection(hexagons)
    return hexagons


def plot_regions(som, X, y, names):
    """Draw the U-matrix, and the hits with the colours of the classes."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4.6))
    hexagons = draw_hexagons(left, som, som.u_matrix().ravel(), cmap="bone_r")
    figure.colorbar(hexagons, ax=left, label="distance of adjacent prototypes", shrink=0.7)
    left.set_title("U-matrix")
    draw_hexagons(right, som, facecolors="0.94", edgecolors="white")
    hits = som.hit_map(X).ravel()
    som.label_units(X, y)
    draw_hexagons(
        right,
        som,
        som.unit_labels_.astype(float),
        sizes=hits / hits.max(),
        cmap=ListedColormap(CLASS_COLOURS),
    )
    for colour, name in zip(CLASS_COLOURS, names, strict=True):
        right.scatter([], [], c=colour, marker="H", label=name)
    right.legend(loc="upper center", ncols=3, bbox_to_anchor=(0.5, 0.0), frameon=False)
    right.set_title("hits, in the colour of most rows of a unit")
    return figure


def plot_planes(som, names):
    """Draw the prototypes feature by feature."""
    figure, axes = plt.subplots(2, 7, figsize=(11, 5))
    for ax in axes.flat:
        ax.set_axis_off()
    for ax, plane, name in zip(axes.flat, som.component_planes(), names, strict=False):
        draw_hexagons(ax, som, plane.ravel(), cmap="viridis")
        ax.set_title(name.replace("_", " ").split("/")[0], fontsize=8)
    figure.suptitle("prototypes, from low (dark) to high (light)")
    return figure


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
        "som_planes": plot_planes(som, wine.feature_names),
    }.items():
        figure.savefig(folder / f"{name}.png", dpi=100)
        print(f"saved {folder / name}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "output"))
