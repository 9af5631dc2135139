"""Which separator a text table uses, by its first lines."""

from __future__ import annotations

from collections.abc import Sequence

BLANKS = r"\s+"
MOVIELENS = "::"
KNOWN = (",", "\t", ";", MOVIELENS)
USUAL = {"csv": ",", "tsv": "\t"}
SAMPLE = 20  # lines that are looked at
SAMPLE_BYTES = 1 << 16


def first_lines(text: bytes) -> list[str]:
    """The first lines of a text that are not blank."""
    lines = text[:SAMPLE_BYTES].decode(errors="replace").splitlines()
    if len(text) > SAMPLE_BYTES and len(lines) > 1:
        lines.pop()  # cut in the middle
    return [line for line in lines if line.strip()][:SAMPLE]


def guess_separator(
    lines: Sequence[str],
    format: str,
    names: Sequence[str] = (),
    num_columns: int = 0,
    decimal: str = ".",
) -> str:
    """The separator of a text table.

    With a header, it is the one that finds most of the wanted columns in it. Without, it is the one
    that gives as many fields in every line; of several, the one that gives most.

    Args:
        lines: The first lines that are not blank.
        format: `"csv"`, whose usual separator is the comma; `"tsv"`, the tab; or `"pairs"`,
            blanks.
        names: Columns that the header must have; empty if there is no header.
        num_columns: Columns that each line must have at least.
        decimal: Decimal mark, which is not taken for a separator where there is no header.

    Returns:
        `","`, tab, `";"`, `"::"`, or the pattern for blanks.
    """
    usual = USUAL.get(format, BLANKS)
    known = sorted(KNOWN, key=lambda sep: sep != usual)  # the usual one first, else as they are
    found = [sep for sep in known if lines and sep in lines[0]]
    if names:

        def finds(sep: str) -> int:
            header = [name.strip().strip('"') for name in lines[0].split(sep)]
            return sum(name.strip() in header for name in names)

        return max(found, key=finds, default=usual)
    found = [sep for sep in found if sep != decimal]
    if format == "tsv" or not found:
        return usual
    best, most = found[0], 0
    for sep in found:
        fields = {line.count(sep) + 1 for line in lines}
        if len(fields) == 1 and max(fields) >= num_columns and max(fields) > most:
            best, most = sep, max(fields)
    return best
