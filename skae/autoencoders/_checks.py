"""Whether layers and outputs from elsewhere will do, and whether a training was of use."""

from __future__ import annotations

from typing import Any

import torch
from sklearn.exceptions import ConvergenceWarning

from .._compute import DENSE_NUMBERS
from .._training import Source
from .._warn import warn
from ..layers import Part, check_layers, described, shape_or_none
from ..losses import mean_per_sample
from ._module import AutoencoderModule


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
    x = torch.zeros(1, n_features, dtype=torch.float32)
    x = module.noise_shape(x)
    n_out, made = module.n_outputs_per_feature * n_features, "that hidden_layers makes"
    _, decoded = check_layers(
        [
            Part(f"The encoder {made}", module.encoder, x.shape[1], n_encoded),
            Part(f"The decoder {made}", module.decoder, n_decoded, n_out),
        ]
    )
    x = torch.zeros(len(decoded), n_features, dtype=torch.float32)
    output, entries = module.output(), module.per_feature(decoded)
    for name, result in [("error", output.error(entries, x)), ("mean", output.mean(entries))]:
        if shape_or_none(result) != x.shape:
            raise ValueError(
                f"The method {name} of loss={type(output).__name__} must return one number for "
                f"each entry, here a tensor of shape {tuple(x.shape)}, but returns "
                f"{described(result)}."
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
    output = module.output()
    mean = share @ x if module.gaps is None else module.gaps.fill
    for constant in (mean, mean.logit(eps=1e-6)):
        if module.n_outputs_per_feature == 1 and torch.allclose(
            output.mean(constant[None])[0], mean, atol=1e-5
        ):
            error = module.observed_error(constant.expand_as(x), x)
            return float(share @ mean_per_sample(error))
    return None


def warn_of_dead_units(estimator: Any, state: str, remedy: str) -> None:
    """Warn if more than half of the units of a fitted estimator are in its `dead_units_`."""
    n_dead, n_units = len(estimator.dead_units_), estimator.module_.n_components
    if 2 * n_dead > n_units:
        warn(
            f"{n_dead} of the {n_units} units of {type(estimator).__name__} are {state}; try "
            f"{remedy}, or a smaller n_components.",
            ConvergenceWarning,
        )
