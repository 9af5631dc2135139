"""Contrastive DNS against its loop oracle: what is retrieved, when, and how it is handed out."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor

from grid import every_case
from oracles import contrastive_dns
from oracles.scoring import pooled
from pyg_negsamp.candidates import UniformCandidates
from pyg_negsamp.graph import EDGE_TYPE
from pyg_negsamp.layers import gather_rows, pool_rows
from pyg_negsamp.losses import ContrastiveLoss
from pyg_negsamp.testing import SamplerContract, Toy, toy
from pyg_negsamp.transforms import RNS, ContrastiveDNS, contrastive


def observed(problem: Toy) -> list[set[int]]:
    """The items of every user."""
    links = problem.data[EDGE_TYPE].edge_index.t().tolist()
    return [{item for owner, item in links if owner == user} for user in range(7)]


def expected(problem: Toy, k: int, mode: str = "dissimilar", pool: str = "mean") -> list[list[int]]:
    """What the oracle retrieves for every user."""
    tables = [
        torch.tensor([pooled(xs, i, pool) for i in range(len(xs[0]))], dtype=torch.double)
        for xs in (problem.user_xs, problem.item_xs)
    ]
    return contrastive_dns.retrieve(*tables, observed(problem), k, mode)


class TestContrastiveDNS(SamplerContract):
    sampler_class = ContrastiveDNS
    arguments = {"k": 3, "num_negatives": 1}  # noqa: RUF012

    def make(self, problem: Toy, **arguments: Any) -> ContrastiveDNS:
        """A sampler in the epoch of its first retrieval."""
        sampler = super().make(problem, **arguments)
        assert isinstance(sampler, ContrastiveDNS)
        sampler.set_epoch(sampler.n, 99)
        return sampler

    @every_case
    @pytest.mark.parametrize("mode", ["dissimilar", "similar"])
    def test_retrieves_what_the_oracle_does(
        self, num_layers: int, num_negatives: int, pool: str, mode: str
    ) -> None:
        problem = toy(num_layers, seed=1)
        sampler = self.make(problem, num_negatives=num_negatives, pool=pool, mode=mode)
        sampler.refresh(problem.x_dict())
        assert sampler.retrieved.tolist() == expected(problem, 3, mode, pool)

    @pytest.mark.parametrize("mode", ["dissimilar", "similar"])
    @pytest.mark.parametrize("k", [9, 12, 100])
    def test_a_user_with_few_unobserved_items_has_the_first_repeated(
        self, k: int, mode: str
    ) -> None:
        problem = toy(seed=1)
        sampler = self.make(problem, k=k, mode=mode)
        sampler.refresh(problem.x_dict())
        rows = expected(problem, k, mode)
        assert min(map(len, rows)) == 7  # of 12
        width = min(k, 12)
        assert sampler.retrieved.tolist() == [row + row[:1] * (width - len(row)) for row in rows]

    def test_random_retrieves_anything_unobserved(self) -> None:
        problem = toy(seed=1)
        sampler = self.make(problem, k=8, n=1, mode="random")
        reached: list[set[int]] = [set() for _ in range(7)]
        for epoch in range(1, 41):
            sampler.set_epoch(epoch, 40)
            sampler.refresh(problem.x_dict())
            for user, row in enumerate(sampler.retrieved.tolist()):
                reached[user] |= set(row)
        assert reached == [set(row) for row in expected(problem, 8, "random")]

    @pytest.mark.parametrize("mode", ["dissimilar", "similar"])
    def test_blocks_do_not_show(self, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """One user at a time gets what all at once get."""
        problem = toy()
        whole, by_user = (self.make(problem, k=5, mode=mode) for _ in range(2))
        whole.refresh(problem.x_dict())
        monkeypatch.setattr(contrastive, "BLOCK_BYTES", 1)
        by_user.refresh(problem.x_dict())
        assert torch.equal(whole.retrieved, by_user.retrieved)

    @pytest.mark.parametrize(("n", "due"), [(1, [1, 2, 3, 4, 5, 6]), (3, [3, 6]), (7, [])])
    def test_retrieves_every_n_epochs(self, n: int, due: list[int]) -> None:
        problem = toy()
        sampler = self.make(problem, n=n)
        before, changed = sampler.retrieved.clone(), []
        for epoch in range(7):
            moved = toy(seed=10 + epoch)
            moved.data = problem.data
            sampler.set_epoch(epoch, 7)
            sampler.refresh(moved.x_dict())
            if not torch.equal(sampler.retrieved, before):
                changed.append(epoch)
                assert sampler.retrieved.tolist() == expected(moved, 3)
            before = sampler.retrieved.clone()
        assert changed == due

    def test_goes_on_with_what_was_stored(self) -> None:
        """Between retrievals, a sampler with a state keeps it, and one without retrieves."""
        problem, later = toy(), toy(seed=5)
        later.data = problem.data
        first, second, third = (self.make(problem, n=4) for _ in range(3))
        first.refresh(problem.x_dict())
        second.load_state_dict(first.state_dict())
        assert list(first.state_dict()) == ["retrieved"]
        for sampler in (second, third):
            sampler.set_epoch(6, 10)
            sampler.refresh(later.x_dict())
        assert second.retrieved.tolist() == expected(problem, 3)
        assert third.retrieved.tolist() == expected(later, 3)
        assert torch.equal(self.sample(first, problem).index, self.sample(second, problem).index)

    @every_case
    def test_the_first_is_random_and_the_others_are_retrieved(
        self, num_layers: int, num_negatives: int, pool: str
    ) -> None:
        problem = toy(num_layers, seed=1)
        sampler = self.make(problem, num_negatives=num_negatives, pool=pool)
        sampler.refresh(problem.x_dict())
        found = sampler.retrieved.clone()
        generator = problem.generator()
        index = torch.stack(
            [self.sample(sampler, problem, generator=generator).index for _ in range(150)]
        )
        for b, user in enumerate(problem.user.tolist()):
            unobserved = set(range(12)) - observed(problem)[user]
            assert set(index[:, b, 0].tolist()) == unobserved
            for k in range(1, num_negatives):
                assert set(index[:, b, k].tolist()) == set(found[user].tolist())
        assert torch.equal(sampler.retrieved, found)

    def test_both_kinds_are_uniform(self) -> None:
        problem = toy(0)
        sampler = self.make(problem, num_negatives=3, check_positives=False)
        sampler.refresh(problem.x_dict())
        user = torch.zeros(4000, dtype=torch.long)
        xs = problem.user_xs, problem.item_xs
        index = sampler.sample(user, user, *xs, generator=problem.generator()).index
        for k, kinds in ((0, 10), (1, 3), (2, 3)):
            counts = index[:, k].bincount()
            counts = counts[counts > 0]
            assert len(counts) == kinds
            assert chisquare(counts).pvalue > 1e-3

    @pytest.mark.parametrize("num_negatives", [1, 3])
    def test_is_rns_before_the_first_retrieval(self, num_negatives: int) -> None:
        problem = toy()
        size = {"num_candidates": num_negatives, "num_negatives": num_negatives}
        rns = self.sample(RNS(UniformCandidates(problem.data), **size), problem)
        assert torch.equal(self.sample(self.make(problem, **size), problem).index, rns.index)

    def test_one_negative_stays_rns(self) -> None:
        problem = toy()
        sampler = self.make(problem, num_candidates=1, num_negatives=1)
        sampler.refresh(problem.x_dict())
        rns = self.sample(RNS(UniformCandidates(problem.data)), problem)
        assert torch.equal(self.sample(sampler, problem).index, rns.index)

    def test_candidates_given_take_the_place_of_what_was_retrieved(self) -> None:
        problem = toy()
        sampler = self.make(problem, num_negatives=2)
        sampler.refresh(problem.x_dict())
        candidates = torch.tensor([[20, 21, 22]]).expand(9, -1)
        xs = problem.user_xs, problem.item_xs
        chosen = sampler.choose(problem.user, problem.pos, *xs, candidates)
        assert set(chosen.index.flatten().tolist()) == {20, 21, 22}
        assert all(len(set(row)) == 2 for row in chosen.index.tolist())

    def test_needs_no_embeddings_to_hand_out(self) -> None:
        problem = toy()
        sampler = self.make(problem, num_negatives=3)
        sampler.refresh(problem.x_dict())
        out = sampler(problem.batch(), generator=problem.generator())
        assert torch.equal(out["item"].dst_neg_index, self.sample(sampler, problem).index)

    @every_case
    def test_with_its_loss_it_is_the_paper(
        self, num_layers: int, num_negatives: int, pool: str
    ) -> None:
        problem = toy(num_layers)
        sampler = self.make(problem, num_negatives=num_negatives, pool=pool)
        sampler.refresh(problem.x_dict())
        negatives = self.sample(sampler, problem)
        u = pool_rows(gather_rows(problem.user_xs, problem.user), pool)
        p = pool_rows(gather_rows(problem.item_xs, problem.pos), pool)
        n = pool_rows(negatives.xs, pool)

        def cosine(left: Tensor, right: Tensor) -> Tensor:
            return torch.nn.functional.cosine_similarity(left, right, dim=-1)

        for tau in (0.1, 0.7):
            loss = ContrastiveLoss(tau)(cosine(u, p), cosine(u.unsqueeze(1), n))
            value = contrastive_dns.contrastive_loss(u, p, n[:, :1], n[:, 1:], tau)
            assert loss.item() == pytest.approx(value)

    def test_takes_one_of_each_kind_unless_told_otherwise(self) -> None:
        assert ContrastiveDNS().num_negatives == 2

    @pytest.mark.parametrize(("name", "value"), [("k", 0), ("n", 0), ("mode", "hardest")])
    def test_refuses_bad_arguments_of_its_own(self, name: str, value: object) -> None:
        with pytest.raises(ValueError, match=f"ContrastiveDNS: '{name}'"):
            ContrastiveDNS(**{name: value})
