"""The discriminator: features of a row, and scores of how real it looks."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import make_linear, run

_SLOPE = 0.2  # of the leaky rectifier below 0, as in DCGAN (Radford et al. 2016)

# Where codes level off for the discriminator, in standard deviations of normal draws.
_BOUND = 3.0

# Power iterations before the first step.
_FIRST_ITERATIONS = 10


class Discriminator(nn.Module):
    """Scores rows by themselves, and together with a code (Donahue and Simonyan 2019).

    It is called with the parameters that `weights` returns.

    Parameters
    ----------
    body : torch.nn.Module
        From rows to `width` numbers, as the layers of `skae.layers` build encoders.
    width, n_components : int
        Number of features, and width of a code.
    spectral_norm : bool
        Whether all weights are divided by their largest singular value (Miyato et al. 2018), which
        is followed by one power iteration in each step.
    """

    def __init__(self, body: nn.Module, width: int, n_components: int, *, spectral_norm: bool):
        super().__init__()
        self.body, self.width = body, width
        self.of_row = make_linear(width, 1)
        self.joint = make_linear(width + n_components, width)
        self.of_pair = make_linear(width, 1)
        self.spectral_norm = spectral_norm
        if spectral_norm:
            for name, matrix in self._matrices().items():
                start = torch.randn(len(matrix), dtype=torch.float32, device="cpu")
                self.register_buffer(_direction(name), F.normalize(start, dim=0))
            for _ in range(_FIRST_ITERATIONS):
                self.update_directions()

    def forward(self, x: Tensor, z: Tensor | None = None, noise: Any = None) -> Any:
        """Return the features of each row, and its scores: by itself, and with its code."""
        features = F.leaky_relu(run(self.body, x, noise), _SLOPE)
        scores = self.of_row(features)
        if z is not None:
            # The score is bounded in the code: one that runs away gains nothing by going on.
            bounded = _BOUND * (z / _BOUND).tanh()
            pairs = F.leaky_relu(self.joint(torch.cat([features, bounded], 1)), _SLOPE)
            scores = torch.cat([scores, self.of_pair(pairs)], 1)
        return features, scores

    # -- spectral normalisation ------------------------------------------------------------

    def weights(self) -> dict[str, Tensor]:
        """Return all parameters by name as they are to be used."""
        parameters: dict[str, Tensor] = dict(self.named_parameters())
        if self.spectral_norm:
            for name, matrix in self._matrices().items():
                left = self.get_buffer(_direction(name))
                right = F.normalize(left @ matrix.detach(), dim=0)
                parameters[name] = parameters[name] / (left @ matrix @ right)
        return parameters

    @torch.no_grad()
    def update_directions(self) -> None:
        """Take a power iteration towards the largest singular value of each weight."""
        if self.spectral_norm:
            for name, matrix in self._matrices().items():
                left = self.get_buffer(_direction(name))
                right = F.normalize(left @ matrix, dim=0)
                left.copy_(F.normalize(matrix @ right, dim=0))

    def _matrices(self) -> dict[str, Tensor]:
        return {name: p.flatten(1) for name, p in self.named_parameters() if p.ndim > 1}


def _direction(name: str) -> str:
    return f"direction_of_{name.replace('.', '_')}"
