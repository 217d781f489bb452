"""Products of rows and weights in two halves, one for each of two threads."""

from __future__ import annotations

import torch
from torch import Tensor

from .._compute import SINGLE_THREAD_WORK

# Multiply-adds in a product of a batch and the weights from which a second thread pays: at
# 2**20 a step takes as long in halves as whole, at 2**21 a seventh less, at 2**23 a third.
_LEAST_WORK = 3 * 2**19


class Halves:
    """The weights of a machine in halves, whose products two threads share.

    A product that is left to torch rounds differently in two threads than in one; two
    products that are one thread's each do not.

    Parameters
    ----------
    weight : Tensor of shape (n_components, n_features)
        Of even sizes. The halves are views of it and follow what becomes of it.
    """

    def __init__(self, weight: Tensor):
        self._hidden = weight.T.unflatten(1, (2, -1)).transpose(0, 1)
        self._visible = weight.unflatten(1, (2, -1)).transpose(0, 1)

    @staticmethod
    def pay(weight: Tensor, n_rows: int) -> bool:
        """Whether to halve the products of `n_rows` rows; larger ones are left to torch."""
        even = weight.shape[0] % 2 == weight.shape[1] % 2 == 0
        work = n_rows * weight.numel()
        return weight.is_cpu and even and _LEAST_WORK <= work < SINGLE_THREAD_WORK

    def to_hidden(self, v: Tensor) -> Tensor:
        """Return ``v @ weight.T``."""
        return _product(v, self._hidden)

    def to_visible(self, h: Tensor) -> Tensor:
        """Return ``h @ weight``."""
        return _product(h, self._visible)


def add_in_halves(to: Tensor, h: Tensor, v: Tensor, **factors: float) -> None:
    """Do ``to.addmm_(h.T, v, **factors)``, the columns of `h` in halves."""
    halves = h.view(h.shape[0], 2, -1).permute(1, 2, 0)
    to.view(2, -1, v.shape[1]).baddbmm_(halves, v.expand(2, -1, -1), **factors)


def _product(rows: Tensor, halves: Tensor) -> Tensor:
    return torch.bmm(rows.expand(2, -1, -1), halves).transpose(0, 1).flatten(1)
