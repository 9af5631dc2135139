"""Links among nodes of one type, `('paper', 'cites', 'paper')`: as in a homogeneous graph."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor
from torch_geometric.data import Data, HeteroData

from pyg_negsamp.candidates import UniformCandidates
from pyg_negsamp.evaluation import check_leakage, evaluate, evaluate_sampled
from pyg_negsamp.graph import joins_one_kind
from pyg_negsamp.losses import InBatchSoftmaxLoss
from pyg_negsamp.nn import MF, NGCF, FromModule, LightGCN
from pyg_negsamp.transforms import BNS, DNS, MNS, RNS, InBatch

CITES = ("paper", "cites", "paper")
NUM = 12


def ring() -> Tensor:
    """Every node is linked to the next one."""
    node = torch.arange(NUM)
    return torch.stack([node, (node + 1) % NUM])


def both(index: Tensor, held_out: Tensor | None = None) -> tuple[HeteroData, Data]:
    """The same links in either kind of graph."""
    typed, plain = HeteroData(), Data(edge_index=index, num_nodes=NUM)
    typed["paper"].num_nodes, typed[CITES].edge_index = NUM, index
    if held_out is not None:
        typed[CITES].edge_label_index = plain.edge_label_index = held_out
    return typed, plain


def table() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.nn.functional.normalize(torch.randn(NUM, 4, generator=generator))


def test_a_node_is_no_negative_of_itself() -> None:
    typed, plain = both(ring())
    assert joins_one_kind(typed)
    assert joins_one_kind(plain)
    x, (user, pos) = table(), ring()
    for graph in (typed, plain):
        for sampler in (RNS(graph, num_negatives=500), DNS(graph, num_candidates=30)):
            index = sampler.sample(user, pos, x, generator=torch.manual_seed(0)).index
            assert not (index == user.unsqueeze(1)).any()
    # All others come, each as often.
    drawn = RNS(typed, num_negatives=6000).sample(user[:1], pos[:1], x).index
    counts = drawn[0].bincount(minlength=NUM)
    assert counts[:2].tolist() == [0, 0]
    assert chisquare(counts[2:]).pvalue > 1e-4


def test_nobody_is_recommended_to_oneself() -> None:
    held_out = torch.stack([torch.arange(NUM), (torch.arange(NUM) + 5) % NUM])
    typed, plain = both(ring(), held_out)
    x = table()
    for k in (1, 3):
        assert evaluate({"paper": x}, typed, (k,)) == evaluate(x, plain, (k,))

    def worst(user: Tensor) -> Tensor:  # held-out links score below all others
        scores = torch.ones(len(user), NUM)
        scores[torch.arange(len(user)), (user + 5) % NUM] = 0.0
        return scores

    for graph in (typed, plain):  # so that they lose to three others, none of which is oneself
        for found in evaluate_sampled(worst, graph, (3,), ("HitRatio",), num_negatives=3):
            assert found == {"HitRatio@3": 0.0}


@pytest.mark.parametrize("make", [MF, LightGCN, NGCF, lambda d: FromModule(torch.nn.ReLU(), d)])
def test_encoders_of_two_tables_refuse(make: type) -> None:
    with pytest.raises(ValueError, match="'edge_type' must be interactions between two node types"):
        make(both(ring())[0])


def test_reversed_links_leak() -> None:
    train, held_out = ring()[:, :6], ring()[:, :6].flip(0)
    for name in ("typed", "plain"):
        first, second = both(train), both(train, held_out)
        i = 0 if name == "typed" else 1
        with pytest.raises(ValueError, match=r"must not be in the train graph's .*reversed"):
            check_leakage(first[i], second[i])
        # A direction that others do not have is none to read backwards.
        other = both(train, torch.tensor([[1, 8], [0, 3]]))
        check_leakage(first[i], other[i])


def test_links_without_direction_are_seen_in_both() -> None:
    """`also`, as `RandomLinkSplit(is_undirected=True, disjoint_train_ratio=...)` has it."""
    once = torch.tensor([[0, 1, 2], [4, 7, 9]])
    whole = torch.cat([ring(), ring().flip(0)], dim=1)
    for graph in both(whole):
        source = UniformCandidates(graph, also=once)
        assert source.knows(*once).all()
        assert source.knows(*once.flip(0)).all()
    for graph in both(ring()):  # these have a direction
        source = UniformCandidates(graph, also=once)
        assert source.knows(*once).all()
        assert not source.knows(*once.flip(0)).any()


@pytest.mark.parametrize("by_type", [False, True])
def test_users_and_items_of_one_type_have_to_be_told_apart(by_type: bool) -> None:
    """As in a homogeneous graph: users would be drawn, and would compete."""
    index = torch.tensor([[0, 1, 2], [5, 6, 7]])
    typed, plain = both(torch.cat([index, index.flip(0)], dim=1) if by_type else index, index)
    if by_type:
        typed["paper"].node_type = plain.node_type = (torch.arange(NUM) > 4).long()
    for graph in (typed, plain):
        with pytest.raises(ValueError, match="some nodes of this graph are no items"):
            RNS(graph)
        with pytest.raises(ValueError, match="some nodes of this graph are users and others items"):
            evaluate({"paper": table()} if graph is typed else table(), graph)


def test_users_and_items_in_one_graph_are_as_probable_as_in_two() -> None:
    """PyG's AmazonBook has links in both directions: those to users count for no item."""
    links = torch.tensor([[0, 0, 1, 2, 2, 3, 3, 3], [0, 1, 2, 0, 3, 0, 4, 1]])
    users, items = 4, 5
    typed = HeteroData()
    typed["user"].num_nodes, typed["item"].num_nodes = users, items
    typed["user", "buys", "item"].edge_index = links
    joint = links + torch.tensor([[0], [users]])
    plain = Data(edge_index=torch.cat([joint, joint.flip(0)], dim=1), num_nodes=users + items)
    allowed = UniformCandidates(plain, items=range(users, users + items))
    x = table()[: users + items]
    user, pos = links
    loss = InBatchSoftmaxLoss(0.2, correction="corrected")
    for cls in (InBatch, MNS):
        one = cls(typed).sample(user, pos, x[:users], x[users:], generator=torch.manual_seed(1))
        other = cls(allowed).sample(user, pos + users, x, generator=torch.manual_seed(1))
        for name in ("log_q", "pos_log_q", "weight"):
            torch.testing.assert_close(getattr(one, name), getattr(other, name))
        values = []
        for negatives in (one, other):
            p, n = (x[user] * x[pos + users]).sum(1), x[user] @ negatives.shared[:, 0].t()
            known = {"log_q": negatives.log_q, "pos_log_q": negatives.pos_log_q}
            values.append(loss(p, n, negatives.weight, **known))
        torch.testing.assert_close(*values)
    prior = BNS(typed).popularity / BNS(typed).popularity.sum()
    of_all = BNS(allowed).popularity / BNS(allowed).popularity.sum()
    torch.testing.assert_close(prior, of_all[users:])
