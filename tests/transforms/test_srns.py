"""SRNS against its loop oracle: what it chooses, what its memory keeps, and what is saved."""

from __future__ import annotations

import io
import itertools
from collections import Counter
from typing import Any

import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor
from torch_geometric.data import HeteroData

from grid import as_given, every_case, problem_and_candidates
from oracles import srns
from oracles.scoring import candidate_scores
from pyg_negsamp.candidates import UniformCandidates
from pyg_negsamp.graph import EDGE_TYPE
from pyg_negsamp.layers import POOLS
from pyg_negsamp.testing import SamplerContract, Toy, toy
from pyg_negsamp.transforms import DNS, SRNS
from pyg_negsamp.transforms.per_user import is_repeat

Tables = tuple[list[Tensor], list[Tensor]]


def live_through(sampler: SRNS, num_layers: int, epochs: int) -> list[Tables]:
    """Refreshes the sampler with embeddings of earlier epochs, and returns them."""
    past = [toy(num_layers, seed=100 + epoch) for epoch in range(epochs)]
    for problem in past:
        sampler.refresh(problem.x_dict())
    return [(problem.user_xs, problem.item_xs) for problem in past]


def recorded(
    problem: Toy, past: list[Tables], candidates: list[list[int]], pool: str
) -> list[list[list[float]]]:
    """The oracle's `history`: what each epoch would have recorded, `[B][M][epochs]`."""
    pairs = zip(problem.user.tolist(), problem.pos.tolist(), candidates, strict=True)
    return [
        [[srns.positive_probability(*xs, u, k, p, pool) for xs in past] for k in row]
        for u, p, row in pairs
    ]


def crowd(num_users: int) -> UniformCandidates:
    """Candidates of many users who have all seen item 7 of 8."""
    data = HeteroData()
    data["user"].num_nodes, data["item"].num_nodes = num_users, 8
    user = torch.arange(num_users)
    data[EDGE_TYPE].edge_index = torch.stack([user, torch.full_like(user, 7)])
    return UniformCandidates(data)


class TestSRNS(SamplerContract):
    sampler_class = SRNS

    # The choice -----------------------------------------------------------------------------

    @every_case
    @pytest.mark.parametrize(("epochs", "epoch"), [(0, 25), (3, 4), (7, 25)])
    def test_equals_the_oracle(
        self, num_layers: int, num_negatives: int, pool: str, epochs: int, epoch: int
    ) -> None:
        """From given candidates and from the memory, and of seven epochs only the last five."""
        problem, candidates = problem_and_candidates(num_layers)
        problem.user, problem.pos, candidates = problem.user[:3], problem.pos[:3], candidates[:3]
        arguments = {"alpha": 3.0, "warmup": 10}
        sampler = self.make(problem, num_negatives=num_negatives, pool=pool, **arguments)
        past = live_through(sampler, num_layers, epochs)
        sampler.set_epoch(epoch, 99)
        weight = srns.warm_up(epoch, 3.0, 10)
        memory = sampler.memory[problem.user]
        for given, options in ((candidates, candidates), (None, memory)):
            chosen = self.sample(sampler, problem, candidates=given)
            rows = options.tolist()
            history = recorded(problem, past, rows, pool)
            expected = srns.select(*as_given(problem), rows, history, weight, num_negatives, pool)
            assert chosen.index.tolist() == expected
            table = torch.stack(problem.item_xs, 1)
            assert torch.equal(chosen.xs, table[chosen.index])
            assert chosen.loss is None
            assert chosen.weight is None

    @pytest.mark.parametrize("epoch", [0, 1, 5, 10, 11, 40])
    def test_warms_up(self, epoch: int) -> None:
        """The oracle's weight, and no weight at all if there is no alpha."""
        problem, candidates = problem_and_candidates(3)
        sampler = self.make(problem, alpha=3.0, warmup=10)
        past = live_through(sampler, 3, 4)
        sampler.set_epoch(epoch, 99)
        rows = candidates.tolist()
        history = recorded(problem, past, rows, "mean")
        weight = srns.warm_up(epoch, 3.0, 10)
        expected = srns.select(*as_given(problem), rows, history, weight, 1, "mean")
        assert self.sample(sampler, problem, candidates=candidates).index.tolist() == expected

    def test_history_warm_up_and_the_number_of_epochs_change_the_choice(self) -> None:
        """So that the comparison with the oracle says something."""
        problem, candidates = problem_and_candidates(3)

        def choice(epochs: int, epoch: int, alpha: float = 3.0) -> list[list[int]]:
            sampler = self.make(problem, alpha=alpha, warmup=10)
            live_through(sampler, 3, epochs)
            sampler.set_epoch(epoch, 99)
            return self.sample(sampler, problem, candidates=candidates).index.tolist()

        hard = self.sample(DNS(), problem, candidates=candidates).index.tolist()
        assert choice(0, 10) == choice(1, 10) == choice(5, 0) == choice(5, 10, 0.0) == hard
        assert choice(5, 2) != hard
        assert choice(5, 2) != choice(5, 10) == choice(5, 98)
        assert choice(5, 10) != choice(3, 10)

    def test_takes_the_item_whose_score_moved(self) -> None:
        """Items 1 and 2 score alike today; only 2 did otherwise before."""
        user, pos = torch.tensor([0]), torch.tensor([0])
        users, items = torch.ones(1, 1), torch.tensor([[1.0], [0.9], [0.8]])
        sampler = SRNS(warmup=1, alpha=1.0)
        for value in (-5.0, 5.0):
            sampler.refresh({"user": users, "item": torch.tensor([[1.0], [0.9], [value]])})
        candidates = torch.tensor([[1, 2]])
        for epoch, expected in ((0, 1), (1, 2)):
            sampler.set_epoch(epoch, 9)
            assert sampler.sample(user, pos, users, items, candidates).index.item() == expected

    # The history ----------------------------------------------------------------------------

    def test_history_is_bounded_to_five(self) -> None:
        sampler = self.make(toy(), pool="concat")
        past = live_through(sampler, 3, 8)
        assert len(sampler.history) == 5
        for (users, items), (user_xs, item_xs) in zip(sampler.history, past[3:], strict=True):
            assert torch.equal(users, torch.cat(user_xs, 1))
            assert torch.equal(items, torch.cat(item_xs, 1))

    @pytest.mark.parametrize("pool", POOLS)
    def test_history_is_a_copy_without_gradient(self, pool: str) -> None:
        """Also of one layer, which pooling hands back as it is."""
        problem = toy(0)
        sampler = self.make(problem, pool=pool)
        for x in (*problem.user_xs, *problem.item_xs):
            x.requires_grad_()
        sampler.refresh(problem.x_dict())
        before = [x.clone() for x in sampler.history[0]]
        with torch.no_grad():
            for x in (*problem.user_xs, *problem.item_xs):
                x.add_(1)
        for x, copy in zip(sampler.history[0], before, strict=True):
            assert torch.equal(x, copy)
            assert not x.requires_grad

    # The memory -----------------------------------------------------------------------------

    def test_memory_starts_with_unobserved_items_and_never_holds_others(self) -> None:
        problem = toy()
        sampler = self.make(problem, num_new=4, tau=2.0)
        user, item = problem.data[EDGE_TYPE].edge_index
        observed = torch.zeros(7, 12, dtype=torch.bool)
        observed[user, item] = True
        generator = problem.generator()
        seen = [sampler.memory.clone()]
        for _ in range(30):
            self.sample(sampler, problem, generator=generator)
            seen.append(sampler.memory.clone())
        for memory in seen:
            assert memory.shape == (7, 6)
            assert not observed.gather(1, memory).any()
        assert any(not torch.equal(memory, seen[0]) for memory in seen)

    def test_users_without_links_have_a_memory_too(self) -> None:
        """Not item 0, which may be what they are asked negatives for."""
        problem = toy()
        problem.data["user"].num_nodes = 200
        memory = self.make(problem).memory[7:]
        assert len(memory.unique()) == 12
        assert chisquare(memory.flatten().bincount(minlength=12)).pvalue > 1e-3

    def test_same_graph_same_first_memory(self) -> None:
        problem = toy()
        before = torch.random.get_rng_state()
        assert torch.equal(self.make(problem).memory, self.make(problem).memory)
        assert torch.equal(before, torch.random.get_rng_state())

    @pytest.mark.parametrize("tau", [0.5, 2.0])
    def test_keeps_with_the_probabilities_of_the_oracle(self, tau: float) -> None:
        """Over thousands of users with equal embeddings, memories and newcomers at random."""
        size, s1, s2 = 20_000, 2, 2
        values = [0.5, -0.3, 0.9, 0.2, -0.6, 0.0, 0.4, 3.0]
        sampler = SRNS(crowd(size), num_candidates=s1, num_new=s2, tau=tau)
        sampler.memory[:] = torch.tensor([0, 1])
        everyone = torch.arange(size)
        sampler.sample(
            everyone,
            torch.full_like(everyone, 7),
            torch.ones(size, 1),
            torch.tensor(values).unsqueeze(1),
            generator=torch.Generator().manual_seed(0),
        )
        sets: Counter[tuple[int, ...]] = Counter()
        included = torch.zeros(8, dtype=torch.double)
        for new in itertools.product(range(7), repeat=s2):
            slots = list(dict.fromkeys([0, 1, *new]))
            scores = [values[item] for item in slots]
            for kept, probability in srns.kept_sets(scores, tau, s1).items():
                sets[tuple(sorted(slots[slot] for slot in kept))] += probability / 7**s2
            for item, chance in zip(
                slots, srns.inclusion_probabilities(scores, tau, s1), strict=True
            ):
                included[item] += chance / 7**s2
        observed = Counter(map(tuple, sampler.memory.sort(dim=1).values.tolist()))
        assert set(observed) <= set(sets)
        expected = [size * sets[key] for key in sets]
        assert min(expected) > 5
        assert chisquare([observed[key] for key in sets], expected).pvalue > 1e-3
        share = torch.bincount(sampler.memory.flatten(), minlength=8) / size
        torch.testing.assert_close(share, included.float(), rtol=0, atol=0.02)

    @every_case
    @pytest.mark.parametrize("num_new", [5, 9])
    def test_cold_memory_keeps_the_highest_scores(
        self, num_layers: int, num_negatives: int, pool: str, num_new: int
    ) -> None:
        """Of the memory and the newcomers, together fewer or more than there are items."""
        problem = toy(num_layers)
        problem.user, problem.pos = torch.tensor([4, 0, 6]), torch.tensor([1, 2, 3])
        arguments: dict[str, Any] = {"num_negatives": num_negatives, "pool": pool}
        arguments["check_positives"] = False  # any will do
        sampler = self.make(problem, tau=1e-9, num_new=num_new, **arguments)
        newcomers = sampler.candidates(problem.user, num_new, problem.generator())
        options = torch.cat([sampler.memory[problem.user], newcomers], 1)
        before = sampler.memory.clone()
        self.sample(sampler, problem)
        user, _, user_xs, item_xs = as_given(problem)
        scores = candidate_scores(user, user_xs, item_xs, options, pool)
        for row, u in enumerate(user.tolist()):
            best = sorted(set(zip(scores[row], options[row].tolist(), strict=True)), reverse=True)
            kept = sorted(item for _, item in best[:6])
            assert sorted(set(sampler.memory[u].tolist())) == kept
            assert len(sampler.memory[u]) == 6
        idle = torch.tensor([1, 2, 3, 5])
        assert torch.equal(sampler.memory[idle], before[idle])

    def test_a_user_twice_in_a_batch_has_one_memory_renewed_once(self) -> None:
        problem = toy(0)
        problem.user, problem.pos = torch.tensor([2, 5, 2, 2]), torch.tensor([0, 1, 0, 3])
        for seed in range(8):
            sampler = self.make(problem, tau=1e-9, num_new=5, check_positives=False)
            memory = sampler.memory.clone()
            newcomers = sampler.candidates(problem.user, 5, torch.Generator().manual_seed(seed))
            generator = torch.Generator().manual_seed(seed)
            index = self.sample(sampler, problem, generator=generator).index
            assert index[0] == index[2]  # same user, same positive, same memory
            scores = problem.user_xs[0][2] @ problem.item_xs[0].t()
            options = torch.cat([memory[2], newcomers[3]])  # of the last of its rows
            options = options.unique()
            kept = options[scores[options].topk(min(6, len(options))).indices]
            assert torch.equal(sampler.memory[2].unique(), kept.sort().values)

    def test_an_item_is_in_the_memory_once_where_there_are_enough(self) -> None:
        """After many uses too, whatever drew it again; and the first of two stays."""
        problem = toy(0)
        sampler = self.make(problem, num_candidates=4, num_new=5, tau=0.1)
        generator = problem.generator()
        for _ in range(20):
            self.sample(sampler, problem, generator=generator)
        used = sampler.memory[problem.user.unique()]
        assert all(len(row.unique()) == 4 for row in used)
        repeat = is_repeat(torch.tensor([[3, 1, 3, 3], [5, 6, 7, 8], [2, 0, 0, 2]]))
        assert repeat.tolist() == [
            [False, False, True, True],
            [False, False, False, False],
            [False, False, True, True],
        ]

    def test_chooses_before_it_renews(self) -> None:
        problem = toy(0)
        sampler = self.make(problem, tau=1e-9, num_new=5)
        rest = self.make(problem, tau=1e-9, num_new=5)
        memory = sampler.memory[problem.user]
        first = self.sample(sampler, problem).index
        given = self.sample(rest, problem, candidates=memory).index
        assert torch.equal(first, given)

    def test_given_candidates_leave_the_memory_untouched(self) -> None:
        """Of a call and of a batch, `[B]` and `[B, M]`."""
        problem, candidates = problem_and_candidates(3)
        sampler = self.make(problem)
        before = sampler.memory.clone()
        self.sample(sampler, problem, candidates=candidates)
        for drawn in (candidates, candidates[:, 0]):
            sampler(problem.batch(dst_neg_index=drawn), problem.x_dict())
        assert torch.equal(sampler.memory, before)
        self.sample(sampler, problem)
        assert not torch.equal(sampler.memory, before)

    def test_works_without_memory_on_given_candidates_alone(self) -> None:
        problem, candidates = problem_and_candidates(3)
        sampler = SRNS()
        index = self.sample(sampler, problem, candidates=candidates).index
        assert torch.equal(index, self.sample(DNS(), problem, candidates=candidates).index)
        with pytest.raises(ValueError, match="SRNS: 'candidates'"):
            self.sample(sampler, problem)

    def test_rows_not_chosen_have_no_gradient(self) -> None:
        """Neither do the memory's other items."""
        problem = toy(3)
        sampler = self.make(problem)
        live_through(sampler, 3, 3)
        sampler.set_epoch(99, 100)
        for x in (*problem.user_xs, *problem.item_xs):
            x.requires_grad_()
        negatives = self.sample(sampler, problem)
        negatives.xs.square().sum().backward()
        chosen = torch.zeros(12, dtype=torch.bool)
        chosen[negatives.index] = True
        assert 0 < chosen.sum() < 12
        for x in problem.item_xs:
            assert x.grad[chosen].abs().sum(1).gt(0).all()
            assert not x.grad[~chosen].any()
        assert all(x.grad is None for x in problem.user_xs)

    # The state ------------------------------------------------------------------------------

    @pytest.mark.parametrize("epochs", [0, 3, 7])
    def test_state_survives_a_file(self, epochs: int) -> None:
        """Memory and history, read back with nothing but tensors allowed."""
        problem = toy()
        first, second = (self.make(problem, alpha=3.0, warmup=1) for _ in range(2))
        live_through(first, 3, epochs)
        first.set_epoch(5, 10)
        generator = problem.generator()
        for _ in range(3):
            self.sample(first, problem, generator=generator)
        assert not torch.equal(first.memory, second.memory)

        file = io.BytesIO()
        torch.save(first.state_dict(), file)
        file.seek(0)
        second.load_state_dict(torch.load(file, weights_only=True))
        second.set_epoch(5, 10)
        assert torch.equal(first.memory, second.memory)
        assert len(second.history) == min(epochs, 5)
        for old, new in zip(first.history, second.history, strict=True):
            assert torch.equal(old[0], new[0])
            assert torch.equal(old[1], new[1])
        streams = problem.generator(), problem.generator()
        for _ in range(3):
            one, other = (
                self.sample(sampler, problem, generator=stream)
                for sampler, stream in zip((first, second), streams, strict=True)
            )
            assert torch.equal(one.index, other.index)
            assert torch.equal(first.memory, second.memory)
        live_through(second, 3, 6)
        assert len(second.history) == 5

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("num_new", 0),
            ("alpha", -0.1),
            ("alpha", float("nan")),
            ("alpha", float("inf")),
            ("warmup", 0),
            ("tau", 0.0),
            ("tau", -1.0),
            ("tau", float("nan")),
            ("tau", float("inf")),
        ],
    )
    def test_refuses_bad_arguments_of_its_own(self, name: str, value: float) -> None:
        with pytest.raises(ValueError, match=f"SRNS: '{name}'"):
            SRNS(**{name: value})
