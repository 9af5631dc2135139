"""Writes the tables of `tuned.md` out of what `compare` has written.

    python docs/tuned.py

Of each `benchmarks/tuned/NAME.yaml`, the results are `docs/tables/tuned-NAME.csv`; the table
stands in the page below the line `<!-- NAME: made by python docs/tuned.py -->`.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from docstrings import table

DOCS = Path(__file__).parent
PAGE = DOCS / "tuned.md"
BEGIN, END = "<!-- {}: made by python docs/tuned.py -->", "<!-- end -->"
METRICS = ("validation NDCG@20", "Recall@20", "NDCG@20")
#: Flags that a table's caption says of all rows.
SAID = {"neg", "loss", "shared"}


def found(flags: dict[str, Any], usual: dict[str, Any]) -> str:
    """What a row's search has chosen, and what it has otherwise than most."""
    parts = []
    for name, value in flags.items():
        if name not in SAID and usual.get(name) != value:
            shown = f"{value:.3g}" if isinstance(value, float) else value
            short = name.removeprefix("loss_")
            both = short != name and short in flags  # the sampler has one of this name, too
            parts.append(f"{name if both else short} {shown}")
    return ", ".join(parts)


def percent(row: pd.Series, best: float) -> str:
    """A mean and its standard deviation; the best of a column in bold letters."""
    mean = f"{100 * row['mean']:.2f}"
    mean = f"**{mean}**" if row["mean"] == best else mean
    return mean if pd.isna(row["std"]) else f"{mean} ± {100 * row['std']:.2f}"


def p_value(row: pd.Series, first: bool) -> str:
    """Of a test against the first row."""
    if first:
        return "compared with"
    return "" if pd.isna(row["p"]) else "< 0.001" if row["p"] < 0.001 else f"{row['p']:.3f}"


def results(name: str) -> str:
    """The table of one comparison."""
    said = yaml.safe_load((DOCS.parent / "benchmarks" / "tuned" / f"{name}.yaml").read_text())
    flags = {row["method"]: row["flags"] for row in said["rows"]}
    by_method: dict[str, dict[str, pd.Series]] = {}
    for _, row in pd.read_csv(DOCS / "tables" / f"tuned-{name}.csv").iterrows():
        by_method.setdefault(row["method"], {})[row["metric"]] = row
    best = {m: max(rows[m]["mean"] for rows in by_method.values()) for m in METRICS}
    counts = Counter(own.get("num_negatives") for own in flags.values())
    often, times = counts.most_common(1)[0]
    usual = {"num_negatives": often} if times > len(flags) / 2 else {}
    lines = [
        [
            method,
            found(flags.get(method, {}), usual),
            *(percent(rows[m], best[m]) for m in METRICS),
            p_value(rows["NDCG@20"], first=not number),
            f"{rows['NDCG@20']['seconds']:.0f}",
        ]
        for number, (method, rows) in enumerate(by_method.items())
    ]
    return table(("method", "found", *METRICS, "p", "s per run"), lines)


def page() -> str:
    """The page, with its tables anew."""
    begin = BEGIN.format("(.+?)")
    return re.sub(
        f"{begin}\n.*?{END}",
        lambda name: f"{BEGIN.format(name[1])}\n{results(name[1])}\n{END}",
        PAGE.read_text(),
        flags=re.S,
    )


if __name__ == "__main__":
    PAGE.write_text(page())
