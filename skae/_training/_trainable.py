"""The maths of a model, as the engine sees it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import FunctionType, MethodType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .._random import Generator
from ._batch import Batch

# What every torch module has in its `__dict__` that says nothing of what it computes.
_BOOKKEEPING = frozenset(vars(nn.Module()))


def _do_nothing() -> None:  # a lambda could not be pickled
    pass


@dataclass
class Step:
    """What the engine knows when a module takes a step.

    Attributes
    ----------
    optimizers : sequence of torch.optim.Optimizer
        One for each of `Trainable.parameter_groups`, with the learning rate of the schedule.
    epoch, n_epochs : int
        Number of epochs that are complete, and that are planned.
    progress, next_progress : float
        What part of all planned steps is complete before and after this one, from 0 to 1.
    share : float
        How many rows the batch has as a share of a full one, at most 1.
    streaming : bool
        Whether the rows are a chunk of a stream that is gone through once.
    accumulated : object
        What the steps of this epoch have left for `end_epoch`; None at its start.
    on_gradients : callable
        To be called between the gradients and the step along them: what callbacks wait for.
    """

    optimizers: Sequence[torch.optim.Optimizer]
    epoch: int = 0
    n_epochs: int = 1
    progress: float = 0.0
    next_progress: float = 0.0
    share: float = 1.0
    streaming: bool = False
    accumulated: Any = None
    on_gradients: Callable[[], None] = _do_nothing

    @property
    def learning_rate(self) -> float:
        """The current learning rate of the first optimizer."""
        return self.optimizers[0].param_groups[0]["lr"]


class Trainable(nn.Module):
    """A module that can take one batch.

    The engine calls nothing but the methods below. Three rules make one engine serve
    every model, with sample weights, exact reproducibility, recorded steps and many
    candidates trained as one batch:

    - `loss` is a pure function of parameters, buffers, batch and noise. It draws no random
      numbers, and gives one loss per sample; a penalty on the weights is added to each.
    - `sample_noise` draws the random numbers that one call of `loss` consumes.
    - every number in the objective that a search may vary without another sequence of
      operations (a penalty weight, a noise level) is a buffer, registered with
      ``persistent=False`` since it belongs to the parameters of the estimator and not to what
      was learned. Everything else is an attribute, and so part of `structure`.
    """

    @property
    def mixes_rows(self) -> bool:
        """Whether the loss looks at a batch as a whole otherwise than by its weighted mean.

        Statistics of a batch do, in which each row counts alike. Equal rows are then not merged.
        """
        return False

    @property
    def numbers_per_row(self) -> int:
        """How many numbers the largest tensor has that is computed of a row.

        It need not be told where a row, or a side of a weight, has as many: 0 is that.
        """
        return 0

    def sample_noise(self, batch: Batch, generator: Generator) -> Any:
        """Draw what `loss` consumes for a batch; None if it consumes nothing.

        Returns
        -------
        Tensor, None, or nested tuples and lists of these
        """
        return None

    def loss(self, batch: Batch, noise: Any) -> Tensor:
        """Return the loss of each sample of the batch, shape (n,)."""
        raise NotImplementedError

    def forward(self, batch: Batch, noise: Any) -> Tensor:
        """Return `loss`, for all that calls a module: `torch.func`, say."""
        return self.loss(batch, noise)

    def mean_loss(self, batch: Batch, noise: Any) -> Tensor:
        """Return the weighted mean of the losses of a batch, a scalar."""
        return weighted_mean(self.loss(batch, noise), batch.weight)

    def training_step(self, batch: Batch, noise: Any, step: Step) -> dict[str, Tensor]:
        """Learn from one batch; return losses by name, scalars without gradient.

        The first one is the objective. Only a model that is no plain loss (adversarial
        training, Gibbs sampling, a map that accumulates) overrides this; the engine may
        run the default as a recorded step, which gives the same bits.
        """
        for optimizer in step.optimizers:
            optimizer.zero_grad()
        loss = self.mean_loss(batch, noise)
        if loss.requires_grad:  # unless a callback froze all layers
            loss.backward()
        step.on_gradients()
        for optimizer in step.optimizers:
            optimizer.step()
        return {"loss": loss.detach()}

    def end_epoch(self, step: Step) -> None:
        """Write what the steps of an epoch accumulated; nothing by default."""

    def structure(self) -> Hashable:
        """Return what decides which operations `loss` consists of; None if that is not known.

        Modules of equal structure differ in their parameters and buffers alone, so that they
        can share a recorded step, and be trained as one batch. It holds the types of all
        submodules, their attributes, and the shapes of their tensors. It is not known where
        hooks run, nor for layers and other objects whose classes are from outside of torch and
        this package: those may keep a state that no attribute shows. (A `Trainable` from
        elsewhere keeps the rules above.)
        """
        places: dict[Tensor, int] = {}  # tied weights are one tensor in two places
        parts: list[Hashable] = []
        for name, module in self.named_modules():
            attributes = {k: v for k, v in vars(module).items() if k not in _BOOKKEEPING}
            if _has_hooks(module) or not (_is_known(module) and _is_known(attributes)):
                return None
            parts.append((name, type(module), module.training, _frozen(attributes)))
            for key, tensor in (*module._parameters.items(), *module._buffers.items()):
                if tensor is not None:
                    place = places.setdefault(tensor, len(places))
                    layout = tensor.shape, tensor.stride(), tensor.dtype, tensor.device
                    parts.append((key, place, layout))
        try:
            hash(frozen := tuple(parts))
        except TypeError:
            return None
        return frozen

    def parameter_groups(self) -> Sequence[Mapping[str, Any]]:
        """Return the parameters of each optimizer, with a ``lr`` of its own if it has one.

        Returns
        -------
        sequence of dict
            Each with "params", and optionally "lr", as torch's optimizers take them. A module
            that learns without gradients gives a group without parameters, whose optimizer
            does nothing but carry the learning rate.
        """
        return [{"params": list(self.parameters())}]

    def encode(self, x: Tensor) -> Tensor:
        """Return the code of each sample, deterministic."""
        raise NotImplementedError

    def decode(self, z: Tensor) -> Tensor:
        """Return the input that each code stands for, deterministic."""
        raise NotImplementedError

    def log_score(self, x: Tensor) -> Tensor:
        """Return how normal each sample is, shape (n,), higher = more normal."""
        raise NotImplementedError


def weighted_mean(losses: Tensor, weight: Tensor | None) -> Tensor:
    """Return the mean of the losses of a batch, whose rows have a mean weight of 1."""
    return losses.mean() if weight is None else (weight * losses).mean()


def _has_hooks(module: nn.Module) -> bool:
    """Whether something runs with a module, or with the gradients of its parameters."""
    if any(hooks for name, hooks in vars(module).items() if name.endswith("_hooks")):
        return True
    parameters = [p for p in module._parameters.values() if p is not None]
    return any(p._backward_hooks or p._post_accumulate_grad_hooks for p in parameters)


def _is_known(value: Any) -> bool:
    """Whether a value is known to compute by its attributes alone, or bound to do so."""
    if isinstance(value, dict):
        return all(map(_is_known, value.values()))
    if isinstance(value, list | tuple | set | frozenset):
        return all(map(_is_known, value))
    if isinstance(value, Tensor | MethodType):  # they, or what they are bound to, may change
        return False
    of_function = isinstance(value, FunctionType)
    module = value.__module__ if of_function else type(value).__module__
    package = module.split(".")[0]
    return isinstance(value, Trainable) or package in ("builtins", "numpy", "torch", "skae")


def _frozen(value: Any) -> Hashable:
    """Return nested dicts, lists and sets as tuples, which can be hashed."""
    if isinstance(value, dict):
        return tuple((key, _frozen(value[key])) for key in sorted(value, key=str))
    if isinstance(value, list | tuple):
        return (type(value), *map(_frozen, value))
    if isinstance(value, set | frozenset):
        return frozenset(value)
    if isinstance(value, np.generic):
        value = value.item()
    # 1, 1.0 and True are equal, and so are 0.0 and -0.0, but not what is computed with them.
    return (type(value), repr(value)) if isinstance(value, int | float) else value


def load_weights(module: Trainable, fitted: Trainable) -> None:
    """Give an untrained module the weights of a fitted one.

    Raises
    ------
    ValueError
        If the two have not the same shape.
    """
    try:
        module.load_state_dict(fitted.state_dict())
    except RuntimeError as error:
        raise ValueError(
            "warm_start=True cannot go on from the last fit, because the shape of the network was "
            "changed since; set warm_start=False to start anew."
        ) from error


def take_settings(module: Trainable, untrained: Trainable) -> bool:
    """Give a module the numbers in the objective of an untrained one, if they compute alike.

    Returns
    -------
    bool
        False, and nothing is changed, if the two differ in what they compute otherwise.
    """
    both = module, untrained
    structures: list[Any] = [one.structure() for one in both]
    if None in structures:  # of layers that are not known
        structures = [
            (str(one), [(name, t.shape) for name, t in one.state_dict().items()]) for one in both
        ]
    if structures[0] != structures[1]:
        return False
    learned, settings = module.state_dict(), dict(untrained.named_buffers())
    with torch.no_grad():
        for name, buffer in module.named_buffers():
            if name not in learned:  # registered as no part of it, by the rule of `Trainable`
                buffer.copy_(settings[name])
    return True


def tensors_of(module: nn.Module) -> list[Tensor]:
    """Return the parameters and buffers of a module."""
    return tensors_in(module.modules())


def tensors_in(parts: Iterable[nn.Module]) -> list[Tensor]:
    """Return what submodules have themselves, in a fraction of torch's time for that."""
    found: dict[int, Tensor] = {}
    for part in parts:
        for tensor in (*part._parameters.values(), *part._buffers.values()):
            if tensor is not None:
                found[id(tensor)] = tensor
    return list(found.values())


def device_of(module: nn.Module) -> torch.device:
    """Return the device on which a module is."""
    return next(module.parameters()).device
