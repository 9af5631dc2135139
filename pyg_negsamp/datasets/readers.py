"""Files of any known format as one interaction log."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pyg_negsamp.datasets.adjacency import read_adjacency_log
from pyg_negsamp.datasets.log import OWNER, InteractionLog
from pyg_negsamp.datasets.tables import Column, Columns, read_tables_log
from pyg_negsamp.errors import invalid

SUFFIXES = {".txt": "adjacency", ".csv": "csv", ".tsv": "tsv", ".parquet": "parquet"}
#: Ids of adjacency text are positions in tables, and numbers of pairs must fit in int64.
MAX_IDS = 2**30
FORMATS = ("adjacency", "pairs", "csv", "tsv", "parquet")


def read_files(
    parts: Mapping[int, Path],
    format: str | None = None,
    user: Column | None = None,
    item: Column | None = None,
    time: Column | None = None,
    rating: Column | None = None,
    min_rating: float | None = None,
    sep: str | None = None,
) -> InteractionLog:
    """Reads the files of a source, see `InteractionDataset.from_files` for the arguments.

    Args:
        parts: File of each part: 0 train, 1 validation, 2 test; or one undivided log.
        format: Format of the files, or `None` to go by the suffix of the first.
        user: Column of user ids.
        item: Column of item ids.
        time: Column of times.
        rating: Column of ratings.
        min_rating: Lowest rating that counts as an interaction.
        sep: Separator of text tables.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file cannot be read as asked.
    """
    for path in parts.values():
        if not path.is_file():
            raise FileNotFoundError(f"{OWNER}: there is no file '{path}'")
    if format is None:
        format = _guess_format(next(iter(parts.values())))
    if format not in FORMATS:
        raise invalid(OWNER, "format", f"one of {FORMATS}", repr(format))
    if format == "adjacency":
        table_only = {"user": user, "item": item, "time": time, "rating": rating,
                      "min_rating": min_rating, "sep": sep}  # fmt: skip
        for name, value in table_only.items():
            if value is not None:
                raise invalid(
                    OWNER, name, "None for adjacency text, which has no columns; "
                    "state another format, such as 'pairs'", repr(value),
                )  # fmt: skip
        log = read_adjacency_log(parts)
        for name, size in (("user", log.num_users), ("item", log.num_items)):
            if size > MAX_IDS:
                raise invalid(
                    OWNER, ", ".join(map(str, parts.values())), "text with ids that count from "
                    f"zero, below {MAX_IDS} (other formats, such as 'pairs', take any)",
                    f"{name} {size - 1}",
                )  # fmt: skip
        return log
    default: tuple[Column, Column] = (0, 1) if format == "pairs" else ("user", "item")
    columns = Columns(
        default[0] if user is None else user, default[1] if item is None else item, time, rating
    )
    return read_tables_log(parts, format, columns, min_rating, sep)


def _guess_format(path: Path) -> str:
    if path.suffix not in SUFFIXES:
        raise invalid(OWNER, "format", f"stated, one of {FORMATS}", f"None for '{path}'")
    return SUFFIXES[path.suffix]
