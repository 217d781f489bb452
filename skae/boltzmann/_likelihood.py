"""The partition function of a restricted Boltzmann machine, exactly and by annealing."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from .._compute import chunk_rows, limit_threads
from .._random import Generator
from ._halves import n_threads
from ._module import RBMModule

#: Units of the smaller layer up to which all its states are counted.
MAX_ENUMERATED = 20


class LogPartition(NamedTuple):
    """The log of a partition function.

    Attributes
    ----------
    value : float
        The estimate of log Z, in nats.
    standard_error : float
        Its standard error; 0 if it is exact.
    """

    value: float
    standard_error: float


def enumerable(module: RBMModule, *, binary_visible: bool) -> bool:
    """Whether one layer is small enough to count all its states."""
    n_components, n_features = module.weight.shape
    return n_components <= MAX_ENUMERATED or (binary_visible and n_features <= MAX_ENUMERATED)


def exact(module: RBMModule, *, binary_visible: bool) -> LogPartition:
    """Sum over all states of the smaller layer, in float64."""
    n_components, n_features = module.weight.shape
    of_visible = binary_visible and n_features < n_components
    n_units = n_features if of_visible else n_components
    n_rows = min(2**n_units, chunk_rows(max(n_components, n_features), module.weight.device))
    partial = []
    with limit_threads(n_rows * module.weight.numel()):
        for states in _all_states(n_units, n_rows, like=module.weight):
            logs = -module.free_energy(states) if of_visible else _log_marginal(module, states)
            partial.append(torch.logsumexp(logs, 0))
        return LogPartition(float(torch.logsumexp(torch.stack(partial), 0)), 0.0)


def _log_marginal(module: RBMModule, h: Tensor) -> Tensor:
    """Return the log-probability of each row of hidden units, up to log Z."""
    states = module.log_visible_states(module.visible_activation(h), module.visible_bias)
    return h @ module.hidden_bias + states


def _all_states(n_units: int, n_rows: int, like: Tensor) -> Iterator[Tensor]:
    bits = torch.arange(n_units, device=like.device)
    for numbers in torch.arange(2**n_units, device=like.device).split(n_rows):
        yield ((numbers[:, None] >> bits) & 1).to(like.dtype)


def annealed(
    module: RBMModule,
    *,
    n_runs: int,
    n_betas: int,
    generator: Generator,
    start: Tensor | None = None,
) -> LogPartition:
    """Estimate log Z by annealed importance sampling (Salakhutdinov and Murray 2008).

    The path goes from the machine without weights, whose visible biases fit the data and
    whose Z is known, to the machine itself: at beta the energy is that of visible units with
    biases mixed in this proportion, and of hidden ones with their input times beta.

    Parameters
    ----------
    module : RBMModule
        With binary hidden units.
    n_runs, n_betas : int
        Number of independent chains, and of distributions on the path.
    generator : Generator
        Source of all draws.
    start : Tensor of shape (n_runs, n_features), optional
        Samples of the machine itself. If given, the path is walked back from them (Burda,
        Grosse and Salakhutdinov 2015), which errs towards too large a Z.
    """
    base = module.base_bias()
    hidden_states = module.hidden.log_states(torch.zeros_like(module.hidden_bias)).sum()
    log_base = hidden_states + module.log_visible_states(base, base)
    betas = torch.linspace(0, 1, n_betas, dtype=torch.float64).tolist()
    if start is None:
        noise, _ = module.draw_noise(n_runs, generator)
        v = module.sample_visible(base.expand(n_runs, -1), noise)
    else:
        v = start
        betas.reverse()
    total = torch.zeros(n_runs, dtype=torch.float64, device=v.device)
    shape, device = module.weight.shape, module.weight.device
    with limit_threads(n_runs * module.weight.numel(), n_threads(shape, n_runs, device)):
        for before, beta in itertools.pairwise(betas):
            activation = module.hidden_activation(v)
            total += module.log_weight(v, activation, beta)
            total -= module.log_weight(v, activation, before)
            visible_noise, hidden_noise = module.draw_noise(n_runs, generator)
            h = module.sample_hidden(beta * activation, hidden_noise)
            v = module.sample_visible(module.visible_activation(h, beta), visible_noise)
    ratio = float(torch.logsumexp(total, 0)) - math.log(n_runs)
    relative = torch.exp(total - ratio)  # of mean 1; its deviation is that of log Z, to first order
    error = float(relative.std()) / math.sqrt(n_runs) if n_runs > 1 else math.nan
    sign = 1 if start is None else -1
    return LogPartition(float(log_base) + sign * ratio, error)
