"""The random numbers of a fit."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_random_state
from torch import Tensor

#: Upper bound of the seeds drawn from a `RandomState`.
MAX_SEED = np.iinfo(np.int32).max

# Uniform numbers that are drawn at a time: small batches share what a call costs.
_BLOCK_NUMBERS = 2**16

_HALF = torch.tensor(0.5, dtype=torch.float32)

_global_generator_lock = threading.Lock()


def new_random_state(
    random_state: int | np.random.RandomState | None,
) -> np.random.RandomState:
    """Return scikit-learn's `check_random_state`, with fresh entropy for None.

    scikit-learn takes numpy's global generator for None, and so changes it.
    """
    if random_state is None:
        return np.random.RandomState()
    return check_random_state(random_state)


@contextmanager
def seeded_initialisation(seed: int) -> Iterator[None]:
    """Let modules initialise themselves from `seed`, leaving torch's generator as it was.

    ``nn.Module`` constructors draw from the global generator and take no other. The
    lock keeps concurrent fits (joblib's threading backend) from mixing their draws.
    """
    with _global_generator_lock:
        before = torch.default_generator.get_state()
        try:
            torch.default_generator.manual_seed(seed)
            yield
        finally:
            torch.default_generator.set_state(before)


def with_seeds(
    estimator: Any, random_state: np.random.RandomState, *, replace: bool = False
) -> Any:
    """Give an estimator, and those inside of it, a seed wherever it has none.

    With `replace` also where it has one.
    """
    seeded = [
        name
        for name, value in sorted(estimator.get_params().items())
        if name.split("__")[-1] == "random_state" and (replace or value is None)
    ]
    return estimator.set_params(**{name: random_state.randint(MAX_SEED) for name in seeded})


class Generator(torch.Generator):
    """Torch's generator, with quicker uniform numbers on a CPU.

    Those come from numpy's PCG64DXSM, in half the time of torch's Mersenne twister, which was
    a fifth of the time of `benchmarks/bench_rbm.py`.

    Parameters
    ----------
    seed : int
        Seed of both.
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
        self._before_block = self._bits.state

    def uniform(self, shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> Tensor:
        """Return numbers that are uniform in [0, 1), in steps of 2**-24 on a CPU."""
        if not self._on_cpu:
            return torch.rand(shape, generator=self, device=self.device, dtype=dtype)
        n = math.prod(shape)
        if n > _BLOCK_NUMBERS // 4:
            return self._draw(n).view(shape).to(dtype)
        if self._used + n > len(self._block):
            self._before_block = self._bits.state
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

    def state_dict(self) -> dict[str, Any]:
        """Return the state of both streams, in tensors and integers."""
        return {
            "torch": self.get_state(),
            "numpy": self._bits.state,
            "numpy_before_block": self._before_block,
            "n_used_of_block": self._used,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where another generator was when it gave its `state_dict`."""
        self.set_state(state["torch"].cpu())
        self._before_block, self._used = state["numpy_before_block"], state["n_used_of_block"]
        self._block = torch.empty(0, dtype=torch.float32)
        if self._used:
            self._bits.state = self._before_block
            self._block = self._draw(_BLOCK_NUMBERS)
        self._bits.state = state["numpy"]

    def __reduce__(self) -> Any:
        return _restored, (self.device.type, self.state_dict())

    def __deepcopy__(self, memo: dict[int, Any]) -> Generator:
        return _restored(self.device, self.state_dict())


def _restored(device: torch.device | str, state: dict[str, Any]) -> Generator:
    generator = Generator(0, device)
    generator.load_state_dict(state)
    return generator
