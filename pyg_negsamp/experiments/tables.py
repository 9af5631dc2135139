"""Tables in their three written forms: CSV as fractions, Markdown and LaTeX in percent."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pyg_negsamp.evaluation import metric_named
from pyg_negsamp.experiments.significance import PairedTest, Summary

#: Marks of significance, and below which corrected p-values they stand once, twice, three times.
BETTER, WORSE = "*", r"\dagger"
LEVELS = (0.05, 0.01, 0.001)
#: Characters that mean something to LaTeX.
SPECIAL = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "±": r"$\pm$",
        **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    }
)


def to_csv(
    tables: Mapping[str, Sequence[Summary]],
    metrics: Mapping[str, Sequence[str]],
    by: Mapping[str, str | None],
) -> str:
    """All protocols' rows, one line per metric, as fractions.

    Args:
        tables: Rows by protocol.
        metrics: Names such as `'Recall@20'`, by protocol.
        by: The one that is tested, by protocol.
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    names = ["protocol", "method", "metric", "mean", "std", "printed", "p", "against"]
    writer.writerow([*names, "seeds", "seconds", "low", "high"])
    for protocol, rows in tables.items():
        for row in rows:
            for name in metrics[protocol]:
                test = row.test if name == by[protocol] else None
                tested = (None, None) if test is None else (test.p, test.against)
                values = [row.mean.get(name), row.std.get(name), row.printed.get(name), *tested]
                interval = row.interval.get(name, (None, None))
                writer.writerow(
                    [protocol, row.name, name, *values, row.seeds, row.seconds, *interval]
                )
    return file.getvalue()


@dataclass(frozen=True)
class Grid:
    """A table in words, before it is written in any form.

    Attributes:
        header: Names of the columns.
        rows: A text per column each.
        best: Row and column of the best in its column.
        notes: Sentences for below.
    """

    header: list[str]
    rows: list[list[str]]
    best: set[tuple[int, int]] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)

    def without_empty(self) -> Grid:
        """The same without columns in which nothing stands."""
        kept = [n for n in range(len(self.header)) if any(row[n] for row in self.rows)]
        rows = [[row[n] for n in kept] for row in self.rows]
        best = {(line, kept.index(place)) for line, place in self.best}
        return Grid([self.header[n] for n in kept], rows, best, self.notes)


def grid_of(rows: Sequence[Summary], metrics: Sequence[str], by: str | None) -> Grid:
    """The table in percent: mean ± standard deviation over seeds.

    Where a metric is printed, the printed number and the difference stand beside it. Otherwise the
    confidence interval stands beside the metric that is tested.

    Args:
        rows: In order.
        metrics: Columns.
        by: The one that is tested, if any.
    """
    printed_too = {name for row in rows for name in row.printed}
    columns = ["method"]
    for name in metrics:
        columns.append(name)
        columns += ["printed", "diff"] if name in printed_too else []
        columns += ["95 % interval"] if name == by and by not in printed_too else []
    grid = Grid([*columns, "p", "seeds", "s per run"], [])
    best = {name: ranked(rows, name)[:1] for name in metrics}
    for row in rows:
        parts = [row.name]
        for name in metrics:
            mean = row.mean.get(name)
            if mean is not None and mean in best[name]:
                grid.best.add((len(grid.rows), len(parts)))
            parts.append("" if mean is None else percent(row, name, " ± "))
            if name in printed_too:
                parts += printed_beside(name, mean, row.printed.get(name))
            elif name == by:
                ends = [number(name, end) for end in row.interval.get(name, ())]
                parts.append(" to ".join(ends))
        parts.append(row.role or ("" if row.test is None else format_p(row.test.p)))
        parts.append(str(row.seeds or ""))
        parts.append("" if row.seconds is None else f"{row.seconds:.0f}")
        grid.rows.append(parts)
    grid.notes.extend(notes(rows, metrics, by))
    if "95 % interval" in columns and any(by in row.interval for row in rows):
        grid.notes.append("95 % interval: of the mean over users, each with the mean over seeds.")
    grid.notes.append("s per run: of training, or of making a reference; no search, no ranking.")
    return grid


def to_markdown(grid: Grid) -> str:
    """The table with its notes below, the best in bold."""
    lines = [f"| {' | '.join(grid.header)} |", "|---" * len(grid.header) + "|"]
    for line, row in enumerate(grid.rows):
        texts = [text.replace("|", "\\|") for text in row]
        for place in (place for best, place in grid.best if best == line):
            texts[place] = f"**{texts[place]}**"
        lines.append(f"| {' | '.join(texts)} |")
    return "\n".join([*lines, *(["", " ".join(grid.notes)] if grid.notes else [])])


def printed_beside(name: str, mean: float | None, printed: float | None) -> list[str]:
    """The printed number of a metric, and how far ours is from it."""
    if printed is None:
        return ["", ""]
    return [number(name, printed), "" if mean is None else f"{mean / printed - 1:+z.1%}"]


def to_latex(rows: Sequence[Summary], metrics: Sequence[str], caption: str, by: str | None) -> str:
    """The table in percent, for the package booktabs.

    The best of a column is bold, the second underlined, where there is a best. Marks of
    significance stand beside the metric that is tested, and the caption says what they mean.

    Args:
        rows: In order.
        metrics: Columns.
        caption: What stands above, as plain text.
        by: The column that is tested, if any.
    """
    printed_too = {name for row in rows for name in row.printed}
    columns = ["method"]
    for name in metrics:
        columns += [name, "printed"] if name in printed_too else [name]
    best = {name: ranked(rows, name) for name in metrics}
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escaped(caption)}, in percent.{legend(rows, by)}}}",
        rf"\begin{{tabular}}{{l{'r' * (len(columns) - 1)}}}",
        r"\toprule",
        " & ".join(map(escaped, columns)) + r" \\",
        r"\midrule",
    ]
    for row in rows:
        parts = [escaped(row.name)]
        for name in metrics:
            mark = marks(row.test) if name == by else ""
            parts.append(latex_cell(row, name, best[name], mark))
            if name in printed_too:
                printed = row.printed.get(name)
                parts.append("" if printed is None else number(name, printed))
        lines.append(" & ".join(parts) + r" \\")
    said = [escaped(note) for note in notes(rows, metrics, by)]
    note = [rf"\par\smallskip\footnotesize {' '.join(said)}"] if said else []
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", *note, r"\end{table}", ""])


def latex_cell(row: Summary, name: str, best: Sequence[float], mark: str) -> str:
    """A mean with its spread and mark; set off if it is the best or the second."""
    mean = row.mean.get(name)
    if mean is None:
        return ""
    shown = percent(row, name, r" $\pm$ ")
    if mean in best[:1]:
        shown = rf"\textbf{{{shown}}}"
    elif mean in best[1:2]:
        shown = rf"\underline{{{shown}}}"
    return shown + (f"$^{{{mark}}}$" if mark else "")


def notes(rows: Sequence[Summary], metrics: Sequence[str], by: str | None) -> list[str]:
    """Sentences for below a table, in any form: what its numbers mean."""
    said = []
    if seeds := {row.seeds for row in rows} - {0}:
        several = " or ".join(map(str, sorted(seeds - {1})))
        once = "One run, with one seed" + (", where there is no ±." if several else ".")
        said += [f"Mean ± standard deviation over {several} seeds."] if several else []
        said += [once] if 1 in seeds else []
    if against := tested_against(rows):
        said.append(
            f"p: paired t-test over users on {by} against {against}, "
            "with Holm's correction over the rows."
        )
    elif by is None:
        said.append("Nothing is tested: users have no values of their own of these metrics.")
    names = dict.fromkeys(name.split("@")[0] for name in metrics if not has_best(name))
    if names:
        said.append(f"{', '.join(names)}: no best one is marked, as more is not better by itself.")
    said += [f"{name}: in {of}, not percent." for name in names if (of := unit(name))]
    return said + [f"{row.name}: {note}." for row in rows for note in row.notes]


def legend(rows: Sequence[Summary], by: str | None) -> str:
    """What the marks of a LaTeX table mean; nothing if there is no test."""
    if by is None or not (against := tested_against(rows)):
        return ""
    one, two, three = LEVELS
    more, less = ("better", "worse") if has_best(by) else ("higher", "lower")
    return (
        rf" $^{{{BETTER}}}$ {more} and $^{{{WORSE}}}$ {less} than {escaped(against)} "
        rf"with $p < {one}$; twice for $p < {two}$, three times for $p < {three}$."
    )


def tested_against(rows: Sequence[Summary]) -> str:
    """Name of the row that others are tested against; empty if none is tested."""
    return next((row.test.against for row in rows if row.test is not None), "")


def percent(row: Summary, name: str, between: str) -> str:
    """A mean and its standard deviation, if there is one."""
    spread = f"{between}{number(name, row.std[name])}" if name in row.std else ""
    return f"{number(name, row.mean[name])}{spread}"


def number(name: str, value: float) -> str:
    """A value of a metric: in percent, if it is a share."""
    return f"{value if unit(name) else 100 * value:.2f}"


def unit(name: str) -> str | None:
    """What the values of a column are numbers of, if they are no shares."""
    return metric.of if (metric := metric_named(name)) else None


def has_best(name: str) -> bool:
    """Whether one value of a column is better than another: of accuracy, and of rates."""
    return (metric := metric_named(name)) is None or not metric.beyond


def ranked(rows: Sequence[Summary], name: str) -> list[float]:
    """The different means of a metric, best first; of rates, the lowest is best.

    None of metrics beyond accuracy: lists at random cover most, and those of one item least.
    """
    if not has_best(name):
        return []
    return sorted({row.mean[name] for row in rows if name in row.mean}, reverse="rate" not in name)


def format_p(value: float) -> str:
    """A p-value, short."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def marks(test: PairedTest | None) -> str:
    """Up to three marks, of which there are two: one for better and one for worse."""
    if test is None:
        return ""
    return (BETTER if test.better else WORSE) * sum(test.p < level for level in LEVELS)


def escaped(text: str) -> str:
    """Text as LaTeX shows it."""
    return text.translate(SPECIAL)
