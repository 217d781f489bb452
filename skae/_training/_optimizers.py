"""Optimizers without Python overhead in a step, and without torch's compiler.

Torch's own optimizer classes import the compiler at their first use, which takes most of a
second, and read their settings in each step.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim.adam import adam

from ._trainable import Trainable

_BETAS, _EPSILON = (0.9, 0.999), 1e-8


class LearningRate(torch.optim.Optimizer):
    """A learning rate that schedulers can change, for a module that learns without gradients."""

    _opt_called = True  # or torch's schedulers warn that no step has been taken

    def __init__(self, params: Any, lr: float):
        super().__init__(params, {"lr": lr, "betas": _BETAS, "eps": _EPSILON})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Take a group of parameters, without the checks that import torch's compiler."""
        parameters = list(param_group["params"])
        self.param_groups.append({**self.defaults, **param_group, "params": parameters})

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients."""
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Do nothing: the module changes its parameters by itself."""

    # Torch would otherwise wrap `step` in a profiler's context.
    step.hooked = True  # type: ignore[attr-defined]

    def state_dict(self) -> dict[str, Any]:
        """Return the learning rates and the moments, in tensors and plain values."""
        settings = [
            {key: value for key, value in group.items() if key != "params"}
            for group in self.param_groups
        ]
        return {"settings": settings, "moments": self._moments()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from where another optimizer of the same parameters was."""
        for group, settings in zip(self.param_groups, state_dict["settings"], strict=True):
            group.update(settings)
        with torch.no_grad():
            for mine, given in zip(self._moments(), state_dict["moments"], strict=True):
                mine.copy_(given)

    def _moments(self) -> list[Tensor]:
        return []

    def to(self, device: torch.device) -> None:
        """Move the moments; the parameters are the module's."""


class Adam(LearningRate):
    """Adam (Kingma and Ba 2015) over prepared lists, by torch's own kernels."""

    def __init__(self, params: Any, lr: float):
        super().__init__(params, lr)
        self._parameters: list[Tensor] = [p for g in self.param_groups for p in g["params"]]
        self.forget_moments()

    def forget_moments(self) -> None:
        """Begin anew."""
        self._first = [torch.zeros_like(p) for p in self._parameters]
        self._second = [torch.zeros_like(p) for p in self._parameters]
        # One count for all, until some of them sit out a step.
        self._n_steps = [self._parameters[0].new_zeros((), dtype=torch.float32)]
        self._n_steps *= len(self._parameters)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Step along the gradients that the parameters have."""
        self.step_along([parameter.grad for parameter in self._parameters])

    step.hooked = True  # type: ignore[attr-defined]

    def step_along(self, gradients: Sequence[Tensor | None]) -> None:
        """Step along given gradients, one for each parameter; to be called without autograd.

        A parameter without one, as of a layer that a callback froze, stays as it is.
        """
        lists = self._parameters, list(gradients), self._first, self._second, self._n_steps
        if any(gradient is None for gradient in gradients):
            self._count_apart()
            some = [i for i, gradient in enumerate(gradients) if gradient is not None]
            parts = (self._parameters, gradients, self._first, self._second, self._n_steps)
            lists = tuple([one[i] for i in some] for one in parts)  # type: ignore[assignment]
            if not some:
                return
        self._increment(lists[-1])
        group = self.param_groups[0]
        _update(*lists, group["lr"], group["betas"], group["eps"])

    def _count_apart(self) -> None:
        if self._n_steps[0] is self._n_steps[-1]:
            self._n_steps = [n_steps.clone() for n_steps in self._n_steps]

    @staticmethod
    def _increment(n_steps: list[Tensor]) -> None:
        if n_steps[0] is n_steps[-1]:
            n_steps[0].add_(1)
        else:
            torch._foreach_add_(n_steps, 1)

    def _moments(self) -> list[Tensor]:
        return [*self._first, *self._second, *self._n_steps]

    def keep_moments_in(self, first: list[Tensor], second: list[Tensor], n_steps: Tensor) -> None:
        """Keep the moments and the number of steps in these tensors, which hold them already."""
        self._first, self._second = first, second
        self._n_steps = [n_steps] * len(first)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from where another optimizer of the same parameters was."""
        n_steps = state_dict["moments"][-len(self._parameters) :]
        if not all(torch.equal(one, n_steps[0]) for one in n_steps):
            self._count_apart()
        super().load_state_dict(state_dict)

    def to(self, device: torch.device) -> None:
        """Move the moments; the parameters are the module's."""
        self._first = [moment.to(device) for moment in self._first]
        self._second = [moment.to(device) for moment in self._second]
        if self._n_steps[0] is self._n_steps[-1]:
            self._n_steps = [self._n_steps[0].to(device)] * len(self._n_steps)
        else:
            self._n_steps = [n_steps.to(device) for n_steps in self._n_steps]

    def __getstate__(self) -> dict[str, Any]:
        names = ("_parameters", "_first", "_second", "_n_steps")
        return {**super().__getstate__(), **{name: getattr(self, name) for name in names}}


class StackedAdam:
    """The optimizers of the same group of parameters of each module in a stack, as one.

    Parameters
    ----------
    parameters : list of Tensor
        The parameters of the group, of all modules along the first axis.
    optimizers : sequence of Adam
        Those of the modules, in their order, which have taken equally many steps. Each keeps
        its learning rate, and its moments as views of stacked ones.
    """

    def __init__(self, parameters: list[Tensor], optimizers: Sequence[Adam]):
        self.param_groups = [{"params": parameters}]
        self._optimizers = optimizers
        self._first, self._second = (
            [torch.stack(same) for same in zip(*of_modules, strict=True)]
            for of_modules in ([o._first for o in optimizers], [o._second for o in optimizers])
        )
        self._n_steps = optimizers[0]._n_steps[0]
        self._moments = [*self._first, *self._second, self._n_steps]
        self._before = [moment.clone() for moment in self._moments]
        for place, optimizer in enumerate(optimizers):
            optimizer.keep_moments_in(*self._own(place), self._n_steps)

    def _own(self, place: int) -> tuple[list[Tensor], list[Tensor]]:
        return [one[place] for one in self._first], [one[place] for one in self._second]

    def remember(self) -> None:
        """Note the moments, for `undo`."""
        torch._foreach_copy_(self._before, self._moments)

    def undo(self) -> None:
        """Undo all steps since `remember`."""
        torch._foreach_copy_(self._moments, self._before)

    def refresh(self) -> None:
        """Look again at the learning rates, which schedules change between epochs."""
        rates = [optimizer.param_groups[0]["lr"] for optimizer in self._optimizers]
        runs = [(rate, len(list(same))) for rate, same in itertools.groupby(rates)]
        self._sizes = [size for _, size in runs]
        parameters = [parameter.detach() for parameter in self.param_groups[0]["params"]]
        parts = [
            zip(*(tensor.split(self._sizes) for tensor in tensors), strict=True)
            for tensors in (parameters, self._first, self._second)
        ]
        # For each run of members with the same rate: it, and what is theirs.
        self._runs = [
            (rate, [list(tensors) for tensors in own])
            for (rate, _), *own in zip(runs, *parts, strict=True)
        ]

    def step_along(self, gradients: Sequence[Tensor]) -> None:
        """Step along given gradients, one for each parameter; to be called without autograd."""
        self._n_steps.add_(1)
        group = self._optimizers[0].param_groups[0]
        n_steps = [self._n_steps] * len(self._first)
        parts = zip(*(gradient.split(self._sizes) for gradient in gradients), strict=True)
        for (rate, (parameters, first, second)), own in zip(self._runs, parts, strict=True):
            lists = parameters, list(own), first, second, n_steps
            _update(*lists, rate, group["betas"], group["eps"])

    def release(self, place: int) -> None:
        """Give the optimizer of a module tensors of its own, with the same values."""
        first, second = ([one.clone() for one in own] for own in self._own(place))
        self._optimizers[place].keep_moments_in(first, second, self._n_steps.clone())

    def drop(self, place: int) -> None:
        """Leave the optimizer of a module that learns no more without moments."""
        self._optimizers[place].keep_moments_in([], [], self._n_steps)


def _update(*arguments: Any) -> None:
    is_fused = arguments[0][0].device.type in ("cpu", "cuda")
    (_fused if is_fused else _functional)(*arguments)


def _fused(
    parameters: list[Tensor],
    gradients: list[Tensor],
    first: list[Tensor],
    second: list[Tensor],
    n_steps: list[Tensor],
    learning_rate: float,
    betas: tuple[float, float],
    eps: float,
) -> None:
    torch._fused_adam_(
        parameters,
        gradients,
        first,
        second,
        [],
        n_steps,
        lr=learning_rate,
        beta1=betas[0],
        beta2=betas[1],
        weight_decay=0.0,
        eps=eps,
        amsgrad=False,
        maximize=False,
    )


def _functional(
    parameters: list[Tensor],
    gradients: list[Tensor],
    first: list[Tensor],
    second: list[Tensor],
    n_steps: list[Tensor],
    learning_rate: float,
    betas: tuple[float, float],
    eps: float,
) -> None:
    adam(
        parameters,
        gradients,
        first,
        second,
        [],
        [count - 1 for count in n_steps],  # `adam` adds 1
        amsgrad=False,
        beta1=betas[0],
        beta2=betas[1],
        lr=learning_rate,
        weight_decay=0.0,
        eps=eps,
        maximize=False,
    )


def make_optimizers(module: Trainable, learning_rate: float) -> list[LearningRate]:
    """Return an Adam for each group of parameters of a module, or what carries the rate."""
    groups: Sequence[Mapping[str, Any]] = module.parameter_groups()
    return [
        (Adam if any(p.requires_grad for p in group["params"]) else LearningRate)(
            [dict(group)], lr=learning_rate
        )
        for group in groups
    ]
