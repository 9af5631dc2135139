"""What every sampler owes its users, as tests to inherit.

    from pyg_negsamp.testing import SamplerContract

    class TestMySampler(SamplerContract):
        sampler_class = MySampler
        arguments = {"sharpness": 2.0}

pytest then runs all of the checks below on `MySampler`, for one layer and several, for every
pooling, for one negative and several. They check the contract, not the method: add an oracle
of your own for that.
"""

from __future__ import annotations

import copy

import pytest
import torch
from torch_geometric.data import Data

from pyg_negsamp.graph import EDGE_TYPE
from pyg_negsamp.layers import pool_rows
from pyg_negsamp.losses import BPRLoss
from pyg_negsamp.testing.numbers import NumbersContract
from pyg_negsamp.testing.toy_problem import toy


class SamplerContract(NumbersContract):
    """Inherit, set `sampler_class`, and let pytest run it.

    Attributes:
        sampler_class: The class under test.
        arguments: What its constructor needs besides the common arguments.
        least_candidates: The fewest candidates it can choose from.
    """

    # Results --------------------------------------------------------------------------------

    def test_shapes_and_types(self) -> None:
        """`xs` is `[B, K, H, D]` in the embeddings' type; `index`, `weight`, `loss` fit it."""
        for problem, sampler in self.cases():
            negatives = self.sample(sampler, problem)
            size, layers = len(problem.user), len(problem.item_xs)
            num, width = negatives.xs.size(1), problem.item_xs[0].size(1)
            assert num >= sampler.num_negatives
            assert negatives.xs.shape == (size, num, layers, width)
            assert negatives.xs.dtype == problem.item_xs[0].dtype
            if negatives.index is not None:
                assert negatives.index.shape in ((size, num), (size, num, layers))
                assert negatives.index.dtype == torch.long
            if negatives.weight is not None:
                assert negatives.weight.shape == (size, num)
            if negatives.loss is not None:
                assert negatives.loss.shape == ()
                assert negatives.loss.isfinite()

    def test_chooses_unobserved_items(self) -> None:
        """Nothing that the user has seen stands behind a negative."""
        for problem, sampler in self.cases():
            seen = set(map(tuple, problem.data[EDGE_TYPE].edge_index.t().tolist()))
            for _ in range(5):
                negatives = self.sample(sampler, problem, generator=None)
                index = negatives.index
                if index is not None:
                    pairs = torch.stack(
                        [
                            problem.user.view(-1, 1, 1)
                            .expand_as(index.view(len(index), index.size(1), -1))
                            .reshape(-1),
                            index.reshape(-1),
                        ]
                    )
                    if negatives.weight is not None:  # what has weight 0 does not count
                        pairs = pairs[:, negatives.weight.flatten() > 0]
                    assert not seen & set(map(tuple, pairs.t().tolist()))

    def test_chooses_among_the_candidates_given(self) -> None:
        """Candidates that come with the call are the only ones, or are refused."""
        for problem, sampler in self.cases():
            repeats = -(-self.least_candidates // 4)
            candidates = torch.tensor([[0, 3, 5, 7] * repeats]).expand(len(problem.user), -1)
            if not sampler.takes_candidates:
                with pytest.raises(ValueError, match="'candidates' must be none"):
                    self.sample(sampler, problem, candidates=candidates)
                continue
            index = self.sample(sampler, problem, candidates=candidates).index
            if index is not None:
                assert set(index.flatten().tolist()) <= {0, 3, 5, 7}

    def test_same_seed_same_result(self) -> None:
        """A generator decides everything; the global one is not touched."""
        for problem, sampler in self.cases():
            other = copy.deepcopy(sampler)
            before = torch.random.get_rng_state()
            first, second = self.sample(sampler, problem), self.sample(other, problem)
            assert torch.equal(before, torch.random.get_rng_state())
            torch.testing.assert_close(first.xs, second.xs, rtol=0, atol=0)

    def test_one_tensor_is_one_layer(self) -> None:
        """`[N, D]` and a sequence of one `[N, D]` are the same."""
        problem = toy(0)
        one, other = self.make(problem), self.make(problem)
        other.load_state_dict(one.state_dict())
        sequence = self.sample(one, problem)
        tensor = other.sample(
            problem.user,
            problem.pos,
            problem.user_xs[0],
            problem.item_xs[0],
            generator=problem.generator(),
        )
        torch.testing.assert_close(sequence.xs, tensor.xs, rtol=0, atol=0)

    # Gradients ------------------------------------------------------------------------------

    def test_gradients_reach_users_positives_and_negatives(self) -> None:
        """A ranking loss on the negatives trains all three roles, and nobody else."""
        for problem, sampler in self.cases():
            tables = [*problem.user_xs, *problem.item_xs]
            for x in tables:
                x.requires_grad_()
            negatives = self.sample(sampler, problem)
            user = pool_rows(
                torch.stack([x[problem.user] for x in problem.user_xs], 1), sampler.pool
            )
            pos = pool_rows(torch.stack([x[problem.pos] for x in problem.item_xs], 1), sampler.pool)
            neg = pool_rows(negatives.xs, sampler.pool)
            loss = BPRLoss()((user * pos).sum(-1), (user.unsqueeze(1) * neg).sum(-1))
            loss = loss if negatives.loss is None else loss + negatives.loss
            loss.backward()
            read = problem.user_xs[-1].grad, problem.item_xs[-1].grad
            assert read[0] is not None
            assert read[1] is not None
            assert read[0][problem.user].abs().sum(1).gt(0).all()
            items = [problem.pos]
            if negatives.index is not None:
                last = negatives.index if negatives.index.dim() == 2 else negatives.index[..., -1]
                items.append(last.flatten())
            assert read[1][torch.cat(items)].abs().sum(1).gt(0).all()
            idle = torch.ones(len(read[0]), dtype=torch.bool)
            idle[problem.user] = False
            assert not read[0][idle].any()

    # The transform --------------------------------------------------------------------------

    def test_transform_does_what_sample_does(self) -> None:
        """The batch gets `dst_neg_index` and `dst_neg_xs`, and is otherwise as it was."""
        for problem, sampler in self.cases():
            batch = problem.batch(n_marks=torch.arange(3))
            twin = copy.deepcopy(sampler)
            out = sampler(batch, problem.x_dict(), generator=problem.generator())
            negatives = self.sample(twin, problem)
            assert torch.equal(out["item"].dst_neg_xs, negatives.xs)
            if negatives.index is not None:
                assert torch.equal(out["item"].dst_neg_index, negatives.index)
            assert torch.equal(out["item"].n_marks, batch["item"].n_marks)
            assert "dst_neg_xs" not in batch["item"]
            assert "dst_neg_index" not in batch["item"]

    def test_takes_the_candidates_of_the_loader(self) -> None:
        """`dst_neg_index`, `[B]` or `[B, M]`, as PyG's triplet loaders draw it, comes first."""
        problem = toy()
        sampler = self.make(problem)
        if not sampler.takes_candidates:
            return
        for drawn in (torch.full((9, 6), 3), torch.full((9,), 3)):
            if drawn[0].numel() < self.least_candidates:
                continue
            batch = problem.batch(dst_neg_index=drawn)
            out = sampler(batch, problem.x_dict(), generator=problem.generator())
            assert torch.equal(batch["item"].dst_neg_index, drawn)
            if "dst_neg_index" in out["item"]:
                assert set(out["item"].dst_neg_index.flatten().tolist()) == {3}

    def test_does_not_change_its_arguments(self) -> None:
        """Embeddings and candidates come back as they went in."""
        for problem, sampler in self.cases():
            before = copy.deepcopy(problem)
            given = (torch.arange(max(6, self.least_candidates)) % 6).expand(9, -1)
            candidates = given.clone()
            self.sample(
                sampler, problem, candidates=candidates if sampler.takes_candidates else None
            )
            assert torch.equal(candidates, given)
            for old, new in zip(
                before.user_xs + before.item_xs, problem.user_xs + problem.item_xs, strict=True
            ):
                assert torch.equal(old, new)

    def test_works_under_other_names(self) -> None:
        """Node types may be called anything."""
        edge_type = ("customer", "buys", "product")
        problem = toy(edge_type=edge_type)
        sampler = self.make(problem, edge_type=edge_type)
        out = sampler(problem.batch(edge_type), problem.x_dict(edge_type))
        assert len(out["product"].dst_neg_xs) == 9
        if sampler.takes_candidates:
            assert out["product"].dst_neg_xs.size(1) == 1

    def test_works_on_homogeneous_graphs(self) -> None:
        """`Data`, with one table for sources and destinations."""
        problem = toy()
        problem.data = Data(edge_index=torch.tensor([[0, 1, 2], [1, 2, 3]]), num_nodes=12)
        sampler = self.make(problem)
        batch = Data(src_index=torch.tensor([0, 1]), dst_pos_index=torch.tensor([1, 2]))
        out = sampler(batch, problem.item_xs, generator=problem.generator())
        assert out.dst_neg_xs.shape[0::2] == (2, 4)
        if "dst_neg_index" in out:
            own = out.dst_neg_index.view(2, -1) == batch.dst_pos_index.view(2, 1)
            if "dst_neg_weight" in out:
                own = own & (out.dst_neg_weight > 0)
            assert not own.any()

    # State ----------------------------------------------------------------------------------

    def test_state_dict_round_trip(self) -> None:
        """A sampler that takes over another's state goes on as the other would."""
        problem = toy()
        first = self.make(problem)
        self.sample(first, problem)
        second = self.make(problem)
        second.load_state_dict(first.state_dict())
        torch.testing.assert_close(
            self.sample(first, problem).xs, self.sample(second, problem).xs, rtol=0, atol=0
        )

    def test_prints(self) -> None:
        """`repr` names the class."""
        assert self.sampler_class.__name__ in repr(self.make(toy()))

    # Errors ---------------------------------------------------------------------------------

    def test_refuses_bad_arguments(self) -> None:
        """Constructor arguments out of range raise `ValueError` naming them."""
        problem = toy()
        for arguments, name in (
            ({"num_negatives": 0}, "num_negatives"),
            ({"num_candidates": 2, "num_negatives": 3}, "num_candidates"),
            ({"pool": "median"}, "pool"),
        ):
            with pytest.raises(ValueError, match=name):
                self.make(problem, **arguments)

    def test_refuses_ids_out_of_range(self) -> None:
        """Users, positives and candidates have to exist."""
        problem = toy()
        sampler = self.make(problem)
        xs = problem.user_xs, problem.item_xs
        user, pos, bad = problem.user, problem.pos, torch.full((9,), 99)
        for arguments, name in (
            ((bad, pos, *xs), "user"),
            ((user, -bad, *xs), "pos"),
            ((user, pos, *xs, bad.view(9, 1).expand(-1, 6)), "candidates"),
            ((user, pos[:-1], *xs), "user, pos"),
            ((user, pos, *xs, bad), "candidates"),
            ((user, pos, problem.user_xs, problem.item_xs[:-1]), "user_xs"),
            ((user, pos, problem.user_xs, [x[:, 1:] for x in problem.item_xs]), "user_xs"),
        ):
            with pytest.raises(ValueError, match=name):
                sampler.sample(*arguments)

    def test_refuses_fewer_candidates_than_negatives(self) -> None:
        """`M >= K` also for candidates that are given."""
        problem = toy()
        sampler = self.make(problem, num_negatives=3)
        with pytest.raises(ValueError, match=r"num_negatives|none, as all rows share"):
            self.sample(sampler, problem, candidates=torch.zeros(9, 2, dtype=torch.long))

    def test_refuses_embeddings_that_are_not_finite(self) -> None:
        """NaN and infinity never pass silently."""
        for value in (torch.nan, torch.inf):
            problem = toy()
            for x in problem.item_xs:
                x[:] = value
            with pytest.raises(ValueError, match="finite"):
                self.sample(self.make(problem), problem)

    def test_names_what_a_batch_lacks(self) -> None:
        """A missing field, missing candidates, a subgraph without candidates: all named."""
        problem = toy()
        sampler = self.make(problem)
        batch = problem.batch()
        del batch["item"].dst_pos_index
        with pytest.raises(ValueError, match="dst_pos_index"):
            sampler(batch, problem.x_dict())
        if sampler.takes_candidates:
            subgraph = problem.batch(n_id=torch.arange(12))
            with pytest.raises(ValueError, match="dst_neg_index"):
                sampler(subgraph, problem.x_dict())
        sampler.candidates = None
        with pytest.raises(ValueError, match="candidates"):
            sampler(problem.batch(), problem.x_dict())
        if sampler.reads_embeddings:
            with pytest.raises(ValueError, match="x_dict"):
                sampler(problem.batch())
