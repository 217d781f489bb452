"""Data larger than memory: rows that are read a chunk at a time, in each epoch anew."""

from ._chunks import ChunkSource
from ._parquet import ParquetSource
from ._transform import transform

__all__ = ["ChunkSource", "ParquetSource", "transform"]
