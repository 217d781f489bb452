"""Whether layers and outputs from elsewhere will do, and whether a training was of use."""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .._compute import DENSE_NUMBERS
from .._random import Generator, seeded_initialisation
from .._training import Source
from ..layers import run, sample_noise
from ..losses import mean_per_sample
from ._module import AutoencoderModule

# Two, since layers with statistics of a batch do not take a single row.
_N_ROWS = 2


@torch.no_grad()
def check_network(
    module: AutoencoderModule, n_features: int, n_encoded: int, n_decoded: int
) -> None:
    """Pass a few rows through an untrained network as training does.

    Parameters
    ----------
    module : AutoencoderModule
        On the CPU. It stays as it is, and so does torch's generator.
    n_features : int
        Width of a row.
    n_encoded, n_decoded : int
        How many numbers the encoder is to give for a row, and the decoder to take.

    Raises
    ------
    ValueError
        If encoder, decoder or output give tensors of another shape than they should, or if
        layers draw from torch's global generator, so that a fit would not be reproducible.
    """
    module = copy.deepcopy(module).train()  # for counters and running statistics
    generator = Generator(0)
    x = generator.normal((_N_ROWS, n_features))
    n_each = module.n_outputs_per_feature
    with seeded_initialisation(0):  # and no other thread draws meanwhile
        before = torch.get_rng_state()
        code = _passed(module, "encoder", x, n_encoded, generator)
        code = module.code_activation(code)[:, : module.n_components]
        code = F.pad(code, (0, n_decoded - module.n_components))
        decoded = _passed(module, "decoder", code, n_each * n_features, generator)
        draws = not torch.equal(torch.get_rng_state(), before)
    if draws:
        raise ValueError(
            "The layers that hidden_layers makes draw from torch's global generator"
            f"{_culprits(module)}, so that random_state could not make a fit reproducible. Use "
            "the dropout of skae.layers (Dense, Conv1d, Conv2d), or draw what they need in a "
            "method sample_noise(x, generator), as the docstring of skae.layers says."
        )
    output, entries = module.output(), module.per_feature(decoded)
    for name, result in [("error", output.error(entries, x)), ("mean", output.mean(entries))]:
        if _shape(result) != x.shape:
            raise ValueError(
                f"The method {name} of loss={type(output).__name__} must return one number for "
                f"each entry, here a tensor of shape {tuple(x.shape)}, but returns "
                f"{_described(result)}."
            )


@torch.no_grad()
def loss_of_mean(module: AutoencoderModule, source: Source) -> float | None:
    """Return the mean error of rebuilding each row as the mean of the rows.

    It is taken over some of the rows if there are many, and None if it is not known for what
    output the reconstruction is that mean.
    """
    n_rows = max(1, min(source.n_rows, DENSE_NUMBERS // source.n_features))
    index = torch.arange(n_rows, device=source.device) * source.n_rows // n_rows
    x, weight, *_ = source.take(index)
    share = torch.full_like(x[:, 0], 1 / n_rows) if weight is None else weight / weight.sum()
    mean, output = share @ x, module.output()
    for constant in (mean, mean.logit(eps=1e-6)):
        if module.n_outputs_per_feature == 1 and torch.allclose(
            output.mean(constant[None])[0], mean, atol=1e-5
        ):
            return float(share @ mean_per_sample(output.error(constant.expand_as(x), x)))
    return None


def _passed(
    module: AutoencoderModule, name: str, x: Tensor, width: int, generator: Generator
) -> Tensor:
    layers = getattr(module, name)
    makes = f"The {name} that hidden_layers makes"
    try:
        result = run(layers, x, sample_noise(layers, x, generator))
    except Exception as error:
        raise ValueError(f"{makes} fails on rows of {x.shape[1]} numbers: {error}") from error
    if _shape(result) != (len(x), width):
        raise ValueError(
            f"{makes} must return {width} numbers for each row, here a tensor of shape "
            f"{(len(x), width)}, but returns {_described(result)}."
        )
    return result


def _shape(result: Any) -> tuple[int, ...] | None:
    return tuple(result.shape) if isinstance(result, Tensor) else None


def _described(result: Any) -> str:
    shape = _shape(result)
    return f"a {type(result).__name__}" if shape is None else f"one of shape {shape}"


def _culprits(module: nn.Module) -> str:
    """Return the names of torch's layers that draw random numbers, in brackets."""
    kinds = (nn.modules.dropout._DropoutNd, nn.RReLU)
    names = {type(layer).__name__ for layer in module.modules() if isinstance(layer, kinds)}
    return f" ({', '.join(sorted(names))})" if names else ""
