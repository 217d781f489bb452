"""Modules of equal structure as one, which takes a step of all of them at a time."""

from __future__ import annotations

import copy
from collections.abc import Hashable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ._batch import Batch
from ._tape import mapped
from ._trainable import Trainable, weighted_mean


class Stack(nn.Module):
    """Modules of equal structure, whose tensors become views of stacked ones.

    What a step changes in the stacked tensors, it changes in those of the modules.

    Parameters
    ----------
    modules : sequence of Trainable
        Of equal structure, in training.
    may_record : bool
        Whether its steps may be recorded.
    """

    #: Whether all modules see the same batches, and the same noise.
    shares_rows: bool
    shares_noise: bool

    def __init__(self, modules: Sequence[Trainable], *, may_record: bool):
        super().__init__()
        # In lists, for they are no submodules. The template says what is computed, and with what
        # noise: the modules themselves may end before others.
        self._modules_in_stack, self._templates = list(modules), [copy.deepcopy(modules[0])]
        self._may_record = may_record
        self.shares_rows = self.shares_noise = False
        first = modules[0]
        self._parameter_names = [name for name, _ in first.named_parameters()]
        self._buffer_names = [name for name, _ in first.named_buffers()]
        with torch.no_grad():
            for number, name in enumerate(self._parameter_names):
                stacked = torch.stack([_tensor(one, name) for one in modules])
                self.register_parameter(f"parameter_{number}", nn.Parameter(stacked))
            for number, name in enumerate(self._buffer_names):
                stacked = torch.stack([_tensor(one, name) for one in modules])
                self.register_buffer(f"buffer_{number}", stacked)
        for place, module in enumerate(modules):
            for name, stacked in self._stacked():
                _replace(module, name, stacked.detach()[place])

    def __len__(self) -> int:
        return len(self._modules_in_stack)

    @property
    def template(self) -> Trainable:
        """A module with the structure of all, whose weights mean nothing."""
        return self._templates[0]

    def release(self, place: int) -> None:
        """Give a module tensors of its own, with the same values."""
        module = self._modules_in_stack[place]
        for name, stacked in self._stacked():
            _replace(module, name, stacked.detach()[place].clone())

    def structure(self) -> Hashable:
        """Return what decides which operations a step consists of; None if it is not recorded."""
        structure = self.template.structure() if self._may_record else None
        shared = self.shares_rows, self.shares_noise
        return structure and ("stack", len(self), shared, structure)

    def mean_loss(self, batch: Batch, noise: Any) -> Tensor:
        """Return the weighted mean loss of the batch of each module, shape (n_modules,).

        Parameters
        ----------
        batch : Batch
            That of all modules, or theirs along a first axis, as `shares_rows` says.
        noise : nested tuples and lists of Tensor, or None
            The same, as `shares_noise` says.
        """
        module, tensors, axes = self.template, list[Tensor](), list[int | None]()

        def noted(value: Any, *, shared: bool) -> Any:
            if not isinstance(value, Tensor):
                return value
            tensors.append(value)
            axes.append(None if shared else 0)
            return len(tensors) - 1

        # `vmap` takes no None.
        of_rows = mapped(tuple(batch), partial(noted, shared=self.shares_rows))
        of_noise = mapped(noise, partial(noted, shared=self.shares_noise))

        def one(
            parameters: dict[str, Tensor], buffers: dict[str, Tensor], given: list[Tensor]
        ) -> Tensor:
            def back(value: Any) -> Any:
                return given[value] if isinstance(value, int) else value

            own = Batch(*mapped(of_rows, back))
            arguments = own, mapped(of_noise, back)
            losses = torch.func.functional_call(module, (parameters, buffers), arguments)
            return weighted_mean(losses, own.weight)

        parameters: dict[str, Tensor] = dict(
            zip(self._parameter_names, self.parameters(), strict=True)
        )
        buffers = dict(zip(self._buffer_names, self.buffers(), strict=True))
        stacked: Tensor = torch.vmap(one, (0, 0 if buffers else None, axes))(
            parameters, buffers, tensors
        )
        return stacked

    def _stacked(self) -> list[tuple[str, Tensor]]:
        names = (*self._parameter_names, *self._buffer_names)
        return list(zip(names, (*self.parameters(), *self.buffers()), strict=True))


def _tensor(module: nn.Module, name: str) -> Tensor:
    owner, _, own = name.rpartition(".")
    tensor: Tensor = getattr(module.get_submodule(owner), own)
    return tensor.detach()


def _replace(module: nn.Module, name: str, value: Tensor) -> None:
    """Let a parameter or buffer have another memory."""
    owner, _, own = name.rpartition(".")
    getattr(module.get_submodule(owner), own).data = value
