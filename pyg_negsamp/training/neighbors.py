"""Mini-batches of positive links with the neighbourhoods around them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch_geometric.typing
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torch_geometric.data import HeteroData
from torch_geometric.loader import LinkNeighborLoader
from torch_geometric.sampler import EdgeSamplerInput
from torch_geometric.typing import EdgeType

from pyg_negsamp.candidates import BatchCandidates
from pyg_negsamp.errors import invalid
from pyg_negsamp.training.links import BatchOf, EpochOrder
from pyg_negsamp.training.randomness import NEGATIVES, epoch_generator
from pyg_negsamp.training.ranks import ALONE, Ranks
from pyg_negsamp.transforms import NegativeSampling


class NeighborLinkLoader(DataLoader):
    """Loads links in mini-batches, each with a sampled subgraph around its users and items.

    As PyG's `LinkNeighborLoader(neg_sampling='triplet')`, which it calls, with three differences:
    candidates are those of the sampler, exact and from its own proposal; the order and all draws
    depend on the seed, the epoch and the number of the batch alone; and a batch holds no features,
    which a model reads by `n_id`.

    Args:
        graph: What to sample in: links and numbers of nodes.
        links: `[2, E]` links to train on.
        times: `[E]` when they happened, if items exist from a time on.
        edge_type: What they are called.
        sampler: Draws the candidates, unless they are the batch's own positives.
        num_neighbors: Neighbours per hop.
        batch_size: Positives per batch, `B`.
        seed: Seed of order, candidates and neighbours.
        ranks: Of which rows of a batch neighbourhoods are sampled here. Default: of all.

    Raises:
        ValueError: If neither pyg-lib nor torch-sparse is installed.
    """

    def __init__(
        self,
        graph: HeteroData,
        links: Tensor,
        times: Tensor | None,
        edge_type: EdgeType,
        sampler: NegativeSampling,
        num_neighbors: Sequence[int],
        batch_size: int,
        seed: int,
        ranks: Ranks = ALONE,
    ) -> None:
        if not (torch_geometric.typing.WITH_PYG_LIB or torch_geometric.typing.WITH_TORCH_SPARSE):
            expected = "left out, unless torch-sparse or pyg-lib is installed (pyg_negsamp[sparse])"
            raise invalid("FromModule", "num_neighbors", expected, [*num_neighbors])
        #: `[2, E]` the links, in the order of the graph, and `[E]` their times, if they have some.
        self.links, self.times = links, times
        order = EpochOrder(links.size(1), batch_size, True, seed)
        super().__init__(
            _Subgraphs(graph, links, times, edge_type, sampler, num_neighbors, seed, ranks),
            batch_size=None,
            sampler=order,
            generator=torch.Generator().manual_seed(seed),  # or the global one would move
        )


class _Subgraphs(Dataset[HeteroData]):
    def __init__(
        self,
        graph: HeteroData,
        links: Tensor,
        times: Tensor | None,
        edge_type: EdgeType,
        sampler: NegativeSampling,
        num_neighbors: Sequence[int],
        seed: int,
        ranks: Ranks,
    ) -> None:
        self.links, self.times, self.edge_type = links, times, edge_type
        self.sampler, self.seed, self.ranks = sampler, seed, ranks
        self.loader = LinkNeighborLoader(
            graph.cpu(), list(num_neighbors), edge_label_index=(edge_type, links.cpu())
        )

    def __getitem__(self, wanted: BatchOf) -> HeteroData:
        user, pos = self.links[:, wanted.position]
        drawn, size = self._candidates(user, pos, wanted), len(user)
        rows = self.ranks.rows(size)
        if not self.ranks.number_of_rows(size):  # any row will do, which then counts nothing
            rows = slice(1)
        user, pos, drawn = user[rows], pos[rows], drawn[rows]
        B = len(user)
        row = torch.cat([user, user.repeat_interleave(drawn.size(1))])
        column = torch.cat([pos, drawn.flatten()])
        stream = epoch_generator(
            self.seed, wanted.epoch, NEGATIVES, "cpu", 2 * wanted.number + 1, self.ranks.rank
        )
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(stream.initial_seed())
            found: Any = self.loader.link_sampler.sample_from_edges(
                EdgeSamplerInput(None, row, column, input_type=self.edge_type)
            )
            batch = self.loader.filter_fn(found)
        local = batch[self.edge_type].edge_label_index
        users, items = batch[self.edge_type[0]], batch[self.edge_type[2]]
        users.src_index, items.dst_pos_index = local[0, :B], local[1, :B]
        if drawn.numel():
            items.dst_neg_index = local[1, B:].view(B, -1)
        del batch[self.edge_type].edge_label_index
        if self.times is not None:
            batch[self.edge_type].edge_label_time = self.times[wanted.position][rows]
        batch.num_rows = size
        return batch

    def _candidates(self, user: Tensor, pos: Tensor, wanted: BatchOf) -> Tensor:
        """`[B, M]` candidates; none if they are the batch's positives, which are there anyway."""
        candidates = self.sampler.candidates
        if candidates is None or isinstance(candidates, BatchCandidates):
            return user.new_empty(len(user), 0)
        device = candidates.known.key.device
        generator = epoch_generator(self.seed, wanted.epoch, NEGATIVES, device, 2 * wanted.number)
        if candidates.since is None:
            time = None
        else:
            assert self.times is not None  # `fit` has seen to it
            time = self.times[wanted.position].to(device)
        drawn = self.sampler.draw(user.to(device), pos.to(device), generator, time)
        return drawn.to(user.device)
