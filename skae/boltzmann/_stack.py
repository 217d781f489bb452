"""The maths of a stack of restricted Boltzmann machines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn

from .._training import Trainable
from ._module import RBMModule


class StackModule(Trainable):
    """Machines of which each codes the mean hidden units of the one below.

    It is for inference: the machines are trained one by one.

    Parameters
    ----------
    machines : sequence of RBMModule
        From the features up. They are shared, and not copied.
    """

    def __init__(self, machines: Sequence[RBMModule]):
        super().__init__()
        self.machines = nn.ModuleList(machines)

    def _lowest(self, n_layers: int | None) -> list[RBMModule]:
        return cast("list[RBMModule]", list(self.machines)[:n_layers])

    def encode(self, x: Tensor, n_layers: int | None = None) -> Tensor:
        """Return the mean hidden units of the topmost of `n_layers` machines."""
        for machine in self._lowest(n_layers):
            x = machine.encode(x)
        return x

    def decode(self, z: Tensor, n_layers: int | None = None) -> Tensor:
        """Return the mean of the features, given the hidden units of such a machine."""
        for machine in reversed(self._lowest(n_layers)):
            z = machine.decode(z)
        return z

    def log_score(self, x: Tensor) -> Tensor:
        """Return minus the mean squared error per feature of the rebuilt samples."""
        return -(self.decode(self.encode(x)) - x).square().mean(1)
