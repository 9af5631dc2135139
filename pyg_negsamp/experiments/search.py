"""A search for hyper-parameters on validation links; what to try stands beside each class.

    found = tune({"encoder": "mf", "neg": "ahns", "dataset": "amazon-phones"}, trials=30)
    found.config                # the best configuration, which `run` takes

What is given is not searched. The trials are one study of Optuna's, see `studies.py`; `trials.py`
runs them. Both need the extra 'tune'. This file needs nothing: it says what is searched.
"""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch_geometric.data import HeteroData

from pyg_negsamp.datasets import InteractionDataset
from pyg_negsamp.experiments.arguments import METHODS, PREFIXES, ConfigError, has_layers
from pyg_negsamp.experiments.config import PLACES, Config, refuse_torchrun
from pyg_negsamp.experiments.data import digest, load_data
from pyg_negsamp.experiments.methods import make_recommender, make_reference, small_graph
from pyg_negsamp.experiments.parts import FIELDS
from pyg_negsamp.experiments.protocols import Say
from pyg_negsamp.experiments.workers import begin_workers
from pyg_negsamp.space import Choice, Range, Space
from pyg_negsamp.transforms import SAMPLERS

if TYPE_CHECKING:
    from pyg_negsamp.experiments.trials import Trials

#: What training itself has to search; the values are those that the papers try.
TRAINING: Space = {"lr": Choice((5e-4, 1e-3, 5e-3, 1e-2)), "l2": Choice((0.0, 1e-5, 1e-4, 1e-3))}
#: Whose arguments can be searched.
SEARCHED = ("sampler", "loss", "encoder", "training")
#: Where studies and what they find go by default.
FOLDER = Path("studies")


@dataclass(frozen=True)
class Found:
    """The best that a study has found so far.

    Attributes:
        config: What to run.
        chosen: The values of the searched fields in it.
        value: Its validation metric, NDCG at the first `top_k`, as a fraction.
        trials: How many trials the study has behind it.
        file: The YAML file that holds `config`.
    """

    config: Config
    chosen: dict[str, Any]
    value: float
    trials: int
    file: Path


def tune(
    given: Mapping[str, Any],
    trials: int = 20,
    search: Sequence[str] | None = None,
    least_epochs: int = 10,
    storage: str | None = None,
    to: str | Path | None = None,
    say: Say = lambda text: None,
    progress: bool = False,
    jobs: int = 1,
    cluster: str | None = None,
    first: Sequence[Mapping[str, Any]] = ({},),
) -> Found | None:
    """Runs trials until the study has enough, and keeps the best configuration on disk.

    A space that has no more points than there are trials is tried point by point. Of any other,
    the defaults are tried first. No point is tried twice: one that is drawn again is passed over,
    and so is the number of its trial. The same call goes on with a study that was interrupted, and
    shares one that runs elsewhere.

    Args:
        given: Fields of :class:`Config` and arguments of the chosen methods. They hold in every
            trial.
        trials: Trials of the study, in all.
        search: Whose arguments to search, out of :data:`SEARCHED`. Default: those of the sampler
            and the loss; of a reference, its own.
        least_epochs: Epochs before a trial may be given up. Default: 10.
        storage: Where the study is, by Optuna's URL, or `'journal:///FILE'`. Default: an SQLite
            file in `studies/`, named by the methods and the data; with a cluster a journal.
        to: YAML file for the best configuration. Default: one in `studies/`, named likewise.
        say: Is told how each trial went.
        progress: Whether to show how far the training of a trial is, if there is one at a time.
        jobs: Trials at a time, in processes of their own. Default: 1.
        cluster: Address of a dask scheduler, whose workers take the trials. Default: this machine.
        first: Points to try before others, a trial each. Searched fields that a point leaves out
            have their defaults in it. Not read where every point is tried. Default: one that
            leaves out all.

    Returns:
        The best so far; `None` if the only trials yet run elsewhere.

    Raises:
        ValueError: If a field is wrong, nothing is left to search, the storage or the cluster is of
            no use, the study was begun with other fields, or the extra 'tune' is not installed.
        NonFiniteLossError: If every trial diverged.
    """
    refuse_torchrun()
    config = Config.of(**given).for_one_process()
    check(config, trials, least_epochs)
    space = search_space(config, given, search)
    name = study_name(config)
    file = FOLDER / f"{name}.yaml" if to is None else Path(to)
    if file.is_dir():
        raise ConfigError("to", "a file to write", str(to))
    need_optuna()
    from pyg_negsamp.experiments.studies import check_shared, quiet

    check_space(given, space, small_graph())  # before data is read
    check_points(first, space)
    points = [completed(point, config, space) for point in first]
    kind, end = ("journal", "log") if cluster else ("sqlite", "db")
    url = f"{kind}:///{FOLDER / name}.{end}" if storage is None else storage
    shared = check_shared(url, jobs, cluster)
    searched = Search(given, space, points, trials, least_epochs, url, file)
    with quiet(), begin_workers(jobs, cluster, shared, say) as workers:
        if jobs == 1 and cluster is None:  # one after the other, of the data that are read once
            found = searched.open(say, progress)
            return found.run(workers, lambda task: (found.one(task), []))
        return searched.open(say).run(workers, partial(one_more, searched))


@dataclass(frozen=True)
class Search:
    """What all who take part in a search know; see :func:`tune`.

    Attributes:
        given: Fields that hold in every trial.
        space: The searched fields.
        first: What to try before others.
        trials: Trials of the study, in all.
        least_epochs: Epochs before a trial may be given up.
        url: Where the study is.
        file: Where the best configuration goes.
    """

    given: Mapping[str, Any]
    space: Mapping[str, Choice | Range]
    first: Sequence[dict[str, Any]]
    trials: int
    least_epochs: int
    url: str
    file: Path

    def open(self, say: Say, progress: bool = False) -> Trials:
        """Reads the data, and begins the study or goes on with it."""
        from pyg_negsamp.experiments.studies import open_study
        from pyg_negsamp.experiments.trials import Trials

        config = Config.of(**self.given)
        dataset = load_data(config)
        # Before there is a study: one that failed would stand in the way of the fields put right.
        check_space(self.given, self.space, dataset[0])
        asked = question(config, dataset, self.space)
        study = open_study(self.url, study_name(config), asked, self.least_epochs)
        more = self.trials, self.file, say, progress
        return Trials(study, self.given, self.space, self.first, dataset, *more)


def one_more(searched: Search, task: str) -> tuple[bool, list[str]]:
    """Runs one more trial in a worker, see `Trials.one`; says whether, and what it said."""
    need_optuna()
    from pyg_negsamp.experiments.studies import quiet

    said: list[str] = []
    with quiet():
        return searched.open(said.append).one(task), said


def need_optuna() -> None:
    """Raises `ValueError` where Optuna is not installed."""
    if importlib.util.find_spec("optuna") is None:
        raise ValueError('a search needs Optuna: pip install "pyg_negsamp[tune]"')


def check(config: Config, trials: int, least_epochs: int) -> None:
    """Refuses what cannot be searched by."""
    protocol = config.evaluation.protocol
    if protocol != "clean":
        expected = "clean, because hyper-parameters are searched on validation links"
        raise ConfigError("protocol", expected, protocol)
    if trials < 1:
        raise ConfigError("trials", "at least 1", trials)
    if least_epochs < 0:
        raise ConfigError("least_epochs", "at least 0", least_epochs)


def study_name(config: Config) -> str:
    """What a study is called, such as `'mf-ahns-bpr-amazon-phones'`."""
    methods = [config.encoder.encoder]
    if not config.is_reference:
        methods += [config.sampler.neg, config.loss.loss]
    return "-".join([*methods, Path(config.data.dataset).name.split(".")[0]])


def search_space(
    config: Config, given: Collection[str], search: Sequence[str] | None = None
) -> dict[str, Choice | Range]:
    """What to search, by the fields' flat names; what is given is left alone.

    Args:
        config: The methods that have something to search.
        given: Names of the fields that the user gave.
        search: Whose arguments, out of :data:`SEARCHED`. Default: see :func:`tune`.

    Raises:
        ConfigError: If a part is unknown, or nothing is left.
    """
    spaces: dict[str, tuple[str, Space]] = {"training": ("", TRAINING)}
    for name, method in config.methods.items():
        space = getattr(METHODS[name][method], "search_space", {})
        spaces[FIELDS[name].part] = (PREFIXES[name], space)
    if config.is_reference:  # which has no negatives, no loss, no training
        spaces = {"encoder": spaces["encoder"]}
    if search is None:
        search = ("encoder",) if config.is_reference else ("sampler", "loss")
    left: dict[str, dict[str, Choice | Range]] = {}
    for part, (prefix, space) in spaces.items():
        fields = {"layers" if n == "num_layers" else prefix + n: x for n, x in space.items()}
        left[part] = {name: values for name, values in fields.items() if name not in given}
    for part in search:
        if part not in spaces:
            expected = f"out of {', '.join(name for name in SEARCHED if name in spaces)}"
            raise ConfigError("search", expected, part)
    found = {name: values for part in search for name, values in left[part].items()}
    if not found:
        there = [f"{part} ({', '.join(fields)})" for part, fields in left.items() if fields]
        expected = f"parts with something left to search, out of {', '.join(there) or 'none'}"
        raise ConfigError("search", expected, " ".join(search))
    return found


def completed(
    point: Mapping[str, Any], config: Config, space: Mapping[str, Choice | Range]
) -> dict[str, Any]:
    """A point with the defaults that it means, so that a study learns from them.

    A default that is not in the space stays left out.
    """
    usual = config.flat()
    encoder = config.encoder.encoder
    if has_layers(encoder):
        arguments = inspect.signature(METHODS["encoder"][encoder]).parameters
        usual.setdefault("layers", arguments["num_layers"].default)
    if not config.is_reference:
        sampler = SAMPLERS[config.sampler.neg]
        negatives = usual.setdefault("num_negatives", sampler.default_num_negatives)
        usual.setdefault("num_candidates", max(sampler.default_num_candidates, negatives))
    whole = {name: point.get(name, usual.get(name)) for name in space}
    return {name: value for name, value in whole.items() if value in space[name]}


def check_points(
    points: Collection[Mapping[str, Any]], space: Mapping[str, Choice | Range]
) -> None:
    """Refuses points that are not in the space.

    Raises:
        ConfigError: If a field is not searched, or a value not in its space.
    """
    for point in points:
        for name, value in point.items():
            if name not in space:
                raise ConfigError("first", f"out of the searched {', '.join(space)}", name)
            if value not in space[name]:
                raise ConfigError("first", f"{name} in {space[name]}", value)


def check_space(
    given: Mapping[str, Any], space: Mapping[str, Choice | Range], data: HeteroData
) -> None:
    """Refuses fields with which neither end of the space makes a model.

    Args:
        given: Fields that hold in every trial.
        space: The searched fields.
        data: The training graph.

    Raises:
        ValueError: The first reason.
    """
    refused = []
    for end in (0, -1):
        chosen = {
            name: (values.values if isinstance(values, Choice) else (values.low, values.high))[end]
            for name, values in space.items()
        }
        try:
            config = Config.of(**{**given, **chosen})
            make = make_reference if config.is_reference else make_recommender
            make(config, data)
        except ValueError as error:
            refused.append(error)
        else:
            return
    raise refused[0]


def question(
    config: Config, dataset: InteractionDataset, space: Mapping[str, Choice | Range]
) -> dict[str, Any]:
    """What a study answers: the links, the fixed fields, and the values of the others.

    Args:
        config: The fields.
        dataset: Its graphs for training and validation count.
        space: The searched fields.
    """
    fixed = {n: v for n, v in config.flat().items() if n not in (*PLACES, *space)}
    links = digest((dataset[0], dataset[1]), dataset.user_ids, dataset.item_ids)
    return {"links": links, "searched": {n: asdict(values) for n, values in space.items()}, **fixed}
