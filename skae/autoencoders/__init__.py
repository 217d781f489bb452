"""Autoencoders: the class names the objective, `hidden_layers` the architecture."""

from ._adversarial import AdversarialAutoencoder
from ._autoencoder import Autoencoder
from ._base import BaseAutoencoder
from ._codebooks import CodebookEnsemble
from ._conditional import ConditionalVariationalAutoencoder
from ._contractive import ContractiveAutoencoder
from ._denoising import DenoisingAutoencoder
from ._dictionary import DictionaryAutoencoder
from ._initialisation import unroll
from ._module import AutoencoderModule
from ._nested_codebooks import NestedCodebooks
from ._sparse import SparseAutoencoder
from ._variational import VariationalAutoencoder
from ._winner_take_all import WinnerTakeAllAutoencoder

__all__ = [
    "AdversarialAutoencoder",
    "Autoencoder",
    "AutoencoderModule",
    "BaseAutoencoder",
    "CodebookEnsemble",
    "ConditionalVariationalAutoencoder",
    "ContractiveAutoencoder",
    "DenoisingAutoencoder",
    "DictionaryAutoencoder",
    "NestedCodebooks",
    "SparseAutoencoder",
    "VariationalAutoencoder",
    "WinnerTakeAllAutoencoder",
    "unroll",
]
