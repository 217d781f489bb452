"""
=========================================
Levels of Super Mario, drawn by a decoder
=========================================

A variational autoencoder with convolutional layers learns windows of the levels that are above
the ground. Each place holds one of 13 kinds of tiles, so the likelihood is categorical, and the
channels of the image are an indicator of each kind. Codes drawn from the prior become new windows:
of each tile, the most probable kind.

Two levels are held out, to compare with: how many parts of pipes stand beside the other half, and
how far the patterns of two by two tiles are from those learned (Kullback-Leibler divergence, in
nats), beside tiles drawn one by one, as often as each place has them. Neighbouring windows
are nearly the same, so whole levels are held out. Steps, gaps, rows of bricks and most pipes come
out right. Each tile is chosen by itself, so where the decoder is undecided between two places of a
pipe, halves of it are left over.

Run it with ``python examples/plot_mario_levels.py [folder]``; the picture goes to
``examples/output`` unless a folder is given. It needs the levels, see
`skae.datasets.fetch_mario_levels`, and ends without them.
"""

import sys
import warnings
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import ListedColormap
from sklearn.exceptions import ConvergenceWarning

from skae import VariationalAutoencoder
from skae.datasets import fetch_mario_levels
from skae.layers import Conv2d
from skae.outputs import Categorical

TRAIN = ["2-1", "3-1", "4-1", "6-1", "6-2", "7-1", "8-1"]
HELD_OUT = ["1-1", "5-1"]
SHAPE = (14, 28)

#: What tiles are called in the legend, with their letters in the files, and their colours.
KINDS = {
    "sky": ("-", "#cfe8fa"),
    "ground": ("X", "#8a5a2b"),
    "brick": ("S", "#d98b4a"),
    "question block": ("?Q", "#f0c000"),
    "pipe": ("<[", "#00763d"),
    "pipe, right half": (">]", "#3fae6b"),
    "cannon": ("Bb", "#303030"),
    "enemy": ("E", "#c03060"),
    "coin": ("o", "#fff27a"),
}


def to_channels(windows):
    """Return an indicator of each kind of tile, of shape (n, 13, 14, 28)."""
    return np.eye(13, dtype="float32")[windows].transpose(0, 3, 1, 2)


def whole_pipes(letters):
    """Return the share of the halves of pipes that have the other half beside them."""
    whole = sum(
        ((letters[..., :-1] == left) & (letters[..., 1:] == right)).sum()
        for left, right in ("<>", "[]")
    )
    # At the edge of a window the other half may be out of sight.
    halves = (
        np.isin(letters[..., :-1], ["<", "["]).sum() + np.isin(letters[..., 1:], [">", "]"]).sum()
    )
    return 2 * whole / max(halves, 1)


def pattern_counts(windows):
    """Return how often each pattern of two by two tiles occurs."""
    corners = [windows[:, y : 13 + y, x : 27 + x].astype(int) for y in (0, 1) for x in (0, 1)]
    return np.bincount(np.ravel_multi_index(corners, (13,) * 4).ravel(), minlength=13**4)


def divergence(windows, learned):
    """Return the divergence of the patterns of windows from those learned, in nats."""
    p, q = (pattern_counts(one) for one in (windows, learned))
    p, q = p / p.sum(), (q + 0.01) / (q + 0.01).sum()
    return (p[p > 0] * np.log(p[p > 0] / q[p > 0])).sum()


def plot_windows(pictures, tiles):
    """Draw windows by the colours of their tiles, each with its name."""
    kind_of = {letter: k for k, (letters, _) in enumerate(KINDS.values()) for letter in letters}
    kinds = np.array([kind_of[letter] for letter in tiles])
    colours = ListedColormap([colour for _, colour in KINDS.values()])
    figure, axes = plt.subplots(len(pictures) // 3, 3, figsize=(12, 8.6), layout="constrained")
    for ax, (name, window) in zip(axes.flat, pictures, strict=True):
        ax.pcolormesh(
            kinds[window][::-1],
            cmap=colours,
            vmin=-0.5,
            vmax=len(KINDS) - 0.5,
            ec="#ffffff80",
            lw=0.3,
        )
        ax.set(xticks=[], yticks=[], aspect="equal")
        ax.set_title(name, fontsize="medium")
    patches = [plt.Rectangle((0, 0), 1, 1, fc=colour, ec="0.5") for _, colour in KINDS.values()]
    figure.legend(patches, KINDS, loc="outside lower center", ncols=len(KINDS), fontsize="small")
    return figure


def main(folder):
    """Print how the levels are made up, save the picture."""
    try:
        mario = fetch_mario_levels(width=SHAPE[1])
    except (ImportError, OSError) as error:
        print(f"skipped: {error}")
        return
    windows, level = mario.data.reshape(-1, *SHAPE), mario.target_names[mario.target]
    learned, held_out = windows[np.isin(level, TRAIN)], windows[np.isin(level, HELD_OUT)]
    autoencoder = VariationalAutoencoder(
        32,
        hidden_layers=Conv2d(
            (13, *SHAPE), (32, 64, 128), kernel_size=4, activation="gelu", batch_norm=True
        ),
        likelihood=Categorical(13),
        learning_rate=6e-3,
        learning_rate_schedule="cosine",
        batch_size=32,
        max_iter=30,
        random_state=0,
    ).fit(to_channels(learned))
    rng = np.random.default_rng(0)
    drawn = autoencoder.sample(500, random_state=0, return_mean=True).argmax(axis=1)
    one_by_one = rng.permuted(learned, axis=0)[:500]
    print(f"{'':<22}{'whole pipes':>12}{'divergence':>12}")
    for name, some in {
        "levels held out": held_out,
        "drawn by the decoder": drawn,
        "tiles one by one": one_by_one,
    }.items():
        pipes, far = whole_pipes(mario.tiles[some]), divergence(some, learned)
        print(f"{name:<22}{pipes:>12.3f}{far:>12.3f}")

    pictures = [(f"level {name}, held out", windows[level == name][20]) for name in HELD_OUT]
    pictures += [("tiles drawn one by one", one_by_one[0])]
    pictures += [("drawn by the decoder", window) for window in drawn[:9]]
    folder.mkdir(parents=True, exist_ok=True)
    plot_windows(pictures, mario.tiles).savefig(folder / "mario_levels.png", dpi=100)
    print(f"saved {folder / 'mario_levels.png'}")


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "output"))
