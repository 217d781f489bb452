"""Whether layers from elsewhere will do: layers that a user's own architecture makes."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from .._random import Generator, seeded_initialisation
from ._shared import BatchNorm, run, sample_noise

# Two, since layers with statistics of a batch do not take a single row.
_N_ROWS = 2

# Packages of layers of which it is known that only `_NormBase` has statistics of a batch; that of
# this package counts rows by their weight.
_KNOWN = ("torch", "skae")


class Part(NamedTuple):
    """Layers, what to call them, and how many numbers of a row they take and return."""

    name: str
    layers: nn.Module
    n_in: int
    n_out: int


def is_from_elsewhere(value: Any) -> bool:
    """Whether the class of a value is not of this package."""
    return type(value).__module__.split(".")[0] != "skae"


def check_is_module(part: Any, maker: str) -> None:
    """Refuse what an architecture makes if it is no module.

    Parameters
    ----------
    part : object
        What was made.
    maker : str
        Which method of which parameter made it.

    Raises
    ------
    ValueError
        If it is no module.
    """
    if not isinstance(part, nn.Module):
        raise ValueError(
            f"{maker} must return a torch.nn.Module, but returns a {type(part).__name__}."
        )


@torch.no_grad()
def check_layers(parts: Sequence[Part]) -> list[Tensor]:
    """Pass a few rows through untrained layers as training does.

    Parameters
    ----------
    parts : sequence of Part
        On the CPU. They stay as they are, and so does torch's generator.

    Returns
    -------
    list of Tensor
        What each returned, of shape (2, n_out).

    Raises
    ------
    ValueError
        If layers fail, give a tensor of another shape than they should, or draw from torch's
        global generator, so that a fit would not be reproducible.
    """
    generator, results = Generator(0), []
    with seeded_initialisation(0):  # and no other thread draws meanwhile
        for part in copy.deepcopy(list(parts)):  # for counters and running statistics
            before = torch.get_rng_state()
            results.append(_passed(part, generator))
            if not torch.equal(torch.get_rng_state(), before):
                raise ValueError(
                    f"{part.name} draws from torch's global generator{_culprits(part.layers)}, so "
                    "that random_state could not make a fit reproducible. Use the dropout of "
                    "skae.layers (Dense, Conv1d, Conv2d), or draw what it needs in a method "
                    "sample_noise(x, generator), as the docstring of skae.layers says."
                )
    return results


def _passed(part: Part, generator: Generator) -> Tensor:
    x, layers = generator.normal((_N_ROWS, part.n_in)), part.layers.train()
    try:
        result = run(layers, x, sample_noise(layers, x, generator))
    except Exception as error:
        raise ValueError(f"{part.name} fails on rows of {part.n_in} numbers: {error}") from error
    if shape_or_none(result) != (_N_ROWS, part.n_out):
        raise ValueError(
            f"{part.name} must return {part.n_out} numbers for each row, here a tensor of shape "
            f"{(_N_ROWS, part.n_out)}, but returns {described(result)}."
        )
    return result


def shape_or_none(result: Any) -> tuple[int, ...] | None:
    """Return the shape of a tensor, None of what is none."""
    return tuple(result.shape) if isinstance(result, Tensor) else None


def described(result: Any) -> str:
    """Return what to call a tensor of a wrong shape, or what is no tensor."""
    shape = shape_or_none(result)
    return f"a {type(result).__name__}" if shape is None else f"one of shape {shape}"


def _culprits(module: nn.Module) -> str:
    """Return the names of torch's layers that draw random numbers, in brackets."""
    kinds = (nn.modules.dropout._DropoutNd, nn.RReLU)
    names = {type(layer).__name__ for layer in module.modules() if isinstance(layer, kinds)}
    return f" ({', '.join(sorted(names))})" if names else ""


def without_in_place(layers: nn.Module) -> None:
    """Let no layer work in place: a first one would write over the user's rows."""
    for layer in layers.modules():
        if getattr(layer, "inplace", False):
            layer.inplace = False  # type: ignore[assignment]


def mixes_rows(layers: nn.Module) -> bool:
    """Whether layers may look at a batch otherwise than row by row, or by weighted means.

    Layers from elsewhere may do so in a way that cannot be seen.
    """
    return any(
        (isinstance(layer, _NormBase) and not isinstance(layer, BatchNorm))
        or type(layer).__module__.split(".")[0] not in _KNOWN
        for layer in layers.modules()
    )
