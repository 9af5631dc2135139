"""Lines and tables on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pyg_negsamp.training import Fitted


def say(text: str) -> None:
    """Prints at once, also where the output is a file."""
    print(text, flush=True)


def print_history(fitted: Fitted, rows: int = 10) -> None:
    """Validations in order, about `rows` of them, with the best one marked."""
    validated = [epoch for epoch in fitted.history if fitted.monitor in epoch]
    step = max(1, len(validated) // rows)
    print(f"\n{'epoch':>6} {'loss':>9} {fitted.monitor:>14} {'seconds':>8}")
    for number, epoch in enumerate(validated):
        best = epoch["epoch"] == fitted.best_epoch
        if number % step == 0 or best or epoch is validated[-1]:
            print(
                f"{epoch['epoch'] + 1:>6} {epoch['loss']:>9.4f} {epoch[fitted.monitor]:>14.4f} "
                f"{epoch['seconds']:>8.2f}{'  best' if best else ''}"
            )


def print_metrics(
    results: Mapping[str, Mapping[str, float]],
    names: Sequence[str] | None = None,
    title: str = "test",
) -> None:
    """Metrics, a row per method, a table per length of the lists.

    Args:
        results: Metrics such as `'Recall@20'`, by row.
        names: Those to print, such as `'Recall'`, in order. Default: all.
        title: What stands above the rows' names.
    """
    wide = max(map(len, [title, *results]))
    metrics = list(next(iter(results.values())))
    lists = sorted({name.split("@")[1] for name in metrics}, key=int)
    for k in lists:
        columns = [name for name in metrics if name.endswith(f"@{k}")]
        columns = columns if names is None else [f"{name}@{k}" for name in names]
        sizes = [max(14, len(name) + 2) for name in columns]
        shown = list(zip(columns, sizes, strict=True))
        print("\n" + title.ljust(wide) + "".join(f"{name:>{size}}" for name, size in shown))
        for method, values in results.items():
            print(method.ljust(wide) + "".join(f"{values[n]:>{size}.4f}" for n, size in shown))


def print_remarks(improving: Sequence[str], below: Sequence[str]) -> None:
    """Says of which rows one should not conclude much.

    Args:
        improving: Those whose best epoch was the last one.
        below: Trained ones that are below popularity on test.
    """
    if improving:
        print(f"still improving at the last epoch: {', '.join(improving)}; more --epochs may help")
    if below:
        print(f"below popularity: {', '.join(below)}")


def print_report(folder: Path) -> None:
    """Makes a page of a run or of a table, and says where it is.

    What was trained is on disk already: if no page can be made, a line says why, and no more.
    """
    from pyg_negsamp.experiments.report import write_report  # who only asks does not wait for it

    try:
        said = f"the report is in {write_report([folder])}"
    except Exception as error:
        why = " ".join(str(error).split()) or type(error).__name__
        said = f"no report: {why}"
    print(said)
