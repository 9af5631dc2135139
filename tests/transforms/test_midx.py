"""MIDX: probabilities by enumeration, log Q that is exact, and the softmax as its limit."""

from __future__ import annotations

import copy
import io

import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor

from grid import problem_and_candidates
from pyg_negsamp.candidates import UniformCandidates
from pyg_negsamp.graph import EDGE_TYPE
from pyg_negsamp.layers import pool_layers
from pyg_negsamp.scoring import ranking_tables
from pyg_negsamp.testing import SamplerContract, Toy, toy
from pyg_negsamp.transforms import MIDX
from pyg_negsamp.transforms.k_means import k_means


def unseen_of(problem: Toy) -> list[list[int]]:
    links = problem.data[EDGE_TYPE].edge_index.t().tolist()
    return [[i for i in range(12) if [u, i] not in links] for u in problem.user.tolist()]


def scores_of(problem: Toy, pool: str, similarity: str, items: Tensor | None = None) -> Tensor:
    users = ranking_tables(
        pool_layers([x[problem.user] for x in problem.user_xs], pool), similarity
    )
    if items is None:
        items = ranking_tables(pool_layers(problem.item_xs, pool), similarity)
    return users @ items.t()


def check(sampler: MIDX, problem: Toy, logit: Tensor, draws: int = 3000) -> None:
    """Draws follow the softmax of `logit [B, 12]` over unseen items; log Q says so exactly."""
    sampler.num_candidates = sampler.num_negatives = draws
    negatives = sampler.sample(
        problem.user,
        problem.pos,
        problem.user_xs,
        problem.item_xs,
        generator=problem.generator(),
    )
    assert negatives.index is not None
    assert negatives.log_q is not None
    assert negatives.pos_log_q is not None
    for b, unseen in enumerate(unseen_of(problem)):
        share = logit[b, unseen].softmax(0)
        count = negatives.index[b].bincount(minlength=12)
        assert count.sum() == count[unseen].sum()
        likely = share * draws > 5
        rest = [count[unseen][~likely].sum()], [share[~likely].sum() * draws]
        found = torch.cat([count[unseen][likely], torch.tensor(rest[0])])
        expected = torch.cat([share[likely] * draws, torch.tensor(rest[1])])
        keep = expected > 0
        assert chisquare(found[keep], expected[keep]).pvalue > 1e-5
        # With the positive among them; given that it is not drawn, the probability of a draw.
        with_pos = torch.cat([logit[b, unseen], logit[b, problem.pos[b], None]]).log_softmax(0)
        every = torch.zeros(12, dtype=torch.double)
        every[unseen] = with_pos[:-1]
        torch.testing.assert_close(negatives.log_q[b], every[negatives.index[b]])
        torch.testing.assert_close(negatives.pos_log_q[b], with_pos[-1])
        conditional = with_pos[:-1] - torch.log1p(-with_pos[-1].exp())
        torch.testing.assert_close(conditional.exp(), share)


@pytest.mark.parametrize("similarity", ["dot", "cosine"])
@pytest.mark.parametrize("pool", ["mean", "concat"])
class TestDraws:
    def made(self, problem: Toy, pool: str, similarity: str, **arguments: object) -> MIDX:
        sampler = MIDX(
            problem.data, pool=pool, score=similarity, temperature=0.7, **arguments
        ).double()
        sampler.start_epoch(0, 1, problem.x_dict())
        return sampler

    def test_by_enumeration(self, pool: str, similarity: str) -> None:
        """An item scores as the pair of its clusters' centres."""
        problem = toy()
        sampler = self.made(problem, pool, similarity, num_clusters=2)
        items = ranking_tables(pool_layers(problem.item_xs, pool), similarity)
        halves = items.tensor_split(2, dim=1)
        codes = [k_means(half, 2) for half in halves]
        quantised = torch.cat([centre[code] for centre, code in codes], dim=1)
        logit = scores_of(problem, pool, similarity, quantised) / 0.7
        assert len(logit[0].unique()) > 2
        check(sampler, problem, logit)

    def test_exact_is_the_softmax(self, pool: str, similarity: str) -> None:
        problem = toy()
        sampler = self.made(problem, pool, similarity, exact=True)
        check(sampler, problem, scores_of(problem, pool, similarity) / 0.7)

    def test_a_cluster_for_every_item_is_the_softmax(self, pool: str, similarity: str) -> None:
        """As nothing is left of an item beside its codes."""
        problem = toy()
        sampler = self.made(problem, pool, similarity, num_clusters=12)
        check(sampler, problem, scores_of(problem, pool, similarity) / 0.7)


class TestMIDX(SamplerContract):
    sampler_class = MIDX

    @pytest.mark.filterwarnings("ignore:.*was not told of epochs")
    def test_is_uniform_before_the_first_refresh(self) -> None:
        problem = toy()
        check(self.make(problem), problem, torch.zeros(9, 12).double())

    @pytest.mark.parametrize("exact", [False, True])
    def test_given_candidates_have_the_log_q_of_being_drawn(self, exact: bool) -> None:
        problem, _ = problem_and_candidates(3)
        sampler = self.make(problem, num_negatives=2, num_clusters=3, exact=exact)
        sampler.refresh(problem.x_dict())
        drawn = self.sample(sampler, problem)
        given = self.sample(sampler, problem, candidates=drawn.index)
        torch.testing.assert_close(given.log_q, drawn.log_q)
        torch.testing.assert_close(given.pos_log_q, drawn.pos_log_q)

    @pytest.mark.parametrize("exact", [False, True])
    def test_an_unknown_positive_is_among_the_unseen_items(self, exact: bool) -> None:
        """Probabilities of all unseen items are 1 together; it counts once."""
        problem = toy()
        sampler = self.make(
            problem, num_negatives=12, num_candidates=12, num_clusters=3, exact=exact,
            check_positives=False,
        )  # fmt: skip
        sampler.refresh(problem.x_dict())
        every = torch.arange(12).repeat(len(problem.user), 1)
        known = sampler.candidates.knows(problem.user.unsqueeze(1), every)
        unknown = (~known).int().argmax(dim=1)
        for pos in (problem.pos, unknown):
            found = sampler.sample(
                problem.user, pos, problem.user_xs, problem.item_xs, candidates=every
            )
            of = torch.empty_like(found.log_q).scatter_(1, found.index, found.log_q.exp())
            total = (of * ~known).sum(dim=1)
            if pos is problem.pos:
                total += found.pos_log_q.exp()
            torch.testing.assert_close(total, torch.ones_like(total))

    @pytest.mark.parametrize("exact", [False, True])
    def test_a_positive_that_is_never_drawn_counts_besides(self, exact: bool) -> None:
        problem = toy()
        source = UniformCandidates(problem.data, items=torch.tensor([0, 1, 4, 6]))
        sampler = MIDX(source, num_clusters=3, exact=exact, check_positives=False).double()
        sampler.refresh(problem.x_dict())
        pos = torch.full_like(problem.pos, 9)
        found = sampler.sample(problem.user, pos, problem.user_xs, problem.item_xs)
        assert (found.pos_log_q < 0).all()

    def test_only_items_that_may_be_drawn(self) -> None:
        problem = toy()
        source = UniformCandidates(problem.data, items=torch.tensor([0, 1, 4, 6]))
        for exact in (False, True):
            sampler = MIDX(source, num_negatives=200, num_clusters=3, exact=exact).double()
            sampler.refresh(problem.x_dict())
            found = self.sample(sampler, problem)
            assert set(found.index.flatten().tolist()) <= {0, 1, 4, 6}
            assert found.pos_log_q.isfinite().all()  # though it may not be drawn

    def test_goes_on_from_a_file_as_it_would_have(self) -> None:
        problem = toy()
        first, second = self.make(problem, num_clusters=3), self.make(problem, num_clusters=3)
        first.refresh(problem.x_dict())
        file = io.BytesIO()
        torch.save(first.state_dict(), file)
        file.seek(0)
        second.load_state_dict(torch.load(file, weights_only=True))
        one, other = (self.sample(sampler, problem) for sampler in (first, second))
        assert torch.equal(one.index, other.index)
        assert torch.equal(one.log_q, other.log_q)
        assert not torch.equal(self.sample(self.make(problem), problem).log_q, one.log_q)

    def test_refuses_the_index_of_another_catalogue(self) -> None:
        problem = toy()
        fewer = toy().data
        links = fewer[EDGE_TYPE].edge_index
        fewer[EDGE_TYPE].edge_index, fewer["item"].num_nodes = links[:, links[1] < 10], 10
        state = MIDX(fewer).state_dict()
        with pytest.raises(ValueError, match=r"MIDX: 'state_dict' must be of the 12 items .*10"):
            self.make(problem).load_state_dict(state)
        finer = self.make(problem, num_clusters=3)
        finer.refresh(problem.x_dict())
        with pytest.raises(ValueError, match="MIDX: 'state_dict' must be of num_clusters=2 or"):
            self.make(problem, num_clusters=2).load_state_dict(finer.state_dict())

    def test_codebooks_are_the_same_for_the_same_table(self) -> None:
        """And the global stream is not touched."""
        problem = toy()
        before = torch.random.get_rng_state()
        made = [self.make(problem, num_clusters=3) for _ in range(2)]
        for sampler in made:
            sampler.refresh(copy.deepcopy(problem.x_dict()))
        assert torch.equal(made[0].codebook_a, made[1].codebook_a)
        assert torch.equal(before, torch.random.get_rng_state())

    @pytest.mark.parametrize(
        ("name", "value"), [("num_clusters", 0), ("temperature", 0.0), ("exact", "yes")]
    )
    def test_refuses_bad_arguments_of_its_own(self, name: str, value: object) -> None:
        with pytest.raises(ValueError, match=f"MIDX: '{name}'"):
            MIDX(toy().data, **{name: value})
        with pytest.raises(ValueError, match="MIDX: 'candidates' must be given"):
            MIDX()


def test_k_means_finds_clusters_that_are_apart() -> None:
    centres = torch.tensor([[0.0, 0.0], [50.0, 0.0], [0.0, 50.0]])
    x = centres.repeat(40, 1) + torch.randn(120, 2, generator=torch.Generator().manual_seed(0))
    found, nearest = k_means(x, 3)
    assert len({tuple(nearest[i::3].unique().tolist()) for i in range(3)}) == 3
    for i in range(3):
        torch.testing.assert_close(found[nearest[i]], x[i::3].mean(0))
    assert k_means(x[:2], 5)[0].shape == (2, 2)
    assert k_means(torch.empty(4, 0), 3)[1].tolist() == [0] * 4
