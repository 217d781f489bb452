"""
============================================
Compressing images: bits per image and error
============================================

Images of handwritten digits (MNIST) are compressed by an autoencoder, and by PCA. What is stored of
an image is its code, each component rounded to one of 256 values: 8 bits for each. The same
rounding is used for both, from the least to the largest value that the component has in the
training images, and the error is that of test images after rounding.

The autoencoder needs less than half of the bits that PCA needs for the same error. Its price is
the decoder, which has to be stored as well, once for all images: it is much larger than that of
PCA, and pays only from tens of thousands of images on. Both lose something; what zlib needs to
store an image without any loss is printed for comparison.

Run it with ``python examples/plot_compression.py [folder]``; the picture goes to
``examples/output`` unless a folder is given. It needs MNIST, see `skae.datasets.fetch_mnist`, and
ends without it.
"""

import sys
import warnings
import zlib
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning

from skae import Autoencoder
from skae.datasets import fetch_mnist
from skae.plotting import ReconstructionDisplay

BITS = 8  # of a component
WIDTHS = {"autoencoder": [4, 8, 16, 32], "PCA": [4, 8, 16, 32, 64, 128]}
COLOURS = {"autoencoder": "#0072B2", "PCA": "#D55E00"}


def fit(kind, n_components, X):
    """Return a fitted autoencoder or PCA."""
    if kind == "PCA":
        return PCA(n_components, random_state=0).fit(X)
    return Autoencoder(
        n_components,
        hidden_layers=(256,),
        loss="binary_cross_entropy",
        learning_rate=3e-3,
        learning_rate_schedule="cosine",
        batch_size=100,
        max_iter=15,
        random_state=0,
    ).fit(X)


def compress(codes, of_training):
    """Return codes rounded to integers of so many bits, and what gives the values back."""
    low, high = of_training.min(axis=0), of_training.max(axis=0)
    step = np.where(high > low, (high - low) / (2**BITS - 1), 1)
    stored = np.clip(np.rint((codes - low) / step), 0, 2**BITS - 1).astype(np.uint8)
    return stored, lambda integers: (low + integers * step).astype(codes.dtype)


def decoder_bits(learner):
    """Return the bits of what turns codes into images, in float32."""
    if isinstance(learner, PCA):
        return 32 * (learner.components_.size + learner.mean_.size)
    return 32 * sum(weights.numel() for weights in learner.module_.decoder.parameters())


def measure(X_train, X_test):
    """Return of each learner and width the decoded test images, and the bits of its decoder."""
    results = {}
    for kind, widths in WIDTHS.items():
        for width in widths:
            learner = fit(kind, width, X_train)
            codes = learner.transform(X_test)
            stored, decompress = compress(codes, learner.transform(X_train))
            decoded = learner.inverse_transform(decompress(stored)).clip(0, 1)
            results[kind, width] = decoded, decoder_bits(learner)
    return results


def plot(errors, images, results, shown):
    """Draw error against bits, and images as some of the learners decode them."""
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(13, 4.2), layout="constrained", width_ratios=[1, 1.6]
    )
    for kind, widths in WIDTHS.items():
        bits = [BITS * one for one in widths]
        left.plot(bits, [errors[kind, one] for one in widths], "o-", c=COLOURS[kind], label=kind)
    left.set(xscale="log", yscale="log", ylabel="mean squared error per pixel, test images")
    left.set_xticks(bits, bits)
    left.minorticks_off()
    left.set_yticks([0.005, 0.01, 0.02, 0.04], ["0.005", "0.01", "0.02", "0.04"])
    left.set(xlabel=f"bits per image ({BITS} for each component; raw pixels take {8 * 784})")
    left.grid(alpha=0.4)
    left.legend()
    rows = {"original": images}
    for kind, width in shown:
        rows[f"{kind}\n{BITS * width} bits"] = results[kind, width][0]
    rows = {name: row[:11].reshape(-1, 28, 28) for name, row in rows.items()}
    ReconstructionDisplay(rows).plot(right)
    right.set_title("test images, and what is decoded from so many bits")
    return figure


def main(folder):
    """Print sizes and errors, save the picture."""
    try:
        X_train = fetch_mnist().data[:10_000] / np.float32(255)
        pixels = fetch_mnist(subset="test").data
    except (ImportError, OSError) as error:
        print(f"skipped: {error}")
        return
    X_test = pixels / np.float32(255)
    results = measure(X_train, X_test)
    errors = {key: ((decoded - X_test) ** 2).mean() for key, (decoded, _) in results.items()}
    print(f"{'':<13}{'bits per image':>14}{'test error':>12}{'kB of the decoder':>19}")
    for (kind, width), error in errors.items():
        kilobytes = results[kind, width][1] / 8000
        print(f"{kind:<13}{BITS * width:>14}{error:>12.4f}{kilobytes:>19.0f}")

    width = 8
    sizes, by_pca = zip(*((k, errors["PCA", k]) for k in WIDTHS["PCA"]), strict=True)
    as_good = np.exp(np.interp(-errors["autoencoder", width], -np.array(by_pca), np.log(sizes)))
    more = results["autoencoder", width][1] - 32 * (as_good + 1) * 784
    pays = more / (BITS * (as_good - width))
    print(f"PCA needs {BITS * as_good:.0f} bits for what {width} components of the autoencoder do")
    print(f"with its decoder the autoencoder is the smaller from {pays:.0f} images on")
    lossless = np.mean([8 * len(zlib.compress(one.tobytes(), 9)) for one in pixels[:1000]])
    print(f"zlib, without loss: {lossless:.0f} bits per image")

    folder.mkdir(parents=True, exist_ok=True)
    shown = [("autoencoder", width), ("PCA", width), ("PCA", 2 * width)]
    plot(errors, X_test, results, shown).savefig(folder / "compression.png", dpi=100)
    print(f"saved {folder / 'compression.png'}")


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "output"))
