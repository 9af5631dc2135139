"""ANS against its loop oracle, in both variants, with every ablation, and where it is singular."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from grid import as_given, every_case, problem_and_candidates
from oracles import ans
from pyg_negsamp.layers import POOLS, gather_rows, pool_rows
from pyg_negsamp.losses import BPRLoss
from pyg_negsamp.testing import SamplerContract, Toy, toy
from pyg_negsamp.transforms import ANS, DNS, Negatives, Selection

VARIANTS = ("released", "printed")
#: The switches of table 5, none and one at a time.
ABLATIONS: list[dict[str, bool]] = [
    {},
    {"disentangle": False},
    {"gain": False},
    {"direction": False},
    {"magnitude": False},
]


def seeded(sampler: ANS) -> ANS:
    """The sampler with fixed weights, large enough for gates and margins of all sizes."""
    generator = torch.Generator().manual_seed(3)
    for parameter in sampler.parameters():
        torch.nn.init.normal_(parameter, generator=generator)
    return sampler


def weights_of(sampler: ANS, step: float = 0.0) -> ans.Weights:
    """The sampler's matrices, moved by `step` in all entries."""
    item, user, margin = (x.detach() + step for x in sampler.parameters())
    return ans.Weights(item, user, margin[0])


def drawn_noise(sampler: ANS, problem: Toy, candidates: Tensor) -> Tensor:
    """The noise that `sample` will draw."""
    return sampler.choose(*as_given(problem), candidates, problem.generator()).state


def with_noise(sampler: ANS, problem: Toy, candidates: Tensor, noise: Tensor) -> Negatives:
    """What the sampler makes of a noise that is given."""
    neg = gather_rows(problem.item_xs, candidates.flatten()).unflatten(0, candidates.shape)
    user, pos = (
        gather_rows(problem.user_xs, problem.user),
        gather_rows(problem.item_xs, problem.pos),
    )
    return sampler.make(Selection(candidates, noise), user, pos, neg)


def rows_behind(negatives: Negatives, problem: Toy) -> Tensor:
    """The items that were augmented, `[B, K, H, D]`."""
    rows = gather_rows(problem.item_xs, negatives.index.flatten())
    return rows.unflatten(0, negatives.index.shape)


class TestANS(SamplerContract):
    sampler_class = ANS
    arguments: ClassVar[dict[str, Any]] = {"dim": 5}

    @every_case
    @pytest.mark.parametrize("variant", VARIANTS)
    @pytest.mark.parametrize("ablation", ABLATIONS, ids=str)
    def test_equals_the_oracle(
        self,
        num_layers: int,
        num_negatives: int,
        pool: str,
        variant: str,
        ablation: dict[str, bool],
    ) -> None:
        """With a large epsilon, so that the gain decides as much as the score."""
        problem, candidates = problem_and_candidates(num_layers)
        problem.user, problem.pos, candidates = (
            problem.user[:3],
            problem.pos[:3],
            candidates[:3, :5],
        )
        arguments = {"gamma": 0.7, "epsilon": 20.0, "variant": variant, **ablation}
        sampler = seeded(self.make(problem, num_negatives=num_negatives, pool=pool, **arguments))
        negatives = self.sample(sampler, problem, candidates=candidates)
        outcome = ans.ans(
            *as_given(problem),
            candidates,
            drawn_noise(sampler, problem, candidates),
            weights_of(sampler),
            20.0,
            num_negatives,
            pool,
            ans.Options(released=variant == "released", **ablation),
        )
        assert negatives.index.tolist() == outcome.ids
        vectors = torch.tensor(outcome.vectors, dtype=torch.double)
        torch.testing.assert_close(negatives.xs, vectors, rtol=1e-12, atol=1e-14)
        if ablation.get("disentangle", True):
            loss = ans.auxiliary_loss(outcome, 0.7, variant == "released")
            assert negatives.loss.item() == pytest.approx(loss, rel=1e-12)
        else:
            assert negatives.loss is None

    @every_case
    @pytest.mark.parametrize("variant", VARIANTS)
    def test_hard_only_equals_the_oracle(
        self, num_layers: int, num_negatives: int, pool: str, variant: str
    ) -> None:
        """Also if `disentangle` is off, which it has no use for."""
        problem, candidates = problem_and_candidates(num_layers)
        problem.user, problem.pos, candidates = problem.user[:2], problem.pos[:2], candidates[:2]
        arguments = {"num_negatives": num_negatives, "pool": pool, "variant": variant}
        sampler = seeded(self.make(problem, hard_only=True, gamma=0.7, **arguments))
        negatives = self.sample(sampler, problem, candidates=candidates)
        weights = weights_of(sampler)
        ids, vectors = ans.hns(*as_given(problem), candidates, weights, num_negatives, pool)
        assert negatives.index.tolist() == ids
        torch.testing.assert_close(
            negatives.xs, torch.tensor(vectors, dtype=torch.double), rtol=1e-12, atol=1e-14
        )
        first = candidates[:, :num_negatives]
        noise = torch.zeros(*first.shape, num_layers + 1, 5)
        options = ans.Options(released=variant == "released")
        outcome = ans.ans(*as_given(problem), first, noise, weights, 0.5, 1, pool, options)
        loss = ans.auxiliary_loss(outcome, 0.7, variant == "released")
        assert negatives.loss.item() == pytest.approx(loss, rel=1e-12)

        sampler.disentangle = False
        same = self.sample(sampler, problem, candidates=candidates)
        assert torch.equal(same.xs, negatives.xs)
        assert same.loss == negatives.loss

    # Noise ----------------------------------------------------------------------------------

    def test_noise_is_uniform_and_of_each_candidate_layer_and_dimension_its_own(self) -> None:
        problem, candidates = problem_and_candidates(3)
        sampler = self.make(problem)
        generator = problem.generator()
        noise = torch.stack(
            [sampler.choose(*as_given(problem), candidates, generator).state for _ in range(50)]
        )
        assert noise.shape == (50, 9, 6, 4, 5)
        assert 0 <= noise.min() < 1e-4
        assert 0.1 - 1e-4 < noise.max() < 0.1
        # Each to 6 deviations of 54,000 uniform numbers.
        assert abs(noise.mean() - 0.05) < 6 * 0.1 / 12**0.5 / noise.numel() ** 0.5
        assert abs(noise.std() - 0.1 / 12**0.5) < 2e-4
        for rows in (noise.flatten(0, 3), noise.transpose(-1, -2).flatten(0, 3)):
            assert torch.corrcoef(rows.t()).fill_diagonal_(0).abs().max() < 0.06

    def test_noise_is_ten_times_as_large_where_nothing_regulates_it(self) -> None:
        problem, candidates = problem_and_candidates(3)
        regulated, free = (
            drawn_noise(self.make(problem, magnitude=magnitude), problem, candidates)
            for magnitude in (True, False)
        )
        torch.testing.assert_close(free, 10 * regulated)

    @pytest.mark.parametrize("gain", [True, False])
    def test_no_noise_is_dns(self, gain: bool) -> None:
        """The gain is then zero for all, and the negative is the item itself."""
        for pool in POOLS:
            problem, candidates = problem_and_candidates(3)
            sampler = seeded(
                self.make(problem, gain=gain, epsilon=20.0, num_negatives=3, pool=pool)
            )
            noise = torch.zeros(9, 6, 4, 5, dtype=torch.double)
            negatives = with_noise(sampler, problem, candidates, noise)
            hard = self.sample(DNS(num_negatives=3, pool=pool), problem, candidates=candidates)
            assert torch.equal(negatives.index, hard.index)
            torch.testing.assert_close(negatives.xs, hard.xs, rtol=0, atol=0)

    def test_gain_changes_the_ranking(self) -> None:
        """And zero epsilon is no gain."""
        problem, candidates = problem_and_candidates(3)
        index = [
            self.sample(
                seeded(self.make(problem, **arguments)), problem, candidates=candidates
            ).index
            for arguments in ({"epsilon": 20.0}, {"epsilon": 20.0, "gain": False}, {"epsilon": 0.0})
        ]
        assert not torch.equal(index[0], index[1])
        assert torch.equal(index[1], index[2])

    @pytest.mark.parametrize("disentangle", [True, False])
    @pytest.mark.parametrize("variant", VARIANTS)
    def test_moves_towards_the_positive_in_every_dimension(
        self, variant: str, disentangle: bool
    ) -> None:
        """Easy parts differ as wholes do, because a gate is the same for both."""
        problem, candidates = problem_and_candidates(3)
        sampler = seeded(self.make(problem, variant=variant, disentangle=disentangle))
        negatives = self.sample(sampler, problem, candidates=candidates)
        neg = rows_behind(negatives, problem)
        pos = gather_rows(problem.item_xs, problem.pos).unsqueeze(1)
        move, way = negatives.xs - neg, pos - neg
        assert (move * way >= 0).all()
        assert ((move != 0).all(-1) == (way != 0).all(-1))[move.abs().sum(-1) > 1e-6].all()

    def test_the_positive_itself_is_not_augmented(self) -> None:
        problem, _ = problem_and_candidates(3)
        for variant in VARIANTS:
            sampler = seeded(self.make(problem, variant=variant))
            negatives = self.sample(sampler, problem, candidates=problem.pos.unsqueeze(1))
            assert torch.equal(negatives.xs.squeeze(1), gather_rows(problem.item_xs, problem.pos))

    def test_printed_shortens_the_noise_that_is_too_long_and_no_other(self) -> None:
        """And without direction it is added as it is."""
        problem, candidates = problem_and_candidates(3)
        noise = 10 * drawn_noise(self.make(problem), problem, candidates)
        kept = []
        for magnitude in (True, False):
            arguments = {"variant": "printed", "direction": False, "magnitude": magnitude}
            sampler = seeded(self.make(problem, num_negatives=6, **arguments))
            negatives = with_noise(sampler, problem, candidates, noise)
            place = (negatives.index.unsqueeze(2) == candidates.unsqueeze(1)).long().argmax(2)
            own = noise[torch.arange(9).unsqueeze(1), place]
            move = negatives.xs - rows_behind(negatives, problem)
            share = move.norm(dim=-1) / own.norm(dim=-1)
            torch.testing.assert_close(move, share.unsqueeze(-1) * own)
            kept.append((share > 1 - 1e-9).double().mean())
            assert (share < 1 + 1e-9).all()
            assert (move.norm(dim=-1) < 1).all() or not magnitude
        assert 0 < kept[0] < 1
        assert kept[1] == 1

    def test_released_is_a_tenth_of_the_margin_long(self) -> None:
        """Whatever the length of the noise; 0.1 where the margin is one."""
        problem, candidates = problem_and_candidates(3)
        sampler = seeded(self.make(problem, direction=False))
        noise = drawn_noise(sampler, problem, candidates)
        short, long = (with_noise(sampler, problem, candidates, x * noise) for x in (1, 100))
        torch.testing.assert_close(short.xs, long.xs)
        length = (short.xs - rows_behind(short, problem)).norm(dim=-1)
        assert 0 <= length.min() < 0.03
        assert 0.05 < length.max() <= 0.1 + 1e-12
        torch.nn.init.zeros_(sampler.margin_map.weight)
        negatives = with_noise(sampler, problem, candidates, noise)
        length = (negatives.xs - rows_behind(negatives, problem)).norm(dim=-1)
        torch.testing.assert_close(length, torch.full_like(length, 0.1))

    @pytest.mark.parametrize("variant", VARIANTS)
    @pytest.mark.parametrize("scale", [0.0, 1e-300, 1e-6, -1e-6, 1e-2, -1e-2])
    def test_margins_at_their_singularity_are_those_of_the_oracle(
        self, variant: str, scale: float
    ) -> None:
        problem, candidates = problem_and_candidates(0)
        sampler = seeded(self.make(problem, variant=variant))
        torch.nn.init.constant_(sampler.margin_map.weight, scale)
        noise = 20 * drawn_noise(sampler, problem, candidates)
        negatives = with_noise(sampler, problem, candidates, noise)
        options = ans.Options(released=variant == "released")
        weights = weights_of(sampler)
        outcome = ans.ans(*as_given(problem), candidates, noise, weights, 0.5, 1, "mean", options)
        assert negatives.index.tolist() == outcome.ids
        expected = torch.tensor(outcome.vectors, dtype=torch.double)
        torch.testing.assert_close(negatives.xs, expected, rtol=1e-12, atol=1e-14)

    # Closed forms of the factors ------------------------------------------------------------

    @pytest.mark.parametrize("variant", VARIANTS)
    def test_loss_of_gates_at_one_half(self, variant: str) -> None:
        """Hard and easy parts are the same half, so nothing is left of the contrast."""
        problem, candidates = problem_and_candidates(0)
        sampler = seeded(self.make(problem, variant=variant, gamma=2.0))
        torch.nn.init.zeros_(sampler.item_map.weight)
        loss = self.sample(sampler, problem, candidates=candidates).loss
        pos = problem.item_xs[0][problem.pos].unsqueeze(1)
        neg = problem.item_xs[0][candidates]
        if variant == "printed":
            each = (pos - neg).square().sum(-1) / 4 + (pos * neg).sum(-1) / 4
            expected = each.sum(1).mean()
        else:
            each = (pos - neg).norm(dim=-1) / 2 + (pos * neg).norm(dim=-1) / 4
            expected = math.log(1 + candidates.size(1)) + each.mean()
        torch.testing.assert_close(loss, 2.0 * expected)

    def test_hard_only_with_gates_at_one_half_is_half_the_candidate(self) -> None:
        problem, candidates = problem_and_candidates(3)
        sampler = self.make(problem, hard_only=True, num_negatives=2)
        torch.nn.init.zeros_(sampler.user_map.weight)
        negatives = self.sample(sampler, problem, candidates=candidates)
        assert torch.equal(negatives.index, candidates[:, :2])
        assert torch.equal(negatives.xs, rows_behind(negatives, problem) / 2)

    def test_printed_loss_falls_without_bound_and_released_does_not(self) -> None:
        """Everything hard, and the candidate like the positive: only `-s(u, n)` is left."""
        user = torch.eye(5, dtype=torch.double)[:1]
        row = torch.zeros(1, dtype=torch.long)
        for size in (1e2, 1e4):
            for variant, expected in (("printed", -size), ("released", 0.0)):
                sampler = ANS(dim=5, variant=variant, gamma=1.0).double()
                torch.nn.init.eye_(sampler.item_map.weight)
                torch.nn.init.eye_(sampler.user_map.weight)
                loss = sampler.sample(row, row, user, size * user, row.view(1, 1)).loss
                assert loss.item() == pytest.approx(expected, abs=1e-9)

    # Gradients ------------------------------------------------------------------------------

    @pytest.mark.parametrize("pool", POOLS)
    @pytest.mark.parametrize("variant", VARIANTS)
    def test_gradients_are_those_of_the_oracle(self, pool: str, variant: str) -> None:
        """Of maps, users and items together, along one direction: all entries by the same."""
        problem, candidates = problem_and_candidates(3)
        problem.user, problem.pos, candidates = problem.user[:2], problem.pos[:2], candidates[:2]
        arguments = {"gamma": 0.7, "variant": variant, "pool": pool, "num_negatives": 2}
        sampler = seeded(self.make(problem, **arguments))
        tables = [*problem.user_xs, *problem.item_xs]
        for x in tables:
            x.requires_grad_()
        noise = 3 * drawn_noise(sampler, problem, candidates)
        negatives = with_noise(sampler, problem, candidates, noise)
        user = pool_rows(gather_rows(problem.user_xs, problem.user), pool)
        pos = pool_rows(gather_rows(problem.item_xs, problem.pos), pool)
        neg_score = (user.unsqueeze(1) * pool_rows(negatives.xs, pool)).sum(-1)
        loss = BPRLoss()((user * pos).sum(-1), neg_score) + negatives.loss
        loss.backward()
        slope = sum(x.grad.sum().item() for x in (*tables, *sampler.parameters()))
        options = ans.Options(released=variant == "released")

        def value(step: float) -> float:
            moved = [[x.detach() + step for x in xs] for xs in as_given(problem)[2:]]
            given = problem.user, problem.pos, *moved
            weights = weights_of(sampler, step)
            outcome = ans.ans(*given, candidates, noise, weights, 0.5, 2, pool, options)
            return ans.total_loss(*given, outcome, 0.7, pool, variant == "released")

        assert loss.item() == pytest.approx(value(0.0), rel=1e-9)
        assert slope == pytest.approx((value(1e-6) - value(-1e-6)) / 2e-6, rel=1e-6)
        assert abs(slope) > 1e-2

    def backward(
        self, part: str, problem: Toy | None = None, zero_margin: bool = False, **arguments: Any
    ) -> tuple[list[Tensor], dict[str, Tensor | None]]:
        """Gradients of the item layers and, by name, of the maps: of `xs` or `loss` alone."""
        problem = toy(3) if problem is None else problem
        candidates = problem_and_candidates(3)[1]
        sampler = seeded(self.make(problem, **arguments))
        if zero_margin:
            torch.nn.init.zeros_(sampler.margin_map.weight)
        for x in (*problem.user_xs, *problem.item_xs):
            x.requires_grad_()
        value = getattr(self.sample(sampler, problem, candidates=candidates), part)
        (value + value.square()).sum().backward()
        maps = {name: p.grad for name, p in sampler.named_parameters()}
        return [x.grad for x in problem.item_xs], maps

    @pytest.mark.parametrize("variant", VARIANTS)
    @pytest.mark.parametrize("hard_only", [True, False])
    def test_loss_reaches_gates_and_not_the_margin(self, variant: str, hard_only: bool) -> None:
        items, maps = self.backward("loss", variant=variant, hard_only=hard_only)
        assert maps["item_map.weight"].abs().sum() > 0
        assert maps["user_map.weight"].abs().sum() > 0
        assert maps["margin_map.weight"] is None
        if not hard_only:  # All candidates of a batch that offers all items.
            assert all(x.abs().sum(1).gt(0).all() for x in items)

    @pytest.mark.parametrize("variant", VARIANTS)
    def test_rows_train_the_margin_if_there_is_one(self, variant: str) -> None:
        arguments = {"variant": variant, "num_negatives": 6}
        maps = self.backward("xs", **arguments)[1]
        # Noise that is short enough is not the margin's; but not all of it is.
        assert all(grad.abs().sum() > 0 for grad in maps.values())
        maps = self.backward("xs", **arguments, disentangle=False)[1]
        assert maps["margin_map.weight"].abs().sum() > 0
        assert maps["item_map.weight"] is None
        maps = self.backward("xs", **arguments, magnitude=False)[1]
        assert maps["margin_map.weight"] is None
        assert not any(grad is not None and grad.any() for grad in maps.values())

    @pytest.mark.parametrize("variant", VARIANTS)
    @pytest.mark.parametrize("ablation", [*ABLATIONS, {"hard_only": True}], ids=str)
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_gradients_are_finite_where_something_is_zero(
        self, variant: str, ablation: dict[str, bool], dtype: torch.dtype
    ) -> None:
        parts = ["xs"] if "disentangle" in ablation else ["xs", "loss"]
        for part in parts:
            for scale, zero_margin in ((0.0, False), (1.0, True), (1e-4, False)):
                problem = toy(3, dtype=dtype)
                for x in (*problem.user_xs, *problem.item_xs):
                    x *= scale
                arguments = {"variant": variant, **ablation}
                items, maps = self.backward(part, problem, zero_margin, **arguments)
                assert all(x.isfinite().all() for x in items)
                assert all(x is None or x.isfinite().all() for x in maps.values())

    def test_gradients_are_finite_if_a_candidate_is_the_positive(self) -> None:
        """The distance of their hard factors is then a norm at zero."""
        for variant in VARIANTS:
            problem = toy(3)
            for x in (*problem.user_xs, *problem.item_xs):
                x.requires_grad_()
            sampler = seeded(self.make(problem, variant=variant))
            given = problem.pos.unsqueeze(1).expand(-1, 2)
            self.sample(sampler, problem, candidates=given).loss.backward()
            for x in (*problem.user_xs, *problem.item_xs):
                assert x.grad.isfinite().all()
                assert x.grad.abs().sum() > 0

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("dim", 0),
            ("gamma", -0.1),
            ("gamma", float("nan")),
            ("epsilon", -0.1),
            ("epsilon", float("inf")),
            ("variant", "paper"),
        ],
    )
    def test_refuses_bad_arguments_of_its_own(self, name: str, value: Any) -> None:
        with pytest.raises(ValueError, match=f"ANS: '{name}'"):
            ANS(**{name: value})


class TestHNS(SamplerContract):
    """The contract for the variant that chooses nothing."""

    sampler_class = ANS
    arguments: ClassVar[dict[str, Any]] = {"dim": 5, "hard_only": True}


class TestANSWithoutFactors(SamplerContract):
    """The contract for the ablation that has no loss."""

    sampler_class = ANS
    arguments: ClassVar[dict[str, Any]] = {"dim": 5, "disentangle": False, "variant": "printed"}
