"""Self-organising maps, and measures of how good they are."""

from ._quality import (
    neighborhood_preservation,
    quantization_error,
    topographic_error,
    topographic_product,
    trustworthiness,
)
from ._som import SelfOrganizingMap

__all__ = [
    "SelfOrganizingMap",
    "neighborhood_preservation",
    "quantization_error",
    "topographic_error",
    "topographic_product",
    "trustworthiness",
]
