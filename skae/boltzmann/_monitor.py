"""How the training of a restricted Boltzmann machine goes, on the same few rows all along."""

from __future__ import annotations

import torch
from torch import Tensor

from .._training import Rows
from ._module import RBMModule

_MAX_ROWS = 500
# Distance to the end of its range below which a unit is saturated.
_SATURATED = 0.01


class Monitor:
    """Notes after each sweep, in `history`.

    Parameters
    ----------
    rows : Rows
        The training rows, of which some, evenly spaced, are looked at.
    validation : Rows or None
        Rows to compare them with.
    """

    def __init__(self, rows: Rows, validation: Rows | None):
        self.rows = _some(rows)
        self.validation = None if validation is None else _some(validation)
        n_rows, n_features = self.rows.shape
        # One feature of each row, spread over all of them.
        self._features = (torch.arange(n_rows, device=rows.device) * n_features // n_rows)[:, None]
        self.history: dict[str, list[float]] = {"reconstruction_error": [], "pseudo_likelihood": []}
        if validation is not None:
            self.history["free_energy_gap"] = []

    @torch.no_grad()
    def __call__(self, module: RBMModule) -> None:
        """Note how `module` does."""
        x = self.rows
        activation = module.hidden_activation(x)
        reconstructed = module.decode(module.hidden.mean(activation))
        # A sum over everything would depend on the number of threads.
        error = (reconstructed - x).square().mean(1).mean()
        self.history["reconstruction_error"].append(float(error))
        conditionals = module.log_conditionals(
            x.gather(1, self._features), activation[:, None], self._features
        )
        self.history["pseudo_likelihood"].append(float(conditionals.mean()) * x.shape[1])
        if self.validation is not None:
            gap = module.free_energy(self.validation).mean() - module.free_energy(x).mean()
            self.history["free_energy_gap"].append(float(gap))

    @torch.no_grad()
    def count_saturated(self, module: RBMModule) -> int:
        """Return how many hidden units are at the same end of their range for all these rows."""
        mean = module.encode(self.rows)
        low = (mean < _SATURATED).all(0)
        high = (mean > module.hidden.highest - _SATURATED).all(0)
        return int((low | high).sum())


def _some(rows: Rows) -> Tensor:
    n_rows = min(rows.n_rows, _MAX_ROWS)
    index = torch.arange(n_rows, device=rows.device) * rows.n_rows // n_rows
    return rows.take(index).clone()
