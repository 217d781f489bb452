"""
==================================
Two linked rings on a folded sheet
==================================

Chainlink (from the Fundamental Clustering Problems Suite, Ultsch 2005) is two rings in space
that pass through each other: no plane parts them. A self-organising map, a sheet folded
among the rows, keeps each ring in one piece: the U-matrix has a ridge where the sheet goes
from ring to ring, and single linkage of the prototypes finds the two.

Where `skae.datasets.fetch_fcps` does not find the rows, two such rings are drawn here.

Run it with ``python examples/plot_som_chainlink.py [folder]``; the picture goes to
``examples/output`` unless a folder is given.
"""

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from sklearn.cluster import AgglomerativeClustering
from sklearn.metrics import adjusted_rand_score

from skae import SelfOrganizingMap
from skae.datasets import fetch_fcps
from skae.plotting import SOMDisplay
from skae.som import topographic_error


def load_rings():
    """Return the rows of two linked rings, and the ring of each."""
    try:
        return fetch_fcps("chainlink", return_X_y=True)
    except (ImportError, OSError) as error:
        print(f"drawing two rings instead: {error}")
    rng = np.random.default_rng(0)
    angle, y = rng.uniform(0, 2 * np.pi, size=1000), np.repeat([1, 2], 500)
    across, nothing = np.cos(angle), np.zeros(1000)
    first = np.column_stack([across, np.sin(angle), nothing])
    second = np.column_stack([across + 1, nothing, np.sin(angle)])
    return np.where(y[:, None] == 1, first, second) + rng.normal(0, 0.07, size=(1000, 3)), y


def main(folder):
    """Fit, and save the picture."""
    X, y = load_rings()
    # Few rows for each unit: an end of 0.7 keeps the sheet from crumpling between them.
    som = SelfOrganizingMap((20, 20), radius=(10, 0.7), random_state=0).fit(X)
    single = AgglomerativeClustering(2, linkage="single")
    found = som.cluster_units(single).predict_cluster(X)
    print(f"topographic error {topographic_error(som, X):.3f}")
    print(f"agreement of clusters and rings {adjusted_rand_score(y, found):.3f}")

    colours = np.array(["#56B4E9", "#D55E00"])[(y == y.max()).astype(int)]
    figure = plt.figure(figsize=(10, 4.6), layout="constrained")
    space = figure.add_subplot(1, 2, 1, projection="3d")
    space.scatter(*X.T, c=colours, s=4, alpha=0.5)
    sheet = som.component_planes()  # one picture of the map for each coordinate
    space.plot_wireframe(*sheet, color="0.3", linewidth=0.5)
    space.set_title("rows, and the sheet of prototypes")
    space.set(xticks=[], yticks=[], zticks=[])
    flat = figure.add_subplot(1, 2, 2)
    SOMDisplay.from_estimator(som, ax=flat)
    som.set_params(output="coordinates")
    places = som.transform(X) + np.random.default_rng(0).uniform(-0.3, 0.3, size=(len(X), 2))
    flat.scatter(*places.T, c=colours, s=4)
    flat.set_title("the same sheet, flat: U-matrix and rows")
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "som_chainlink.png", dpi=100)
    print(f"saved {folder / 'som_chainlink'}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "output"))
