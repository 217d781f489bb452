"""The winners of feature maps: in training, at inference, and pooled."""

from __future__ import annotations

import math
from itertools import product
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .._training import Batch
from ._module import AutoencoderModule

# Least weight of a batch in the running mean of the thresholds. They change much in the first
# epochs: with 0.05, networks of ten epochs kept from 0.14 to 0.58 of the rows instead of 0.2.
_MOMENTUM = 0.2


class Pooling(NamedTuple):
    """Maxima of windows of maps, and back.

    The last window of an axis is shorter where the others leave less than its length.

    Attributes
    ----------
    size, stride : int
        Length of the sides of a window, and the step between two; 0 is a window that is the map.
    map_shape : tuple of int
        Length of each axis of a map.
    """

    size: int
    stride: int
    map_shape: tuple[int, ...]

    @property
    def windows(self) -> list[list[tuple[int, int]]]:
        """Where windows start and end along each axis."""
        return [
            [
                (start, min(start + (self.size or n), n))
                for start in range(0, max(1, n - (self.size or n) + self.stride), self.stride or n)
            ]
            for n in self.map_shape
        ]

    @property
    def pooled_shape(self) -> tuple[int, ...]:
        return tuple(map(len, self.windows))

    def pool(self, maps: Tensor) -> Tensor:
        """Return the maximum of each window, shape (n, n_maps, *pooled_shape)."""
        if not self.size:
            return maps.amax(tuple(range(2, maps.ndim)), keepdim=True)
        max_pool = F.max_pool1d if len(self.map_shape) == 1 else F.max_pool2d
        return max_pool(maps, self.size, self.stride, ceil_mode=True)

    def unpool(self, pooled: Tensor) -> Tensor:
        """Return maps with each maximum in the middle of its window, and 0 elsewhere."""
        maps = pooled.new_zeros((*pooled.shape[:2], *self.map_shape))
        middles = [[(start + end - 1) // 2 for start, end in axis] for axis in self.windows]
        places = torch.tensor(list(product(*middles)), device=maps.device).T
        maps[(..., *places)] = pooled.flatten(2)
        return maps


class WinnerTakeAllModule(AutoencoderModule):
    """The error of decoding the winners of feature maps alone.

    Units of fully connected layers are maps of one entry.

    Parameters
    ----------
    lifetime_fraction : float
        Which fraction of the rows of a batch keeps the winner of a map.
    map_shape : tuple of int
        Length of each axis of a map; ``()`` for units.
    pooling : Pooling or None
        What `encode` makes of the maps.
    **arguments
        For `AutoencoderModule`; `n_components` is the number of maps.
    """

    threshold: Tensor
    n_batches: Tensor

    def __init__(
        self,
        *,
        lifetime_fraction: float,
        map_shape: tuple[int, ...],
        pooling: Pooling | None,
        **arguments: Any,
    ):
        super().__init__(**arguments)
        self.lifetime_fraction = lifetime_fraction
        self.map_shape, self.pooling = map_shape, pooling
        pooled = map_shape if pooling is None else pooling.pooled_shape
        self.code_shape = (self.n_components, *pooled)
        # Learned, as the running statistics of batch normalisation are.
        self.register_buffer("threshold", torch.zeros(self.n_components, dtype=torch.float32))
        self.register_buffer("n_batches", torch.zeros((), dtype=torch.float32))

    @property
    def numbers_per_row(self) -> int:
        return self.n_components * math.prod(self.map_shape)

    def loss(self, batch: Batch, noise: Any) -> Tensor:
        maps = self._maps(self.training_code(batch.x, noise))
        values, positions = winners_of(maps)
        threshold = lifetime_threshold(values, self.lifetime_fraction, batch.weight)
        if self.training:
            self._follow(threshold.detach())
        return self.decoding_loss(self._kept(maps, values, positions, threshold), batch.x, noise)

    def _maps(self, code: Tensor) -> Tensor:
        return code.flatten(1).unflatten(1, (self.n_components, -1))

    def _follow(self, threshold: Tensor) -> None:
        with torch.no_grad():
            self.n_batches += 1
            share = (1 / self.n_batches).clamp_min(_MOMENTUM)
            self.threshold.copy_(torch.lerp(self.threshold, threshold, share))

    def _kept(self, maps: Tensor, values: Tensor, positions: Tensor, threshold: Tensor) -> Tensor:
        """Return the maps with their winners alone, those that reach the threshold of the map."""
        values = values * (values >= threshold)
        if not self.map_shape:
            return values
        kept = torch.zeros_like(maps).scatter(2, positions[..., None], values[..., None])
        return kept.unflatten(2, self.map_shape)

    def code_of(self, rows: Tensor) -> Tensor:
        return self.code_activation(self.encoder(rows)).flatten(1)

    def full_code(self, x: Tensor) -> Tensor:
        return self.code_of(self.encoder_input(x))

    def encode(self, x: Tensor) -> Tensor:
        code = self.full_code(x)
        if self.pooling is None:
            return code
        maps = code.unflatten(1, (self.n_components, *self.map_shape))
        return self.pooling.pool(maps).flatten(1)

    def decode(self, z: Tensor) -> Tensor:
        if self.pooling is not None:
            z = self.pooling.unpool(z.unflatten(1, self.code_shape)).flatten(1)
        return super().decode(z)

    def decoder_output(self, z: Tensor) -> Tensor:
        """Return what the decoder gives for the winners of maps, flat ones without pooling."""
        maps = self._maps(z)
        return self.per_feature(self.decoder(self._kept(maps, *winners_of(maps), self.threshold)))

    def components(self) -> Tensor:
        """Return what a winner of 1 adds to the output of the decoder, for each map."""
        if self.map_shape:
            return next(self.decoder.parameters())
        codes = torch.eye(self.n_components, device=self.threshold.device)
        return self.decoder(codes) - self.decoder(torch.zeros_like(codes))


def winners_of(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Return the maximum of each map and where it is.

    Parameters
    ----------
    maps : Tensor of shape (n, n_maps, n_entries)

    Returns
    -------
    values, positions : Tensor of shape (n, n_maps)
        Of equal maxima the position of one.
    """
    if maps.shape[2] == 1:
        return maps[..., 0], maps[..., 0].new_zeros(maps.shape[:2], dtype=torch.int64)
    values, positions = maps.max(2)
    return values, positions


def lifetime_threshold(values: Tensor, fraction: float, weight: Tensor | None) -> Tensor:
    """Return the least of the largest values of each column, a fraction of them.

    Parameters
    ----------
    values : Tensor of shape (n, n_maps)
    fraction : float
        Above 0 and at most 1. The number of rows is rounded up.
    weight : Tensor of shape (n,), optional
        For how many rows each one counts.

    Returns
    -------
    Tensor of shape (n_maps,)
    """
    # What is a whole number but for rounding counts as that.
    fraction = (1 - 1e-6) * fraction
    if weight is None:
        return values.topk(math.ceil(fraction * len(values)), dim=0).values[-1]
    ordered, order = values.sort(dim=0, descending=True)
    reached = weight[order].cumsum(0) >= fraction * weight.sum()
    place = (~reached).sum(0, keepdim=True).clamp_max(len(values) - 1)
    return ordered.gather(0, place)[0]
