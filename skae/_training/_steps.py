"""Steps of a module with a plain loss: by autograd, or recorded where that is possible."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import torch
from torch import Tensor

from .._config import records_steps
from ._batch import Batch
from ._recording import Recording
from ._tape import CannotRecordError, run_on_tape
from ._trainable import Step, Trainable, tensors_of

StepFunction = Callable[[Batch, Any, Step], dict[str, Tensor]]

# Numbers in a batch above which its steps are not recorded: what Python and autograd take is
# nothing beside their operations, and to record one holds all that is computed on the way.
_MOST_NUMBERS = 2**22

# Recordings that are kept for later fits in this process. Each holds a few small tensors.
_N_KEPT = 128


def stepper(module: Trainable, *, may_record: bool) -> StepFunction:
    """Return what takes a step: `training_step` of the module, or the same recorded."""
    is_default = type(module).training_step is Trainable.training_step
    plain = type(module).mean_loss is Trainable.mean_loss
    if may_record and is_default and plain and records_steps():
        return RecordedSteps(module)
    return module.training_step


class _Recordings:
    """The recordings of a process by what they depend on, the latest ones.

    A key without a recording is of steps that cannot be recorded.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, Recording | None] = OrderedDict()
        self._lock = threading.Lock()

    def __contains__(self, key: Hashable) -> bool:
        return key in self._kept

    def get(self, key: Hashable) -> Recording | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: Hashable, recording: Recording | None) -> None:
        with self._lock:
            self._kept[key] = recording
            if len(self._kept) > _N_KEPT:
                self._kept.popitem(last=False)


_recordings = _Recordings()


class RecordedSteps:
    """Takes steps of one module in training, by a recording for each shape of batch.

    The first step of a shape is recorded while it is taken by autograd. The next one is taken
    both ways; should they differ by a bit, or should a step be impossible to record, all
    further steps of such a module are taken by autograd.
    """

    def __init__(self, module: Trainable):
        self._module = module
        self._seen: list[Any] = []
        self.refresh()

    def refresh(self) -> None:
        """Look again at a module whose layers a callback may have frozen or replaced."""
        seen = [(t.data_ptr(), t.requires_grad) for t in tensors_of(self._module)]
        if seen == self._seen:
            return
        self._seen = seen
        self._parameters = [p for p in self._module.parameters() if p.requires_grad]
        trainable = tuple(is_trainable for _, is_trainable in seen)
        structure = self._module.structure()
        self._structure = None if structure is None else (structure, trainable)
        self._runs: dict[Hashable, Callable[..., list[Tensor]]] = {}

    def __call__(self, batch: Batch, noise: Any, step: Step) -> dict[str, Tensor]:
        passing = [tensor for tensor in batch if tensor is not None]
        if noise is not None:
            _flatten(noise, passing)
        shapes = tuple([tensor.shape for tensor in passing])
        run = self._runs.get(shapes)
        if run is None:
            loss, *gradients = self._prepare(shapes, passing, batch, noise)
            with torch.inference_mode():
                self._step_along(gradients, step.optimizers)
        else:
            with torch.inference_mode():
                loss, *gradients = run(*passing)
                self._step_along(gradients, step.optimizers)
        return {"loss": loss}

    def _step_along(self, gradients: list[Tensor], optimizers: Sequence[Any]) -> None:
        if len(optimizers) == 1 and len(gradients) == len(optimizers[0].param_groups[0]["params"]):
            optimizers[0].step_along(gradients)
            return
        by_parameter = dict(zip(self._parameters, gradients, strict=True))
        for optimizer in optimizers:
            mine = optimizer.param_groups[0]["params"]
            optimizer.step_along([by_parameter.get(parameter) for parameter in mine])

    def _prepare(
        self, shapes: Hashable, passing: list[Tensor], batch: Batch, noise: Any
    ) -> list[Tensor]:
        """Take a step by autograd, on the way to one that is recorded."""

        def by_autograd() -> list[Tensor]:
            return self._loss_and_gradients(batch, noise)

        key = self._structure, _appearance(batch), _appearance(noise)
        too_large = batch.x.numel() > _MOST_NUMBERS
        if (
            too_large
            or self._structure is None
            or (key in _recordings and _recordings.get(key) is None)
        ):
            return by_autograd()
        recording = _recordings.get(key)
        if recording is None:
            results, tape = run_on_tape(by_autograd)
            try:
                recording = Recording(tape, results, tensors_of(self._module), passing)
            except CannotRecordError:
                recording = None
            _recordings.put(key, recording)
            return results
        run = recording.bind(tensors_of(self._module))
        if not recording.checked:
            results, recording.checked = self._compare(by_autograd, run, passing)
            if recording.checked:
                self._runs[shapes] = run
            else:
                _recordings.put(key, None)
            return results
        self._runs[shapes] = run
        with torch.inference_mode():
            return run(*passing)

    def _compare(
        self,
        by_autograd: Callable[[], list[Tensor]],
        run: Callable[..., list[Tensor]],
        passing: list[Tensor],
    ) -> tuple[list[Tensor], bool]:
        """Return what a step by autograd gives, and whether a recorded one gives the same."""
        buffers = list(self._module.buffers())
        before = [buffer.clone() for buffer in buffers]
        expected = by_autograd()
        after = [buffer.clone() for buffer in buffers]
        with torch.no_grad():
            for buffer, value in zip(buffers, before, strict=True):
                buffer.copy_(value)
            found = run(*passing)
            equal = all(map(_same_bits, [*expected, *after], [*found, *buffers]))
            for buffer, value in zip(buffers, after, strict=True):
                buffer.copy_(value)
        return expected, equal

    def _loss_and_gradients(self, batch: Batch, noise: Any) -> list[Tensor]:
        loss = self._module.mean_loss(batch, noise)
        gradients = torch.autograd.grad(loss, self._parameters, allow_unused=True)
        # In the memory layout of the parameters, as optimizers expect them.
        return [loss.detach()] + [
            torch.zeros_like(p) if g is None else g.contiguous()
            for p, g in zip(self._parameters, gradients, strict=True)
        ]


def _flatten(value: Any, into: list[Tensor]) -> None:
    """Add the tensors in nested tuples and lists to a list."""
    if isinstance(value, Tensor):
        into.append(value)
        return
    for one in value:
        if one is not None:
            _flatten(one, into)


def _appearance(value: Any) -> Hashable:
    """Return all that a recording depends on in nested tuples and lists of tensors."""
    if isinstance(value, Tensor):
        return value.shape, value.stride(), value.dtype
    return None if value is None else tuple(map(_appearance, value))


def _same_bits(one: Tensor, other: Tensor) -> bool:
    return torch.equal(one.isnan(), other.isnan()) and torch.equal(
        one.nan_to_num(), other.nan_to_num()
    )
