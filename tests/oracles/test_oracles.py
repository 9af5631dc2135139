"""The oracles against numbers worked out by hand."""

import math

import pytest
import torch
from torch import Tensor

from .bpr import bpr_loss, l2
from .candidates import popularity_probabilities, uniform_probabilities
from .dins import boundary_weight, dins
from .lightgcn import propagate
from .mixgcf import mixgcf
from .pooling import pool_vectors
from .ranking import evaluate
from .selection import dns, hardest_per_layer

LN2, LN3, LN4, LN6 = math.log(2), math.log(3), math.log(4), math.log(6)
POOLS = ("mean", "sum", "concat", "final")


def f64(values: list) -> Tensor:
    """A float64 tensor."""
    return torch.tensor(values, dtype=torch.float64)


# One user and five items with two layers; item 0 is the positive, the others are candidates.
USER = torch.tensor([0])
POS = torch.tensor([0])
CANDIDATES = torch.tensor([[1, 2, 3, 4]])
USER_XS = [f64([[1, 0]]), f64([[0, 2]])]
ITEM_XS = [
    f64([[1, 1], [3, 0], [0, 0], [2, 0], [0, 3]]),
    f64([[1, 0], [0, 0], [0, 2], [0, 1], [3, 0]]),
]


def random_case(seed: int) -> tuple[Tensor, Tensor, list[Tensor], list[Tensor], Tensor]:
    """B = 3, M = 6, H = 3, D = 4, U = 5 and I = 30, without a repeated candidate."""
    g = torch.Generator().manual_seed(seed)
    user_xs = [torch.randn(5, 4, generator=g, dtype=torch.float64) for _ in range(3)]
    item_xs = [torch.randn(30, 4, generator=g, dtype=torch.float64) for _ in range(3)]
    order = torch.randperm(30, generator=g)
    user = torch.randint(5, (3,), generator=g)
    return user, order[:3], user_xs, item_xs, order[3:21].view(3, 6)


@pytest.mark.parametrize(
    ("pool", "expected"),
    [("mean", [2, 4]), ("sum", [4, 8]), ("concat", [1, 2, 3, 6]), ("final", [3, 6])],
)
def test_pool_vectors(pool: str, expected: list[float]) -> None:
    assert pool_vectors([[1.0, 2.0], [3.0, 6.0]], pool) == expected


def test_pool_vectors_unknown() -> None:
    with pytest.raises(ValueError, match="unknown pool"):
        pool_vectors([[1.0]], "max")


@pytest.mark.parametrize(
    ("pool", "expected"),
    [
        # item 1: (1,0).(3,0) + (0,2).(0,0) = 3        item 2: 0 + (0,2).(0,2) = 4
        # item 3: (1,0).(2,0) + (0,2).(0,1) = 2 + 2    item 4: (1,0).(0,3) + (0,2).(3,0) = 0
        # items 2 and 3 tie, and item 2 is the earlier candidate
        ("concat", [2, 3, 1, 4]),
        # user (1,2); items (3,0) (0,2) (2,1) (3,3): 3, 4, 4, 9
        ("sum", [4, 2, 3, 1]),
        # a quarter of the scores of 'sum'
        ("mean", [4, 2, 3, 1]),
        # user (0,2); items (0,0) (0,2) (0,1) (3,0): 0, 4, 2, 0
        ("final", [2, 3, 1, 4]),
    ],
)
def test_dns(pool: str, expected: list[int]) -> None:
    for K in (1, 2, 4):
        assert dns(USER, POS, USER_XS, ITEM_XS, CANDIDATES, K, pool) == [expected[:K]]


def test_dns_tie_goes_to_the_first_candidate() -> None:
    candidates = torch.tensor([[1, 3, 2]])  # items 2 and 3 tie under 'concat'
    assert dns(USER, POS, USER_XS, ITEM_XS, candidates, 1, "concat") == [[3]]


@pytest.mark.parametrize(
    ("pool", "expected"),
    [
        # layer 0, user (1,0): 3, 0, 2, 0, so 1 then 3; layer 1, user (0,2): 0, 4, 2, 0, so 2, 3
        ("concat", [[1, 2], [3, 3]]),
        # user (1,2) at both: layer 0: 3, 0, 2, 6, so 4 then 1; layer 1: 0, 4, 2, 3, so 2 then 4
        ("sum", [[4, 2], [1, 4]]),
        ("mean", [[4, 2], [1, 4]]),
        # user (0,2) at both: layer 0: 0, 0, 0, 6, so 4 then the first of the tie, 1;
        # layer 1: 0, 4, 2, 0, so 2 then 3
        ("final", [[4, 2], [1, 3]]),
    ],
)
def test_hardest_per_layer(pool: str, expected: list[list[int]]) -> None:
    assert hardest_per_layer(USER, USER_XS, ITEM_XS, CANDIDATES, 2, pool) == [expected]


def test_mixgcf_by_hand() -> None:
    coefficients = f64([[[0.5, 0.25], [0.75, 0.5]]])
    ids, vectors = mixgcf(USER, POS, USER_XS, ITEM_XS, CANDIDATES, coefficients, 2, "concat")
    # The positive is (1,1) at layer 0 and (1,0) at layer 1.
    # k = 0, layer 0, alpha 1/2: the user (1,0) gives 1/2 + 1/2 * (3, 0, 2, 0): item 1
    # k = 0, layer 1, alpha 1/4: the user (0,2) gives 0 + 3/4 * (0, 4, 2, 0): item 2
    # k = 1: the second of each layer, item 3 twice, with alpha 3/4 and 1/2
    assert ids == [[[1, 2], [3, 3]]]
    assert vectors == [
        [
            [[2.0, 0.5], [0.25, 1.5]],  # (1,1)/2 + (3,0)/2;    (1,0)/4 + 3/4 (0,2)
            [[1.25, 0.75], [0.5, 0.5]],  # 3/4 (1,1) + (2,0)/4;  (1,0)/2 + (0,1)/2
        ]
    ]


@pytest.mark.parametrize("pool", POOLS)
def test_mixgcf_selects_as_without_mixing(pool: str) -> None:
    # u.(a p + (1 - a) m) = a u.p + (1 - a) u.m: with one a < 1 for all candidates the order is
    # that of u.m.
    user, pos, user_xs, item_xs, candidates = random_case(0)
    coefficients = torch.rand(
        3, 4, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    ids, _ = mixgcf(user, pos, user_xs, item_xs, candidates, coefficients, 4, pool)
    assert ids == hardest_per_layer(user, user_xs, item_xs, candidates, 4, pool)


def test_mixgcf_ends_of_the_coefficient() -> None:
    user, pos, user_xs, item_xs, candidates = random_case(2)
    ids, vectors = mixgcf(user, pos, user_xs, item_xs, candidates, torch.zeros(3, 2, 3), 2, "mean")
    for b in range(3):
        for k in range(2):
            for h in range(3):  # alpha = 0: the candidate itself
                assert vectors[b][k][h] == item_xs[h][ids[b][k][h]].tolist()
    _, vectors = mixgcf(user, pos, user_xs, item_xs, candidates, torch.ones(3, 2, 3), 2, "mean")
    for b in range(3):
        for k in range(2):
            for h in range(3):  # alpha = 1: the positive itself
                assert vectors[b][k][h] == item_xs[h][pos[b]].tolist()


@pytest.mark.parametrize(
    ("beta", "alphas"),
    [
        # exp(u i) = (2, 1) and exp(u i_*) = (6, 4)
        (0.0, (1.0, 1.0)),  # 6 / (0 + 6) and 4 / (0 + 4): the boundary item
        (1.0, (0.75, 0.8)),  # 6 / (2 + 6) and 4 / (1 + 4)
        (3.0, (0.5, 4 / 7)),  # 6 / (6 + 6) and 4 / (3 + 4)
    ],
)
def test_dins_by_hand(beta: float, alphas: tuple[float, float]) -> None:
    user_xs = [f64([[1, 1]])]
    # candidates 1 and 2 score ln 6 + ln 4 and 0: item 1 is the boundary item
    item_xs = [f64([[LN2, 0], [LN6, LN4], [0, 0]])]
    ids, vectors = dins(USER, POS, user_xs, item_xs, torch.tensor([[2, 1]]), beta, 1, "mean")
    assert ids == [[[1]]]
    assert boundary_weight(1.0, LN2, LN6, beta) == pytest.approx(alphas[0])
    assert boundary_weight(1.0, 0.0, LN4, beta) == pytest.approx(alphas[1])
    expected = [alphas[0] * LN6 + (1 - alphas[0]) * LN2, alphas[1] * LN4]
    assert vectors[0][0][0] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("pool", "weights"),
    [
        # layer 0: exp(u * ln 2) / (exp(0) + exp(u * ln 2)) = 2^u / (1 + 2^u)
        # layer 1: exp(0) / (exp(u * ln 2) + exp(0)) = 1 / (2^u + 1)
        ("concat", (2 / 3, 1 / 9)),  # u = 1 at layer 0 and u = 3 at layer 1
        ("mean", (4 / 5, 1 / 5)),  # u = 2
        ("sum", (16 / 17, 1 / 17)),  # u = 4
        ("final", (8 / 9, 1 / 9)),  # u = 3
    ],
)
def test_dins_user_vector_of_a_layer(pool: str, weights: tuple[float, float]) -> None:
    user_xs = [f64([[1]]), f64([[3]])]
    item_xs = [f64([[0], [LN2]]), f64([[LN2], [0]])]
    _, vectors = dins(USER, POS, user_xs, item_xs, torch.tensor([[1]]), 1.0, 1, pool)
    # layer 0 mixes ln 2 into 0, layer 1 mixes 0 into ln 2
    assert vectors[0][0][0] == pytest.approx([weights[0] * LN2])
    assert vectors[0][0][1] == pytest.approx([(1 - weights[1]) * LN2])


@pytest.mark.parametrize("pool", POOLS)
def test_dins_ends_of_beta(pool: str) -> None:
    user, pos, user_xs, item_xs, candidates = random_case(3)
    ids, at_zero = dins(user, pos, user_xs, item_xs, candidates, 0.0, 2, pool)
    _, at_large = dins(user, pos, user_xs, item_xs, candidates, 1e30, 2, pool)
    for b in range(3):
        for k in range(2):
            for h in range(3):
                boundary = item_xs[h][ids[b][k][h]].tolist()
                positive = item_xs[h][pos[b]].tolist()
                assert at_zero[b][k][h] == pytest.approx(boundary)
                assert at_large[b][k][h] == pytest.approx(positive)


def test_dins_larger_beta_is_closer_to_the_positive() -> None:
    user, pos, user_xs, item_xs, candidates = random_case(4)
    last = math.inf
    for beta in (0.0, 0.1, 1.0, 10.0, 100.0):
        _, vectors = dins(user, pos, user_xs, item_xs, candidates, beta, 1, "mean")
        distance = 0.0
        for b in range(3):
            for h in range(3):
                for d in range(4):
                    distance += abs(vectors[b][0][h][d] - float(item_xs[h][pos[b], d]))
        assert distance < last
        last = distance


def test_bpr_loss() -> None:
    pos = f64([0, LN3])
    neg = f64([[0, -LN3], [0, 2 * LN3]])
    # sigmoid(0) = 1/2, sigmoid(ln 3) = 3/4, sigmoid(-ln 3) = 1/4
    # b = 0: differences 0 and ln 3: ln 2 and ln 4/3, with mean ln(8/3) / 2
    # b = 1: differences ln 3 and -ln 3: ln 4/3 and ln 4, with mean ln(16/3) / 2
    # mean over b: ln(8/3 * 16/3) / 4 = ln(128/9) / 4
    assert bpr_loss(pos, neg, None) == pytest.approx(math.log(128 / 9) / 4)
    # weights: b = 0: ln 2; b = 1: a fifth of ln 4/3, and four fifths of ln 4
    weight = f64([[1, 0], [0.5, 2]])
    expected = (LN2 + 0.2 * math.log(4 / 3) + 0.8 * LN4) / 2
    assert bpr_loss(pos, neg, weight) == pytest.approx(expected)


def test_bpr_loss_far_out() -> None:
    # ln(1 + exp(1000)) = 1000 and ln(1 + exp(-1000)) = 0 in double precision
    assert bpr_loss(f64([0]), f64([[1000]]), None) == 1000.0
    assert bpr_loss(f64([1000]), f64([[0]]), None) == 0.0


def test_l2() -> None:
    user = f64([[1, 0], [0, 2]])  # 1 + 4
    pos = f64([[1, 1], [0, 0]])  # 2 + 0
    neg = f64([[[2, 0], [0, 1]], [[0, 0], [1, 0]]])  # 4 + 1 + 0 + 1
    assert l2(user, pos, neg) == pytest.approx(13 / 4)  # B = 2


def test_propagate() -> None:
    edges = [(0, 0), (0, 1), (1, 0)]  # degrees: users 2 and 1, items 2, 1 and 0
    user_xs, item_xs = propagate(f64([[1], [2]]), f64([[4], [8], [16]]), edges, 2)
    r = math.sqrt(2)
    assert [len(user_xs), len(item_xs)] == [3, 3]
    assert user_xs[0].flatten().tolist() == [1, 2]
    assert item_xs[0].flatten().tolist() == [4, 8, 16]
    # layer 1: u0 = 4/2 + 8/r, u1 = 4/r; i0 = 1/2 + 2/r, i1 = 1/r, i2 has no edge
    assert user_xs[1].flatten().tolist() == pytest.approx([2 + 4 * r, 2 * r])
    assert item_xs[1].flatten().tolist() == pytest.approx([0.5 + r, r / 2, 0])
    # layer 2: u0 = (1/2 + r)/2 + (r/2)/r, u1 = (1/2 + r)/r;
    #          i0 = (2 + 4r)/2 + 2r/r, i1 = (2 + 4r)/r
    assert user_xs[2].flatten().tolist() == pytest.approx([0.75 + r / 2, 1 + r / 4])
    assert item_xs[2].flatten().tolist() == pytest.approx([3 + 2 * r, 4 + r, 0])


def test_propagate_repeated_edge() -> None:
    # u0 has the edge to i0 twice and one to i1: degrees 3; 2 and 1
    user_xs, item_xs = propagate(f64([[3]]), f64([[6], [6]]), [(0, 0), (0, 1), (0, 0)], 1)
    # u0 = 2 * 6 / sqrt(6) + 6 / sqrt(3); i0 = 2 * 3 / sqrt(6), i1 = 3 / sqrt(3)
    assert user_xs[1].item() == pytest.approx(2 * math.sqrt(6) + 2 * math.sqrt(3))
    assert item_xs[1].flatten().tolist() == pytest.approx([math.sqrt(6), math.sqrt(3)])


def test_candidate_probabilities() -> None:
    assert uniform_probabilities(4, {1}) == pytest.approx([1 / 3, 0, 1 / 3, 1 / 3])
    degrees = [4, 9, 0, 1]
    # weights 2, seen, 0, 1; then 4, seen, 0, 1; then 1/4, seen, 0, 1; then all alike
    assert popularity_probabilities(degrees, {1}, 0.5) == pytest.approx([2 / 3, 0, 0, 1 / 3])
    assert popularity_probabilities(degrees, {1}, 1.0) == pytest.approx([0.8, 0, 0, 0.2])
    assert popularity_probabilities(degrees, {1}, -1.0) == pytest.approx([0.2, 0, 0, 0.8])
    assert popularity_probabilities(degrees, {1}, 0) == pytest.approx([1 / 3, 0, 1 / 3, 1 / 3])


def test_candidate_probabilities_of_nothing() -> None:
    with pytest.raises(ValueError, match="every item"):
        uniform_probabilities(2, {0, 1})
    with pytest.raises(ValueError, match="positive weight"):
        popularity_probabilities([3, 0], {0}, 1.0)


def test_evaluate() -> None:
    user_xs = [f64([[1], [-1], [1]])]
    item_xs = [f64([[5], [4], [3], [2], [1]])]
    known = [(0, 0), (1, 4), (2, 3)]
    held_out = [(0, 2), (0, 4), (1, 3)]  # user 2 has none and does not count
    out = evaluate(user_xs, item_xs, known, held_out, [1, 2, 4], "mean")
    # user 0 ranks 1, 2, 3, 4: hits at ranks 2 and 4; user 1 ranks 3, 2, 1, 0: a hit at rank 1
    l3, l5 = 1 / math.log2(3), 1 / math.log2(5)
    expected = {
        # k = 1: user 0 has nothing, user 1 everything
        **{f"{m}@1": 0.5 for m in ("Recall", "NDCG", "HitRatio", "Precision", "MAP", "MRR")},
        "Recall@2": (1 / 2 + 1) / 2,
        "NDCG@2": (l3 / (1 + l3) + 1) / 2,
        "HitRatio@2": 1.0,
        "Precision@2": (1 / 2 + 1 / 2) / 2,
        "MAP@2": ((1 / 2) / 2 + 1) / 2,
        "MRR@2": (1 / 2 + 1) / 2,
        "Recall@4": 1.0,
        "NDCG@4": ((l3 + l5) / (1 + l3) + 1) / 2,
        "HitRatio@4": 1.0,
        "Precision@4": (2 / 4 + 1 / 4) / 2,
        "MAP@4": ((1 / 2 + 2 / 4) / 2 + 1) / 2,
        "MRR@4": (1 / 2 + 1) / 2,
    }
    assert out == pytest.approx(expected)


def test_evaluate_truncates_the_ideal() -> None:
    # the ranking is 0, 1, 2, 3, and 0, 2, 3 are held out: at k = 2 the ideal has two hits
    out = evaluate(
        [f64([[1]])], [f64([[4], [3], [2], [1]])], [], [(0, 0), (0, 2), (0, 3)], [2], "final"
    )
    assert out["NDCG@2"] == pytest.approx(1 / (1 + 1 / math.log2(3)))
    assert out["MAP@2"] == pytest.approx(1 / 2)
    assert out["Recall@2"] == pytest.approx(1 / 3)


def test_evaluate_tie_and_short_ranking() -> None:
    # all scores are 0 and item 0 is known: the ranking is 1, 2
    out = evaluate([f64([[1]])], [f64([[0], [0], [0]])], [(0, 0)], [(0, 2)], [1, 5], "sum")
    assert out["HitRatio@1"] == 0.0
    assert out["MRR@5"] == pytest.approx(1 / 2)
    assert out["Precision@5"] == pytest.approx(1 / 5)  # divided by k, not by the two ranked
