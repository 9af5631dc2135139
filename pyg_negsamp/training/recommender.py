"""What trains an encoder against the negatives of a sampler, epoch by epoch."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from torch_geometric.data import HeteroData
from torch_geometric.metrics import LinkPredMetricCollection

from pyg_negsamp.errors import invalid, number_in, one_of, short, whole_number
from pyg_negsamp.evaluation import (
    ACCURACY,
    Scorer,
    check_list_lengths,
    check_not_held,
    metric_collection,
)
from pyg_negsamp.evaluation.measures import evaluate_by
from pyg_negsamp.layers import as_layers, pool_layers
from pyg_negsamp.losses import BPRLoss, RankingLoss
from pyg_negsamp.nn.encoder import Encoder
from pyg_negsamp.scoring import SIMILARITIES, Similarity, ranking_tables
from pyg_negsamp.training.combinations import clash, waste
from pyg_negsamp.training.randomness import ENCODER, NEGATIVES, epoch_generator
from pyg_negsamp.training.ranks import ALONE
from pyg_negsamp.training.replay import Replay
from pyg_negsamp.training.step import TrainingStep
from pyg_negsamp.transforms import NegativeSampling


class Recommender(TrainingStep):
    """Trains an encoder against the negatives of a sampler, and ranks in full to validate.

    A step minimises the sum of `loss` on the scores of pooled vectors, with the sampler's weights
    if it has any; `l2` times :func:`l2_penalty` on layer 0 of users, positives and negatives as
    they were made; and the losses that the sampler and the encoder add of their own.

    Args:
        encoder: Turns the training graph into embeddings; see :mod:`pyg_negsamp.nn`.
        sampler: Chooses or makes the negatives; see :mod:`pyg_negsamp.transforms`. Its learned
            parts, if any, are trained by the same optimiser.
        loss: From scores `[B]`, `[B, K]` and weights `[B, K]` or `None` to a scalar.
            Default: :class:`BPRLoss`. A loss with `similarity = 'cosine'` gets cosines, and the
            sampler chooses by them. One with `needs` gets what these name besides, see
            :data:`pyg_negsamp.losses.base.NEEDS`. What it learns itself is trained by the same
            optimiser.
        lr: Learning rate of Adam. Default 1e-3. Not to be given with `optimizer`.
        l2: Coefficient of :func:`l2_penalty`. Default 1e-4.
        k: Lengths of the recommendation lists that validation looks at. Default: 20 alone.
        seed: Seed of the negatives, not negative. Default 0.
        rank_by: What pooled vectors are ranked by, `'dot'` or `'cosine'`. Default: the loss's
            similarity. A graph encoder that was trained by cosines may rank better by dot
            products: the length of a vector, which cosines leave alone, tells a node's degree
            (Wu et al., 2022, arXiv:2201.02327). Not to be given where the encoder has a decoder.
        optimizer: From a list of parameters to the optimiser that trains them, such as
            `functools.partial(torch.optim.SGD, lr=0.1)`. Default: Adam with `lr`.
        scheduler: From the optimiser to a scheduler of its learning rate, which is stepped once
            per epoch. :class:`~torch.optim.lr_scheduler.ReduceLROnPlateau`, with `mode='max'`, is
            stepped once per validation, and looks at NDCG at the first `k`. Default: none.

    Example:
        >>> from functools import partial
        >>> halve = partial(torch.optim.lr_scheduler.StepLR, step_size=10, gamma=0.5)
        >>> sgd = partial(torch.optim.SGD, lr=0.1)
        >>> Recommender(encoder, sampler, optimizer=sgd, scheduler=halve)  # doctest: +SKIP

    Attributes:
        history: A dictionary per epoch: `epoch`, `loss` (all that its steps minimised, averaged
            over positives), `seconds` (of training), the validation metrics
            (`'val/NDCG@20'`, ...) where it was validated, and what :class:`Diagnostics` saw
            (`'hardness/negative'`, ...) where they looked.
        planned_epochs: Epochs that the sampler's schedule counts on; `None` for the trainer's.
        replays: Whether steps are recorded as a CUDA graph and replayed, see :func:`fit`.
        selects_on: What the links that runs select by are called in names of metrics: `'val'`, or
            `'test'` where they are test links. Default `'val'`.
        noticed: What diagnostics saw in this epoch, by name: callbacks put it here at its end.
        ranks: Which process of how many trains it. Default: the only one.
        chosen_user: `[B]` user ids of the last step: of the rows that this process made negatives
            for, which usually are all.
        chosen: `[B, K]` or `[B, K, H]` item ids that these were taken from. With `replays`, the
            next step writes the same tensors.
        chosen_weight: `[B, K]` how much each of them counts; `None` for all alike.

    Raises:
        ValueError: If encoder, sampler and loss do not go together, see
            :func:`pyg_negsamp.training.combinations.clash`, if a number is out of range, or if
            both `lr` and `optimizer` are given. When training starts: if `optimizer` or
            `scheduler` makes something else, or if a `ReduceLROnPlateau` has `mode='min'` or no
            validation to look at.
    """

    def __init__(
        self,
        encoder: Encoder,
        sampler: NegativeSampling,
        loss: torch.nn.Module | None = None,
        lr: float | None = None,
        l2: float = 1e-4,
        k: Sequence[int] = (20,),
        seed: int = 0,
        *,
        rank_by: Similarity | None = None,
        optimizer: Callable[[list[torch.nn.Parameter]], Optimizer] | None = None,
        scheduler: Callable[[Optimizer], LRScheduler] | None = None,
    ) -> None:
        super().__init__()
        if lr is not None and optimizer is not None:
            raise invalid(self, "lr", "left out, since optimizer has its own", lr)
        if lr is None and optimizer is None:
            lr = 1e-3
        check_list_lengths(k)  # or validation would stumble over them after an epoch
        loss = BPRLoss() if loss is None else loss
        for name, module, kind in (
            ("encoder", encoder, Encoder),
            ("sampler", sampler, NegativeSampling),
            ("loss", loss, torch.nn.Module),
        ):
            if not isinstance(module, kind):
                raise invalid(self, name, f"a {kind.__name__}", short(module))
        if (error := clash(encoder, sampler, loss)) is not None:
            raise error
        if (said := waste(sampler, loss)) is not None:
            warnings.warn(said, stacklevel=2)
        self.encoder, self.sampler, self.loss = encoder, sampler, loss
        self.lr = None if lr is None else number_in(self, "lr", lr, "[0, inf)")
        self.l2 = number_in(self, "l2", l2, "[0, inf)")
        self.k = tuple(k)
        self.seed = whole_number(self, "seed", seed, most=2**63 - 1)
        self.optimizer, self.scheduler = optimizer, scheduler
        self.selects_on = "val"
        self.user_type, _, self.item_type = encoder.edge_type
        self.similarity: Similarity = getattr(self.loss, "similarity", "dot")
        if rank_by is not None:
            one_of(self, "rank_by", rank_by, SIMILARITIES)
            if encoder.decoder is not None:
                raise invalid(self, "rank_by", "left out, since the encoder has a decoder", rank_by)
        self.rank_by: Similarity = rank_by or self.similarity
        self.needs: tuple[str, ...] = tuple(getattr(self.loss, "needs", ()))
        sampler.follow(self.score)
        self._metrics: dict[bool, LinkPredMetricCollection] = {}
        self.history: list[dict[str, float]] = []
        self.planned_epochs: int | None = None
        self.ranks, self.shares_rows = ALONE, False
        self.finds_all = sampler.makes_nothing
        self.summed: list[torch.nn.Parameter] = []
        self.replays = False
        self.replay: Replay | None = None

    # Ranks ----------------------------------------------------------------------------------

    @property
    def by_row(self) -> bool:
        """Whether ranks can make negatives, and compute the loss, for a part of the rows each.

        Not where sampler or loss look at more than a row, and not where what is learned on top of
        the rows (a decoder) is read below them as well, whose gradients are of the whole batch.
        """
        sampler, loss, encoder = self.sampler, self.loss, self.encoder
        if not (sampler.by_row and sampler.takes_candidates and getattr(loss, "by_row", False)):
            return False
        above = {id(p) for p in self._above()}
        below = (
            p
            for name, p in encoder.named_parameters(remove_duplicate=False)
            if not name.startswith("decoder.")
        )
        return encoder.num_neighbors is not None or above.isdisjoint(map(id, below))

    def _above(self) -> list[torch.nn.Parameter]:
        """What is learned on top of the encoder's rows."""
        parts = (self.sampler, self.loss, self.encoder.decoder)
        return [p for part in parts if part is not None for p in part.parameters()]

    def on_fit_start(self) -> None:
        """Sees to what ranks share, and how the sampler's negatives are to be scored."""
        self.finds_all = self.sampler.makes_nothing  # before anybody times its methods
        self.shares_rows = self.ranks.size > 1 and self.by_row
        self.summed = []
        if self.shares_rows:  # with sampled neighbourhoods, all that a rank computes is of its rows
            sampled = self.encoder.num_neighbors is not None
            self.summed = list(self.parameters()) if sampled else self._above()
        if self.ranks.size > 1:
            self.ranks.alike([*self.parameters(), *self.buffers()])

    def on_after_backward(self) -> None:
        """Adds up what ranks found apart."""
        self.ranks.sum_gradients(self.summed)

    # Steps ----------------------------------------------------------------------------------

    def training_step(self, batch: HeteroData, batch_idx: int) -> Tensor:
        """From a batch of positive links to the loss."""
        size: int = batch.get("num_rows", len(batch[self.user_type].src_index))
        with self.encoder.own_stream():  # of a decoder, too, which is called by many
            if self.replay is not None:
                loss, auxiliary = self.replay(batch), None
            elif "n_id" in batch[self.item_type]:
                loss, auxiliary = self._step_in_subgraph(batch), None
            else:
                loss, auxiliary = self._step(batch)
        if self.shares_rows:
            own = self.ranks.number_of_rows(size)
            loss = loss * (own / size)
            if not own:  # a loader that has to sample around something took any row
                self.chosen_user, self.chosen, self.chosen_weight = (
                    self.chosen_user[:0],
                    self.chosen[:0],
                    None,
                )
        total = loss if auxiliary is None else loss + auxiliary
        self.num_positives += size
        if self.ranks.first:
            self.loss_sum += total.detach() * size
        elif self.shares_rows:  # all else is the same on all ranks, and the first one counts it
            self.loss_sum += loss.detach() * size
        now_and_then = batch_idx % 50 == 0
        if self.ranks.size > 1 and (now_and_then or self.trainer.is_last_batch):
            self.loss_of_all = self.ranks.sum(self.loss_sum)
        if now_and_then:  # reading a number makes a GPU wait
            self.mean_loss()
        return total

    def _minimised(self, batch: HeteroData) -> Tensor:
        """All that a step minimises, where one process takes it."""
        loss, auxiliary = self._step(batch)
        return loss if auxiliary is None else loss + auxiliary

    # Ranking --------------------------------------------------------------------------------

    def scoring_tables(self) -> dict[str, Tensor]:
        """The vectors of all users and items that rank: by dot products, or by the decoder."""
        tables = self.encoder.pooled_tables()
        return {name: ranking_tables(x, self.rank_by) for name, x in tables.items()}

    def scorer(self) -> Scorer:
        """What :func:`pyg_negsamp.evaluation.evaluate` ranks by."""
        return self.scoring_tables() if self.encoder.decoder is None else self.encoder.scorer()

    def holds(self, links: Tensor) -> Tensor:
        """Which links `[2, E]` the encoder's graph holds: `[E]` bool."""
        return self.encoder.holds(links)

    # Optimisation ---------------------------------------------------------------------------

    def make_optimizer(self) -> Optimizer:
        """A new optimiser of everything that learns; by default Adam, in one pass per table."""
        if self.optimizer is None:
            assert self.lr is not None
            return torch.optim.Adam(self.parameters(), lr=self.lr, fused=True)
        made = self.optimizer(list(self.parameters()))
        if not isinstance(made, Optimizer):
            expected = "a function that makes a torch Optimizer"
            raise invalid(self, "optimizer", expected, type(made).__name__)
        return made

    def configure_optimizers(self) -> Optimizer | dict[str, Any]:  # type: ignore[override]
        """What lightning trains with."""
        optimizer = self.make_optimizer()
        if self.scheduler is None:
            return optimizer
        scheduler = self.scheduler(optimizer)
        if not isinstance(scheduler, LRScheduler):
            expected = "a function that makes a torch LRScheduler"
            raise invalid(self, "scheduler", expected, type(scheduler).__name__)
        config: dict[str, Any] = {"scheduler": scheduler, "interval": "epoch"}
        if isinstance(scheduler, ReduceLROnPlateau):
            if scheduler.mode != "max":
                expected = f"with mode='max', since a larger {self.monitor} is better"
                raise invalid(self, "scheduler", expected, f"mode={scheduler.mode!r}")
            if not self.trainer.enable_validation:
                expected = "one that needs no validation, as there is none (val_data)"
                raise invalid(self, "scheduler", expected, "ReduceLROnPlateau")
            every = self.trainer.check_val_every_n_epoch
            config |= {"monitor": self.monitor, "frequency": every}
        return {"optimizer": optimizer, "lr_scheduler": config}

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Steps a scheduler at the end of the epoch, before the checkpoint is written.

        Lightning would step `ReduceLROnPlateau` after that, and a resumed run would never know.
        So :meth:`on_train_epoch_end` has done it by now.
        """
        if not isinstance(scheduler, ReduceLROnPlateau):
            super().lr_scheduler_step(scheduler, metric)

    # One epoch ------------------------------------------------------------------------------

    def on_train_epoch_start(self) -> None:
        """Starts the epoch's random stream, and tells sampler and loss where training stands."""
        epoch = self.current_epoch
        self.started = time.perf_counter()
        sampled = self.encoder.num_neighbors is not None
        apart = self.ranks.rank if sampled and self.shares_rows else 0
        self.generator, of_encoder = (
            epoch_generator(self.seed, epoch, stream, self.device, rank=apart)
            for stream in (NEGATIVES, ENCODER)
        )
        self.encoder.start_epoch(of_encoder)
        self.replay = None
        if self.replays:  # anew in each epoch: its schedules and generators are in the recording
            drawn_from = (self.generator, of_encoder)
            self.replay = Replay(self._minimised, list(self.parameters()), drawn_from)
        planned = self.planned_epochs or self.trainer.max_epochs or 0
        whole = None if sampled else self.encoder.settled_tables()
        self.sampler.start_epoch(epoch, planned, whole)
        if isinstance(self.loss, RankingLoss):
            rows: list[Tensor] = []
            if whole is not None and self.loss.needs_whole_table:
                for node_type in (self.user_type, self.item_type):
                    pooled = pool_layers(whole[node_type], self.encoder.pool)
                    rows.append(ranking_tables(pooled, self.similarity))
            self.loss.start_epoch(epoch, planned, *rows)
        self.loss_sum = torch.zeros((), dtype=torch.double, device=self.device)
        self.num_positives = 0
        self.seconds: float | None = None
        self.validated: dict[str, float] = {}
        self.noticed: dict[str, float] = {}

    def training_ends(self) -> float:
        """The epoch's seconds of training: what comes after the first call does not count."""
        if self.seconds is None:
            self.seconds = time.perf_counter() - self.started
        return self.seconds

    def on_validation_epoch_start(self) -> None:
        """Stops the clock of training."""
        self.training_ends()

    def validation_step(self, data: HeteroData, batch_idx: int) -> None:
        """Ranks in full on a validation split: the one "batch" of the loader."""
        # As whoever evaluates the weights later: mixed precision is for training alone.
        with torch.autocast(self.device.type, enabled=False):
            self._validate(data)

    def _validate(self, data: HeteroData) -> None:
        """Ranks, and logs the metrics."""
        check_not_held(self.encoder, data, self.encoder.edge_type)
        scorer = self.scorer()
        if isinstance(scorer, Mapping):
            bound = largest_score(*(as_layers(x)[0] for x in scorer.values()))
            if not math.isfinite(bound):
                raise self._diverged("bound on scores", str(bound))
        others = self.ranks.size > 1  # each with users of its own
        if others not in self._metrics:
            self._metrics[others] = metric_collection(self.k, ACCURACY, with_others=others)
        metrics = evaluate_by(
            self._metrics[others],
            scorer,
            data,
            max(self.k),
            edge_type=self.encoder.edge_type,
            with_others=others,
        )
        self.validated = {f"{self.selects_on}/{name}": value for name, value in metrics.items()}
        self.log_dict(self.validated, batch_size=1)

    def on_train_epoch_end(self) -> None:
        """Notes what the epoch brought."""
        seconds = self.training_ends()
        scheduler = self.lr_schedulers()
        if self.validated and isinstance(scheduler, ReduceLROnPlateau):
            scheduler.step(self.validated[self.monitor])
        loss = self.mean_loss()
        # A loss may be finite while its gradient is not; what is kept is to be sound.
        if not all(bool(x.isfinite().all()) for x in self.parameters()):
            raise self._diverged("weights", "NaN or infinite")
        self.log("train/loss", loss)
        self.log("train/seconds", seconds)
        found = {"loss": loss, "seconds": seconds, **self.validated, **self.noticed}
        self.history.append({"epoch": self.current_epoch, **found})

    @property
    def monitor(self) -> str:
        """Name of the metric that runs select by, such as `'val/NDCG@20'`."""
        return f"{self.selects_on}/NDCG@{self.k[0]}"

    def mean_loss(self) -> float:
        """The epoch's loss so far; refuses to go on with one that is not a number."""
        total = self.loss_sum if self.ranks.size == 1 else self.loss_of_all
        loss = float(total) / self.num_positives
        if not math.isfinite(loss):
            raise self._diverged("loss", str(loss))
        return loss

    def _diverged(self, what: str, value: str) -> NonFiniteLossError:
        """What to say of training that has left the numbers behind."""
        rate = "the given optimizer" if self.lr is None else f"lr={self.lr}"
        return NonFiniteLossError(
            f"the {what} became {value} in epoch {self.current_epoch} with {rate}, "
            f"l2={self.l2}: embeddings or scores overflowed. Lower the learning rate, or raise a "
            "temperature near 0; the last checkpoint, if there is one, is from before."
        )

    # Checkpoints ----------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes the history along."""
        checkpoint["history"] = self.history

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Goes on with the history where it was."""
        self.history = checkpoint["history"]


class NonFiniteLossError(RuntimeError):
    """Training diverged: the loss is NaN or infinite, or scores are."""


def largest_score(users: Tensor, items: Tensor) -> float:
    """A bound on the products of rows: that of the longest user and the longest item."""
    return float(torch.stack([x.norm(dim=1).max() for x in (users, items)]).prod())
