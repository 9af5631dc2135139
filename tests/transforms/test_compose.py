"""Compositions against doing both by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from grid import as_given, every_case, problem_and_candidates
from oracles import ahns
from oracles.dins import boundary_weight
from oracles.mixgcf import mix
from oracles.pooling import layer_vectors, user_vector_of_layer
from pyg_negsamp.candidates import UniformCandidates
from pyg_negsamp.graph import EDGE_TYPE
from pyg_negsamp.layers import gather_rows
from pyg_negsamp.testing import SamplerContract, Toy, toy
from pyg_negsamp.transforms import (
    AHNS,
    ANS,
    DENS,
    DINS,
    DNS,
    IRGAN,
    PRIS,
    RNS,
    Compose,
    ContrastiveDNS,
    MixGCF,
    NegativeSampling,
)


class Scaled(RNS):
    """A synthesizer with a parameter, that writes down what it is told."""

    def __init__(self, **common: Any) -> None:
        super().__init__(**common)
        self.scale = torch.nn.Parameter(torch.tensor(2.0, dtype=torch.double))
        self.told: list[object] = []

    def set_epoch(self, epoch: int, max_epochs: int) -> None:
        self.told.append((epoch, max_epochs))

    def refresh(self, x_dict: Mapping[str, Any]) -> None:
        self.told.append(x_dict)

    def synthesize(self, user: Tensor, pos: Tensor, neg: Tensor, state: Any = None) -> Tensor:
        return self.scale * neg


def layer_ids(index: Tensor, num_layers: int) -> list[list[list[int]]]:
    """`[B][K][H]` ids, also of items that were chosen for all layers at once."""
    if index.dim() == 2:
        index = index.unsqueeze(-1).expand(-1, -1, num_layers + 1)
    return index.tolist()


def mixed_by_dins(problem: Toy, index: Tensor, beta: float, pool: str) -> Tensor:
    """What DINS makes of given items, `[B, K, H, D]`, one number after the other."""
    H = len(problem.item_xs)
    result = []
    for b, rows in enumerate(layer_ids(index, H - 1)):
        user_layers = layer_vectors(problem.user_xs, int(problem.user[b]))
        pos_layers = layer_vectors(problem.item_xs, int(problem.pos[b]))
        of_b = []
        for row in rows:
            layers = []
            for h in range(H):
                e_u, e_p = user_vector_of_layer(user_layers, h, pool), pos_layers[h]
                e_n = layer_vectors(problem.item_xs, row[h])[h]
                vector = []
                for d in range(len(e_p)):
                    alpha = boundary_weight(e_u[d], e_p[d], e_n[d], beta)
                    vector.append(alpha * e_n[d] + (1 - alpha) * e_p[d])
                layers.append(vector)
            of_b.append(layers)
        result.append(of_b)
    return torch.tensor(result, dtype=torch.double)


def mixed_by_mixgcf(problem: Toy, index: Tensor, alpha: Tensor) -> Tensor:
    """What MixGCF makes of given items with given coefficients, `[B, K, H]` or `[B, K, 1]`."""
    H = len(problem.item_xs)
    alpha = alpha.expand(-1, -1, H)
    result = []
    for b, rows in enumerate(layer_ids(index, H - 1)):
        pos_layers = layer_vectors(problem.item_xs, int(problem.pos[b]))
        of_b = []
        for k, row in enumerate(rows):
            neg_layers = [layer_vectors(problem.item_xs, row[h])[h] for h in range(H)]
            of_b.append(
                [mix(float(alpha[b, k, h]), pos_layers[h], neg_layers[h]) for h in range(H)]
            )
        result.append(of_b)
    return torch.tensor(result, dtype=torch.double)


class TestCompose(SamplerContract):
    sampler_class = Compose

    def make(self, problem: Toy, **arguments: Any) -> Compose:
        """AHNS, mixed by DINS."""
        arguments = {"num_candidates": 6, **arguments}
        candidates = UniformCandidates(
            problem.data, edge_type=arguments.get("edge_type", EDGE_TYPE)
        )
        select = AHNS(candidates, beta=0.7, **arguments)
        return Compose(select, DINS(beta=2.0, pool=select.pool))

    def test_names_what_a_batch_lacks(self) -> None:
        """As any sampler; candidates are those of the selector."""
        problem = toy()
        sampler = self.make(problem)
        batch = problem.batch()
        del batch["item"].dst_pos_index
        with pytest.raises(ValueError, match="dst_pos_index"):
            sampler(batch, problem.x_dict())
        with pytest.raises(ValueError, match="dst_neg_index"):
            sampler(problem.batch(n_id=torch.arange(12)), problem.x_dict())
        with pytest.raises(ValueError, match="x_dict"):
            sampler(problem.batch())
        sampler.selector.candidates = None
        with pytest.raises(ValueError, match="candidates"):
            sampler(problem.batch(), problem.x_dict())

    @every_case
    def test_equals_both_oracles_in_turn(
        self, num_layers: int, num_negatives: int, pool: str
    ) -> None:
        problem, candidates = problem_and_candidates(num_layers)
        sampler = self.make(problem, num_negatives=num_negatives, pool=pool)
        negatives = self.sample(sampler, problem, candidates=candidates)
        ids = ahns.select(*as_given(problem), candidates, 1.0, 0.7, -2.0, num_negatives, pool)
        assert negatives.index.tolist() == ids
        xs = mixed_by_dins(problem, torch.tensor(ids), 2.0, pool)
        torch.testing.assert_close(negatives.xs, xs)
        assert negatives.loss is None
        assert negatives.weight is None

    @every_case
    def test_equals_both_samplers_by_hand(
        self, num_layers: int, num_negatives: int, pool: str
    ) -> None:
        """With candidates that it draws itself: the selector's, and as many."""
        problem = toy(num_layers)
        sampler = self.make(problem, num_negatives=num_negatives, pool=pool)
        negatives = self.sample(sampler, problem)
        alone = self.sample(sampler.selector, problem)
        assert torch.equal(negatives.index, alone.index)
        rows = (gather_rows(*x) for x in zip(*self.roles(problem), strict=True))
        xs = sampler.synthesizer.synthesize(*rows, alone.xs)
        assert torch.equal(negatives.xs, xs)
        assert not torch.allclose(negatives.xs, alone.xs)

    @staticmethod
    def roles(problem: Toy) -> tuple[tuple[list[Tensor], ...], tuple[Tensor, ...]]:
        """Tables and ids of users and positives."""
        return (problem.user_xs, problem.item_xs), (problem.user, problem.pos)

    @every_case
    @pytest.mark.parametrize("select", [DNS, DINS])
    def test_coefficients_come_from_the_generator(
        self, num_layers: int, num_negatives: int, pool: str, select: type[NegativeSampling]
    ) -> None:
        """One per negative of a selector over all layers, one per layer of one by layer."""
        problem, candidates = problem_and_candidates(num_layers)
        common = {"pool": pool, "num_negatives": num_negatives}
        sampler = Compose(select(**common), MixGCF(pool=pool))
        before = torch.random.get_rng_state()
        negatives = self.sample(sampler, problem, candidates=candidates)
        assert torch.equal(before, torch.random.get_rng_state())
        index = self.sample(select(**common), problem, candidates=candidates).index
        assert torch.equal(negatives.index, index)
        size = (9, num_negatives, num_layers + 1 if select is DINS else 1)
        alpha = torch.rand(size, dtype=torch.double, generator=problem.generator())
        torch.testing.assert_close(negatives.xs, mixed_by_mixgcf(problem, index, alpha))

    def test_selecting_by_one_method_and_mixing_by_it_is_the_method(self) -> None:
        problem, candidates = problem_and_candidates(3)
        pair = [
            self.sample(sampler, problem, candidates=candidates).xs
            for sampler in (Compose(DINS(beta=3.0), DINS(beta=3.0)), DINS(beta=3.0))
        ]
        assert torch.equal(*pair)

    @every_case
    def test_keeps_the_auxiliary_loss_of_dens(
        self, num_layers: int, num_negatives: int, pool: str
    ) -> None:
        problem, candidates = problem_and_candidates(num_layers)
        dens = DENS(dim=5, num_negatives=num_negatives, pool=pool).double()
        alone = self.sample(dens, problem, candidates=candidates)
        sampler = Compose(dens, DINS(beta=2.0, pool=pool))
        negatives = self.sample(sampler, problem, candidates=candidates)
        assert torch.equal(negatives.index, alone.index)
        torch.testing.assert_close(negatives.loss, alone.loss, rtol=0, atol=0)
        xs = mixed_by_dins(problem, alone.index, 2.0, pool)
        torch.testing.assert_close(negatives.xs, xs)
        negatives.loss.backward()
        assert all(x.grad.abs().sum() > 0 for x in sampler.parameters())

    @every_case
    def test_keeps_the_auxiliary_loss_of_irgan(
        self, num_layers: int, num_negatives: int, pool: str
    ) -> None:
        problem = toy(num_layers)
        common = {"num_candidates": 6, "num_negatives": num_negatives, "pool": pool}
        irgan = IRGAN(UniformCandidates(problem.data), dim=3, temperature=0.2, **common).double()
        alone = self.sample(irgan, problem)
        negatives = self.sample(Compose(irgan, DINS(beta=2.0, pool=pool)), problem)
        assert torch.equal(negatives.index, alone.index)
        torch.testing.assert_close(negatives.loss, alone.loss, rtol=0, atol=0)
        xs = mixed_by_dins(problem, alone.index, 2.0, pool)
        torch.testing.assert_close(negatives.xs, xs)
        negatives.loss.backward()
        assert all(x.grad.abs().sum() > 0 for x in irgan.parameters())

    @every_case
    def test_keeps_the_weights_of_pris(
        self, num_layers: int, num_negatives: int, pool: str
    ) -> None:
        problem, candidates = problem_and_candidates(num_layers)
        pris = PRIS(num_negatives=num_negatives, pool=pool)
        alone = self.sample(pris, problem, candidates=candidates)
        sampler = Compose(pris, DINS(beta=2.0, pool=pool))
        negatives = self.sample(sampler, problem, candidates=candidates)
        assert torch.equal(negatives.index, alone.index)
        assert torch.equal(negatives.weight, alone.weight)
        xs = mixed_by_dins(problem, alone.index, 2.0, pool)
        torch.testing.assert_close(negatives.xs, xs)
        batch = problem.batch(dst_neg_index=candidates)
        out = sampler(batch, problem.x_dict(), generator=problem.generator())
        assert torch.equal(out["item"].dst_neg_weight, alone.weight)

    def test_draws_as_the_selector_does(self) -> None:
        """A selector with a first pass of its own keeps it."""
        problem = toy()
        candidates = UniformCandidates(problem.data)
        select = ContrastiveDNS(candidates, k=3, num_candidates=6, num_negatives=3)
        sampler = Compose(select, DINS())
        sampler.set_epoch(select.n, 99)
        sampler.refresh(problem.x_dict())
        negatives = self.sample(sampler, problem)
        for b, user in enumerate(problem.user.tolist()):
            retrieved = set(select.retrieved[user].tolist())
            assert set(negatives.index[b, 1:].tolist()) <= retrieved

    @pytest.mark.parametrize("num_negatives", [1, 6])
    def test_refuses_to_select_by_a_method_that_makes_its_own_choice_last(
        self, num_negatives: int
    ) -> None:
        """ANS puts its choice in order after synthesis, also where it keeps all candidates."""
        problem, candidates = problem_and_candidates(3)
        ans = ANS(dim=5, num_candidates=6, num_negatives=num_negatives).double()
        with pytest.raises(ValueError, match=r"Compose: 'select' .*ANS"):
            self.sample(Compose(ans, DINS()), problem, candidates=candidates)

    def test_refuses_pools_that_disagree(self) -> None:
        with pytest.raises(ValueError, match=r"Compose: 'synthesize' .*'sum'.*mean"):
            Compose(AHNS(pool="sum"), DINS())

    def test_takes_its_numbers_from_the_selector(self) -> None:
        edge_type = ("a", "to", "b")
        select = AHNS(num_candidates=7, num_negatives=2, pool="sum", edge_type=edge_type)
        sampler = Compose(select, DINS(num_candidates=9, num_negatives=5, pool="sum"))
        assert (sampler.num_candidates, sampler.num_negatives) == (7, 2)
        assert (sampler.pool, sampler.edge_type) == ("sum", edge_type)

    def test_both_are_told_where_training_stands(self) -> None:
        x_dict = toy().x_dict()
        sampler = Compose(Scaled(), Scaled())
        sampler.set_epoch(3, 8)
        sampler.refresh(x_dict)
        for part in (sampler.selector, sampler.synthesizer):
            assert part.told[0] == (3, 8)
            assert part.told[1] is x_dict
            assert len(part.told) == 2

    def test_both_have_their_parameters_in_the_state(self) -> None:
        """And both learn."""
        problem, candidates = problem_and_candidates(0)
        sampler = Compose(DENS(dim=5).double(), Scaled())
        names = set(sampler.state_dict())
        assert {f"selector.{name}" for name in DENS(dim=5).state_dict()} < names
        assert names - {name for name in names if name.startswith("selector.")} == {
            "synthesizer.scale"
        }
        assert {name for name, _ in sampler.named_parameters()} == names
        negatives = self.sample(sampler, problem, candidates=candidates)
        (negatives.loss + negatives.xs.square().sum()).backward()
        assert all(x.grad.abs().sum() > 0 for x in sampler.parameters())
        other = Compose(DENS(dim=5).double(), Scaled())
        other.synthesizer.scale.data.fill_(7)
        other.load_state_dict(sampler.state_dict())
        again = self.sample(other, problem, candidates=candidates)
        assert torch.equal(again.xs, negatives.xs)
        assert torch.equal(again.loss, negatives.loss)

    def test_compositions_select(self) -> None:
        """A composition can be selected by; its own mixing gives way to the outer one's."""
        problem, candidates = problem_and_candidates(3)
        inner = Compose(AHNS(beta=0.7), MixGCF())
        negatives = self.sample(Compose(inner, DINS(beta=2.0)), problem, candidates=candidates)
        plain = self.sample(Compose(AHNS(beta=0.7), DINS(beta=2.0)), problem, candidates=candidates)
        assert torch.equal(negatives.xs, plain.xs)


def test_refuses_a_synthesizer_that_mixes_nothing() -> None:
    with pytest.raises(ValueError, match="Compose: 'synthesize' must be a sampler that mixes"):
        Compose(DNS(), AHNS())


def test_refuses_a_selector_that_takes_no_items() -> None:
    problem = toy()
    candidates = UniformCandidates(problem.data)
    with pytest.raises(ValueError, match="Compose: 'select' must be a sampler that hands on"):
        Compose(ANS(candidates, dim=5), MixGCF())


def test_knows_the_width_of_its_parts() -> None:
    problem = toy()
    sampler = Compose(DENS(UniformCandidates(problem.data), dim=64), MixGCF())
    with pytest.raises(ValueError, match="of width 64"):
        sampler.sample(problem.user, problem.pos, problem.user_xs, problem.item_xs)
