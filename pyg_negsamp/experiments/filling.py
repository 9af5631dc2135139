"""Fills a table: runs the cells that are missing, and writes the table after every one.

done = fill(product({"dataset": "tiny", "neg": ["rns", "dns"]}), Path("out"), seeds=2, say=print)
done.text            # the table as Markdown, also in out/table.md, beside table.csv and table.tex
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import mean

from pyg_negsamp.experiments.cells import (
    Cell,
    check_warm_starts,
    forget_damaged,
    load_all,
    plan,
    run_cell,
)
from pyg_negsamp.experiments.comparison import (
    Comparison,
    Row,
    as_evaluated,
    check_rows,
    columns,
    without_large_ease,
)
from pyg_negsamp.experiments.config import Config
from pyg_negsamp.experiments.parts import PROTOCOLS
from pyg_negsamp.experiments.protocols import Say, selected_on, selecting, still_improving
from pyg_negsamp.experiments.record import RECORD, Record, read_record, write_record
from pyg_negsamp.experiments.reference_rows import with_arguments
from pyg_negsamp.experiments.significance import Method, Summary, metric_tested, summarise
from pyg_negsamp.experiments.tables import grid_of, to_csv, to_latex, to_markdown
from pyg_negsamp.experiments.workers import Workers, begin_workers, run_all
from pyg_negsamp.files import write

#: Seconds for what a worker has written to be seen here.
PATIENCE = 90.0


@dataclass(frozen=True)
class Filled:
    """A table, as far as it is filled.

    Attributes:
        text: The table as Markdown.
        missing: How many cells are not finished.
        failed: What went wrong in cells.
        best: Configuration of the row that is best by the metric that selects, `None` where none is
            finished.
        improving: Rows with a run whose best epoch was the last one.
        below: Trained rows that are below popularity on test.
    """

    text: str
    missing: int
    failed: Sequence[Exception]
    best: Config | None
    improving: Sequence[str]
    below: Sequence[str]


def fill(
    comparison: Comparison,
    out: Path,
    seeds: int = 3,
    jobs: int = 1,
    budget: float = float("inf"),
    say: Say = lambda text: None,
    command: str = "",
    cluster: str | None = None,
) -> Filled:
    """Runs the cells of a table that are not finished, and writes `table.csv`, `.md` and `.tex`.

    Beside them stands `comparison.json`, from which :mod:`.report` makes a page.

    A cell that fails stops no other, and is tried again by the next call. A cell whose training
    diverges would do so again: it is finished, and its row says so.

    Args:
        comparison: What to compare.
        out: Folder of the table; its cells are kept below.
        seeds: Seeds of every row that is trained. Default 3.
        jobs: Cells at a time, in processes of their own. Default 1.
        budget: Seconds after which no cell is started. Default: no limit.
        say: Is told what happens.
        command: What was typed, for the record.
        cluster: Address of a dask scheduler, whose workers take the cells. Default: this machine.

    Raises:
        ValueError: If a number is less than 1, a row cannot be built, or data or a cluster cannot
            be used; before anything is run.
        FileExistsError: If the folder holds a run of `train`, or a table of other data.
        KeyboardInterrupt: On Ctrl-C; the same call goes on.
    """
    if seeds < 1:
        raise ValueError(f"--seeds must be at least 1 (got {seeds})")
    check_rows(comparison)
    with begin_workers(jobs, cluster, out, say) as workers:
        return fill_by(workers, comparison, out, seeds, budget, say, command)


def fill_by(
    workers: Workers,
    comparison: Comparison,
    out: Path,
    seeds: int,
    budget: float,
    say: Say,
    command: str,
) -> Filled:
    """Fills a table by workers, see :func:`fill`."""
    datasets = load_all(comparison)
    some = next(iter(datasets.values()))
    check_warm_starts(comparison, some)
    comparison, left_out = without_large_ease(comparison, some)
    cells = plan(comparison, datasets, out, seeds)
    check_folder(out, cells)
    data = {name: dataset.summary() for name, dataset in datasets.items()}
    write_record(Record(comparison, cells, data, command), out)
    del datasets, some  # every cell loads its own
    if left_out:
        say(left_out)
    for cell in cells:
        if forget_damaged(cell):
            say(f"{cell}: not finished after all, the files in {cell.folder} are damaged")
    todo = [cell for cell in cells if not cell.finished]
    before = len(cells) - len(todo)
    say(f"{comparison.name}: {len(cells)} cells, {before} finished before")
    started = time.monotonic()
    failed: list[Exception] = []
    work, count = partial(run_cell, deadline=time.time() + budget), 0
    for cell, ours, error in run_all(work, todo, workers):
        if ours is False:  # not to be started now, or with another process
            continue
        if ours and not shows(cell):
            error = OSError(f"its worker is done, but nothing of it is seen in {cell.folder}")
        count += 1
        left = (time.monotonic() - started) / count * (len(todo) - count)
        said = f"{type(error).__name__}: {error}" if error else outcome(cell)
        say(f"[{before + count}/{len(cells)}] {cell}: {said}{time_left(left)}")
        failed += [error] if error else []
        write_tables(comparison, cells, out)
    text = write_tables(comparison, cells, out)
    missing = sum(not cell.finished for cell in cells)
    remarks = improving(comparison, cells), below_popularity(comparison, cells)
    return Filled(text, missing, failed, best_of(comparison, cells), *remarks)


def check_folder(out: Path, cells: Sequence[Cell]) -> None:
    """Refuses a folder with a run of `train`, or with a table of other data.

    Raises:
        FileExistsError: Saying which.
    """
    if (out / "config.yaml").exists():
        raise FileExistsError(f"{out} holds a run of `train`: choose another folder (--out)")
    if not (out / RECORD).exists():
        return
    with suppress(ValueError):  # a damaged one is written anew
        before = read_record(out).cells
        was, now = (sorted({cell.config.data.dataset for cell in some}) for some in (before, cells))
        if was != now and not {cell.sources for cell in before} & {cell.sources for cell in cells}:
            said = f"{out} holds a table of {', '.join(was)}, and not of {', '.join(now)}"
            raise FileExistsError(f"{said}: choose another folder (--out)")


def shows(cell: Cell) -> bool:
    """Waits until a finished cell is seen here: disks of a network may take up to a minute."""
    until = time.monotonic() + PATIENCE
    while not cell.finished and time.monotonic() < until:
        time.sleep(0.5)
    return cell.finished


def time_left(seconds: float) -> str:
    """The end of a line that says how long the rest takes; empty if there is none."""
    if not seconds:
        return ""
    said = f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
    return f"; about {said} left"


def outcome(cell: Cell) -> str:
    """A finished cell in a few words."""
    run = cell.found()
    if "failed" in run:
        return str(run["failed"])
    name = f"NDCG@{cell.config.evaluation.top_k[0]}"
    return f"{name} {run['test'][name]:.4f} in {run['seconds']:.0f} s"


def write_tables(comparison: Comparison, cells: Sequence[Cell], out: Path) -> str:
    """Writes `table.csv`, `table.md` and `table.tex`, and returns the second."""
    metrics = {name: columns(comparison, name) for name in comparison.protocols}
    tables = {name: summary(comparison, name, cells) for name in comparison.protocols}
    against = f"; printed: {comparison.rival.name}" if comparison.rival else ""
    texts, latex = [], []
    by = {name: tested(comparison, name) for name in tables}
    for protocol, rows in tables.items():
        title, shown = f"{comparison.title}, protocol {protocol}", metrics[protocol]
        said = f"{PROTOCOLS[protocol]}{against}"
        grid = grid_of(rows, shown, by[protocol])
        texts.append(f"{title} ({said})\n\n{to_markdown(grid)}")
        latex.append(to_latex(rows, shown, title, by[protocol]))
    text = "\n\n".join(texts) + "\n"
    write(out / "table.md", text)
    write(out / "table.csv", to_csv(tables, metrics, by))
    write(out / "table.tex", "\n".join(latex))
    return text


def tested(comparison: Comparison, protocol: str) -> str | None:
    """The column that rows are tested on, if there is one."""
    return metric_tested(columns(comparison, protocol), comparison.asked)


def summary(comparison: Comparison, protocol: str, cells: Sequence[Cell]) -> list[Summary]:
    """The rows of one protocol's table, from the cells on disk."""
    found = methods_of(comparison, protocol, cells)
    shown = columns(comparison, protocol)
    return summarise(found, shown, comparison.against, tested(comparison, protocol))


def methods_of(comparison: Comparison, protocol: str, cells: Sequence[Cell]) -> list[Method]:
    """What there is of every row under one protocol."""
    found: list[Method] = []
    for row in comparison.rows:
        mine, diverged = finished_of(row, protocol, cells)
        runs = [cell.found() for cell in mine]
        for run in runs:
            run["test"][comparison.selecting(protocol)] = run[selecting(protocol)]
        baseline = bool(row.printed) and not row.proposed
        printed = row.printed or (comparison.rival.printed if comparison.rival else {})
        printed = as_evaluated(comparison, printed)
        notes = []
        if runs and "chosen" in runs[0]:
            chosen = ", ".join(f"{name}={value}" for name, value in runs[0]["chosen"].items())
            notes.append(f"{chosen}, chosen from its grid on {selected_on(protocol)} links")
        if diverged:
            notes.append(f"{len(diverged)} of {len(mine) + len(diverged)} seeds diverged")
        users = [cell.users() for cell in mine if cell.has_users]
        found.append(Method(row.name, runs, users, printed, baseline, notes))
    return found


def finished_of(row: Row, protocol: str, cells: Sequence[Cell]) -> tuple[list[Cell], list[Cell]]:
    """The finished cells of a row: those that have numbers, and those that diverged."""
    mine = [cell for cell in cells if cell.row is row and cell.protocol == protocol]
    finished = [cell for cell in mine if cell.finished]
    diverged = [cell for cell in finished if "failed" in cell.found()]
    return [cell for cell in finished if cell not in diverged], diverged


def best_of(comparison: Comparison, cells: Sequence[Cell]) -> Config | None:
    """The configuration of the best row, with seed 0 and all that was chosen."""
    best, config = -1.0, None
    protocol = comparison.protocols[0]
    for row in comparison.rows:
        found = [cell.found() for cell in finished_of(row, protocol, cells)[0]]
        if found and (value := mean(run[selecting(protocol)] for run in found)) > best:
            best = value
            config = with_arguments(row.config, found[0].get("chosen", {}))
    return config


def improving(comparison: Comparison, cells: Sequence[Cell]) -> list[str]:
    """Rows with a run whose best epoch was the last one."""
    return [
        row.name
        for row in comparison.rows
        if any(
            still_improving(cell.config, cell.found())
            for protocol in comparison.protocols
            for cell in finished_of(row, protocol, cells)[0]
        )
    ]


def below_popularity(
    comparison: Comparison, cells: Sequence[Cell], popularity: Mapping[str, float] | None = None
) -> list[str]:
    """Trained rows that are below the table's row of popularity, under any protocol.

    Args:
        comparison: What was compared.
        cells: Its cells.
        popularity: Test metrics of popularity, where no row is that.
    """
    metric = f"NDCG@{comparison.cutoffs[0]}"
    found: list[str] = []
    for protocol in comparison.protocols:
        ndcg = [
            (row, mean(cell.found()["test"][metric] for cell in mine))
            for row in comparison.rows
            if (mine := finished_of(row, protocol, cells)[0])
        ]
        of_popularity = [x for row, x in ndcg if row.config.encoder.encoder == "popularity"]
        least = min(of_popularity, default=(popularity or {}).get(metric, 0.0))
        found += [row.name for row, x in ndcg if x < least and not row.config.is_reference]
    return list(dict.fromkeys(found))
