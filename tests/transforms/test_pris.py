"""PRIS against its loop oracle, with uniform and popularity proposals."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from grid import every_case, problem_and_candidates
from oracles import pris
from oracles.scoring import candidate_scores, score
from pyg_negsamp.candidates import BatchCandidates, PopularityCandidates, UniformCandidates
from pyg_negsamp.graph import EDGE_TYPE
from pyg_negsamp.layers import gather_rows, pool_rows
from pyg_negsamp.losses import BPRLoss
from pyg_negsamp.testing import SamplerContract, Toy, toy
from pyg_negsamp.transforms import PRIS, RNS


def log_popularity(problem: Toy, power: float) -> Tensor:
    """`ln Q` of every item, counted by hand, up to a constant; power 0 is uniform."""
    links = problem.data[EDGE_TYPE].edge_index[1].tolist()
    degree = torch.tensor([float(links.count(item)) for item in range(12)], dtype=torch.double)
    return power * degree.log() if power else torch.zeros(12, dtype=torch.double)


class TestPRIS(SamplerContract):
    sampler_class = PRIS
    arguments = {"num_negatives": 1}  # noqa: RUF012

    @every_case
    @pytest.mark.parametrize("power", [0.0, 0.75, 2.0])
    def test_equals_the_oracle(
        self, num_layers: int, num_negatives: int, pool: str, power: float
    ) -> None:
        problem = toy(num_layers, seed=1)
        candidates = PopularityCandidates(problem.data, power=power)
        if not power:
            candidates = UniformCandidates(problem.data)
        sampler = PRIS(candidates, num_negatives=num_negatives, pool=pool)
        negatives = self.sample(sampler, problem)
        neg = torch.tensor(
            candidate_scores(problem.user, problem.user_xs, problem.item_xs, negatives.index, pool),
            dtype=torch.double,
        )
        log_q = log_popularity(problem, power)[negatives.index]
        weights = pris.importance_weights(neg, log_q)
        torch.testing.assert_close(negatives.weight, torch.tensor(weights, dtype=torch.double))
        if num_negatives > 1:
            assert negatives.weight.std(1).median() > 1e-3

        u = pool_rows(gather_rows(problem.user_xs, problem.user), pool)
        p = pool_rows(gather_rows(problem.item_xs, problem.pos), pool)
        n = pool_rows(negatives.xs, pool)
        pos = (u * p).sum(-1)
        loss = BPRLoss()(pos, (u.unsqueeze(1) * n).sum(-1), negatives.weight)
        assert loss.item() == pytest.approx(pris.pris_loss(pos, neg, log_q))

    def test_the_proposal_makes_a_difference(self) -> None:
        """Same items, other weights: by the popularity of each to the power of 3/4."""
        problem = toy(0)
        candidates = torch.tensor([[2, 9, 10]]).expand(9, -1)  # 2, 1 and 4 links
        uniform, popular = (
            self.sample(
                PRIS(source(problem.data), num_negatives=3), problem, candidates=candidates
            ).weight
            for source in (UniformCandidates, PopularityCandidates)
        )
        quotient = uniform / popular
        for column, degree in ((0, 2), (2, 4)):
            expected = torch.full((9,), degree**0.75, dtype=torch.double)
            torch.testing.assert_close(quotient[:, column] / quotient[:, 1], expected)

    @pytest.mark.parametrize("source", [UniformCandidates, PopularityCandidates])
    def test_many_proposals_stand_for_the_softmax_of_the_scores(self, source: type) -> None:
        """Whatever they were drawn from; over all that can be drawn."""
        problem = toy(0)
        sampler = PRIS(source(problem.data), num_negatives=20000)
        negatives = self.sample(sampler, problem)
        possible = log_popularity(problem, 1.0).isfinite() | (source is UniformCandidates)
        seen = set(map(tuple, problem.data[EDGE_TYPE].edge_index.t().tolist()))
        for b, user in enumerate(problem.user.tolist()):
            logits = torch.full((12,), -torch.inf, dtype=torch.double)
            for item in range(12):
                if (user, item) not in seen and possible[item]:
                    logits[item] = score(problem.user_xs, problem.item_xs, user, item, "mean")
            found = torch.zeros(12, dtype=torch.double)
            found.index_add_(0, negatives.index[b], negatives.weight[b])
            torch.testing.assert_close(found, logits.softmax(0), rtol=0.1, atol=0.01)

    def test_items_that_are_often_in_the_batch_do_not_count_for_that(self) -> None:
        """Proposals of the batch stand for the softmax over the items there, whatever is asked."""
        data = HeteroData()
        data["user"].num_nodes, data["item"].num_nodes = 4, 8
        links = [[0, 1, 1, 2, 2, 2, 3, 3, 3], [0, 0, 1, 1, 2, 3, 1, 4, 5]]
        data[EDGE_TYPE].edge_index = torch.tensor(links)
        user = torch.tensor([0, 1] * 1000 + [2, 2] * 100)
        pos = torch.tensor([0, 1] * 1000 + [2, 3] * 100)
        x = {"user": torch.zeros(4, 4), "item": torch.ones(8, 4)}  # all score the same
        sampler = PRIS(BatchCandidates(data), num_negatives=64)
        found = sampler.sample(user, pos, x["user"], x["item"])
        weight = torch.zeros(8).index_add_(
            0, found.index[user == 0].flatten(), found.weight[user == 0].flatten()
        )
        third = torch.tensor([0.0, 1, 1, 1, 0, 0, 0, 0]) / 3
        torch.testing.assert_close(weight / weight.sum(), third, rtol=0, atol=0.02)

    @every_case
    def test_weights_carry_no_gradient(
        self, num_layers: int, num_negatives: int, pool: str
    ) -> None:
        problem = toy(num_layers)
        for x in (*problem.user_xs, *problem.item_xs):
            x.requires_grad_()
        negatives = self.sample(self.make(problem, num_negatives=num_negatives, pool=pool), problem)
        assert negatives.xs.requires_grad
        assert not negatives.weight.requires_grad
        assert negatives.loss is None

    def test_one_negative_is_rns(self) -> None:
        problem = toy()
        one = self.sample(self.make(problem, num_negatives=1), problem)
        other = self.sample(RNS(UniformCandidates(problem.data), num_candidates=6), problem)
        assert torch.equal(one.index, other.index)
        assert torch.equal(one.xs, other.xs)
        assert torch.equal(one.weight, torch.ones(9, 1, dtype=torch.double))

    def test_of_more_candidates_it_weights_the_ones_it_takes(self) -> None:
        problem, candidates = problem_and_candidates(0)
        negatives = self.sample(PRIS(num_negatives=3), problem, candidates=candidates)
        assert all(len(set(row)) == 3 for row in negatives.index.tolist())
        scores = (problem.user_xs[0][problem.user].unsqueeze(1) * negatives.xs[:, :, 0]).sum(-1)
        expected = pris.importance_weights(scores, torch.zeros(9, 3))
        torch.testing.assert_close(negatives.weight, torch.tensor(expected, dtype=torch.double))

    def test_weights_stay_finite(self) -> None:
        """With scores beyond what `exp` takes, and with items that are never proposed."""
        problem = toy(0, dtype=torch.float32)
        for x in (*problem.user_xs, *problem.item_xs):
            x *= 1e4
        candidates = torch.tensor([[0, 1, 4]]).expand(9, -1)  # no links, no links, 3 links
        sampler = PRIS(PopularityCandidates(problem.data), num_negatives=3)
        weight = self.sample(sampler, problem, candidates=candidates).weight
        torch.testing.assert_close(weight.sum(1), torch.ones(9))
        assert (weight[:, :2] > 0).any()
        assert not weight[:, 2].any()  # infinitely more likely to be drawn than the others

    def test_reads_logarithms_of_probabilities_too(self) -> None:
        """A proposal may say them up to a constant, or as they are: below zero."""

        class Normalised(PopularityCandidates):
            def log_mass(self, item: Tensor) -> Tensor:
                return super().log_mass(item) - 800

        problem = toy(0)
        weights = [
            self.sample(PRIS(source(problem.data), num_negatives=3), problem).weight
            for source in (PopularityCandidates, Normalised)
        ]
        assert weights[0].std(1).median() > 1e-3
        torch.testing.assert_close(*weights)

    def test_takes_eight_unless_told_otherwise(self) -> None:
        problem = toy(0)
        assert self.sample(PRIS(UniformCandidates(problem.data)), problem).weight.shape == (9, 8)
        with pytest.raises(ValueError, match="PRIS: 'num_candidates'"):
            PRIS(num_candidates=7)
