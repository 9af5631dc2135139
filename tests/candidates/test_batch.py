"""In-batch candidates: the batch's positives that the user has not seen, as often as they come."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import chisquare
from torch_geometric.data import HeteroData

from pyg_negsamp.candidates import BatchCandidates
from pyg_negsamp.graph import EDGE_TYPE
from pyg_negsamp.transforms import DNS, RNS

LINKS = torch.tensor([[0, 0, 1, 1, 2, 2, 3, 4, 4, 4], [0, 1, 1, 2, 3, 4, 0, 4, 5, 1]])
USER = torch.tensor([0, 1, 2, 3, 4, 4, 0, 2])
POS = torch.tensor([1, 2, 4, 0, 4, 5, 0, 3])


def graph() -> HeteroData:
    data = HeteroData()
    data["user"].num_nodes, data["item"].num_nodes = 6, 9
    data[EDGE_TYPE].edge_index = LINKS
    return data


def naive(user: int, allowed: set[int]) -> dict[int, int]:
    """How often each item may be drawn."""
    seen = set(LINKS[1, LINKS[0] == user].tolist())
    free = [i for i in POS.tolist() if i not in seen and i in allowed]
    return {i: free.count(i) for i in set(free)}


@pytest.mark.parametrize("items", [None, torch.tensor([0, 2, 3, 5, 8])])
def test_draws_positives_of_the_batch_in_proportion(items: torch.Tensor | None) -> None:
    source = BatchCandidates(graph(), items=items)
    drawn = source(USER, 6000, torch.Generator().manual_seed(0), POS)
    allowed = set(range(9) if items is None else items.tolist())
    for row, user in enumerate(USER.tolist()):
        expected = naive(user, allowed)
        counts = drawn[row].bincount(minlength=9)
        if not expected:  # then out of all items
            assert not source.known.hold(USER[row], drawn[row]).any()
            continue
        assert set(counts.nonzero().flatten().tolist()) == set(expected)
        ids = sorted(expected)
        weight = torch.tensor([expected[i] for i in ids]).double()
        assert chisquare(counts[ids], weight / weight.sum() * 6000).pvalue > 1e-4


def test_probabilities_in_a_batch_are_those_of_its_draws() -> None:
    source = BatchCandidates(graph())
    item = torch.arange(9).expand(8, -1)
    found = source.log_mass_in(item, POS.int()).exp()
    for row, user in enumerate(USER.tolist()):
        counts = naive(user, set(range(9)))
        assert {i: int(found[row, i].round()) for i in counts} == counts
    lone = source.log_mass_in(item[:1], POS[:1])
    assert not lone.any()  # nothing is left there, so that all items are alike


def test_a_batch_of_one_draws_out_of_all_items() -> None:
    drawn = BatchCandidates(graph())(USER[:1], 200, torch.Generator().manual_seed(0), POS[:1])
    assert set(drawn.unique().tolist()) == {2, 3, 4, 5, 6, 7, 8}
    row, left = BatchCandidates(graph()).rows(USER[:1], POS[:1], 3)
    assert left.tolist() == [0]
    assert row.shape == (1, 3)


def test_large_batches_hold_no_known_link() -> None:
    generator = torch.Generator().manual_seed(0)
    known = torch.rand(200, 300, generator=generator) < 0.1
    data = HeteroData()
    data["user"].num_nodes, data["item"].num_nodes = 200, 300
    data[EDGE_TYPE].edge_index = known.nonzero().t()
    source = BatchCandidates(data)
    picked = torch.randperm(int(known.sum()), generator=generator)[:1500]
    user, pos = known.nonzero()[picked].t()
    drawn = source(user, 40, generator, pos)
    assert not known[user.unsqueeze(1), drawn].any()
    assert torch.isin(drawn, pos).all()


def test_a_sampled_subgraph_needs_no_drawn_nodes() -> None:
    """Rows of the batch are candidates, in its own numbering; a row without any weighs nothing."""
    users, items = torch.tensor([4, 0, 2, 1, 3]), torch.tensor([5, 1, 4, 0, 2, 3])
    batch = HeteroData()
    batch["user"].n_id, batch["item"].n_id = users, items
    where = {int(n): k for k, n in enumerate(users)}
    at = {int(n): k for k, n in enumerate(items)}
    batch["user"].src_index = torch.tensor([where[int(u)] for u in USER])
    batch["item"].dst_pos_index = torch.tensor([at[int(i)] for i in POS])
    sampler = DNS(BatchCandidates(graph()), num_candidates=30)
    x = {"user": torch.randn(5, 4), "item": torch.randn(6, 4)}
    out = sampler(batch, x)["item"]
    negative = items[out.dst_neg_index.squeeze(1)]
    assert not sampler.candidates.known.hold(USER, negative).any()  # type: ignore[union-attr]
    assert torch.isin(negative, POS).all()
    lone = HeteroData()
    lone["user"].n_id, lone["item"].n_id = torch.tensor([0]), torch.tensor([1])
    lone["user"].src_index = lone["item"].dst_pos_index = torch.zeros(1, dtype=torch.long)
    assert RNS(BatchCandidates(graph()))(lone)["item"].dst_neg_weight.tolist() == [[0.0]]
