"""Mini-batches of positive links."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler
from torch_geometric.data import HeteroData
from torch_geometric.typing import EdgeType

from pyg_negsamp.errors import invalid, short, whole_number, yes_or_no
from pyg_negsamp.graph import edge_type_of, training_links, training_times
from pyg_negsamp.training.randomness import NEGATIVES, ORDER, epoch_generator


class LinkLoader(DataLoader):
    """Loads the training links of a graph in mini-batches, every link once per epoch.

    These are its supervision links where it has such, and else its known links, see
    :func:`pyg_negsamp.graph.training_links`.

    A batch has the fields of PyG's `LinkNeighborLoader(neg_sampling='triplet')`, with ids of
    the whole graph and without negatives: `batch['user'].src_index [B]` and
    `batch['item'].dst_pos_index [B]`; if the links have times, see
    :func:`pyg_negsamp.graph.training_times`, also `edge_label_time [B]`. The order is drawn anew
    every epoch from the seed and the epoch alone; it does not depend on workers, and a resumed run
    sees the same batches.

    Args:
        data: Training graph.
        batch_size: Positives per batch, `B`. The last batch may be smaller. Default 2048.
        shuffle: Whether to shuffle. Default: yes.
        seed: Seed of the order, and of what `transform` draws.
        edge_type: The interactions in `data`.
        transform: Called on every batch, with a generator of its own as `generator=`; in the
            worker, if there are any. :class:`RNS` and other samplers that need no embeddings
            fit. What it draws depends on the seed, the epoch and the number of the batch alone,
            so it is the same with any number of workers. Default: none.
        num_workers: Processes that load ahead. Default 0: only a costly `transform` is worth
            them.

    Raises:
        ValueError: If the graph is homogeneous or has no links, a label is neither 0 nor 1,
            `batch_size < 1`, `seed < 0`, or `transform` takes no generator.
    """

    def __init__(
        self,
        data: HeteroData,
        batch_size: int = 2048,
        shuffle: bool = True,
        seed: int = 0,
        edge_type: EdgeType | None = None,
        transform: Callable[..., HeteroData] | None = None,
        num_workers: int = 0,
    ) -> None:
        if not isinstance(data, HeteroData):
            expected = "a HeteroData graph (a torch DataLoader over positions does for others)"
            raise invalid(self, "data", expected, short(data))
        edge_type = edge_type_of(data, edge_type)
        links = training_links(data, edge_type)
        if links.size(1) == 0:
            raise invalid(self, "data", "a graph with at least one training link", "0 links")
        batch_size = whole_number(self, "batch_size", batch_size, least=1)
        num_workers = whole_number(self, "num_workers", num_workers)
        seed = whole_number(self, "seed", seed, most=2**63 - 1)
        if transform is not None and not takes_generator(transform):
            expected = (
                "None, or a function of a batch that takes generator=..., as samplers do (around "
                "others: lambda batch, generator: other(sampler(batch, generator=generator)))"
            )
            raise invalid(self, "transform", expected, short(transform))
        shuffle = yes_or_no(self, "shuffle", shuffle)
        order = EpochOrder(links.size(1), batch_size, shuffle, seed)
        #: `[2, E]` the links, in the order of the graph, and `[E]` their times, if they have some.
        self.links, self.times = links, training_times(data, edge_type)
        # The sampler yields whole batches of positions: no Python per link, nothing to collate.
        self.order = order
        super().__init__(
            _Positives(data, links, self.times, edge_type, transform, seed),
            batch_size=None,
            sampler=order,
            num_workers=num_workers,
            # Torch seeds workers from here; otherwise from the global generator, which would move.
            generator=torch.Generator().manual_seed(seed),
        )

    def set_epoch(self, epoch: int) -> None:
        """Chooses the order, and the stream of `transform`, of this epoch.

        Lightning does it by itself; loops written by hand have to.
        """
        self.order.set_epoch(epoch)


def takes_generator(transform: object) -> bool:
    """Whether it can be called with `generator=...`; PyG's own transforms cannot."""
    if not callable(transform):
        return False
    try:
        known = inspect.signature(transform).parameters
    except ValueError:  # of a function written in C, nobody knows
        return True
    return "generator" in known or any(x.kind is x.VAR_KEYWORD for x in known.values())


class BatchOf(NamedTuple):
    """What to load.

    Attributes:
        epoch: Epoch, from 0.
        number: Number of the batch in it, from 0.
        position: `[B]` positions of its links.
    """

    epoch: int
    number: int
    position: Tensor


class EpochOrder(Sampler[BatchOf]):
    """Positions `0..num_links-1` in batches; shuffled by seed and epoch.

    Lightning tells it the epoch, through `set_epoch`.
    """

    def __init__(self, num_links: int, batch_size: int, shuffle: bool, seed: int) -> None:
        self.num_links, self.batch_size = num_links, batch_size
        self.shuffle, self.seed = shuffle, seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Chooses the order of this epoch."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[BatchOf]:
        if self.shuffle:
            generator = epoch_generator(self.seed, self.epoch, ORDER)
            order = torch.randperm(self.num_links, generator=generator)
        else:
            order = torch.arange(self.num_links)
        for number, position in enumerate(order.split(self.batch_size)):
            yield BatchOf(self.epoch, number, position)

    def __len__(self) -> int:
        return -(-self.num_links // self.batch_size)


class _Positives(Dataset[HeteroData]):
    def __init__(
        self,
        data: HeteroData,
        links: Tensor,
        times: Tensor | None,
        edge_type: EdgeType,
        transform: Callable[..., HeteroData] | None,
        seed: int,
    ) -> None:
        self.links, self.times, self.edge_type = links, times, edge_type
        self.num_nodes = {end: data[edge_type[end]].num_nodes for end in (0, 2)}
        self.transform, self.seed = transform, seed

    def __getitem__(self, wanted: BatchOf) -> HeteroData:
        batch = HeteroData()
        users, items = batch[self.edge_type[0]], batch[self.edge_type[2]]
        users.num_nodes, items.num_nodes = self.num_nodes[0], self.num_nodes[2]
        users.src_index, items.dst_pos_index = self.links[:, wanted.position]
        if self.times is not None:
            batch[self.edge_type].edge_label_time = self.times[wanted.position]
        if self.transform is not None:
            generator = epoch_generator(
                self.seed, wanted.epoch, NEGATIVES, self.links.device, wanted.number
            )
            batch = self.transform(batch, generator=generator)
        return batch
