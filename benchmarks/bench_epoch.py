"""An epoch over 60,000 rows of 784 features: skae, its peers and the floor.

Net 784-128-32-128-784 with ReLU, batch 256, Adam: seconds an epoch. The rows are random
numbers from 0 to 1, or MNIST where the environment variable SKAE_DATA names a folder
that holds mnist/mnist.npz. All of `fit` counts. skorch and pyod are timed with their
defaults for all but the net, Adam and batches of 128 (the default of skorch; that of pyod
is 32), where pyod standardises, normalises batches, drops out and scores the training
rows, and skorch does not hold out a fifth of the rows, so that its epoch is as long.
And they are timed stripped to the same work as the others, with batches of 256. The
floor is the matrix products of an epoch alone; the step by hand adds all that training
needs and nothing else.

Command: ``python benchmarks/bench_epoch.py [--rounds 5] [--rows 60000]``
"""

import os
from collections.abc import Callable
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _common import (
    arguments,
    bare_loop,
    interleave,
    make_network,
    print_ratio_limit,
    print_table,
    time_rows,
)
from sklearn.neural_network import MLPRegressor
from skorch import NeuralNet
from torch import Tensor, nn

from skae import Autoencoder, config_context

WIDTHS = (784, 128, 32, 128, 784)
BATCH_SIZE = 256


def load_rows(n_rows: int) -> tuple[str, np.ndarray]:
    folder = os.environ.get("SKAE_DATA")
    if folder:
        with np.load(Path(folder, "mnist", "mnist.npz")) as data:
            images = data["X_train"][:n_rows]
        return "MNIST", images.reshape(len(images), -1).astype(np.float32) / 255
    return "random", np.random.default_rng(0).random((n_rows, WIDTHS[0]), dtype=np.float32)


class ByHand:
    """The step of Adam written out, without autograd, into memory that is taken once."""

    def __init__(self, widths: tuple[int, ...], batch_size: int):
        network = make_network(widths)
        self.parameters = nn.utils.parameters_to_vector(network.parameters()).detach()
        self.gradient, self.mean, self.square = torch.zeros(3, len(self.parameters))
        self.n_steps = torch.zeros(())
        shapes = [parameter.shape for parameter in network.parameters()]
        self.weights, self.biases = self._cut(self.parameters, shapes)
        self.weight_gradients, self.bias_gradients = self._cut(self.gradient, shapes)
        self.batch, *self.outputs = (torch.empty(batch_size, width) for width in widths)
        self.deltas = [torch.empty(batch_size, width) for width in widths[1:-1]]

    @staticmethod
    def _cut(vector: Tensor, shapes: list[torch.Size]) -> tuple[list[Tensor], list[Tensor]]:
        pieces = vector.split([shape.numel() for shape in shapes])
        views = [piece.view(shape) for piece, shape in zip(pieces, shapes, strict=True)]
        return views[0::2], views[1::2]

    def step(self, rows: Tensor, index: Tensor) -> Tensor:
        """Learn from the rows at `index`; return their mean squared error."""
        n = len(index)
        x = torch.index_select(rows, 0, index, out=self.batch[:n])
        inputs = [x]
        for weight, bias, buffer in zip(self.weights, self.biases, self.outputs, strict=True):
            inputs.append(torch.addmm(bias, inputs[-1], weight.t(), out=buffer[:n]))
            if weight is not self.weights[-1]:
                inputs[-1].relu_()
        delta = inputs.pop().sub_(x)
        loss = torch.dot(delta.view(-1), delta.view(-1)) / delta.numel()
        delta.mul_(2 / delta.numel())
        for layer in reversed(range(len(self.weights))):
            torch.mm(delta.t(), inputs[layer], out=self.weight_gradients[layer])
            torch.sum(delta, 0, out=self.bias_gradients[layer])
            if layer > 0:
                delta = torch.mm(delta, self.weights[layer], out=self.deltas[layer - 1][:n])
                torch.ops.aten.threshold_backward(delta, inputs[layer], 0, grad_input=delta)
        self.n_steps += 1
        torch._fused_adam_(
            *([tensor] for tensor in (self.parameters, self.gradient, self.mean, self.square)),
            [],
            [self.n_steps],
            lr=1e-3,
            beta1=0.9,
            beta2=0.999,
            eps=1e-8,
            weight_decay=0,
            amsgrad=False,
            maximize=False,
        )
        return loss


@torch.inference_mode()
def train_by_hand(X: np.ndarray) -> ByHand:
    rows = torch.from_numpy(X)
    network = ByHand(WIDTHS, BATCH_SIZE)
    for index in torch.randperm(len(rows)).split(BATCH_SIZE):
        network.step(rows, index)
    return network


@torch.inference_mode()
def multiply_matrices(X: np.ndarray) -> None:
    """Do the matrix products of an epoch: forward, and both gradients, but that of the input."""
    outputs = [torch.rand(BATCH_SIZE, width) for width in WIDTHS]
    spare = [torch.empty_like(output) for output in outputs]
    weights = [torch.rand(n_out, n_in) for n_in, n_out in pairwise(WIDTHS)]
    gradients = [torch.empty_like(weight) for weight in weights]
    for start in range(0, len(X), BATCH_SIZE):
        n = min(BATCH_SIZE, len(X) - start)
        for i, weight in enumerate(weights):
            torch.mm(outputs[i][:n], weight.t(), out=spare[i + 1][:n])
        for i, weight in reversed(list(enumerate(weights))):
            torch.mm(outputs[i + 1][:n].t(), outputs[i][:n], out=gradients[i])
            if i > 0:
                torch.mm(outputs[i + 1][:n], weight, out=spare[i][:n])


def fit_pyod(X: np.ndarray, **settings: Any) -> None:
    from pyod.models.auto_encoder import AutoEncoder

    AutoEncoder(
        hidden_neuron_list=list(WIDTHS[1:3]),
        epoch_num=1,
        device="cpu",
        verbose=0,
        **settings,
    ).fit(X)


def fit_skorch(X: np.ndarray, **settings: Any) -> None:
    NeuralNet(
        make_network(WIDTHS),
        criterion=nn.MSELoss,
        optimizer=torch.optim.Adam,
        lr=1e-3,
        max_epochs=1,
        train_split=None,
        verbose=0,
        **settings,
    ).fit(X, X)


def main() -> None:
    options = arguments(__doc__, rounds=5, rows=60_000)
    kind, X = load_rows(options.rows)

    def fit_skae() -> None:
        Autoencoder(
            32,
            hidden_layers=(128,),
            code_activation="relu",
            batch_size=BATCH_SIZE,
            max_iter=1,
            device="cpu",
        ).fit(X)

    def fit_without_recording() -> None:
        with config_context(record_steps=False):
            fit_skae()

    def fit_mlp() -> None:
        MLPRegressor(
            hidden_layer_sizes=WIDTHS[1:-1], alpha=0, batch_size=BATCH_SIZE, max_iter=1
        ).fit(X, X)

    candidates: dict[str, Callable[[], Any]] = {
        "skae": fit_skae,
        "skae, not recorded": fit_without_recording,
        "bare loop": lambda: bare_loop(X, WIDTHS, BATCH_SIZE, 1),
        "step by hand": lambda: train_by_hand(X),
        "matrix products alone": lambda: multiply_matrices(X),
        "MLPRegressor": fit_mlp,
        "skorch, defaults": lambda: fit_skorch(X),
        "skorch, the same work": lambda: fit_skorch(
            X,
            batch_size=BATCH_SIZE,
            iterator_train__shuffle=True,
            optimizer__fused=True,
        ),
    }
    has_pyod = find_spec("pyod") is not None
    if has_pyod:
        candidates["pyod, defaults"] = lambda: fit_pyod(X, batch_size=128)
        candidates["pyod, the same work"] = lambda: fit_pyod(
            X,
            batch_size=BATCH_SIZE,
            preprocessing=False,
            batch_norm=False,
            dropout_rate=0,
            optimizer_params={},
        )
    times = interleave(candidates, options.rounds)
    rows = time_rows(times, lambda seconds: f"{seconds:.3f}", ["bare loop", "skae"])
    if not has_pyod:
        rows.append(["pyod", "not installed", "", "", ""])
    net = "-".join(map(str, WIDTHS))
    print_table(
        f"An epoch: {kind} {X.shape[0]:,} x {X.shape[1]}, net {net}, batch {BATCH_SIZE}",
        ["", "s per epoch", "spread", "/ bare loop", "/ skae"],
        rows,
    )
    print_ratio_limit(times, "skae", "bare loop", 0.85)
    print_ratio_limit(times, "skae", "matrix products alone", 1.35)
    print_ratio_limit(times, "skae", "MLPRegressor", 1)
    print_ratio_limit(times, "skae", "skorch, defaults", 1 / 2)
    if has_pyod:
        print_ratio_limit(times, "skae", "pyod, defaults", 1 / 3)


if __name__ == "__main__":
    main()
