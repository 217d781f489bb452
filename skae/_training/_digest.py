"""What tells arrays apart."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np
from scipy import sparse


def digest_of(array: np.ndarray | None) -> Hashable:
    """Return what equal arrays have in common, and others have not."""
    if array is None:
        return None
    in_order = np.ascontiguousarray(array)
    return array.dtype.str, array.shape, hashlib.sha256(in_order.data).digest()


def digest_of_chunks(chunks: Iterable[Any]) -> Hashable:
    """Return the same of rows in chunks."""
    digest = hashlib.sha256()
    for chunk in chunks:
        is_sparse = sparse.issparse(chunk)
        for array in (chunk.data, chunk.indices, chunk.indptr) if is_sparse else (chunk,):
            digest.update(np.ascontiguousarray(array).data)
    return digest.digest()
