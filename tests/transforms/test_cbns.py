"""CBNS: first in, first out; old rows without gradient; known items of the memory do not count."""

from __future__ import annotations

import pytest
import torch

from pyg_negsamp.graph import EDGE_TYPE
from pyg_negsamp.testing import SamplerContract, Toy, toy
from pyg_negsamp.transforms import CBNS, Negatives


class TestCBNS(SamplerContract):
    sampler_class = CBNS

    def warm(self, problem: Toy, num_cached: int = 12) -> CBNS:
        sampler = self.make(problem, num_cached=num_cached)
        sampler.start_epoch(1, 9)
        return sampler

    def batches(self, problem: Toy, sampler: CBNS, num: int) -> list[tuple[Toy, Negatives]]:
        """Some batches of the toy graph's links, each with embeddings of its own."""
        links, found = problem.data[EDGE_TYPE].edge_index, []
        for seed in range(num):
            other = toy(seed=0)
            generator = torch.Generator().manual_seed(seed)
            other.user, other.pos = links[:, torch.randperm(len(links[0]), generator=generator)[:5]]
            other.item_xs = [x + seed for x in other.item_xs]
            found.append((other, self.sample(sampler, other)))
        return found

    def test_past_rows_are_as_they_were_the_latest_first(self) -> None:
        problem = toy()
        batches = self.batches(problem, self.warm(problem), 5)
        ids, rows = [], []
        for other, negatives in batches:
            expected = [*other.pos.tolist(), *ids]
            assert negatives.index[0].tolist() == expected
            own = list(torch.stack([x[other.pos] for x in other.item_xs], dim=1))
            assert torch.equal(negatives.shared, torch.stack([*own, *rows]))
            ids, rows = expected[:12], [*own, *rows][:12]
        assert len(ids) == 12

    def test_what_a_user_has_seen_does_not_count_in_the_memory_either(self) -> None:
        problem = toy()
        links = problem.data[EDGE_TYPE].edge_index.t().tolist()
        for other, negatives in self.batches(problem, self.warm(problem), 4):
            for user, row, index in zip(
                other.user.tolist(), negatives.weight, negatives.index, strict=True
            ):
                expected = [float([user, item] not in links) for item in index.tolist()]
                assert row.tolist() == expected

    def test_the_memory_has_no_gradient(self) -> None:
        problem = toy()
        sampler = self.warm(problem)
        self.batches(problem, sampler, 2)
        past = set(sampler.past.tolist())
        for x in problem.item_xs:
            x.requires_grad_()
        problem.user, problem.pos = problem.user[:1], problem.pos[:1]
        self.sample(sampler, problem).shared.sum().backward()
        grown = problem.item_xs[0].grad.abs().sum(1).nonzero().flatten().tolist()
        assert grown == problem.pos.tolist()
        assert past - set(grown)
        assert not sampler.past_rows.requires_grad

    def test_is_not_used_before_it_is_warm(self) -> None:
        problem = toy()
        sampler = self.make(problem, warmup=2)
        for epoch, size in ((0, 9), (1, 9), (2, 9 + 18)):
            sampler.start_epoch(epoch, 9)
            assert self.sample(sampler, problem).shared.size(0) == size

    def test_goes_on_with_what_was_stored(self) -> None:
        problem = toy()
        first, second = self.warm(problem), self.warm(problem)
        self.batches(problem, first, 3)
        second.load_state_dict(first.state_dict())
        one, other = self.sample(first, problem), self.sample(second, problem)
        assert torch.equal(one.shared, other.shared)
        assert len(one.shared) == 9 + 12

    def test_refuses(self) -> None:
        for wrong in ({"num_cached": 0}, {"warmup": -1}):
            with pytest.raises(ValueError, match=next(iter(wrong))):
                CBNS(toy().data, **wrong)


@pytest.mark.parametrize(("layers", "width"), [(2, 5), (1, 4)])
def test_a_memory_of_another_shape_is_refused(layers: int, width: int) -> None:
    problem = toy()
    sampler = CBNS(problem.data)
    size = sampler._known.num_users, sampler._known.num_items
    sampler.sample(problem.user, problem.pos, *(torch.randn(n, 5) for n in size))
    others = [[torch.randn(n, width)] * layers for n in size]
    with pytest.raises(ValueError, match="as the batches before"):
        sampler.sample(problem.user, problem.pos, *others)
    with pytest.raises(ValueError, match="what users have seen"):
        CBNS().load_state_dict(sampler.state_dict())
