"""Autoencoders: the class names the objective, `hidden_layers` the architecture."""

from ._autoencoder import Autoencoder
from ._denoising import DenoisingAutoencoder

__all__ = ["Autoencoder", "DenoisingAutoencoder"]
