"""What samplers keep for each user: nothing that the user has seen, also in a graph that grew."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from pyg_negsamp.candidates import UniformCandidates
from pyg_negsamp.graph import EDGE_TYPE
from pyg_negsamp.testing import toy
from pyg_negsamp.transforms import SAMPLERS, AdaSIR, NegativeSampling

NUM_USERS, NUM_ITEMS = 40, 60
KEEP = {name: cls for name, cls in SAMPLERS.items() if cls.memories}


def grown() -> tuple[HeteroData, HeteroData]:
    """A graph, and the same with as many links again."""
    generator = torch.Generator().manual_seed(0)
    liked = torch.rand(NUM_USERS, NUM_ITEMS, generator=generator) < 0.3
    graphs = []
    for known in (liked & (torch.rand(liked.shape, generator=generator) < 0.5), liked):
        data = HeteroData()
        data["user"].num_nodes, data["item"].num_nodes = liked.shape
        data[EDGE_TYPE].edge_index = known.nonzero().t()
        graphs.append(data)
    return graphs[0], graphs[1]


def used(sampler: NegativeSampling, x_dict: dict[str, Tensor], data: HeteroData) -> None:
    """Some epochs, so that memories are not what they begin with."""
    user, pos = data[EDGE_TYPE].edge_index
    for epoch in range(4):
        sampler.start_epoch(10 * epoch, 40, x_dict)
        sampler.sample(user, pos, *x_dict.values())


def is_seen(sampler: NegativeSampling, name: str) -> Tensor:
    kept = getattr(sampler, name).view(NUM_USERS, -1)
    user = torch.arange(NUM_USERS).unsqueeze(1)
    return (kept >= 0) & sampler.candidates.knows(user, kept.clamp(min=0))


def test_who_keeps_something() -> None:
    assert set(KEEP) >= {"nscaching", "srns", "adasir", "mcns", "divns", "contrastive-dns"}


@pytest.mark.parametrize("name", KEEP)
def test_what_was_kept_is_unseen_in_a_graph_that_grew(name: str) -> None:
    before, after = grown()
    generator = torch.Generator().manual_seed(1)
    x_dict = {
        "user": torch.randn(NUM_USERS, 4, generator=generator),
        "item": torch.randn(NUM_ITEMS, 4, generator=generator),
    }
    old, new, same = (KEEP[name](UniformCandidates(data)) for data in (before, after, before))
    used(old, x_dict, before)
    state = old.state_dict()
    new.load_state_dict(state)
    same.load_state_dict(state)
    for memory in old.memories:
        assert not is_seen(old, memory).any()
        assert not is_seen(new, memory).any()
        kept = state[memory].view(NUM_USERS, -1)
        user = torch.arange(NUM_USERS).unsqueeze(1)
        stale = (kept >= 0) & new.candidates.knows(user, kept.clamp(min=0))
        assert stale.any()
        found = getattr(new, memory).view(NUM_USERS, -1)
        assert torch.equal(found[~stale], kept[~stale])
        assert torch.equal(getattr(same, memory), state[memory])


def test_the_first_proposals_are_not_what_the_memory_begins_with() -> None:
    problem = toy()
    sampler = AdaSIR(problem.data, num_candidates=50, num_new=50)
    first = sampler.memory.clone()
    drawn = []
    draw = sampler.candidates.forward
    sampler.candidates.forward = lambda *args: drawn.append(draw(*args)) or drawn[-1]
    sampler.start_epoch(0, 5, problem.x_dict())
    sampler.start_epoch(1, 5, problem.x_dict())
    assert len(drawn) == 2
    for one, other in ((first, drawn[0]), (drawn[0], drawn[1])):
        assert (one == other).double().mean() < 0.4
