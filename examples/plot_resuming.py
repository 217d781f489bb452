"""
================================
A fit that survives being killed
================================

A process fits a denoising autoencoder to scikit-learn's digits, with a checkpoint after every
epoch, and is killed in the middle (SIGKILL, which no program can catch), as on a machine that is
taken away. Run again, the same script goes on from the last checkpoint. Its weights are those of
a fit that was never interrupted, to the last bit.

Run it with ``python examples/plot_resuming.py [folder]``; the picture goes to
``examples/output`` unless a folder is given.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import numpy as np
from safetensors import safe_open
from sklearn.datasets import load_digits

from skae import DenoisingAutoencoder
from skae.plotting import LossCurveDisplay

#: The fit of the script below, and of its twin that nothing interrupts.
SETTINGS = {
    "n_components": 32,
    "hidden_layers": [256],
    "batch_size": 50,
    "max_iter": 60,
    "tol": 0,
    "random_state": 0,
}

#: What a user has in a file, and runs again when it was killed.
SCRIPT = """
import json, sys, warnings
import numpy as np
from sklearn.datasets import load_digits
from skae import DenoisingAutoencoder

warnings.simplefilter("ignore")  # that max_iter was reached
folder, settings = sys.argv[1], json.loads(sys.argv[2])
autoencoder = DenoisingAutoencoder(**settings, checkpoint=folder)
X = load_digits().data / 16
autoencoder.fit(X)
np.savez(f"{folder}/result", codes=autoencoder.transform(X), loss=autoencoder.loss_curve_)
"""


def start(folder):
    """Start the script in a process of its own."""
    return subprocess.Popen([sys.executable, "-c", SCRIPT, str(folder), json.dumps(SETTINGS)])


def kill_in_the_middle(process, folder):
    """Kill the process when its checkpoint has a third of the epochs."""
    while n_epochs_in(folder) < SETTINGS["max_iter"] / 3 and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    process.wait()


def n_epochs_in(folder):
    """Return how many epochs the checkpoint in a folder has."""
    if not (folder / "checkpoint.safetensors").exists():
        return 0
    with safe_open(folder / "checkpoint.safetensors", framework="np") as file:
        return len(json.loads(file.metadata()["skae"])["state"]["history"])


def main(folder):
    """Kill a fit, let it go on, compare it with one that was not killed, and save the picture."""
    X = load_digits().data / 16
    straight = DenoisingAutoencoder(**SETTINGS).fit(X)
    with tempfile.TemporaryDirectory() as name:
        checkpoints = Path(name) / "fit"
        kill_in_the_middle(start(checkpoints), checkpoints)
        n_done = n_epochs_in(checkpoints)
        print(f"killed; the checkpoint has {n_done} of {SETTINGS['max_iter']} epochs")
        start(checkpoints).wait()
        print(f"run again; it has {n_epochs_in(checkpoints)}")
        result = dict(np.load(checkpoints / "result.npz"))
    same = np.array_equal(result["codes"], straight.transform(X))
    print(f"the codes are those of a fit that was not interrupted, to the bit: {same}")

    epochs = np.arange(len(result["loss"]))
    curves = {
        "first process": result["loss"][:n_done],
        "second process": np.where(epochs >= n_done, result["loss"], np.nan),
    }
    display = LossCurveDisplay(curves).plot()
    display.ax_.axvline(n_done + 0.5, color="k", ls="--", label="killed")
    display.ax_.legend()
    folder.mkdir(parents=True, exist_ok=True)
    display.figure_.savefig(folder / "resuming.png", dpi=100)
    print(f"saved {folder / 'resuming.png'}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "output"))
