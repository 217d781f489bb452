"""How the training of a restricted Boltzmann machine goes, on the same few rows all along."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .._training import Callback, Source
from ._module import RBMModule

_MAX_ROWS = 500
# Distance to the end of its range below which a unit is saturated.
_SATURATED = 0.01


class Monitor(Callback):
    """Notes after each sweep, in the history.

    Parameters
    ----------
    source : Source
        The training rows, of which some, evenly spaced, are looked at.
    validation : Source or None
        Rows to compare them with.
    """

    def __init__(self, source: Source, validation: Source | None):
        self.rows = _some(source)
        self.validation = None if validation is None else _some(validation)
        n_rows, n_features = self.rows.shape
        # One feature of each row, spread over all of them.
        self._features = (torch.arange(n_rows, device=source.device) * n_features // n_rows)[
            :, None
        ]

    @torch.no_grad()
    def on_epoch_end(self, net: Any, **_: Any) -> None:
        """Note how the machine does."""
        module, x = net.module_, self.rows
        activation = module.hidden_activation(x)
        reconstructed = module.decode(module.hidden.mean(activation))
        # A sum over everything would depend on the number of threads.
        error = (reconstructed - x).square().mean(1).mean()
        net.history.record("reconstruction_error", float(error))
        conditionals = module.log_conditionals(
            x.gather(1, self._features), activation[:, None], self._features
        )
        net.history.record("pseudo_likelihood", float(conditionals.mean()) * x.shape[1])
        if self.validation is not None:
            gap = module.free_energy(self.validation).mean() - module.free_energy(x).mean()
            net.history.record("free_energy_gap", float(gap))


@torch.no_grad()
def count_saturated(module: RBMModule, source: Source) -> int:
    """Return how many hidden units are at the same end of their range for some training rows."""
    mean = module.encode(_some(source))
    low = (mean < _SATURATED).all(0)
    high = (mean > module.hidden.highest - _SATURATED).all(0)
    return int((low | high).sum())


def _some(source: Source) -> Tensor:
    n_rows = min(source.n_rows, _MAX_ROWS)
    index = torch.arange(n_rows, device=source.device) * source.n_rows // n_rows
    return source.take(index).x.clone()
