"""The random numbers of a fit."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

# Uniform numbers that are drawn at a time: small batches share what a call costs.
_BLOCK_NUMBERS = 2**16

_HALF = torch.tensor(0.5, dtype=torch.float32)


class Generator(torch.Generator):
    """Torch's generator, with quicker uniform numbers on a CPU.

    Those come from numpy's PCG64DXSM, in half the time of torch's Mersenne twister, which was
    a fifth of the time of `benchmarks/bench_rbm.py`.

    Parameters
    ----------
    seed : int
        Where both start.
    device : torch.device or str
        Where the numbers are to be.
    """

    def __new__(cls, seed: int, device: torch.device | str = "cpu") -> Generator:
        return super().__new__(cls, device)  # type: ignore[call-arg]

    def __init__(self, seed: int, device: torch.device | str = "cpu"):
        self.manual_seed(seed)
        self._on_cpu = self.device.type == "cpu"
        self._bits = np.random.PCG64DXSM(seed)
        self._block, self._used = torch.empty(0, dtype=torch.float32), 0

    def uniform(self, shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> Tensor:
        """Return numbers that are uniform in [0, 1), in steps of 2**-24 on a CPU."""
        if not self._on_cpu:
            return torch.rand(shape, generator=self, device=self.device, dtype=dtype)
        n = math.prod(shape)
        if n > _BLOCK_NUMBERS // 4:
            return self._draw(n).view(shape).to(dtype)
        if self._used + n > len(self._block):
            self._block, self._used = self._draw(_BLOCK_NUMBERS), 0
        start, self._used = self._used, self._used + n
        return self._block[start : self._used].view(shape).to(dtype)

    def _draw(self, n: int) -> Tensor:
        bits = self._bits.random_raw((n + 1) // 2).view(np.int32)[:n]
        bits >>= 8  # what a float32 can hold
        return torch.add(_HALF, torch.from_numpy(bits), alpha=2.0**-24)

    def normal(self, shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> Tensor:
        """Return standard normal numbers."""
        return torch.randn(shape, generator=self, device=self.device, dtype=dtype)
