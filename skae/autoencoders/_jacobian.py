"""The derivatives of a code by the features, and their squared norm."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..layers import reading
from ._module import AutoencoderModule

#: The derivative of an activation as a function of its value.
DERIVATIVES: dict[type[nn.Module], Callable[[Tensor], Tensor]] = {
    nn.Identity: torch.ones_like,
    nn.ReLU: lambda code: (code > 0).to(code.dtype),
    nn.Sigmoid: lambda code: code * (1 - code),
    nn.Tanh: lambda code: 1 - code.square(),
}


def jacobian(module: AutoencoderModule, x: Tensor) -> Tensor:
    """Return the derivative of each code by its sample, shape (n, n_components, ...)."""
    code, pull = _linearise(module, x)
    units = torch.eye(code.shape[1], dtype=code.dtype, device=code.device)
    return torch.vmap(lambda unit: pull(unit.expand_as(code)))(units).movedim(0, 1)


def estimated_squared_norm(module: AutoencoderModule, x: Tensor, probes: Tensor) -> Tensor:
    """Return the mean over the probes of the squared norm of each times the Jacobian.

    With independent signs as the entries of the probes, of shape (n_probes, n, n_components), its
    expectation is the squared Frobenius norm of the Jacobian of each sample (Hutchinson 1990).
    """
    _, pull = _linearise(module, x)
    return torch.vmap(pull)(probes).square().flatten(2).sum(2).mean(0)


def squared_norm_of_linear(module: AutoencoderModule, x: Tensor) -> Tensor:
    """Return the squared Frobenius norm of the Jacobian of each sample, by its closed form.

    Of an encoder as `only_linear` returns it, with the derivative f' of the activation, it is
    ``sum_j f'_j^2 sum_i W_ji^2`` (Rifai et al. 2011), over the observed entries i.
    """
    linear = only_linear(module)
    assert linear is not None
    squared_derivative = DERIVATIVES[type(module.code_activation)](module.encode(x)).square()
    if module.gaps is None:
        return squared_derivative @ linear.weight.square().sum(1)
    by_feature = squared_derivative @ linear.weight[:, : x.shape[1]].square()
    return by_feature.masked_fill(x.isnan(), 0).sum(1)


def only_linear(module: AutoencoderModule) -> nn.Linear | None:
    """Return the one linear layer of an encoder, under an activation of `DERIVATIVES`.

    None if it has more layers, or another activation.
    """
    encoder = module.encoder
    if isinstance(encoder, nn.Sequential) and len(encoder) == 1:
        encoder = encoder[0]
    known = type(module.code_activation) in DERIVATIVES
    return encoder if known and isinstance(encoder, nn.Linear) else None


def _linearise(module: AutoencoderModule, x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Return the code as at inference, and a function from `v` to `v` times its Jacobian.

    Samples do not mix there, so that one product serves all samples at once.
    """
    with reading(module.encoder):
        code, pull, *_ = torch.func.vjp(module.encode, x)
    return code, lambda v: pull(v)[0]
