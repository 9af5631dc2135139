"""The trials of one study over one training graph. Needs the extra 'tune'."""

from __future__ import annotations

import itertools
import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import optuna
import yaml
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from optuna.distributions import BaseDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from pyg_negsamp.datasets import InteractionDataset
from pyg_negsamp.experiments.config import Config
from pyg_negsamp.experiments.methods import fit_options
from pyg_negsamp.experiments.protocols import Say, select_reference, start
from pyg_negsamp.experiments.search import Found
from pyg_negsamp.experiments.studies import DONE, bury, end, of, signs_of_life
from pyg_negsamp.experiments.workers import LostError, Workers, run_all
from pyg_negsamp.files import write
from pyg_negsamp.space import Choice, Range
from pyg_negsamp.training import NonFiniteLossError, Recommender, fit


class NotNeeded(Exception):  # noqa: N818  (no error: the trial leaves the study as it is)
    """The same point was tried, or is now, or others have completed the study."""


class Pruning(Callback):
    """Reports every validation, and gives up a trial that is worse than most at that epoch."""

    def __init__(self, trial: optuna.Trial) -> None:
        self.trial = trial

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Asks the study whether to go on."""
        assert isinstance(pl_module, Recommender)
        value = pl_module.validated[pl_module.monitor]
        self.trial.report(value, trainer.current_epoch)
        if self.trial.should_prune():
            raise optuna.TrialPruned


class EveryPoint(optuna.samplers.RandomSampler):
    """Takes any point of a small space that no trial has had, or has now.

    Those of trials that were interrupted are among them; Optuna's own grid leaves these out.

    Args:
        space: Choices only.
        seed: Of the order.
    """

    def __init__(self, space: Mapping[str, Choice | Range], seed: int) -> None:
        super().__init__(seed)
        self.space, self.order = space, seed

    def untried(self, study: optuna.Study) -> list[dict[str, Any]]:
        """What is left."""
        values = [values.values for values in self.space.values() if isinstance(values, Choice)]
        states = (*DONE, TrialState.RUNNING)
        tried = [trial.params for trial in study.get_trials(deepcopy=False, states=states)]
        points = (dict(zip(self.space, point, strict=True)) for point in itertools.product(*values))
        return [point for point in points if point not in tried]

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """All fields are chosen together."""
        return {
            name: optuna.distributions.CategoricalDistribution(values.values)
            for name, values in self.space.items()
            if isinstance(values, Choice)
        }

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """An untried point; which one depends on the trial, so that processes part ways."""
        left = self.untried(study)
        return random.Random(f"{self.order}-{trial.number}").choice(left) if left else {}


def suggest(trial: optuna.Trial, space: Mapping[str, Choice | Range]) -> dict[str, Any]:
    """One value for each of some fields."""
    return {
        name: trial.suggest_categorical(name, values.values)
        if isinstance(values, Choice)
        else trial.suggest_float(name, values.low, values.high, log=values.log)
        for name, values in space.items()
    }


def alike(other: FrozenTrial, trial: optuna.Trial) -> bool:
    """Whether two trials train the same."""
    if not trial.params:  # defaults only; the other may have no values yet
        return bool(other.user_attrs.get("first") == {} == other.params)
    return other.params == trial.params


class Trials:
    """Runs trials until a study has enough.

    Args:
        study: The study, which other processes may be at, too.
        given: Fields that hold in every trial.
        space: The searched fields.
        first: Points to try before others, a trial each.
        dataset: Three graphs; the test graph is not looked at.
        num_trials: Trials of the study, in all.
        file: Where the best configuration goes, as YAML.
        say: Is told how each trial went.
        progress: Whether to show how far the training of a trial is.
    """

    def __init__(
        self,
        study: optuna.Study,
        given: Mapping[str, Any],
        space: Mapping[str, Choice | Range],
        first: Sequence[dict[str, Any]],
        dataset: InteractionDataset,
        num_trials: int,
        file: Path,
        say: Say,
        progress: bool,
    ) -> None:
        self.study, self.given, self.space, self.dataset = study, given, space, dataset
        self.first, self.file, self.say, self.progress = first, file, say, progress
        self.train_data, self.val_data, _ = dataset
        self.seed = Config.of(**given).training.seed
        points = math.prod(
            len(values.values) if isinstance(values, Choice) else math.inf
            for values in space.values()
        )
        self.num_trials = int(min(num_trials, points))
        self.grid = EveryPoint(space, self.seed) if points <= num_trials else None
        if self.grid is not None:
            study.sampler = self.grid
        self.started, self.here = time.monotonic(), 0

    def run(self, workers: Workers, one: Callable[[str], tuple[bool, list[str]]]) -> Found | None:
        """Runs what is missing; see :func:`pyg_negsamp.experiments.search.tune`.

        Args:
            workers: Who runs it.
            one: What each of them does: :meth:`one`, and what it said.
        """
        lost: LostError | None = None
        while (left := self.left()) and lost is None:
            todo = [uuid4().hex for _ in range(left)]
            try:
                for task, result, error in run_all(one, todo, workers):
                    if isinstance(error, LostError):  # as would be the next one at this point
                        lost = error
                        self.say(f"a trial {error}")
                        end(self.study, of(task), TrialState.PRUNED)
                    elif error is not None:
                        raise error
                    elif result is not None:
                        self.hear(task, *result)
            finally:
                end(self.study, of(*todo))
        if running := len(self.trials(TrialState.RUNNING)):
            self.say(f"\n{running} more running elsewhere, or killed less than three minutes ago")
        if not self.trials(TrialState.COMPLETE):
            if running:
                return None
            raise lost or NonFiniteLossError("no trial finished")
        return self.keep()

    def trials(self, *states: TrialState) -> list[FrozenTrial]:
        """The study's trials in these states, those of other processes too."""
        return self.study.get_trials(deepcopy=False, states=states)

    def left(self) -> int:
        """How many more there are to run."""
        bury(self.study)
        if self.grid is not None:
            return len(self.grid.untried(self.study))
        return max(self.num_trials - len(self.trials(*DONE, TrialState.RUNNING)), 0)

    def one(self, task: str) -> bool:
        """Runs one more trial to its end; says whether there was one to run.

        Args:
            task: A name that nothing else has. A worker that is lost leaves its trial to the one
                that has the task next.
        """
        end(self.study, of(task))
        again = False
        while not (ended := [*filter(of(task), self.trials(*DONE))]) and self.left():
            again = not self.ends(self.study.ask(), partial(self.value_of, task, again))
        return bool(ended)

    def ends(self, trial: optuna.Trial, value_of: Callable[[optuna.Trial], float]) -> bool:
        """Whether a trial has a value or is given up, and the study has that.

        Others may have taken it for dead meanwhile, as this machine was asleep, say. Then the study
        keeps to that (`skip_if_finished`).
        """
        value, state = None, TrialState.FAIL
        try:
            value, state = value_of(trial), TrialState.COMPLETE
        except optuna.TrialPruned:
            state = TrialState.PRUNED
        except (NotNeeded, UpdateFinishedTrialError):
            pass
        finally:
            told = self.study.tell(trial, value, state, skip_if_finished=True)
        return told.state in DONE

    def value_of(self, task: str, again: bool, trial: optuna.Trial) -> float:
        """The validation metric of a trial.

        Args:
            task: See :meth:`one`.
            again: Whether the last point was not needed. Then this one is drawn at random. What
                learns from the study could choose the same for ever.
            trial: The trial.

        Raises:
            NotNeeded: If its point is not needed.
        """
        trial.set_user_attr("task", task)
        with signs_of_life(trial):
            space = self.space
            if self.grid is None:
                # By number: whoever joins or goes on must not draw the same again.
                choose = optuna.samplers.RandomSampler if again else optuna.samplers.TPESampler
                sampler = choose(seed=(self.seed + trial.number) % 2**32)
                self.study.sampler = sampler
                if (point := self.first_left(trial)) is not None:
                    self.study.sampler = optuna.samplers.PartialFixedSampler(point, sampler)
                    space = {name: self.space[name] for name in point}
            chosen = suggest(trial, space)
            if not self.is_needed(trial):
                raise NotNeeded
            self.say(f"trial {trial.number + 1}: {chosen or 'the defaults'}")
            return self.train(trial, chosen)

    def others(self, trial: optuna.Trial) -> list[FrozenTrial]:
        """The trials that need not be run again, or run now, but this one."""
        return [t for t in self.trials(*DONE, TrialState.RUNNING) if t.number != trial.number]

    def first_left(self, trial: optuna.Trial) -> dict[str, Any] | None:
        """The next point of those to try first; `None` if another trial has each of them."""
        had = [other.user_attrs.get("first") for other in self.others(trial)]
        had += [other.params for other in self.trials(*DONE)]  # by chance
        left = [point for point in self.first if point not in had]
        if not left:
            return None
        trial.set_user_attr("first", left[0])
        return left[0]

    def is_needed(self, trial: optuna.Trial) -> bool:
        """Whether it adds a point, and the study has not enough without it.

        Of two processes that choose the same point at once, each has written it down before it
        looks, so that one sees the other and leaves the point to it; maybe both do, and go on.
        """
        others = self.others(trial)
        earlier = sum(other.number < trial.number for other in others)
        enough = self.grid is None and earlier >= self.num_trials  # a grid ends by itself
        return not enough and not any(alike(other, trial) for other in others)

    def train(self, trial: optuna.Trial, chosen: Mapping[str, Any]) -> float:
        """Trains with the fields of a trial, and keeps nothing."""
        try:
            config = Config.of(**{**self.given, **chosen})
            if config.is_reference:
                made = select_reference(config, self.train_data, self.val_data, self.train_data)
                return made.notes["validation"]
            model = start(config, self.train_data, self.dataset, self.say)
        except ValueError as error:  # these values do not go together
            self.say(str(error))
            raise optuna.TrialPruned from None
        options = {**fit_options(config), "progress": self.progress, "diagnostics": "none"}
        try:
            callbacks = [Pruning(trial)]
            fitted = fit(model, self.train_data, self.val_data, **options, callbacks=callbacks)
        except NonFiniteLossError as error:
            self.say(str(error))
            raise optuna.TrialPruned from None
        trial.set_user_attr("best_epoch", fitted.best_epoch + 1)
        return fitted.best

    def hear(self, task: str, ended: bool, said: list[str]) -> None:
        """Says how a trial ended, and writes the best configuration so far."""
        for line in said:
            self.say(line)
        if not ended:
            return
        found = [*filter(of(task), self.trials(*DONE))]
        if not found:
            raise OSError("a worker has ended a trial that is not in the study: it has another")
        (trial,) = found
        self.here += 1
        done = len(self.trials(*DONE))
        left = (time.monotonic() - self.started) / self.here * max(self.num_trials - done, 0)
        value = f"{trial.value:.4f}" if trial.state == TrialState.COMPLETE else "given up"
        self.say(
            f"trial {trial.number + 1}: {value}; {done}/{self.num_trials} done, "
            f"about {left / 60:.0f} min left"
        )
        if self.trials(TrialState.COMPLETE):
            self.keep()

    def keep(self) -> Found:
        """Writes the best configuration so far, and returns it."""
        best, done = self.study.best_trial, len(self.trials(*DONE))
        assert best.value is not None
        config = Config.of(**{**self.given, **best.params})
        metric = f"NDCG@{config.evaluation.top_k[0]}"
        said = f"# validation {metric} {best.value:.4f}, best of {done} trials\n"
        write(self.file, said + yaml.safe_dump(config.flat(), sort_keys=False))
        return Found(config, best.params, best.value, done, self.file)
