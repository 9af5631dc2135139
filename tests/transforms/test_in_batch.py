"""InBatch: the mask by loops, in every kind of graph, and rows that nobody copies."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Data, HeteroData

from pyg_negsamp.candidates import BatchCandidates, PoolCandidates, UniformCandidates
from pyg_negsamp.graph import EDGE_TYPE
from pyg_negsamp.losses import InBatchSoftmaxLoss, SampledSoftmaxLoss
from pyg_negsamp.testing import SamplerContract, Toy, toy
from pyg_negsamp.transforms import DNS, MNS, RNS, Compose, InBatch, MixGCF


def seen_by(problem: Toy) -> list[set[int]]:
    links = problem.data[EDGE_TYPE].edge_index.t().tolist()
    return [{i for u, i in links if u == user} for user in problem.user.tolist()]


class TestInBatch(SamplerContract):
    sampler_class = InBatch

    def test_all_positives_of_the_batch_less_what_the_user_has_seen(self) -> None:
        problem = toy()
        negatives = self.sample(self.make(problem), problem)
        pos = problem.pos.tolist()
        expected = [[float(i not in seen) for i in pos] for seen in seen_by(problem)]
        assert negatives.weight.tolist() == expected
        assert 0 < sum(map(sum, expected)) < 81
        assert torch.equal(negatives.index, problem.pos.expand(9, -1))

    def test_probabilities_are_shares_of_links_repeated_ones_too(self) -> None:
        problem = toy()
        index = problem.data[EDGE_TYPE].edge_index
        problem.data[EDGE_TYPE].edge_index = torch.cat([index, index[:, :4]], dim=1)
        items = problem.data[EDGE_TYPE].edge_index[1].tolist()
        source = UniformCandidates(problem.data, also=torch.tensor([[0], [11]]))
        negatives = self.sample(InBatch(source), problem)
        share = torch.tensor([items.count(i) / len(items) for i in problem.pos.tolist()]).double()
        torch.testing.assert_close(negatives.log_q[0].exp(), share)
        torch.testing.assert_close(negatives.pos_log_q.exp(), share)

    def test_rows_are_shared_and_not_copied(self) -> None:
        problem = toy()
        negatives = self.sample(self.make(problem), problem)
        assert negatives.shared.shape == (9, 4, 5)
        for x in (negatives.xs, negatives.index, negatives.log_q):
            assert x.stride(0) == 0
        assert negatives.xs.data_ptr() == negatives.shared.data_ptr()
        out = self.make(problem)(problem.batch(), problem.x_dict())
        assert torch.equal(out["item"].dst_neg_shared_xs, negatives.shared)

    def test_some_of_the_batch(self) -> None:
        problem = toy()
        sampler = self.make(problem, num_negatives=400)
        negatives = self.sample(sampler, problem)
        index = negatives.index[0]
        count = torch.bincount(index, minlength=12)
        assert count.sum() == 400
        assert count[problem.pos].min() > 15
        seen = seen_by(problem)
        for row, taken in zip(negatives.weight, seen, strict=True):
            assert row.tolist() == [float(i not in taken) for i in index.tolist()]

    def test_a_positive_that_is_no_known_link_is_no_negative_of_its_own_row(self) -> None:
        problem = toy()
        seen = seen_by(problem)
        problem.pos = torch.tensor([min(set(range(12)) - s) for s in seen])  # held out
        negatives = self.sample(self.make(problem, check_positives=False), problem)
        for b, (row, taken) in enumerate(zip(negatives.weight, seen, strict=True)):
            barred = taken | {int(problem.pos[b])}
            assert row.tolist() == [float(i not in barred) for i in problem.pos.tolist()]
        assert negatives.pos_log_q.isfinite().all()

    def test_in_a_sampled_subgraph_by_the_ids_of_the_whole_graph(self) -> None:
        problem = toy()
        whole = self.sample(self.make(problem), problem)
        users, items = (torch.randperm(n, generator=problem.generator()) for n in (7, 12))
        batch = HeteroData()
        batch["user"].n_id, batch["item"].n_id = users, items
        batch["user"].src_index = users.argsort()[problem.user]
        batch["item"].dst_pos_index = items.argsort()[problem.pos]
        x_dict = {
            "user": [x[users] for x in problem.user_xs],
            "item": [x[items] for x in problem.item_xs],
        }
        out = self.make(problem)(batch, x_dict)["item"]
        assert torch.equal(out.dst_neg_weight, whole.weight)
        assert torch.equal(out.dst_neg_xs, whole.xs)
        assert torch.equal(items[out.dst_neg_index], whole.index)
        with pytest.raises(ValueError, match="numbering of the whole graph"):
            MNS(problem.data)(batch, x_dict)
        with pytest.raises(ValueError, match="numbering of the whole graph"):
            RNS(problem.data, shared=True)(batch, x_dict)

    def test_a_row_that_has_seen_all_of_the_batch_has_no_loss(self) -> None:
        problem = toy()
        problem.user, problem.pos = problem.user[:1], problem.pos[:1]
        negatives = self.sample(self.make(problem), problem)
        assert negatives.weight.tolist() == [[0.0]]
        for loss in (SampledSoftmaxLoss(), InBatchSoftmaxLoss(correction="corrected")):
            score = torch.ones(1, requires_grad=True)
            known = {"log_q": negatives.log_q, "pos_log_q": negatives.pos_log_q}
            known = {name: known[name] for name in loss.needs}
            value = loss(score, score.unsqueeze(1), negatives.weight, **known)
            value.backward()
            assert value == 0
            assert score.grad == 0

    def test_binary_form(self) -> None:
        problem = toy()
        batch = HeteroData()
        batch[EDGE_TYPE].edge_label_index = torch.stack([problem.user, problem.pos])
        out = self.make(problem)(batch, problem.x_dict())[EDGE_TYPE]
        weight = self.sample(self.make(problem), problem).weight
        assert out.edge_label_index.shape == (2, 9 + 81)
        assert torch.equal(out.edge_label_weight[9:], weight.flatten().to(out.edge_label_weight))

    def test_says_what_it_cannot_do(self) -> None:
        problem = toy()
        for source, said in (
            (UniformCandidates(problem.data, time=torch.zeros(12)), "made without 'time'"),
            (PoolCandidates(problem.data, torch.ones(7, 12).to_sparse_csr()), "without pools"),
        ):
            with pytest.raises(ValueError, match=said):
                InBatch(source)
        with pytest.raises(ValueError, match="'x_dict' must be the embeddings"):
            self.make(problem)(problem.batch())
        with pytest.raises(ValueError, match="each positive's own"):
            Compose(self.make(problem), MixGCF(problem.data))
        assert Compose(DNS(problem.data), MixGCF(problem.data))


def test_weights_are_what_may_be_drawn_in_every_kind_of_graph() -> None:
    generator = torch.Generator().manual_seed(0)
    bipartite = toy().data
    square = Data(edge_index=torch.randint(12, (2, 40), generator=generator), num_nodes=12)
    relation = torch.randint(3, (40,), generator=generator)
    for source in (
        BatchCandidates(bipartite),
        BatchCandidates(bipartite, items=torch.tensor([1, 2, 5, 11])),
        BatchCandidates(bipartite, also=torch.tensor([[0, 6], [3, 3]])),
        BatchCandidates(square),
        BatchCandidates(square, relation=relation),
    ):
        user = torch.randint(source.num_users, (20,), generator=generator)
        item = torch.randint(12, (15,), generator=generator)
        expected = source.may_be_drawn(user.unsqueeze(1), item)
        assert 0 < expected.sum() < expected.numel()
        found = source.shared_weight(user, item, torch.float64)
        assert torch.equal(found, expected.double())
        on_meta = source.to("meta").shared_weight(user.to("meta"), item.to("meta"), torch.float)
        assert on_meta.shape == (20, 15)
