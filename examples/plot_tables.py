"""Draws tables of `pyg-negsamp reproduce` as bars: printed beside ours, under each protocol.

python examples/plot_tables.py runs/reproduce/*/table.csv --metric NDCG@20 --out docs/tables.png

One panel per table.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

KEY, NUMBERS = ["protocol", "method", "metric"], ["mean", "std", "printed"]
COLOURS = {"printed": "0.7", "ours, clean": "C0", "ours, refit": "C2", "ours, paper": "C1"}


def read(file: Path, metric: str) -> pd.DataFrame:
    """Reads the lines of a `table.csv` that hold a metric, as the paper evaluates it.

    Raises:
        ValueError: Naming the file, if it is no table or has no such metric.
    """
    try:
        table = pd.read_csv(file)
        for name in (*KEY, *NUMBERS):
            if name not in table:
                raise ValueError(f"no column '{name}'")
        for name in NUMBERS:
            table[name] = pd.to_numeric(table[name])
        for protocol in set(table["protocol"]):
            if f"ours, {protocol}" not in COLOURS:
                raise ValueError(f"no protocol is called '{protocol}'")
        if table.duplicated(KEY).any():
            raise ValueError(f"several lines of the same {', '.join(KEY)}")
    except ValueError as error:
        raise ValueError(f"{file} is no table of pyg-negsamp reproduce: {error}") from error
    if metric not in set(table["metric"]):
        raise ValueError(f"{file} has no {metric}")
    # Where the paper evaluates otherwise, such as "sampled NDCG@20", that is what it prints.
    printed = table.loc[table["printed"].notna(), "metric"]
    shown = next((name for name in printed if name.endswith(f" {metric}")), metric)
    return table[table["metric"] == shown]


def draw(tables: dict[str, pd.DataFrame], out: Path) -> None:
    """Writes the picture.

    Args:
        tables: What `read` found, by title.
        out: Where to write; the suffix says what.
    """
    import matplotlib.pyplot as plt

    wide = min(3, len(tables))
    high = math.ceil(len(tables) / wide)
    figure, panels = plt.subplots(
        high, wide, figsize=(5 * wide, 4 * high), squeeze=False, layout="constrained"
    )
    for unused in panels.flat[len(tables) :]:
        unused.remove()
    for axes, (title, table) in zip(panels.flat, tables.items(), strict=False):
        order = list(dict.fromkeys(table["method"]))
        series = {
            protocol: table[table["protocol"] == protocol].set_index("method").reindex(order)
            for protocol in dict.fromkeys(table["protocol"])
        }
        values = {f"ours, {name}": found["mean"] for name, found in series.items()}
        values["printed"] = next(iter(series.values()))["printed"]
        spread = {f"ours, {name}": found["std"] for name, found in series.items()}
        height = 0.8 / len(values)
        for number, (name, found) in enumerate(values.items()):
            axes.barh(
                [place + number * height for place in range(len(order))],
                100 * found,
                height,
                xerr=100 * spread[name].fillna(0) if name in spread else None,
                label=name,
                color=COLOURS[name],
            )
        axes.set(title=title, xlabel=f"{table['metric'].iloc[0]}, percent")
        axes.set_yticks([place + 0.4 - height / 2 for place in range(len(order))], order)
        axes.invert_yaxis()
    bars: dict[str, Any] = {}
    for axes in panels.flat[: len(tables)]:
        handles, labels = axes.get_legend_handles_labels()
        bars |= dict(zip(labels, handles, strict=True))
    names = [name for name in COLOURS if name in bars]
    figure.legend([bars[n] for n in names], names, loc="outside lower center", ncols=len(names))
    figure.savefig(out, dpi=120)
    plt.close(figure)


def main(argv: Sequence[str] | None = None) -> None:
    """Reads the tables and draws them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tables", nargs="+", type=Path, help="table.csv files")
    parser.add_argument("--metric", default="NDCG@20", help="what to show (default: NDCG@20)")
    parser.add_argument("--out", type=Path, default=Path("tables.png"), help="the picture")
    args = parser.parse_args(argv)
    try:
        if args.out.is_dir():  # matplotlib would write a file beside it
            raise ValueError(f"--out must be a picture, {args.out} is a folder")
        files = {file: read(file, args.metric) for file in args.tables}
        names = [file.parent.name if file.name == "table.csv" else file.stem for file in files]
        tables = {
            name if names.count(name) == 1 else str(file): table
            for name, (file, table) in zip(names, files.items(), strict=True)
        }
        draw(tables, args.out)
    except (ValueError, OSError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
