"""What is on disk, read into what a page is made from: a comparison, or single runs.

Single runs are read as a comparison of theirs, so that one code counts, tests and draws. Runs that
differ in the seed only are seeds of one row.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from numpy.typing import NDArray

from pyg_negsamp.errors import invalid
from pyg_negsamp.evaluation import ACCURACY
from pyg_negsamp.experiments.cells import Cell
from pyg_negsamp.experiments.comparison import Comparison, Row, columns
from pyg_negsamp.experiments.config import PLACES, Config, read_run
from pyg_negsamp.experiments.filling import finished_of, methods_of, tested
from pyg_negsamp.experiments.flags import flag
from pyg_negsamp.experiments.kept import FOUND, HITS
from pyg_negsamp.experiments.parts import FIELDS
from pyg_negsamp.experiments.protocols import selected_on
from pyg_negsamp.experiments.record import RECORD, read_record
from pyg_negsamp.experiments.report.styles import Style, style_of, style_of_reference
from pyg_negsamp.experiments.significance import Method, Summary, summarise

#: Fields that change nothing of what is trained.
ASIDE = (*PLACES, "metrics")
#: What `metrics.json` has of every run that was trained.
OF_TRAINED = ("best_epoch", "epochs", "seconds_per_epoch")


@dataclass(frozen=True)
class Shown:
    """A row as the page shows it.

    Attributes:
        row: The row.
        style: How it looks.
        runs: What each seed found: `metrics.json`.
        hits: By seed: held-out links `link [2, E]`, and which of them a list of K hit, `hit@K [E]`.
    """

    row: Row
    style: Style
    runs: Sequence[Mapping[str, Any]]
    hits: Sequence[Mapping[str, NDArray[Any]]]

    @property
    def name(self) -> str:
        """What it is called."""
        return self.row.name

    @property
    def trained(self) -> bool:
        """Whether it is no ranking without training."""
        return not self.row.config.is_reference


@dataclass(frozen=True)
class Found:
    """All that a page is made from.

    Attributes:
        comparison: What was compared.
        cells: Its runs.
        data: The numbers of `dataset.report()`, by protocol.
        commands: What made the runs, as far as that is known.
        folders: What was asked for.
        popularity: Test metrics of ranking by popularity, where no row is that.
        flags: Of the command that makes the page.
    """

    comparison: Comparison
    cells: Sequence[Cell]
    data: Mapping[str, Mapping[str, Any]]
    commands: Sequence[str]
    folders: Sequence[Path]
    popularity: Mapping[str, float] | None = None
    flags: Sequence[str] = ()

    @property
    def protocol(self) -> str:
        """The protocol of all figures: the first one."""
        return self.comparison.protocols[0]

    @property
    def selected_on(self) -> str:
        """The held-out links that epochs were selected on: `'validation'` or `'test'`."""
        return selected_on(self.protocol)

    def columns(self, protocol: str) -> list[str]:
        """Metrics of the table."""
        return columns(self.comparison, protocol)

    def methods(self, protocol: str) -> list[Method]:
        """What there is of every row of the table."""
        found = methods_of(self.comparison, protocol, self.cells)
        if self.popularity is not None:
            found.append(Method("popularity", [{"test": self.popularity}], []))
        return found

    def tested(self, against: str | None) -> list[Summary]:
        """The rows under the first protocol, tested against one of them on :attr:`metric`."""
        others = [f"{name}@{self.k}" for name in ACCURACY]
        names = dict.fromkeys([*self.columns(self.protocol), self.metric, *others])
        return summarise(self.methods(self.protocol), [*names], against, self.metric)

    @cached_property
    def summaries(self) -> list[Summary]:
        """The rows under the first protocol, tested as the table tests them."""
        return self.tested(self.comparison.against)

    def table(self, protocol: str) -> list[Summary]:
        """The rows of a protocol's table, as it shows them."""
        by, against = self.by(protocol), self.comparison.against
        return summarise(self.methods(protocol), self.columns(protocol), against, by)

    def by(self, protocol: str) -> str | None:
        """The column of a protocol's table that is tested."""
        return tested(self.comparison, protocol)

    @cached_property
    def shown(self) -> list[Shown]:
        """The rows that have numbers under the first protocol."""
        found, trained, references = [], 0, 0
        for row in self.comparison.rows:
            if row.config.is_reference:
                style, references = style_of_reference(references), references + 1
            else:
                style, trained = style_of(trained), trained + 1
            cells, _ = finished_of(row, self.protocol, self.cells)
            if cells:
                runs = [cell.found() for cell in cells]
                found.append(Shown(row, style, runs, hits_of(cells)))
        return found

    @property
    def trained(self) -> list[Shown]:
        """Those of :attr:`shown` that were trained."""
        return [method for method in self.shown if method.trained]

    @property
    def metric(self) -> str:
        """The metric of accuracy that the page speaks of: the one tested, or else NDCG."""
        by = self.by(self.protocol)
        if by is None or by.split("@")[0] not in ACCURACY:
            return f"NDCG@{self.comparison.cutoffs[0]}"
        return by

    @property
    def k(self) -> str:
        """The length of the lists that the page speaks of."""
        return self.metric.split("@")[1]

    @property
    def against(self) -> str:
        """The row that the others are tested against; the first one where none is."""
        named = next((row.name for row in self.summaries if row.role), None)
        return named or self.comparison.against or self.comparison.rows[0].name


def hits_of(cells: Sequence[Cell]) -> list[dict[str, NDArray[Any]]]:
    """`hits.npz` of those that have it; nothing unless all have."""
    if not all((cell.folder / HITS).exists() for cell in cells):
        return []
    return [cell.hits() for cell in cells]


def read(folders: Sequence[Path]) -> Found:
    """Reads a comparison, or one or several runs.

    Args:
        folders: One of `compare` or `reproduce`, or some of `train`.

    Raises:
        ValueError: If a folder holds neither, has no numbers yet, or is damaged; or if runs are on
            different data, or evaluated differently.
    """
    for folder in folders:
        if not folder.is_dir():
            what = "is a file" if folder.exists() else "does not exist"
            raise invalid("report", "RUN", "a folder of train or of compare", f"{folder}, {what}")
    tables = [folder for folder in folders if (folder / RECORD).exists()]
    if tables and len(folders) > 1:
        raise invalid("report", "RUN", "one comparison, or runs", f"{len(folders)} folders")
    if tables:
        return whole(of_comparison(tables[0]))
    alone = [whole(of_runs([folder])) for folder in folders]  # so that a damaged one is named
    return alone[0] if len(alone) == 1 else of_runs(folders)


def whole(found: Found) -> Found:
    """The same, if it has numbers and these can be read.

    Raises:
        ValueError: If not.
    """
    folder = found.folders[0]
    try:
        shown, _ = found.shown, found.summaries
        _ = [run[name] for method in found.trained for run in method.runs for name in OF_TRAINED]
    except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile) as error:
        said = f"{type(error).__name__}: {error}"
        raise ValueError(f"{folder} is damaged, its numbers cannot be read ({said})") from error
    if not shown:
        raise invalid("report", "RUN", "a folder with a finished run", str(folder))
    return found


def of_comparison(folder: Path) -> Found:
    """Reads the folder of a table."""
    record = read_record(folder)
    for cell in record.cells:
        if cell.damaged:
            raise ValueError(
                f"{cell.folder} is damaged: the command that filled the table runs it anew"
            )
    commands = [record.command] if record.command else []
    return Found(record.comparison, record.cells, record.data, commands, [folder])


def of_runs(folders: Sequence[Path]) -> Found:
    """Reads folders of `train` as a comparison, tested against the first."""
    configs, links = [], []
    for folder in folders:
        said = config_of(folder)
        links.append(said.pop("links"))
        configs.append(Config.of(**said))
    check_comparable(folders, configs, links)
    rows: list[Row] = []
    cells: list[Cell] = []
    names = names_of(configs)
    for folder, config, name in zip(folders, configs, names, strict=True):
        same = [row for row in rows if row.name == name]
        if not same:
            rows += (same := [Row(name, config.flat())])
        cells.append(Cell(same[0], config, str(links[0]), folder))
    first = cells[0].found()
    data = Path(configs[0].data.dataset).name
    title = f"{names[0]}, {data}" if len(rows) == 1 else data
    protocols = (configs[0].evaluation.protocol,)
    return Found(
        Comparison(data, title, tuple(rows), protocols, rows[0].name if len(rows) > 1 else None),
        cells,
        {protocols[0]: first.get("report", {})},
        [],
        folders,
        None if any(row.config.encoder.encoder == "popularity" for row in rows)
        else first.get("popularity"),
    )  # fmt: skip


def config_of(folder: Path) -> dict[str, Any]:
    """The flat fields of a run that has numbers.

    Raises:
        ValueError: If it has none yet, is no run, or is damaged.
    """
    if not (folder / "config.yaml").is_file():
        expected = "a folder of train or of compare"
        raise invalid("report", "RUN", expected, f"{folder}, without config.yaml or {RECORD}")
    if not (folder / FOUND).is_file():
        raise invalid("report", "RUN", "a finished run", f"{folder}, without metrics.json yet")
    try:
        found = json.loads((folder / FOUND).read_text())
        found["test"], found["seconds"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{folder / FOUND} is damaged ({error})") from error
    return read_run(folder / "config.yaml")


def check_comparable(
    folders: Sequence[Path], configs: Sequence[Config], links: Sequence[str | None]
) -> None:
    """Refuses runs of which one page would compare what cannot be compared."""
    flats = [config.flat() for config in configs]
    data = [name for name, field in FIELDS.items() if field.part == "data" and name not in PLACES]
    for number, folder in enumerate(folders):
        others = f"{folders[0]} and {folder}"
        if number and folder.resolve() in [earlier.resolve() for earlier in folders[:number]]:
            raise invalid("report", "RUN", "each given once", f"{folder} twice")
        if links[number] != links[0]:
            said = differing(flats[0], flats[number], data) or "what was in the files"
            expected = "runs on the same data, split alike"
            raise invalid("report", "RUN", expected, f"{others}, which differ in {said}")
        if said := differing(flats[0], flats[number], ("protocol", "top_k", "eval")):
            expected = "runs of one --protocol, --top-k and --eval"
            raise invalid("report", "RUN", expected, f"{others}, which differ in {said}")
    for number, folder in enumerate(folders):
        for earlier in range(number):
            names = {*flats[earlier], *flats[number]}.difference(ASIDE)
            if not differing(flats[earlier], flats[number], names):
                expected = "runs of different settings or seeds"
                both = f"{folders[earlier]} and {folder}, with the same settings and seed"
                raise invalid("report", "RUN", expected, f"{both}: one of them is enough")


def differing(one: Mapping[str, Any], other: Mapping[str, Any], names: Iterable[str]) -> str:
    """The flags of the fields in which two configurations differ, of some; empty if in none."""
    return ", ".join(flag(name) for name in names if one.get(name) != other.get(name))


def names_of(configs: Sequence[Config]) -> list[str]:
    """What to call runs: by their methods, and by what else they differ in but the seed."""
    flats = [config.flat() for config in configs]
    ignored = {*ASIDE, "seed", "encoder", "neg", "loss"}
    names = []
    for config, flat in zip(configs, flats, strict=True):
        alike = [f for c, f in zip(configs, flats, strict=True) if c.method == config.method]
        fields = dict.fromkeys(name for other in alike for name in other if name not in ignored)
        various = [n for n in fields if any(f.get(n) != alike[0].get(n) for f in alike)]
        own = [f"{name}={yes_or_no(flat[name])}" for name in various if name in flat]
        names.append(", ".join([config.method, *own]))
    return names


def yes_or_no(value: Any) -> Any:
    """A truth as the page says it; anything else as it is."""
    return ("yes" if value else "no") if isinstance(value, bool) else value
