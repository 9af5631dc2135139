"""Looks at training at the end of epochs, and notes what diagnostics say."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor
from torch_geometric.data import HeteroData

from pyg_negsamp.diagnostics import DEFAULT, DIAGNOSTICS, Look, diagnostics_named, training_ndcg
from pyg_negsamp.errors import ArgumentError
from pyg_negsamp.evaluation import Scorer
from pyg_negsamp.graph import training_links
from pyg_negsamp.nn.module import FromModule
from pyg_negsamp.training.costs import Costs
from pyg_negsamp.training.looking import Sample, Watched, look_at
from pyg_negsamp.training.randomness import DIAGNOSTICS as LOOKING
from pyg_negsamp.training.randomness import epoch_generator, global_streams_kept
from pyg_negsamp.training.recommender import Recommender

#: Least and most links and users that are looked at; in between, one of so many training links.
LINKS, ONE_LINK_OF = (512, 2048), 64
USERS, ONE_USER_OF = (128, 512), 4096
#: Epochs that are all looked at; after these, training links between two looks, and the most epochs
#: in between: a look takes as long with few links as with many.
FIRST, BETWEEN, SELDOM = 10, 400_000, 10


class Diagnostics(Callback):
    """Has diagnostics look at a fixed sample of training links, at the end of epochs.

    A copy of the sampler draws and chooses for them, by the tables of that epoch, without dropout
    and noise, from a random stream of its own: training is bit for bit the same. What is found goes
    into the epoch of `Recommender.history` and to the loggers. A resumed run finds the same. After
    the first ten epochs, one looks less often where an epoch is short: once in 400,000 links, but
    every tenth epoch at least.

    Nothing is looked at, with a warning that says why, if the sampler cannot be copied, or if
    neighbourhoods are sampled for an encoder that has no way to all rows but the whole graph at
    once.

    Args:
        train_data: Training graph.
        val_data: Split to select by, never test: 'false-negatives' are held-out links there.
            Default: none.
        names: Which of :data:`DIAGNOSTICS`, see :func:`diagnostics_named`. Default: those that
            `fit` takes by default.
        costs: Measures for 'cost'; a callback as well, which comes before this one.

    Raises:
        ValueError: If a name is unknown.
    """

    def __init__(
        self,
        train_data: HeteroData,
        val_data: HeteroData | None = None,
        names: str | Sequence[str] = DEFAULT,
        costs: Costs | None = None,
    ) -> None:
        self.train_data, self.val_data, self.costs = train_data, val_data, costs
        self.names = diagnostics_named(names, self)

    def on_train_start(self, trainer: Trainer, pl_module: Recommender) -> None:  # type: ignore[override]
        """Draws what will be looked at."""
        encoder, device = pl_module.encoder, pl_module.device
        sampled = encoder.num_neighbors is not None
        if sampled and isinstance(encoder, FromModule) and encoder.needs_whole_graph:
            name = type(encoder.model).__name__
            self._look_no_more(f"{name} has no way to all rows but the whole graph at once")
        generator = epoch_generator(pl_module.seed, 0, LOOKING, batch=0)
        edge_type = encoder.edge_type
        links = training_links(self.train_data, edge_type)
        num = within(LINKS, links.size(1) // ONE_LINK_OF)
        sample = Sample.of(self.train_data, self.val_data, edge_type, num, generator)
        self.sample = sample.to(device)
        self.every = within((1, SELDOM), -(-BETWEEN // links.size(1)))
        self.links_of_some = links_of_some(
            links, within(USERS, links.size(1) // ONE_USER_OF), generator
        ).to(device)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Recommender) -> None:  # type: ignore[override]
        """Looks, and hands over what was found."""
        epoch = pl_module.current_epoch
        if not self.names or (epoch >= FIRST and epoch % self.every):
            return
        pl_module.training_ends()
        with global_streams_kept(pl_module.device):
            look = self._look(pl_module)
            if look is None:
                return
            found: dict[str, Tensor] = {}
            for name in self.names:
                found |= DIAGNOSTICS[name](look)
        pl_module.noticed = as_numbers(found)
        for logger in trainer.loggers:  # lightning's own way takes as long as all the rest
            values = {**pl_module.noticed, "epoch": epoch}
            logger.log_metrics(values, step=trainer.global_step - 1)

    def _look(self, model: Recommender) -> Look | None:
        """What there is to see; `None` if there is no way to look, and if training has diverged."""
        try:
            watched = Watched(model.sampler)
        except (TypeError, RuntimeError) as error:
            name = type(model.sampler).__name__
            self._look_no_more(f"{name} cannot be copied ({' '.join(str(error).split())})")
            return None
        return look_at(
            model,
            watched,
            self.sample,
            epoch_generator(model.seed, model.current_epoch, LOOKING, model.device),
            self._ndcg_of(model) if "over-fitting" in self.names else None,
            validated=model.validated,
            seconds={} if self.costs is None else self.costs.seconds,
        )

    def _ndcg_of(self, model: Recommender) -> Callable[[Scorer], float]:
        """Measures the training metric of some users; of scores that are not finite, NaN."""
        encoder, k = model.encoder, model.k[0]
        sizes = (encoder.num_users, encoder.num_items)

        def ndcg(scorer: Scorer) -> float:
            try:
                return training_ndcg(scorer, self.links_of_some, *sizes, k, encoder.edge_type)
            except ArgumentError:
                return math.nan

        return ndcg

    def _look_no_more(self, why: str) -> None:
        """Says once why nothing is looked at."""
        warnings.warn(f"diagnostics: nothing is looked at, as {why}", stacklevel=2)
        self.names = ()


def links_of_some(links: Tensor, num: int, generator: torch.Generator) -> Tensor:
    """All links `[2, E]` of `num` users who have some, at random."""
    users = torch.bincount(links[0]).nonzero().squeeze(1)
    some = torch.randperm(len(users), generator=generator)[:num].to(users.device)
    chosen = torch.zeros(int(users[-1]) + 1, dtype=torch.bool, device=links.device)
    chosen[users[some]] = True
    return links[:, chosen[links[0]]]


def within(ends: tuple[int, int], number: int) -> int:
    """The number, or the end that it is beyond."""
    return max(ends[0], min(number, ends[1]))


def as_numbers(found: Mapping[str, Tensor]) -> dict[str, float]:
    """Scalars of a device as numbers, read at once; what is not finite is left out."""
    if not found:
        return {}
    values = torch.stack([value.double() for value in found.values()]).tolist()
    pairs = zip(found, values, strict=True)
    return {name: value for name, value in pairs if math.isfinite(value)}


def watching(
    names: str | Sequence[str], train_data: HeteroData, val_data: HeteroData | None
) -> list[Callback]:
    """The callbacks that diagnostics need, in their order; none if there are no diagnostics."""
    names = diagnostics_named(names)
    if not names:
        return []
    costs = [Costs()] if "cost" in names else []
    return [*costs, Diagnostics(train_data, val_data, names, *costs)]
