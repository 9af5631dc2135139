"""AdaSIR: what resampling by importance leaves in the pools, by enumeration."""

from __future__ import annotations

import io
import itertools

import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor
from torch_geometric.data import HeteroData

from pyg_negsamp.candidates import (
    Candidates,
    PoolCandidates,
    PopularityCandidates,
    UniformCandidates,
)
from pyg_negsamp.graph import EDGE_TYPE
from pyg_negsamp.testing import SamplerContract, Toy, toy
from pyg_negsamp.transforms import AdaSIR

SCORES = torch.tensor([1.5, -0.3, 0.9, -1.2, 9.0], dtype=torch.double)
#: How many links each of the items has; item 4 is known to everybody.
DEGREES = [1, 8, 2, 5]
SIZE = 10_000


def crowd() -> HeteroData:
    """Many users, of whom all that count know item 4 alone; a few others make items popular."""
    data = HeteroData()
    data["user"].num_nodes, data["item"].num_nodes = SIZE + 8, 5
    user = torch.arange(SIZE)
    links = [(SIZE + n, item) for item, degree in enumerate(DEGREES) for n in range(degree)]
    known = torch.stack([user, torch.full_like(user, 4)])
    data[EDGE_TYPE].edge_index = torch.cat([known, torch.tensor(links).t()], dim=1)
    return data


def tables() -> dict[str, Tensor]:
    return {"user": torch.ones(SIZE + 8, 1).double(), "item": SCORES.unsqueeze(1)}


def resampled(q: Tensor, num: int) -> Tensor:
    """The chance of each of four items to come out of `num` proposals, summed over all of them."""
    found = torch.zeros(4, dtype=torch.double)
    for drawn in itertools.product(range(4), repeat=num):
        of = torch.tensor(drawn)
        weight = (SCORES[of] - q[of].log()).softmax(0)
        found.index_add_(0, of, q[of].prod() * weight)
    return found


class TestAdaSIR(SamplerContract):
    sampler_class = AdaSIR

    @pytest.mark.parametrize("num_new", [1, 3])
    @pytest.mark.parametrize("source", [UniformCandidates, PopularityCandidates])
    def test_pools_by_enumeration(self, source: type[Candidates], num_new: int) -> None:
        """Half of a pool is new; and the sign of log Q matters, as nothing is in proportion."""
        sampler = AdaSIR(source(crowd()), num_candidates=1, num_new=num_new)
        sampler.memory.fill_(2)
        sampler.refresh(tables())
        q = torch.tensor(DEGREES, dtype=torch.double) ** 0.75
        q = torch.full((4,), 0.25).double() if source is UniformCandidates else q / q.sum()
        expected = resampled(q, num_new) / 2
        expected[2] += 0.5
        found = sampler.memory[:SIZE].flatten().bincount(minlength=5)
        assert found[4] == 0
        assert chisquare(found[:4], expected * SIZE).pvalue > 1e-3

    @pytest.mark.parametrize("source", [UniformCandidates, PopularityCandidates])
    def test_many_proposals_come_close_to_the_softmax(self, source: type[Candidates]) -> None:
        """Whatever they were drawn from, and after some epochs nothing of the start is left."""
        sampler = AdaSIR(source(crowd()), num_candidates=4, num_new=100)
        for epoch in range(8):
            sampler.set_epoch(epoch, 8)
            sampler.refresh(tables())
        found = sampler.memory[:SIZE].flatten().bincount(minlength=5)[:4] / (4 * SIZE)
        torch.testing.assert_close(found.double(), SCORES[:4].softmax(0), rtol=0, atol=0.02)

    def test_negatives_are_any_of_the_pool(self) -> None:
        sampler = AdaSIR(crowd(), num_candidates=3, num_negatives=2)
        sampler.memory[:] = torch.tensor([0, 2, 2])
        user = torch.arange(SIZE)
        index = sampler.sample(
            user,
            torch.full_like(user, 4),
            *tables().values(),
            generator=torch.Generator().manual_seed(0),
        ).index
        assert index is not None
        pairs = index.sort(dim=1).values.sum(dim=1).bincount(minlength=5)
        assert chisquare(pairs[[2, 4]], [SIZE * 2 / 3, SIZE / 3]).pvalue > 1e-3

    @pytest.mark.parametrize("source", [UniformCandidates, PopularityCandidates])
    def test_pools_hold_unseen_items_and_another_epoch_other_ones(
        self, source: type[Candidates]
    ) -> None:
        problem = toy()
        sampler = AdaSIR(source(problem.data), num_candidates=6, num_new=9).double()
        user, item = problem.data[EDGE_TYPE].edge_index
        seen = torch.zeros(7, 12, dtype=torch.bool)
        seen[user, item] = True
        before = sampler.memory.clone()
        for epoch in range(5):
            sampler.set_epoch(epoch, 5)
            sampler.refresh(problem.x_dict())
            assert not seen.gather(1, sampler.memory).any()
            assert not torch.equal(sampler.memory, before)
            before = sampler.memory.clone()

    def test_goes_on_from_a_file_as_it_would_have(self) -> None:
        problem = toy()
        first, second = self.make(problem), self.make(problem)
        self.live(first, problem, range(3))
        file = io.BytesIO()
        torch.save(first.state_dict(), file)
        file.seek(0)
        second.load_state_dict(torch.load(file, weights_only=True))
        for sampler in (first, second):
            self.live(sampler, problem, range(3, 5))
        assert torch.equal(first.memory, second.memory)

    def live(self, sampler: AdaSIR, problem: Toy, epochs: range) -> None:
        for epoch in epochs:
            sampler.start_epoch(epoch, 9, problem.x_dict())

    def test_without_embeddings_and_without_a_graph(self) -> None:
        problem = toy()
        batch = problem.batch()
        assert "dst_neg_index" in self.make(problem)(batch)["item"]
        AdaSIR().refresh(problem.x_dict())
        with pytest.raises(ValueError, match="AdaSIR: 'num_new'"):
            AdaSIR(num_new=0)

    def test_users_without_anything_to_draw(self) -> None:
        problem = toy()
        problem.data["user"].num_nodes = 8
        pools = torch.ones(8, 12)
        pools[7] = 0  # of somebody without links
        source = PoolCandidates(problem.data, pools.to_sparse_csr())
        sampler = AdaSIR(source, check_positives=False)
        tables = torch.ones(8, 2), torch.ones(12, 2)
        sampler.refresh(dict(zip(("user", "item"), tables, strict=True)))
        with pytest.raises(ValueError, match="one that holds an unobserved item for every user"):
            sampler.sample(torch.tensor([7]), torch.tensor([0]), *tables)
