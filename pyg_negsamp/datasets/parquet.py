"""Parquet tables: some of their columns as frames, whether pandas wrote them as an index or not."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path

import pandas as pd
import pyarrow  # type: ignore[import-untyped]
import pyarrow.parquet  # type: ignore[import-untyped]

from pyg_negsamp.datasets.log import OWNER
from pyg_negsamp.datasets.sources import read_bytes
from pyg_negsamp.errors import invalid

#: What pandas calls an index without a name, which is no column of anybody's.
NAMELESS = r"__index_level_\d+__"


def open_parquet(path: Path) -> pyarrow.parquet.ParquetFile:
    """A table of which nothing is read yet but what its columns are, and how many rows it has.

    Raises:
        ValueError: If it is no parquet table.
    """
    try:
        return pyarrow.parquet.ParquetFile(path)
    except pyarrow.ArrowException as error:
        raise _unreadable(path, error) from error


def read_parquet(path: Path, choose: Callable[[list[str]], Sequence[str]]) -> pd.DataFrame:
    """Reads some columns, one of which may have been the index of a frame.

    Args:
        path: The file, compressed or not.
        choose: From the names of all columns to those that are wanted; may refuse.

    Raises:
        ValueError: If it is no parquet table, or one without columns.
    """
    try:
        content = BytesIO(read_bytes(path))
        every = pyarrow.parquet.read_schema(content).names
        names = [name for name in every if not re.fullmatch(NAMELESS, name)]
        if not names:
            raise invalid(OWNER, str(path), "a table with at least one column", "none")
        table = pyarrow.parquet.read_table(content, columns=[*choose(names)])
        # As columns alone: what they were in a frame does not matter.
        return table.to_pandas(ignore_metadata=True)
    except pyarrow.ArrowException as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> ValueError:
    return invalid(OWNER, str(path), "a readable parquet table", str(error).strip())
