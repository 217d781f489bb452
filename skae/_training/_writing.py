"""Write operations out as a Python function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ._placing import INTO, Places, placed
from ._tape import Operation, Slot, aten, slots_in

# The same operations without the overhead of their call through `torch.ops`.
_QUICK = {
    aten.add.Tensor: torch.add,
    aten.addmm.default: torch.addmm,
    aten.baddbmm.default: torch.baddbmm,
    aten.bmm.default: torch.bmm,
    aten.div.Tensor: torch.div,
    aten.mean.default: torch.mean,
    aten.mm.default: torch.mm,
    aten.mul.Tensor: torch.mul,
    aten.relu.default: torch.relu,
    aten.sigmoid.default: torch.sigmoid,
    aten.sub.Tensor: torch.sub,
    aten.sum.dim_IntList: torch.sum,
    aten.t.default: torch.t,
    aten.tanh.default: torch.tanh,
}


def written_out(
    operations: Sequence[Operation],
    *,
    lasting_inputs: Sequence[Slot],
    passing: Sequence[Slot],
    outputs: Sequence[Slot],
    constants: Mapping[Slot, Tensor],
    values: Mapping[Slot, Tensor],
) -> Callable[[Sequence[Tensor], Places], Callable[..., list[Tensor]]]:
    """Return what binds operations to inputs that stay, as a function of those that pass.

    Parameters
    ----------
    operations : sequence of Operation
        In their order.
    lasting_inputs, passing : sequence of Slot
        The inputs whose memory stays the same from call to call, and the others.
    outputs : sequence of Slot
        What the function returns. All but the first are overwritten by its next call.
    constants : dict of Slot to Tensor
        Tensors that it holds.
    values : dict of Slot to Tensor
        An example of each tensor.
    """
    lasting = set(lasting_inputs)
    once: list[Operation] = []
    each: list[Operation] = []
    for operation in operations:
        stays = operation.is_view and lasting.issuperset(operation.inputs)
        (once if stays else each).append(operation)
        if stays:
            lasting.update(slots_in([operation.outputs]))
    last_use: dict[Slot, int] = {}
    for place, operation in enumerate(each):
        for slot in operation.inputs:
            last_use[slot] = place
    names: dict[str, Any] = {}
    found, kinds = placed(each, outputs[:1], outputs[1:], values)
    lines = ["def bind(lasting, places):"]
    for number, kind in enumerate(kinds):
        names[f"kind{number}"] = kind
        lines.append(f"    p{number} = places.take({number}, kind{number})")
    lines += [
        f"    o{slot.number} = p{number}.view({list(values[slot].shape)})"
        for slot, number in found.items()
    ]
    lines += [f"    v{slot.number} = lasting[{i}]" for i, slot in enumerate(lasting_inputs)]
    lines += [f"    {_line(operation, names)}" for operation in once]
    first = {slot: place for place, slot in reversed(list(enumerate(passing)))}
    arguments = ", ".join(
        f"v{slot.number}" if first[slot] == place else f"_{place}"
        for place, slot in enumerate(passing)
    )
    lines.append(f"    def run({arguments}):")
    returned = set(outputs)
    for place, operation in enumerate(each):
        is_placed = isinstance(operation.outputs, Slot) and operation.outputs in found
        lines.append(f"        {_line(operation, names, is_placed=is_placed)}")
        over = {
            slot
            for slot in (*operation.inputs, *slots_in([operation.outputs]))
            if last_use.get(slot, place) == place
            and slot not in returned
            and slot not in lasting
            and slot not in constants
        }
        if over:  # their memory is for the next operations
            lines.append("        del " + ", ".join(sorted(f"v{s.number}" for s in over)))
    lines.append("        return [" + ", ".join(f"v{s.number}" for s in outputs) + "]")
    lines.append("    return run")
    names |= {f"v{slot.number}": tensor for slot, tensor in constants.items()}
    exec("\n".join(lines), names)
    return names["bind"]


def _line(operation: Operation, names: dict[str, Any], *, is_placed: bool = False) -> str:
    """Return an operation as a line of Python; `names` gets what the line refers to."""
    function = f"f{len(names)}"
    quick = INTO if is_placed else _QUICK
    names[function] = quick.get(operation.function, operation.function)
    arguments = [_written(value, names) for value in operation.args]
    arguments += [f"{key}={_written(value, names)}" for key, value in operation.kwargs.items()]
    if is_placed:
        arguments.append(f"out=o{operation.outputs.number}")
    changes_input = operation.outputs in operation.inputs  # it has its name already
    target = "_" if changes_input else _target(operation.outputs)
    return f"{target} = {function}({', '.join(arguments)})"


def _target(outputs: Any) -> str:
    if isinstance(outputs, Slot):
        return f"v{outputs.number}"
    if isinstance(outputs, list | tuple) and outputs:
        return "(" + ", ".join(map(_target, outputs)) + ",)"
    return "_"


def _written(value: Any, names: dict[str, Any]) -> str:
    if isinstance(value, Slot):
        return f"v{value.number}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_written(one, names) for one in value) + "]"
    if value is None or type(value) in (bool, int, str):
        return repr(value)
    constant = f"c{len(names)}"  # a float too: repr has no infinity
    names[constant] = value
    return constant
