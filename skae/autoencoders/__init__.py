"""Autoencoders: the class names the objective, `hidden_layers` the architecture."""

from ._autoencoder import Autoencoder
from ._codebooks import CodebookEnsemble
from ._contractive import ContractiveAutoencoder
from ._denoising import DenoisingAutoencoder
from ._initialisation import unroll
from ._sparse import SparseAutoencoder

__all__ = [
    "Autoencoder",
    "CodebookEnsemble",
    "ContractiveAutoencoder",
    "DenoisingAutoencoder",
    "SparseAutoencoder",
    "unroll",
]
