"""Newer samplers against distributions that were enumerated by somebody who had not seen them."""

from __future__ import annotations

import math
from collections import Counter

import torch
from scipy.stats import chisquare
from torch import Tensor
from torch_geometric.data import HeteroData

from oracles import samplers_since_2019 as oracles
from pyg_negsamp.candidates import UniformCandidates
from pyg_negsamp.testing import toy
from pyg_negsamp.transforms import BNS, MCNS, MIDX, AdaSIR, NSCaching
from pyg_negsamp.transforms.k_dpp import conditioned, k_dpp
from pyg_negsamp.transforms.per_user import draw_without_replacement


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def check_draws(found: Counter, expected: dict) -> None:
    """Counts agree with probabilities, by a chi-square test over the outcomes that can be."""
    total = sum(found.values())
    likely = {key: p for key, p in expected.items() if p > 1e-12}
    assert set(found) <= set(likely)
    counts = [found.get(key, 0) for key in likely]
    assert chisquare(counts, [total * p for p in likely.values()]).pvalue > 1e-4


def test_bns_takes_the_least_risk() -> None:
    problem = toy()
    sampler = BNS(UniformCandidates(problem.data), num_shared=500, weight=3.0)
    user, pos = problem.user, problem.pos
    users, items = (xs[0].double() for xs in (problem.user_xs, problem.item_xs))
    candidates = sampler.candidates(user, 6, generator(1))
    chosen = sampler.select(user, pos, [users], [items], candidates, generator(2)).index[:, 0]
    shared = torch.empty(500, dtype=torch.long).random_(len(items), generator=generator(2))
    links = torch.bincount(sampler.candidates.known.item, minlength=len(items)).tolist()
    for b in range(len(user)):
        unseen = sampler.candidates.may_be_drawn(user[b], shared)
        scores = (users[user[b]] * items).sum(1)
        risks = []
        for item in candidates[b].tolist():  # no item is a reference of itself
            reference = scores[shared[unseen & (shared != item)]].tolist()
            same = int((unseen & (shared == item)).sum())
            (risk,) = oracles.bns_risks(
                float(scores[pos[b]]),
                [float(scores[item])],
                [links[item]],
                # It counts in the length all the same.
                [*reference, *[math.inf] * same],
                total_popularity=sum(links),
                lam=3.0,
            )
            risks.append(risk)
        assert int(chosen[b]) == candidates[b, oracles.bns_choice(risks)]


def test_midx_draws_with_the_probabilities_that_it_says() -> None:
    problem = toy()
    sampler = MIDX(UniformCandidates(problem.data), num_clusters=2, num_candidates=1)
    users, items = problem.user_xs[0].double(), problem.item_xs[0].double()
    sampler.refresh({"user": users, "item": items})
    user, pos = problem.user[:1], problem.pos[:1]
    first, second = sampler.codebook_a, sampler.codebook_b
    cell = sampler.index.cell
    unseen = sampler.candidates.may_be_drawn(user, torch.arange(len(items)))
    *_, expected = oracles.midx(
        (users[user[0]] / sampler.temperature).tolist(),
        items.tolist(),
        first.tolist(),
        second.tolist(),
        [(int(c) // len(second), int(c) % len(second)) for c in cell],
        weights="popularity",
        popularity=[1.0 if free else 1e-290 for free in unseen.tolist()],
    )
    many = user.expand(4000)
    found = sampler.choose(many, pos.expand(4000), [users], [items], None, generator())
    check_draws(Counter(found.index[:, 0].tolist()), dict(enumerate(expected)))


def test_mcns_walks_to_its_target() -> None:
    """A chain's states, far apart, are as the oracle's stationary distribution says."""
    problem = toy()
    torch.manual_seed(0)
    sampler = MCNS(UniformCandidates(problem.data), num_candidates=25, alpha=2.0)
    users, items = problem.user_xs[0].double(), problem.item_xs[0].double()
    sampler.refresh({"user": users, "item": items})
    user, pos = problem.user[:1], problem.pos[:1]
    unseen = sampler.candidates.may_be_drawn(user, torch.arange(len(items)))
    free = unseen.nonzero().flatten().tolist()
    scores = torch.sigmoid((users[user[0]] * items).sum(1))[free].tolist()
    target = oracles.mcns_target(scores, alpha=2.0, floor=1e-12)
    draws, many = generator(), torch.zeros(50, dtype=torch.long)
    found: Counter = Counter()
    for _ in range(60):  # chains from one start, long enough to forget it
        chosen = sampler.choose(user[many], pos[many], [users], [items], None, draws)
        found.update(chosen.index[:, -1].tolist())
    check_draws(found, dict(zip(free, target, strict=True)))


def test_a_k_dpp_is_one() -> None:
    x = torch.randn(6, 4, generator=generator(), dtype=torch.double)
    given, free = x[:1], x[1:]
    kernel = oracles.cosine_kernel(torch.nn.functional.normalize(x).tolist())
    ours = conditioned(
        torch.nn.functional.normalize(free).unsqueeze(0),
        torch.nn.functional.normalize(given).unsqueeze(0),
    )
    expected = oracles.k_dpp(kernel, 2, given=[0])
    drawn = k_dpp(ours.expand(5000, -1, -1), 2, generator())
    check_draws(Counter(frozenset(row) for row in (drawn + 1).tolist()), expected)


def test_draws_without_replacement() -> None:
    logits = {3: 0.5, 5: -1.0, 8: 1.5, 9: 0.0}
    item = torch.tensor([[3, 5, 8, 9, 8]]).expand(5000, -1)
    logit = torch.tensor([*logits.values(), 7.0]).expand(5000, -1)  # of the repeat, not read
    drawn: Tensor = draw_without_replacement(item, logit, 2, generator())
    expected = oracles.without_replacement(logits, 2)
    check_draws(Counter(frozenset(row) for row in drawn.tolist()), expected)


class Given(UniformCandidates):
    """Draws the same items for everybody."""

    def forward(self, user: Tensor, num: int, *args: object, **kwargs: object) -> Tensor:
        return torch.tensor(FRESH[:num]).expand(len(user), -1)


FRESH, MANY = [7, 5, 7, 2], 6000


def crowd() -> tuple[HeteroData, Tensor, Tensor]:
    """Users who are all alike, a positive each, and the scores of ten items with any of them."""
    data = HeteroData()
    data["user"].num_nodes, data["item"].num_nodes = MANY, 10
    links = torch.stack([torch.arange(MANY), torch.zeros(MANY, dtype=torch.long)])
    data["user", "interacts", "item"].edge_index = links
    vector, items = (
        torch.randn(3, generator=generator()),
        torch.randn(10, 3, generator=generator(1)),
    )
    return data, vector.expand(MANY, -1).contiguous(), items


def test_nscaching_keeps_by_score() -> None:
    data, users, items = crowd()
    sampler = NSCaching(Given(data), num_candidates=2, num_new=4, num_negatives=1)
    cache = [5, 8]
    sampler.memory[:] = torch.tensor(cache)
    user = torch.arange(MANY)
    sampler.sample(user, torch.zeros_like(user), users, items, generator=generator(2))
    scores = (items @ users[0]).tolist()
    expected = oracles.nscaching_caches(cache, FRESH, [scores[i] for i in [*cache, *FRESH]])
    check_draws(Counter(frozenset(row) for row in sampler.memory.tolist()), expected)


def test_adasir_resamples_by_importance() -> None:
    data, users, items = crowd()
    sampler = AdaSIR(Given(data), num_candidates=1, num_new=4, num_negatives=1)
    sampler.memory[:] = 9
    sampler.start_epoch(1, 2, {"user": users, "item": items})
    scores = (items @ users[0]).tolist()
    resampled = oracles.by_item(
        FRESH, oracles.adasir([scores[i] for i in FRESH], [math.log(1 / 9)] * 4)
    )
    # A place of the pool is an old item or a resampled one, each in half of all cases.
    expected = {9: 0.5} | {item: p / 2 for item, p in resampled.items()}
    check_draws(Counter(sampler.memory.flatten().tolist()), expected)
