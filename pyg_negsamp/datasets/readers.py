"""Files of any known format as one interaction log."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pyg_negsamp.datasets.adjacency import read_adjacency_log
from pyg_negsamp.datasets.catalogue import add_to_adjacency
from pyg_negsamp.datasets.checks import describe
from pyg_negsamp.datasets.columns import Catalogue, Column, Columns, Writing, check_types
from pyg_negsamp.datasets.log import OWNER, InteractionLog
from pyg_negsamp.datasets.separators import MOVIELENS
from pyg_negsamp.datasets.sources import inner_suffix, read_head
from pyg_negsamp.datasets.tables import read_tables_log
from pyg_negsamp.errors import invalid

SUFFIXES = {".txt": "adjacency", ".csv": "csv", ".tsv": "tsv", ".parquet": "parquet"}
#: Ids of adjacency text are positions in tables, and numbers of pairs must fit in int64.
MAX_IDS = 2**30
FORMATS = ("adjacency", "pairs", "csv", "tsv", "parquet")
HEAD = 1 << 16  # bytes in which the first line ends
MOVIELENS_COLUMNS = Columns(user=0, item=1, rating=2, time=3)


def read_files(
    parts: Mapping[int, Path],
    format: str | None,
    columns: Mapping[str, Column | None],
    writing: Writing,
    min_rating: float | None = None,
    catalogue: Catalogue | None = None,
) -> InteractionLog:
    """Reads the files of a source, see `InteractionDataset.from_files` for the arguments.

    Args:
        parts: File of each part: 0 train, 1 validation, 2 test; or one undivided log.
        format: Format of the files, or `None` to go by the name of the first.
        columns: Column of each role, `None` for the default.
        writing: How text is written.
        min_rating: Lowest rating that counts as an interaction.
        catalogue: Lists items.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file cannot be read as asked.
    """
    given = {role: at for role, at in columns.items() if at is not None}
    # The types of what was given, before a file is opened.
    check_types(Columns(**{"user": 0, "item": 1, **given}), writing)
    if format is not None and format not in FORMATS:
        raise invalid(OWNER, "format", f"one of {FORMATS}", describe(format))
    for path in parts.values():
        if not path.is_file():
            raise FileNotFoundError(f"{OWNER}: there is no file '{path}'")
    if format is None:
        format = _guess_format(next(iter(parts.values())), writing, given)
    if format == "adjacency":
        return _read_adjacency(parts, given, min_rating, writing, catalogue)
    if format == "parquet" and catalogue is None:
        for name, value in (("sep", writing.sep), ("encoding", writing.encoding)):
            if value is not None:
                raise invalid(OWNER, name, "None for parquet, which is no text", repr(value))
    if not given and format == "pairs" and _is_movielens(next(iter(parts.values())), writing):
        chosen = MOVIELENS_COLUMNS
    else:
        default = {"user": 0, "item": 1} if format == "pairs" else {"user": "user", "item": "item"}
        chosen = Columns(**{**default, **given})
    return read_tables_log(parts, format, chosen, writing, min_rating, catalogue)


def _read_adjacency(
    parts: Mapping[int, Path],
    columns: Mapping[str, Column],
    min_rating: float | None,
    writing: Writing,
    catalogue: Catalogue | None,
) -> InteractionLog:
    table_only = {
        **columns, "min_rating": min_rating, "sep": writing.sep,
        "decimal": None if writing.decimal == "." else writing.decimal,
    }  # fmt: skip
    for name, value in table_only.items():
        if value is not None:
            raise invalid(
                OWNER, name, "None for adjacency text, which has no columns; "
                "state another format, such as 'pairs'", repr(value),
            )  # fmt: skip
    log = read_adjacency_log(parts, writing.encoding)
    for name, size in (("user", log.num_users), ("item", log.num_items)):
        if size > MAX_IDS:
            raise invalid(
                OWNER, ", ".join(map(str, parts.values())), "text with ids that count from "
                f"zero, below {MAX_IDS} (other formats, such as 'pairs', take any)",
                f"{name} {size - 1}",
            )  # fmt: skip
    return log if catalogue is None else add_to_adjacency(log, catalogue, writing)


def _guess_format(path: Path, writing: Writing, columns: Mapping[str, Column]) -> str:
    """The format by the name inside any compression; else by the separator, or by the columns."""
    suffix = inner_suffix(path)
    if suffix in SUFFIXES and not (suffix == ".txt" and columns.keys() >= {"user", "item"}):
        return SUFFIXES[suffix]
    if MOVIELENS in (writing.sep or _first_line(path, writing)):
        return "pairs"
    if columns:  # a header is what columns have names by
        return "csv" if any(isinstance(at, str) for at in columns.values()) else "pairs"
    expected = (
        f"one of {FORMATS}, or told by the name ({', '.join(SUFFIXES)}) or by the user's and the "
        "item's columns: their positions, or their names in a header"
    )
    raise invalid(OWNER, "format", expected, f"None for '{path}'")


def _is_movielens(path: Path, writing: Writing) -> bool:
    """Whether lines are `user::item::rating::time`, as MovieLens has them."""
    if writing.sep not in (None, MOVIELENS):
        return False
    return len(_first_line(path, writing).split(MOVIELENS)) == len(MOVIELENS_COLUMNS.given())


def _first_line(path: Path, writing: Writing) -> str:
    return read_head(path, writing.encoding, HEAD).lstrip().split("\n", 1)[0]
