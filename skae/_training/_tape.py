"""The operations below autograd that a function of tensors consists of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten


class CannotRecordError(Exception):
    """A function does something that a list of operations cannot repeat."""


@dataclass(frozen=True)
class Slot:
    """The place of a tensor in a recording."""

    number: int


@dataclass
class Operation:
    """One of torch's operations, with slots in place of tensors."""

    function: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: Any  # as the operation returns them
    is_view: bool = field(init=False)
    writes: list[Slot] = field(init=False)

    def __post_init__(self) -> None:
        schema = self.function._schema
        aliases = [r.alias_info for r in schema.returns if r.alias_info is not None]
        self.is_view = bool(aliases) and not any(alias.is_write for alias in aliases)
        self.writes = []
        for place, argument in enumerate(schema.arguments):
            if argument.alias_info is not None and argument.alias_info.is_write:
                given = self.args[place] if place < len(self.args) else None
                self.writes += slots_in(self.kwargs.get(argument.name, given))

    @property
    def inputs(self) -> list[Slot]:
        """The slots that the operation reads (or writes to)."""
        return slots_in((self.args, self.kwargs))

    def key(self) -> Any:
        """Return what two operations have in common that give the same."""
        return self.function, repr(self.args), repr(sorted(self.kwargs.items()))


def slots_in(value: Any) -> list[Slot]:
    """Return the slots in nested tuples, lists and dicts."""
    if isinstance(value, Slot):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [s for one in value for s in slots_in(one)] if isinstance(value, list | tuple) else []


def mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    """Return nested tuples, lists and dicts with `change` applied to what they hold."""
    if isinstance(value, list | tuple):
        return type(value)(mapped(one, change) for one in value)
    if isinstance(value, dict):
        return {key: mapped(one, change) for key, one in value.items()}
    return change(value)


class Tape(TorchDispatchMode):
    """Records each operation with its arguments and results, which it keeps alive."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[tuple[Any, tuple[Any, ...], dict[str, Any], Any]] = []


def _record(tape: Tape, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
    kwargs = kwargs or {}
    result = func(*args, **kwargs)
    tape.operations.append((func, args, kwargs, result))
    return result


# Set from outside: torch wraps what stands in the class body, and the wrapper imports torch's
# compiler, which takes a second.
Tape.__torch_dispatch__ = _record  # type: ignore[assignment]


def run_on_tape(function: Callable[[], Sequence[Tensor]]) -> tuple[list[Tensor], Tape]:
    """Return what a function returns, and the operations that it consists of."""
    with (tape := Tape()):
        return list(function()), tape


def shape_depends_on_values(function: Any, args: tuple[Any, ...]) -> bool:
    """Whether an operation gives tensors whose shape depends on the data."""
    if function is aten.index.Tensor:  # of masks it does, of integers it does not
        return any(
            index.dtype in (torch.bool, torch.uint8) for index in args[1] if index is not None
        )
    return torch.Tag.dynamic_output_shape in function.tags
