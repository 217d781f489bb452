"""Rows of Parquet files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from .._training import RowStream

# Numbers in a chunk: 8 MB in float32. Larger ones do not stay in a cache, and take longer.
_CHUNK_NUMBERS = 2**21


class ParquetSource(RowStream):
    """Rows of a Parquet file, of a folder of them, or of a `pyarrow.dataset`.

    Handed as ``X`` to `fit`, `partial_fit` and the methods that apply a fitted estimator. An epoch
    goes through the row groups in an order drawn anew, and shuffles the rows of a window at a time;
    while one window is trained on, another thread reads the next. A table with no more rows than a
    window is fitted in memory, to the same bits as its DataFrame.

    Parameters
    ----------
    path : str, path-like or pyarrow.dataset.Dataset
        A file; a folder, all of whose files are read, in the order of their names; or what
        ``pyarrow.dataset.dataset`` makes of many files, partitions or a bucket.
    columns : sequence of str, default=None
        Names of the columns to read, in this order; None is all but an index of pandas.
    window : int or "auto", default="auto"
        Number of rows that may be in memory at a time to be shuffled. "auto" is as many as 128 MB
        hold in float32. Two or three windows are in memory at most, and a row group as it is
        compressed.

    Attributes
    ----------
    columns : list of str
        Names of the columns.
    n_rows : int
        Number of rows.
    shape : tuple of int
        Shape of the table that all rows are.

    Raises
    ------
    ImportError
        If pyarrow or pandas is not installed: ``pip install 'skae[parquet]'``.
    ValueError
        If a parameter is not valid, if there are no rows, or if a file lacks columns, or has them
        in another type; here or in a pass, if a file cannot be read.

    See Also
    --------
    ChunkSource : Rows from a function that gives chunks.
    skae.streaming.transform : Results of a large source, to a file.

    Notes
    -----
    Chunks are DataFrames, so that estimators know the names of the features. A missing value in a
    column of numbers is NaN, which autoencoders take with ``missing_values="mask"``.

    With early stopping, whole row groups are held out, drawn at random.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> import pandas as pd
    >>> from skae import Autoencoder
    >>> from skae.streaming import ParquetSource
    >>> path = os.path.join(tempfile.mkdtemp(), "table.parquet")
    >>> rows = np.random.default_rng(0).random((1000, 3))
    >>> pd.DataFrame(rows, columns=["a", "b", "c"]).to_parquet(path, row_group_size=250)
    >>> source = ParquetSource(path, columns=["a", "c"], window=500)
    >>> source.shape
    (1000, 2)
    >>> autoencoder = Autoencoder(1, max_iter=5, tol=1, random_state=0).fit(source)
    >>> autoencoder.feature_names_in_.tolist()
    ['a', 'c']
    """

    can_jump = True

    def __init__(
        self, path: Any, *, columns: Sequence[str] | None = None, window: int | str = "auto"
    ):
        super().__init__(window)
        dataset = _opened(path)
        self.path = path
        names = dataset.schema.names
        if isinstance(columns, str) or not (columns is None or np.iterable(columns)):
            raise ValueError(f"columns must be a list of names, got {columns!r}.")
        index = (dataset.schema.pandas_metadata or {}).get("index_columns", [])
        no_index = [name for name in names if name not in index]
        self.columns = list(no_index if columns is None else columns)
        missing = [name for name in self.columns if name not in names]
        if not names:
            raise ValueError(f"X has no rows: {_shown(path)} holds no Parquet file.")
        if missing or not self.columns:
            raise ValueError(
                f"columns must be names of columns of {_shown(path)}, which has "
                f"{', '.join(map(str, names))}; got {self.columns}."
            )
        if len(set(self.columns)) < len(self.columns):
            raise ValueError(f"columns must differ from each other, got {self.columns}.")
        self._schema = dataset.schema
        self._row_groups: list[Any] = []
        self._sizes: list[int] = []
        for fragment in dataset.get_fragments():
            self._check_schema(fragment)
            for group, n_rows in _groups_of(fragment):
                if n_rows:
                    self._row_groups.append(group)
                    self._sizes.append(n_rows)
        if not self._sizes:
            raise ValueError(f"X has no rows: {_shown(path)} holds none.")

    def _check_schema(self, fragment: Any) -> None:
        """Raise ValueError if a file has not the columns of the first, in the same types."""
        here = {field.name: field.type for field in fragment.physical_schema}
        in_path = str(fragment.partition_expression)
        for name in self.columns:
            expected, found = self._schema.field(name).type, here.get(name)
            if found is None and name in in_path:  # a column of the partition
                continue
            if found != expected:
                what = "has no column" if found is None else f"has type {found} in column"
                raise ValueError(
                    f"All files of ParquetSource need the same columns in the same types, but "
                    f"{fragment.path!r} {what} {name!r}, which is of type {expected} elsewhere."
                )

    @property
    def sizes(self) -> Sequence[int]:
        """The number of rows in each row group."""
        return self._sizes

    @property
    def _width(self) -> tuple[int, ...]:
        return (len(self.columns),)

    def read(self, pieces: Sequence[int] | None = None) -> Iterator[tuple[int, Any]]:
        """Go through row groups in DataFrames of some rows, each with the number of its group."""
        n_rows = max(1, _CHUNK_NUMBERS // len(self.columns))
        for piece in range(len(self._sizes)) if pieces is None else pieces:
            batches = self._row_groups[piece].to_batches(
                schema=self._schema,
                columns=self.columns,
                batch_size=n_rows,
                batch_readahead=1,
                fragment_readahead=1,
            )
            try:
                for batch in batches:
                    if batch.num_rows:
                        yield piece, _as_frame(batch)
            except OSError as error:
                raise ValueError(
                    f"{_shown(self.path)} has changed since ParquetSource was made, or is damaged: "
                    f"it cannot be read ({error})."
                ) from error


def _opened(path: Any) -> Any:
    """Return a dataset of Arrow."""
    try:
        import pandas as pd  # noqa: F401
        import pyarrow as pa
        from pyarrow import dataset
    except ImportError as error:
        raise ImportError(
            "ParquetSource needs pyarrow and pandas; install them with "
            "``pip install 'skae[parquet]'``."
        ) from error
    if isinstance(path, dataset.Dataset):
        return path
    if not isinstance(path, str | os.PathLike):
        raise TypeError(
            "path must be the name of a Parquet file or a folder of them, or a dataset of "
            f"pyarrow, got {type(path).__name__}."
        )
    try:
        return dataset.dataset(os.fspath(path), format="parquet")
    except pa.ArrowInvalid as error:
        raise ValueError(f"{_shown(path)} cannot be read as Parquet: {error}") from error


def _groups_of(fragment: Any) -> list[tuple[Any, int]]:
    """Return the row groups of a file with their numbers of rows; the whole of another format."""
    if not hasattr(fragment, "split_by_row_group"):
        return [(fragment, fragment.count_rows())]
    groups = fragment.split_by_row_group()
    return [(group, sum(one.num_rows for one in group.row_groups)) for group in groups]


def _shown(path: Any) -> str:
    return repr(str(path)) if isinstance(path, str | os.PathLike) else "the dataset"


def _as_frame(batch: Any) -> Any:
    """Return a record batch as a DataFrame, numbers as one block in C order for networks."""
    import pandas as pd
    from pyarrow import types

    kinds = types.is_integer, types.is_floating, types.is_boolean
    if not all(any(is_kind(column.type) for is_kind in kinds) for column in batch.columns):
        return batch.to_pandas()
    columns = [column.to_numpy(zero_copy_only=False) for column in batch.columns]
    if any(column.dtype == object for column in columns):  # bools, some of them missing
        return batch.to_pandas()
    by_column = np.stack(columns)
    if by_column.dtype in (np.float32, np.float64):  # torch transposes several times as fast
        table = torch.from_numpy(by_column).T.contiguous().numpy()
    else:
        table = np.ascontiguousarray(by_column.T)
    return pd.DataFrame(table, columns=batch.schema.names, copy=False)
