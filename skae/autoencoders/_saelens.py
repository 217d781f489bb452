"""Weights of dictionaries to and from the form of SAELens."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Self

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from .._compute import resolve_device
from .._random import seeded_initialisation
from ._dictionary_module import DictionaryModule

_WEIGHTS, _CONFIG = "sae_weights.safetensors", "cfg.json"

#: The version of the form; SAELens takes a configuration that states none for an old one.
_VERSION = "6.0.0"

#: What a dictionary selects by that has the architecture of SAELens.
_SPARSITIES = {"standard": "jumprelu", "jumprelu": "jumprelu", "gated": "gated"}

#: What each architecture has for every unit, beside its rows of the two matrices.
_OF_UNITS = {
    "standard": ("b_enc",),
    "jumprelu": ("b_enc", "threshold"),
    "gated": ("b_gate", "r_mag", "b_mag"),
}


class ReadsSAELens:
    """An estimator of a dictionary whose weights SAELens can read, and that reads its weights."""

    def to_saelens(self, folder: str | os.PathLike) -> Path:
        """Write the weights as SAELens reads them: ``SAE.load_from_disk(folder)``.

        The folder then has the files ``cfg.json`` and ``sae_weights.safetensors``, the latter
        with `W_enc`, `W_dec`, `b_dec`, and `b_enc` and `threshold` (architecture "jumprelu") or
        `b_gate`, `r_mag` and `b_mag` ("gated").

        Parameters
        ----------
        folder : str or path-like
            Where to write; made if it is not there.

        Returns
        -------
        pathlib.Path
            The folder.
        """
        check_is_fitted(self)
        module: DictionaryModule = self.module_  # type: ignore[attr-defined]
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        weights = {
            name: tensor.detach().cpu().contiguous() for name, tensor in _weights_of(module).items()
        }
        save_file(weights, folder / _WEIGHTS)
        config = {
            "architecture": module.selection.architecture,
            "d_in": module.n_features,
            "d_sae": module.n_components,
            "dtype": "float32",
            "device": "cpu",
            "apply_b_dec_to_input": True,
            "normalize_activations": "none",
            "reshape_activations": "none",
            "metadata": {"sae_lens_version": _VERSION},
        }
        (folder / _CONFIG).write_text(json.dumps(config, indent=2))
        return folder

    @classmethod
    def from_saelens(cls, folder: str | os.PathLike, **parameters: Any) -> Self:
        """Return a fitted estimator with the weights that SAELens wrote, or `to_saelens`.

        It has ``sparsity="jumprelu"``, or "gated" for that architecture. A "standard" one is a
        "jumprelu" with thresholds of 0, and so are "batchtopk" and "matryoshka_batchtopk", which
        SAELens saves as "jumprelu". Where the directions of its decoder have other lengths than
        1, the activation of a unit is multiplied by that length, and reconstructions are the same.

        Parameters
        ----------
        folder : str or path-like
            With the files ``cfg.json`` and ``sae_weights.safetensors``.
        **parameters
            Other parameters of the estimator.

        Returns
        -------
        estimator : DictionaryAutoencoder
            Fitted. `partial_fit` goes on from its weights.

        Raises
        ------
        ValueError
            If the architecture is another one, or normalises the activations; if weights are
            missing, not finite, or of a shape that does not go with the others.
        TypeError
            If `parameters` holds `n_components` or `sparsity`, which the files say.
        """
        if told := [name for name in ("n_components", "sparsity") if name in parameters]:
            raise TypeError(f"{told[0]} is in the files that from_saelens reads; leave it out.")
        folder = Path(folder)
        config = _config_in(folder)
        architecture = config["architecture"]
        weights = _weights_in(folder, architecture)
        sparsity, (n_components, n_features) = _SPARSITIES[architecture], weights["W_dec"].shape
        estimator: Any = cls(n_components, sparsity=sparsity, **parameters)  # type: ignore[call-arg]
        estimator._validate_params()
        with seeded_initialisation(0):  # what is drawn is written over
            module = estimator._make_module(n_features)
        applies_bias = config.get("apply_b_dec_to_input", True)
        _load(module, weights, subtracts_bias=applies_bias)
        estimator.n_features_in_ = n_features
        estimator._layers_shape = estimator._samples_shape = None
        module.eval().to(resolve_device(estimator.device))
        estimator._keep_module(module)
        estimator.loss_curve_, estimator.validation_loss_curve_ = [], None
        estimator.history_, estimator.n_iter_ = {}, 0
        return estimator


def _config_in(folder: Path) -> dict[str, Any]:
    """Return the configuration of a dictionary, of an architecture that can be read."""
    config = json.loads((folder / _CONFIG).read_text())
    if not isinstance(config, dict):
        raise ValueError(f"{folder / _CONFIG} must hold a JSON object, got {config!r:.50}.")
    architecture = config.get("architecture", "standard")
    # Before version 6 the activation stood for itself, under two names.
    activation = config.get("activation_fn", config.get("activation_fn_str", "relu"))
    if architecture == "standard" and activation != "relu":
        architecture = activation
    if architecture not in list(_SPARSITIES):
        raise ValueError(
            f"The architecture {architecture!r} of {folder} is none of "
            f"{', '.join(_SPARSITIES)}, which from_saelens reads."
        )
    normalisation = config.get("normalize_activations", "none")
    if normalisation not in ("none", None, False):
        raise ValueError(
            f"{folder} normalises the activations by {normalisation!r}, which from_saelens "
            "cannot do; fold it into the weights first."
        )
    return config | {"architecture": architecture}


def _weights_in(folder: Path, architecture: str) -> dict[str, Tensor]:
    """Return the weights of a dictionary in float32, of shapes that go together."""
    # What is too large for float32 is infinite then, and refused as such.
    weights = {name: w.to(torch.float32) for name, w in load_file(folder / _WEIGHTS).items()}
    matrix = weights.get("W_dec", torch.empty(0))
    n_components, n_features = matrix.shape if matrix.ndim == 2 else (-1, -1)
    shapes: dict[str, tuple[int, ...]] = {
        "W_dec": (n_components, n_features),
        "W_enc": (n_features, n_components),
    }
    shapes |= {"b_dec": (n_features,), **dict.fromkeys(_OF_UNITS[architecture], (n_components,))}
    for name, shape in shapes.items():
        found = weights.get(name)
        if found is None:
            raise ValueError(f"{folder / _WEIGHTS} lacks {name}, which {architecture!r} needs.")
        if tuple(found.shape) != shape:
            needed = "(d_sae, d_in)" if matrix.ndim != 2 else f"{shape} to go with W_dec"
            raise ValueError(
                f"{name} in {folder / _WEIGHTS} has the shape {tuple(found.shape)}; it needs "
                f"{needed}."
            )
        if not found.isfinite().all():
            raise ValueError(f"{name} in {folder / _WEIGHTS} is not finite in float32.")
    return {name: weights[name] for name in shapes}


@torch.no_grad()
def _weights_of(module: DictionaryModule) -> dict[str, Tensor]:
    selection: Any = module.selection
    bias = module.encoder.bias
    weights: dict[str, Tensor] = {
        "W_enc": module.encoder.weight.T,
        "W_dec": module.decoder.directions(),
        "b_dec": module.decoder.bias,
    }
    if selection.architecture == "gated":
        own = {"r_mag": selection.log_scale, "b_mag": selection.magnitude_bias}
        return {**weights, "b_gate": bias, **own}
    return {**weights, "b_enc": bias, "threshold": selection.thresholds(module.n_components)}


@torch.no_grad()
def _load(module: DictionaryModule, weights: dict[str, Tensor], *, subtracts_bias: bool) -> None:
    length = weights["W_dec"].norm(dim=1)
    is_used = (length > 0)[:, None]  # a unit without a direction adds nothing: it keeps that drawn
    # Without its bias subtracted, the encoder does as if it had been, by a bias of its own.
    added = 0.0 if subtracts_bias else weights["b_dec"] @ weights["W_enc"]
    module.encoder.weight.copy_((weights["W_enc"] * length).T)
    directions = torch.where(is_used, weights["W_dec"], module.decoder.weight)
    module.decoder.weight.copy_(F.normalize(directions, eps=0.0))
    module.decoder.bias.copy_(weights["b_dec"])
    selection: Any = module.selection
    if selection.architecture == "gated":
        module.encoder.bias.copy_((weights["b_gate"] + added) * length)
        selection.log_scale.copy_(weights["r_mag"])
        scaled = added * weights["r_mag"].exp()
        selection.magnitude_bias.copy_((weights["b_mag"] + scaled) * length)
        return
    module.encoder.bias.copy_((weights["b_enc"] + added) * length)
    threshold = weights.get("threshold", torch.zeros_like(length))
    selection.threshold.copy_(threshold.clamp(min=0) * length)
