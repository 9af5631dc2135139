"""Parquet tables: some of their columns as frames, whether pandas wrote them as an index or not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path

import pandas as pd
import pyarrow  # type: ignore[import-untyped]
import pyarrow.parquet  # type: ignore[import-untyped]

from pyg_negsamp.datasets.log import OWNER
from pyg_negsamp.datasets.sources import read_bytes
from pyg_negsamp.errors import invalid


def read_parquet(path: Path, choose: Callable[[list[str]], Sequence[str]]) -> pd.DataFrame:
    """Reads some columns.

    Args:
        path: The file, compressed or not.
        choose: From the names of all columns to those that are wanted; may refuse.

    Raises:
        ValueError: If it is no parquet table, or one without columns.
    """
    try:
        content = BytesIO(read_bytes(path))
        names = pyarrow.parquet.read_schema(content).names
        if not names:
            raise invalid(OWNER, str(path), "a table with at least one column", "none")
        wanted = [*choose(names)]
        frame = pd.read_parquet(content, columns=wanted)
    except pyarrow.ArrowException as error:
        raise invalid(OWNER, str(path), "a readable parquet table", str(error).strip()) from error
    if any(name not in frame.columns for name in wanted):  # what was the index of a frame
        frame = frame.reset_index()
    return frame[wanted].reset_index(drop=True)
