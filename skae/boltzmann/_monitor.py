"""Measures of the training of a restricted Boltzmann machine, on the same rows in all epochs."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from .._compute import chunk_rows
from .._training import Callback, Source, diverged

#: Names of what is recorded for users; the last one is recorded given validation rows.
CURVES = ("reconstruction_error", "pseudo_likelihood", "free_energy_gap")

_MAX_ROWS = 500
# Distance to the end of its range below which a unit is saturated.
_SATURATED = 0.01


class Monitor(Callback):
    """Records in the history, after each epoch, how well the machine fits.

    These are the `CURVES`, and "saturated": the number of hidden units that are nearly 0, or
    nearly 1, for every row.

    Parameters
    ----------
    source : Source
        The training rows; up to 500 of them, evenly spaced, are used.
    validation : Source, optional
        Rows to compare them with.
    printed_as : str, optional
        Name of the estimator in the line that is printed after each epoch; None prints nothing.
    """

    def __init__(
        self, source: Source, validation: Source | None = None, *, printed_as: str | None = None
    ):
        self.printed_as = printed_as
        self.rows = _some(source)
        self.validation = None if validation is None else _some(validation)
        self._features = _one_of_each_row(*self.rows.shape).to(source.device)

    @torch.no_grad()
    def reconstruction_error(self, net: Any) -> float:
        """Return the mean squared error per feature of the rows, rebuilt."""
        module = net.module_
        return _mean_squared(module.decode(module.encode(self.rows)) - self.rows)

    @torch.no_grad()
    def on_epoch_end(self, net: Any, **_: Any) -> None:
        """Record how well the machine fits; stop the training if the error is no finite number."""
        module, x = net.module_, self.rows
        in_block = chunk_rows(module.weight.shape[0] * module.numbers_per_conditional(), x.device)
        activation = module.hidden_activation(x)
        mean = module.hidden.mean(activation)
        conditionals = [
            module.log_conditionals(v.gather(1, features), some[:, None], features)
            for v, some, features in zip(
                *(rows.split(in_block) for rows in (x, activation, self._features)), strict=True
            )
        ]
        recorded = {
            "reconstruction_error": _mean_squared(module.decode(mean) - x),
            "pseudo_likelihood": float(torch.cat(conditionals).mean()) * x.shape[1],
            "saturated": float(_saturated(mean, module.hidden.highest).sum()),
        }
        if self.validation is not None:
            gap = module.free_energy(self.validation).mean() - module.free_energy(x).mean()
            recorded["free_energy_gap"] = float(gap)
        if not math.isfinite(recorded["reconstruction_error"]):
            diverged(net)
        for name, value in recorded.items():
            net.history.record(name, value)
        if self.printed_as is not None:
            epoch = net.history[-1]
            tqdm.write(  # to the standard output, without breaking the progress bar
                f"[{self.printed_as}] Iteration {epoch['epoch']}, pseudo-likelihood = "
                f"{epoch['pseudo_likelihood']:.2f}, time = {epoch['dur']:.2f}s"
            )


def _mean_squared(difference: Tensor) -> float:
    # A sum over everything would depend on the number of threads.
    return float(difference.square().mean(1).mean())


def _saturated(mean: Tensor, highest: float) -> Tensor:
    """Return which units are at the same end of their range for all rows."""
    return (mean < _SATURATED).all(0) | (mean > highest - _SATURATED).all(0)


def _one_of_each_row(n_rows: int, n_features: int) -> Tensor:
    """Return the number of a feature for each row, shape (n_rows, 1), each as often as the others.

    In random order, since rows may be sorted; the same in all fits, which it leaves their own
    random numbers.
    """
    generator = torch.Generator().manual_seed(0)
    n_orders = -(-n_rows // n_features)
    orders = [torch.randperm(n_features, generator=generator) for _ in range(n_orders)]
    return torch.cat(orders)[:n_rows, None]


def _some(source: Source) -> Tensor:
    n_rows = min(source.n_rows, _MAX_ROWS)
    index = torch.arange(n_rows, device=source.device) * source.n_rows // n_rows
    return source.take(index).x.clone()
