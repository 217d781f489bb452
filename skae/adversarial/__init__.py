"""Networks that learn from each other."""

from ._gan import GenerativeAdversarialNetwork

__all__ = ["GenerativeAdversarialNetwork"]
