"""The oracles of the further papers against numbers worked out by hand, and known equalities."""

import math

import pytest
import torch
from torch import Tensor

from . import ahns, ans, contrastive_dns, cuco, dens, dnsmn, policy, srns
from .bpr import bpr_loss, minus_log_sigmoid
from .pooling import dot, layer_vectors, pool_vectors
from .pris import importance_weights, pris_loss
from .scoring import candidate_scores, cosine, pooled, score, sigmoid, softmax, softplus
from .sdns import sdns, soft_bpr_loss
from .selection import dns, hardest_per_layer
from .softmax import cosine_scores, kpair_bpr_loss, sampled_softmax_loss
from .test_oracles import (
    CANDIDATES,
    ITEM_XS,
    LN2,
    LN3,
    LN4,
    POOLS,
    POS,
    USER,
    USER_XS,
    f64,
    random_case,
)

# The scores of USER with CANDIDATES = 1, 2, 3, 4 (worked out in test_oracles.test_dns).
SCORES = {
    "concat": [3.0, 4.0, 4.0, 0.0],
    "sum": [3.0, 4.0, 4.0, 9.0],
    "mean": [0.75, 1.0, 1.0, 2.25],
    "final": [0.0, 4.0, 2.0, 0.0],
}
# The positive, item 0: (1,0).(1,1) + (0,2).(1,0) = 1; (1,2).(2,1) = 4; a quarter; (0,2).(1,0) = 0.
POS_SCORES = {"concat": 1.0, "sum": 4.0, "mean": 1.0, "final": 0.0}


def scores_of(
    user: Tensor, pos: Tensor, user_xs: list[Tensor], item_xs: list[Tensor], ids: list, pool: str
) -> tuple[Tensor, Tensor]:
    """The scores of the positives, [B], and of the items of all rows, [B, K]."""
    pos_scores = candidate_scores(user, user_xs, item_xs, pos.view(-1, 1), pool)
    neg_scores = candidate_scores(user, user_xs, item_xs, torch.tensor(ids), pool)
    return f64(pos_scores).view(-1), f64(neg_scores)


def one(values: list[float]) -> list[Tensor]:
    """One layer with one node."""
    return [f64([values])]


# --- scores --------------------------------------------------------------------------------------


@pytest.mark.parametrize("pool", POOLS)
def test_scores(pool: str) -> None:
    assert candidate_scores(USER, USER_XS, ITEM_XS, CANDIDATES, pool) == [SCORES[pool]]
    assert score(USER_XS, ITEM_XS, 0, 0, pool) == POS_SCORES[pool]


def test_scalar_functions() -> None:
    assert sigmoid(LN3) == pytest.approx(0.75)
    assert sigmoid(-LN3) == pytest.approx(0.25)
    assert sigmoid(1000.0) == 1.0
    assert sigmoid(-1000.0) == 0.0
    assert softplus(LN3) == pytest.approx(LN4)
    assert softplus(1000.0) == 1000.0
    assert softmax([LN2, 0.0, 0.0]) == pytest.approx([0.5, 0.25, 0.25])
    assert softmax([1000.0, 1000.0]) == pytest.approx([0.5, 0.5])
    assert cosine([3.0, 4.0], [4.0, 3.0]) == pytest.approx(0.96)
    assert cosine([0.0, 0.0], [4.0, 3.0]) == 0.0


# --- DNS(M, N) -----------------------------------------------------------------------------------


def test_dnsmn_by_hand() -> None:
    # sum: 3, 4, 4, 9 for the items 1, 2, 3, 4
    assert dnsmn.allowed(USER, USER_XS, ITEM_XS, CANDIDATES, 2, "sum") == [[4, 2]]
    assert dnsmn.allowed(USER, USER_XS, ITEM_XS, CANDIDATES, 3, "sum") == [[4, 2, 3]]
    candidates = torch.tensor([[4, 1, 4]])
    ids = dnsmn.allowed(USER, USER_XS, ITEM_XS, candidates, 3, "sum")
    assert ids == [[4, 4, 1]]
    assert dnsmn.probabilities(ids[0]) == pytest.approx({4: 2 / 3, 1: 1 / 3})
    with pytest.raises(ValueError, match="n = 5"):
        dnsmn.allowed(USER, USER_XS, ITEM_XS, CANDIDATES, 5, "sum")


@pytest.mark.parametrize("pool", POOLS)
def test_dnsmn_ends(pool: str) -> None:
    user, pos, user_xs, item_xs, candidates = random_case(10)
    assert dnsmn.allowed(user, user_xs, item_xs, candidates, 1, pool) == dns(
        user, pos, user_xs, item_xs, candidates, 1, pool
    )
    for b, ids in enumerate(dnsmn.allowed(user, user_xs, item_xs, candidates, 6, pool)):
        assert sorted(ids) == sorted(candidates[b].tolist())


# --- CuCo ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("epoch", "max_epochs", "M", "expected"),
    [
        (0, 10, 32, 32),
        (1, 10, 32, 28),  # 28.8
        (5, 10, 32, 16),
        (8, 10, 10, 2),  # in floating point (1 - 0.8) * 10 < 2
        (9, 10, 10, 1),  # in floating point (1 - 0.9) * 10 < 1
        (9, 10, 5, 1),  # 0.5, raised to 1
        (10, 10, 32, 1),
        (11, 10, 32, 1),
    ],
)
def test_cuco_num_used(epoch: int, max_epochs: int, M: int, expected: int) -> None:
    assert cuco.num_used(epoch, max_epochs, M) == expected


def test_cuco_by_hand() -> None:
    # sum: 3, 4, 4, 9
    for epoch, expected in [(0, 4), (1, 2), (2, 2), (3, 1)]:  # 4, 3, 2 and 1 candidates
        out = cuco.select(USER, USER_XS, ITEM_XS, CANDIDATES, epoch, 4, 1, "sum")
        assert out == [[expected]]
    # two negatives need two candidates
    assert cuco.select(USER, USER_XS, ITEM_XS, CANDIDATES, 3, 4, 2, "sum") == [[2, 1]]
    with pytest.raises(ValueError, match="epoch"):
        cuco.num_used(-1, 4, 4)


@pytest.mark.parametrize("pool", POOLS)
def test_cuco_ends(pool: str) -> None:
    user, pos, user_xs, item_xs, candidates = random_case(11)
    for K in (1, 3):
        assert cuco.select(user, user_xs, item_xs, candidates, 0, 7, K, pool) == dns(
            user, pos, user_xs, item_xs, candidates, K, pool
        )
    last = cuco.select(user, user_xs, item_xs, candidates, 7, 7, 1, pool)
    assert last == candidates[:, :1].tolist()  # the first candidate: uniform sampling


# --- AHNS ----------------------------------------------------------------------------------------


def test_ahns_target_by_hand() -> None:
    assert ahns.target(3.0, 1.0, 0.5, -2.0) == 0.125  # 0.5 * 4^-1
    assert ahns.target(3.0, 1.0, 0.5, -1.0) == 0.5  # 0.5 * 4^0
    assert ahns.target(3.0, 1.0, 0.5, -0.5) == 1.0  # 0.5 * 4^0.5
    assert ahns.target(3.0, 1.0, 0.5, -1.5) == 0.25  # 0.5 * 4^-0.5
    # "all curves pass through the point (1 - alpha, beta)" (Theorem 3): the base is 1
    for p in (-3.0, -2.0, -1.0, -0.5):
        assert ahns.target(1.0 - 0.3, 0.3, 0.7, p) == pytest.approx(0.7)


@pytest.mark.parametrize("nonpositive", ["limit", "floor", "literal"])
def test_ahns_target_of_a_nonpositive_base(nonpositive: str) -> None:
    expected = {
        # base -1 and 0, with alpha = 1 and beta = 0.5, for p = -2, -1 and -0.5
        "limit": [(math.inf, math.inf), (0.5, 0.5), (0.0, 0.0)],
        "floor": [(0.5, 0.5), (0.5, 0.5), (0.5, 0.5)],
        "literal": [(-0.5, None), (0.5, 0.5), (None, None)],
    }[nonpositive]
    for p, pair in zip((-2.0, -1.0, -0.5), expected, strict=True):
        for pos_score, value in zip((-2.0, -1.0), pair, strict=True):
            if value is None:
                with pytest.raises(ValueError, match="not a real number"):
                    ahns.target(pos_score, 1.0, 0.5, p, nonpositive)
            else:
                assert ahns.target(pos_score, 1.0, 0.5, p, nonpositive) == value


def test_ahns_limit_continues_the_positive_side() -> None:
    for p in (-3.0, -2.0, -1.5, -1.0, -0.5, -0.1):
        values = [ahns.target(10.0**-e - 1.0, 1.0, 0.5, p) for e in (3, 6, 9)]
        limit = ahns.target(-1.0, 1.0, 0.5, p)
        if p < -1.0:
            assert values == sorted(values)
            assert limit == math.inf
        else:
            assert values == sorted(values, reverse=True)
            assert limit <= values[-1]


def test_ahns_by_hand() -> None:
    # concat: the positive has 1, the candidates 3, 4, 4, 0; with alpha = 1 the base is 2
    out = ahns.ratings(USER, POS, USER_XS, ITEM_XS, CANDIDATES, 1.0, 6.0, -2.0, "concat")
    assert out == [[0.0, 1.0, 1.0, 3.0]]  # the target is 6 / 2 = 3
    for K in (1, 2, 4):
        ids = ahns.select(USER, POS, USER_XS, ITEM_XS, CANDIDATES, 1.0, 6.0, -2.0, K, "concat")
        assert ids == [[1, 2, 3, 4][:K]]  # items 2 and 3 tie
    ids = ahns.select(USER, POS, USER_XS, ITEM_XS, CANDIDATES, 1.0, 0.5, -2.0, 1, "concat")
    assert ids == [[4]]  # the target is 1/4


@pytest.mark.parametrize("pool", POOLS)
def test_ahns_beta_0_is_closest_to_zero(pool: str) -> None:
    user, pos, user_xs, item_xs, candidates = random_case(12)
    scores = candidate_scores(user, user_xs, item_xs, candidates, pool)
    for p in (-2.0, -1.5, -1.0):
        ids = ahns.select(user, pos, user_xs, item_xs, candidates, 0.1, 0.0, p, 1, pool)
        for b in range(3):
            closest = min(range(6), key=lambda m: abs(scores[b][m]))
            assert ids[b] == [int(candidates[b, closest])]


@pytest.mark.parametrize("pool", POOLS)
def test_ahns_infinite_target_is_dns(pool: str) -> None:
    user, pos, user_xs, item_xs, candidates = random_case(13)
    alpha = -100.0  # no base is positive
    ids = ahns.select(user, pos, user_xs, item_xs, candidates, alpha, 0.5, -1.5, 3, pool)
    assert ids == dns(user, pos, user_xs, item_xs, candidates, 3, pool)
    # a target far above all scores gives the same
    ids = ahns.select(user, pos, user_xs, item_xs, candidates, 100.0, 1e6, -1.0, 3, pool)
    assert ids == dns(user, pos, user_xs, item_xs, candidates, 3, pool)


def test_ahns_p_minus_1_does_not_look_at_the_positive() -> None:
    user, pos, user_xs, item_xs, candidates = random_case(14)
    one_way = ahns.select(user, pos, user_xs, item_xs, candidates, 0.5, 0.3, -1.0, 2, "sum")
    other = ahns.select(user, pos.flip(0), user_xs, item_xs, candidates, 0.9, 0.3, -1.0, 2, "sum")
    assert one_way == other


# --- SDNS and soft BPR ---------------------------------------------------------------------------


def test_sdns_by_hand() -> None:
    # concat chooses item 2: (0,0) and (0,2); the positive is (1,1) and (1,0)
    ids, vectors = sdns(USER, POS, USER_XS, ITEM_XS, CANDIDATES, 0.75, 1, "concat")
    assert ids == [[2]]
    assert vectors == [[[[0.75, 0.75], [0.75, 0.5]]]]


@pytest.mark.parametrize("pool", POOLS)
def test_sdns_ends(pool: str) -> None:
    user, pos, user_xs, item_xs, candidates = random_case(15)
    ids, at_zero = sdns(user, pos, user_xs, item_xs, candidates, 0.0, 2, pool)
    _, at_one = sdns(user, pos, user_xs, item_xs, candidates, 1.0, 2, pool)
    assert ids == dns(user, pos, user_xs, item_xs, candidates, 2, pool)
    for b in range(3):
        for k in range(2):
            assert at_zero[b][k] == layer_vectors(item_xs, ids[b][k])
            assert at_one[b][k] == layer_vectors(item_xs, int(pos[b]))


def sdns_bpr(
    user: Tensor,
    pos: Tensor,
    user_xs: list[Tensor],
    item_xs: list[Tensor],
    ids: list[list[int]],
    alpha: float,
    pool: str,
) -> float:
    """The BPR loss on the mixed vectors of negatives that are given."""
    candidates = torch.tensor(ids)
    _, vectors = sdns(user, pos, user_xs, item_xs, candidates, alpha, len(ids[0]), pool)
    pos_scores, _ = scores_of(user, pos, user_xs, item_xs, ids, pool)
    neg_scores = []
    for b in range(len(user)):
        e_u = pooled(user_xs, int(user[b]), pool)
        neg_scores.append([dot(e_u, pool_vectors(layers, pool)) for layers in vectors[b]])
    return bpr_loss(pos_scores, f64(neg_scores))


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.9])
def test_sdns_with_bpr_is_dns_with_soft_bpr(pool: str, alpha: float) -> None:
    user, pos, user_xs, item_xs, candidates = random_case(16)
    ids = dns(user, pos, user_xs, item_xs, candidates, 2, pool)
    pos_scores, neg_scores = scores_of(user, pos, user_xs, item_xs, ids, pool)
    soft = soft_bpr_loss(pos_scores, neg_scores, alpha)
    assert sdns_bpr(user, pos, user_xs, item_xs, ids, alpha, pool) == pytest.approx(soft)


@pytest.mark.parametrize("pool", POOLS)
def test_sdns_gradients_are_those_of_soft_bpr(pool: str) -> None:
    # central differences in one entry of every layer of a user, a positive and a negative
    user, pos, user_xs, item_xs, candidates = random_case(17)
    ids = dns(user, pos, user_xs, item_xs, candidates, 2, pool)
    step = 1e-5
    for xs, index in [(user_xs, user[0]), (item_xs, pos[0]), (item_xs, ids[0][1])]:
        for x in xs:
            mixed, soft = [], []
            for move in (step, -2.0 * step):
                x[index, 1] += move
                mixed.append(sdns_bpr(user, pos, user_xs, item_xs, ids, 0.8, pool))
                scores = scores_of(user, pos, user_xs, item_xs, ids, pool)
                soft.append(soft_bpr_loss(*scores, 0.8))
            x[index, 1] += step
            slope = (mixed[0] - mixed[1]) / (2.0 * step)
            assert slope == pytest.approx((soft[0] - soft[1]) / (2.0 * step), abs=1e-9)


def test_soft_bpr_by_hand() -> None:
    # 1/2 * (2 ln 3 - 0) = ln 3 and 1/2 * (2 ln 3 - 4 ln 3) = -ln 3: ln 4/3 and ln 4
    loss = soft_bpr_loss(f64([2 * LN3]), f64([[0.0, 4 * LN3]]), 0.5)
    assert loss == pytest.approx((math.log(4 / 3) + LN4) / 2)
    pos, neg = f64([0.3, -1.0]), f64([[0.1, 2.0], [-3.0, 0.4]])
    assert soft_bpr_loss(pos, neg, 0.0) == bpr_loss(pos, neg)
    assert soft_bpr_loss(pos, neg, 1.0) == pytest.approx(LN2)


# --- softmax losses ------------------------------------------------------------------------------


def test_sampled_softmax_by_hand() -> None:
    pos, neg = f64([LN2]), f64([[0.0, LN3]])
    # 2 / (2 + 1 + 3)
    assert sampled_softmax_loss(pos, neg, 1.0) == pytest.approx(LN3)
    # temperature 1/2 squares: 4 / (4 + 1 + 9)
    assert sampled_softmax_loss(pos, neg, 0.5) == pytest.approx(math.log(14 / 4))
    # 1 / Q times: (2 * 2) / (2 * 2 + 1 * 4 + 3 * 1)
    q_pos, q_neg = f64([0.5]).log(), f64([[0.25, 1.0]]).log()
    assert sampled_softmax_loss(pos, neg, 1.0, q_pos, q_neg) == pytest.approx(math.log(11 / 4))
    # the correction is not divided by the temperature: (4 * 2) / (4 * 2 + 1 * 4 + 9 * 1)
    assert sampled_softmax_loss(pos, neg, 0.5, q_pos, q_neg) == pytest.approx(math.log(21 / 8))
    # only the negatives: 2 / (2 + 1 * 4 + 3 * 1)
    assert sampled_softmax_loss(pos, neg, 1.0, None, q_neg) == pytest.approx(math.log(9 / 2))
    assert sampled_softmax_loss(f64([0.0]), f64([[1000.0]]), 1.0) == 1000.0


def test_kpair_bpr_by_hand() -> None:
    # ln(1 + 1/2 + 3/2) and ln(1 + 1 + 1)
    assert kpair_bpr_loss(f64([LN2, 0.0]), f64([[0.0, LN3], [0.0, 0.0]])) == pytest.approx(LN3)
    assert kpair_bpr_loss(f64([0.0]), f64([[1000.0, 0.0]])) == 1000.0
    assert kpair_bpr_loss(f64([1000.0]), f64([[0.0, 0.0]])) == 0.0


def test_softmax_equalities() -> None:
    g = torch.Generator().manual_seed(18)
    pos = torch.randn(4, generator=g, dtype=torch.float64)
    neg = torch.randn(4, 3, generator=g, dtype=torch.float64)
    # the K-pair BPR loss is the sampled softmax loss at temperature 1, and with K = 1 it is BPR
    assert kpair_bpr_loss(pos, neg) == pytest.approx(sampled_softmax_loss(pos, neg, 1.0))
    assert kpair_bpr_loss(pos, neg[:, :1]) == pytest.approx(bpr_loss(pos, neg[:, :1]))
    # with K = 1 a temperature is soft BPR's factor, 1 / tau = 1 - alpha
    soft = soft_bpr_loss(pos, neg[:, :1], 0.75)
    assert sampled_softmax_loss(pos, neg[:, :1], 4.0) == pytest.approx(soft)
    # one Q for all items changes nothing
    corrected = sampled_softmax_loss(
        pos, neg, 0.2, torch.full((4,), -3.0), torch.full((4, 3), -3.0)
    )
    assert corrected == pytest.approx(sampled_softmax_loss(pos, neg, 0.2))


def test_cosine_scores() -> None:
    out = cosine_scores(f64([[3.0, 4.0]]), f64([[[4.0, 3.0], [-6.0, -8.0], [0.0, 0.0]]]))
    assert out[0] == pytest.approx([0.96, -1.0, 0.0])


# --- PRIS ----------------------------------------------------------------------------------------


def test_pris_by_hand() -> None:
    neg, q = f64([[LN2, LN3]]), f64([[0.5, 0.25]])
    # 2 / (1/2) = 4 and 3 / (1/4) = 12
    assert importance_weights(neg, q.log())[0] == pytest.approx([0.25, 0.75])
    # the normaliser of Q cancels
    assert importance_weights(neg, (7.0 * q).log())[0] == pytest.approx([0.25, 0.75])
    # a uniform Q leaves the softmax of the scores: 2/5 and 3/5
    assert importance_weights(neg, torch.zeros(1, 2))[0] == pytest.approx([0.4, 0.6])
    # s(u, p) = 0: ln(1 + 2) / 4 + 3 ln(1 + 3) / 4
    assert pris_loss(f64([0.0]), neg, q.log()) == pytest.approx(0.25 * LN3 + 0.75 * LN4)


def test_pris_equalities() -> None:
    g = torch.Generator().manual_seed(19)
    pos = torch.randn(4, generator=g, dtype=torch.float64)
    neg = torch.randn(4, 3, generator=g, dtype=torch.float64)
    log_q = torch.rand(4, 3, generator=g, dtype=torch.float64).log()
    # one proposal has all the weight; equal scores and equal Q give equal weights
    assert pris_loss(pos, neg[:, :1], log_q[:, :1]) == pytest.approx(bpr_loss(pos, neg[:, :1]))
    flat = torch.zeros(4, 3)
    assert pris_loss(pos, flat, flat) == pytest.approx(bpr_loss(pos, flat))
    # Q proportional to exp(score) is the target itself: all weights are equal
    assert importance_weights(neg, neg)[0] == pytest.approx([1 / 3] * 3)
    weights = f64(importance_weights(neg, log_q))
    assert pris_loss(pos, neg, log_q) == pytest.approx(bpr_loss(pos, neg, weights))


# --- DENS ----------------------------------------------------------------------------------------


def gates_of(D: int, seed: int | None = None, c_p: float = 0.0, c_n: float = 0.0) -> dens.Gates:
    """Random maps, or zero maps with a bias in the two gates."""
    if seed is None:
        zero = torch.zeros(D, D, dtype=torch.float64)
        nil = torch.zeros(D, dtype=torch.float64)
        return dens.Gates(zero, zero, zero, zero, nil + c_p, nil, nil + c_n, nil)
    g = torch.Generator().manual_seed(seed)
    maps = [torch.randn(D, D, generator=g, dtype=torch.float64) for _ in range(4)]
    biases = [torch.randn(D, generator=g, dtype=torch.float64) for _ in range(4)]
    return dens.Gates(*maps, *biases)


def test_dens_gates_by_hand() -> None:
    gates = dens.Gates(
        w_i=f64([[1.0, 0.0], [2.0, 0.0]]),
        w_u=f64([[0.0, 1.0], [0.0, 0.0]]),
        w_n=f64([[0.0, 0.0], [0.0, 1.0]]),
        w_p=f64([[4.0, 0.0], [0.0, 0.0]]),
        c_i=f64([0.0, LN3]),
        c_u=f64([0.0, 0.0]),
        c_n=f64([0.0, 0.0]),
        c_p=f64([0.0, LN2]),
    )
    e_u, e_p = [0.0, LN2], [LN3 - LN2, 1.0]
    # component 0: ln 3 - ln 2 + ln 2 = ln 3; component 1: 2 (ln 3 - ln 2) + ln 3 = ln 27/4
    assert dens.positive_gate(gates, e_u, e_p) == pytest.approx([3 / 4, 27 / 31])
    # component 0: 4 * ln(3) / 4 = ln 3; component 1: n_1 + ln 2 = ln 6
    gate = dens.negative_gate(gates, [9.0, LN3], [LN3 / 4, 5.0])
    assert gate == pytest.approx([3 / 4, 6 / 7])


def test_dens_schedule() -> None:
    assert [dens.schedule(t, 4) for t in (0, 1, 4, 9)] == [1.0, 0.75, 0.0, 0.0]


@pytest.mark.parametrize("pool", POOLS)
def test_dens_selection_with_even_gates(pool: str) -> None:
    # all gates are 1/2, so the score is (factor - 1/2) * u.n
    user, pos, user_xs, item_xs, candidates = random_case(20)
    args = (user, pos, user_xs, item_xs, candidates, gates_of(4))
    hardest = hardest_per_layer(user, user_xs, item_xs, candidates, 6, pool)
    assert dens.select(*args, 1.0, 6, pool) == hardest
    assert dens.select(*args, 0.0, 6, pool) == [row[::-1] for row in hardest]


def test_dens_selection_by_hand() -> None:
    # D = 1, u = 1, p = 1, n = 1, 2, 4; W_n = -ln 3 with the bias 2 ln 3: gates 3/4, 1/2, 1/10
    zero, nil = f64([[0.0]]), f64([0.0])
    gates = dens.Gates(zero, zero, f64([[-LN3]]), zero, nil, nil, f64([2 * LN3]), nil)
    item_xs = [f64([[1.0], [1.0], [2.0], [4.0]])]
    candidates = torch.tensor([[1, 2, 3]])
    # factor 1: 1/4, 1, 3.6; factor 0: -3/4, -1, -0.4; factor 1/4: -1/2, -1/2, 3/5
    for factor, order in [(1.0, [3, 2, 1]), (0.0, [3, 1, 2]), (0.25, [3, 1, 2])]:
        out = dens.select(USER, POS, one([1.0]), item_xs, candidates, gates, factor, 3, "mean")
        assert out == [[[i] for i in order]]


def test_dens_selection_looks_at_the_relevant_part_of_the_positive() -> None:
    # D = 1, u = 1, p = 4 with g_p = 3/4, n = 1, 3, 5; W_p = 1 and W_n = -1: the gates are the
    # sigmoids of 3 - n, so item 2 has u . (n / 2 - n / 2) = 0 and item 1 is below it
    zero, nil, unit = f64([[0.0]]), f64([0.0]), f64([[1.0]])
    gates = dens.Gates(zero, zero, -unit, unit, f64([LN3]), nil, nil, nil)
    item_xs = [f64([[4.0], [1.0], [3.0], [5.0]])]
    candidates = torch.tensor([[1, 2, 3]])
    out = dens.select(USER, POS, one([1.0]), item_xs, candidates, gates, 0.5, 3, "mean")
    assert out == [[[3], [2], [1]]]


@pytest.mark.parametrize("pool", POOLS)
def test_dens_loss_with_even_gates(pool: str) -> None:
    # both parts of an item have half of its score, with s = s(u, p) and t = s(u, n): the terms are
    # ln 2, ln 2, ln(1 + exp((t - s) / 2)) and ln(1 + exp((s - t) / 2))
    chosen = [[[3, 3], [4, 4]]]
    loss = dens.auxiliary_loss(USER, POS, USER_XS, ITEM_XS, chosen, gates_of(2), 0.8, pool)
    s, total = POS_SCORES[pool], 0.0
    for t in (SCORES[pool][2], SCORES[pool][3]):
        total += 2 * LN2 + softplus((t - s) / 2) + softplus((s - t) / 2)
    assert loss == pytest.approx(0.8 / 4 * total / 2)


@pytest.mark.parametrize("pool", POOLS)
def test_dens_loss_with_extreme_gates(pool: str) -> None:
    # g_p = 1 and g_n = 0: p is all relevant, n is all irrelevant
    gates = gates_of(2, c_p=1000.0, c_n=-1000.0)
    chosen = [[[3, 3]]]
    loss = dens.auxiliary_loss(USER, POS, USER_XS, ITEM_XS, chosen, gates, 4.0, pool)
    s, t = POS_SCORES[pool], SCORES[pool][2]
    assert loss == pytest.approx(2 * softplus(-s) + 2 * softplus(-t))
    assert dens.auxiliary_loss(USER, POS, USER_XS, ITEM_XS, chosen, gates, 0.0, pool) == 0.0


def test_dens_where_the_loss_splits() -> None:
    user, pos, user_xs, item_xs, candidates = random_case(21)
    gates = gates_of(4, seed=22)
    cases = [("final", user_xs, item_xs)] + [(p, user_xs[:1], item_xs[:1]) for p in POOLS[:2]]
    for pool, xs, ys in cases:
        chosen = dens.select(user, pos, xs, ys, candidates, gates, 0.5, 2, pool)
        args = (user, pos, xs, ys, chosen, gates, 0.4, pool)
        of_layers = dens.auxiliary_loss(*args, split="layer")
        assert of_layers == pytest.approx(dens.auxiliary_loss(*args, split="pooled"))
    with pytest.raises(ValueError, match="cannot split"):
        dens.auxiliary_loss(user, pos, xs, ys, chosen, gates, 0.4, "concat", split="pooled")


# --- SRNS ----------------------------------------------------------------------------------------


def test_srns_std() -> None:
    assert srns.recorded_std([]) == 0.0
    assert srns.recorded_std([0.7]) == 0.0
    assert srns.recorded_std([0.0, 1.0]) == 0.5  # not sqrt(1/2): the population's
    # only the last five: 1, 1, 1, 1, 6 with mean 2: (4 * 1 + 16) / 5 = 4
    assert srns.recorded_std([99.0, 1.0, 1.0, 1.0, 1.0, 6.0]) == 2.0


def test_srns_warm_up() -> None:
    assert [srns.warm_up(t, 3.0, 4) for t in (0, 1, 4, 9)] == [0.0, 0.75, 3.0, 3.0]


def test_srns_select_by_hand() -> None:
    # the positive has the score 0, the memory 0, -ln 3 and ln 3: P = 1/2, 1/4, 3/4
    item_xs = [f64([[0.0], [0.0], [-LN3], [LN3]])]
    memory = [[1, 2, 3]]
    history = [[[0.0, 1.0], [0.0, 0.4], [0.3, 0.3]]]  # std 1/2, 1/5, 0
    for alpha_t, order in [(0.0, [3, 1, 2]), (0.4, [3, 1, 2]), (1.0, [1, 3, 2]), (9.0, [1, 2, 3])]:
        out = srns.select(USER, POS, one([1.0]), item_xs, memory, history, alpha_t, 3, "mean")
        assert out == [order]


@pytest.mark.parametrize("pool", POOLS)
def test_srns_without_variance_is_dns_over_the_memory(pool: str) -> None:
    user, pos, user_xs, item_xs, candidates = random_case(23)
    steady = [[[0.5] * 5 for _ in range(6)] for _ in range(3)]
    for alpha_t in (0.0, 2.0):
        out = srns.select(
            user, pos, user_xs, item_xs, candidates.tolist(), steady, alpha_t, 2, pool
        )
        assert out == dns(user, pos, user_xs, item_xs, candidates, 2, pool)


def test_srns_memory_by_hand() -> None:
    scores = [2 * LN2, 0.0, 0.0]
    assert srns.keep_probabilities(scores, 2.0) == pytest.approx([1 / 2, 1 / 4, 1 / 4])
    # {0, 1}: 1/2 * 1/2 + 1/4 * (1/2) / (3/4) = 5/12; {1, 2}: 2 * 1/4 * (1/4) / (3/4) = 1/6
    sets = srns.kept_sets(scores, 2.0, 2)
    expected = {frozenset({0, 1}): 5 / 12, frozenset({0, 2}): 5 / 12, frozenset({1, 2}): 1 / 6}
    assert sets == pytest.approx(expected)
    included = srns.inclusion_probabilities(scores, 2.0, 2)
    assert included == pytest.approx([10 / 12, 7 / 12, 7 / 12])


def test_srns_memory_ends() -> None:
    scores = [0.3, -1.0, 2.0, 0.0]
    one_draw = srns.inclusion_probabilities(scores, 0.7, 1)
    assert one_draw == pytest.approx(srns.keep_probabilities(scores, 0.7))
    assert srns.inclusion_probabilities(scores, 0.7, 4) == pytest.approx([1.0] * 4)
    assert sum(srns.inclusion_probabilities(scores, 0.7, 3)) == pytest.approx(3.0)
    assert srns.inclusion_probabilities(scores, 1e9, 2) == pytest.approx([0.5] * 4)
    assert srns.inclusion_probabilities(scores, 0.01, 2) == pytest.approx([1.0, 0.0, 1.0, 0.0])


# --- contrastive DNS -----------------------------------------------------------------------------


def test_retrieve_by_hand() -> None:
    users = f64([[1.0, 0.0], [0.0, 2.0]])
    # cosines with user 0: 1, 0, -1, 1/sqrt 2, 0, 1; with user 1: 0, 1, 0, 1/sqrt 2, 0, 0
    items = f64([[5.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [1.0, 1.0], [0.0, 0.0], [0.1, 0.0]])
    observed = [{1}, {0, 2}]
    out = contrastive_dns.retrieve(users, items, observed, 3)
    assert out == [[2, 4, 3], [4, 5, 3]]  # 4 and 5 tie for user 1
    out = contrastive_dns.retrieve(users, items, observed, 3, "similar")
    assert out == [[0, 5, 3], [1, 3, 4]]  # the length of an item does not count
    out = contrastive_dns.retrieve(users, items, observed, 3, "random")
    assert out == [[0, 2, 3, 4, 5], [1, 3, 4, 5]]
    assert contrastive_dns.retrieve(users, items, observed, 9)[1] == [4, 5, 3, 1]
    with pytest.raises(ValueError, match="unknown mode"):
        contrastive_dns.retrieve(users, items, observed, 3, "hard")


def test_contrastive_loss_by_hand() -> None:
    user, pos = f64([[2.0, 0.0]]), f64([[3.0, 0.0]])
    neg, far = f64([[[0.0, 1.0]]]), f64([[[-4.0, 0.0]]])
    # cosines 1, 0, -1 with 1 / tau = ln 2: 2 / (1 + 1/2 + 2)
    loss = contrastive_dns.contrastive_loss(user, pos, neg, far, 1.0 / LN2)
    assert loss == pytest.approx(math.log(3.5 / 2))


def test_contrastive_loss_is_a_sampled_softmax_of_cosines() -> None:
    g = torch.Generator().manual_seed(24)
    user, pos = torch.randn(2, 3, 4, generator=g, dtype=torch.float64)
    neg = torch.randn(3, 5, 4, generator=g, dtype=torch.float64)
    pos_scores = f64(cosine_scores(user, pos.view(3, 1, 4))).view(-1)
    neg_scores = f64(cosine_scores(user, neg))
    loss = contrastive_dns.contrastive_loss(user, pos, neg[:, :2], neg[:, 2:], 0.2)
    assert loss == pytest.approx(sampled_softmax_loss(pos_scores, neg_scores, 0.2))


# --- ANS -----------------------------------------------------------------------------------------


def ans_weights(D: int, seed: int | None) -> ans.Weights:
    """Small random matrices, so that no gate rounds to 1, or zeros: then every gate is 1/2."""
    if seed is None:
        zero = torch.zeros(D, D, dtype=torch.float64)
        return ans.Weights(zero, zero, torch.zeros(D, dtype=torch.float64))
    g = torch.Generator().manual_seed(seed)
    item, user = 0.3 * torch.randn(2, D, D, generator=g, dtype=torch.float64)
    return ans.Weights(item, user, torch.randn(D, generator=g, dtype=torch.float64))


def ans_noise(M: int, H: int, D: int) -> Tensor:
    """Noise for three rows, uniform on [0, 0.1]."""
    g = torch.Generator().manual_seed(25)
    return 0.1 * torch.rand(3, M, H, D, generator=g, dtype=torch.float64)


def test_ans_gate_and_factors_by_hand() -> None:
    weights = ans.Weights(f64([[1.0, 0.0], [1.0, 1.0]]), f64([[0.0, 1.0], [1.0, 0.0]]), f64([1, 1]))
    # W_item n = (1, 3), W_user u = (ln 3, 0): gates sigmoid(ln 3) and 1/2
    factors = ans.disentangle(weights, [0.0, LN3], [8.0, 4.0], [1.0, 2.0])
    assert factors.n_hard == pytest.approx([0.75, 1.0])
    assert factors.n_easy == pytest.approx([0.25, 1.0])
    assert factors.p_hard == pytest.approx([6.0, 2.0])
    assert factors.p_easy == pytest.approx([2.0, 2.0])
    # W (hard * e_p') = 0.75 * 6 + 1 * 2 = 6.5
    assert ans.margin(weights, factors.n_hard, factors.p_hard) == pytest.approx(sigmoid(1 / 6.5))
    assert ans.margin(weights, [0.0, 1.0], [1.0, 0.0]) == 1.0
    # u = (0, ln 3): easy ln 3, hard ln 3
    assert ans.contrast_term([0.0, LN3], factors.n_hard, factors.n_easy) == 0.0
    assert ans.contrast_term([4.0, 0.0], factors.n_hard, factors.n_easy) == -2.0
    # (6 - 0.75)^2 + (2 - 1)^2 and 2 * 0.25 + 2 * 1; the product of the easy parts is (0.5, 2)
    assert ans.disentangle_term(factors, False) == pytest.approx(5.25**2 + 1.0 + 2.5)
    released = ans.disentangle_term(factors, True)
    assert released == pytest.approx(math.sqrt(5.25**2 + 1.0) + math.sqrt(0.25 + 4.0))


def test_ans_magnitude_by_hand() -> None:
    assert ans.regulate([0.3, 0.4], 0.6, False) == [0.3, 0.4]
    assert ans.regulate([0.3, 0.4], 0.25, False) == pytest.approx([0.15, 0.2])
    assert ans.regulate([0.3, 0.4], 0.25, True) == pytest.approx([0.015, 0.02])
    assert ans.regulate([0.3, 0.4], 0.75, True) == pytest.approx([0.045, 0.06])
    assert ans.regulate([0.0, 0.0], 0.75, True) == [0.0, 0.0]


def test_ans_by_hand() -> None:
    # One layer, u = (1, 0), p = (1, 1), the candidates (0, 3) and (1/2, 1), all gates 1/2, W = 0:
    # the margin is 1. e_dif = (p - n) / 2, so the directions are (1, -1) and (1, 0).
    item_xs = [f64([[1.0, 1.0], [0.0, 3.0], [0.5, 1.0]])]
    noise = f64([[[[0.6, 0.8]], [[0.1, 0.1]]]])
    args = (USER, POS, one([1.0, 0.0]), item_xs, torch.tensor([[1, 2]]), noise)
    out = ans.ans(*args, ans_weights(2, None), 0.0, 2, "mean")
    # augmented: (0.6, 2.2) and (0.6, 1.0); the scores tie, the gains are 0.6 and 0.1
    assert out.ids == [[1, 2]]
    assert out.score[0] == pytest.approx([0.6, 0.6])
    assert out.gain[0] == pytest.approx([0.6, 0.1])
    assert out.vectors[0][0][0] == pytest.approx([0.6, 2.2])
    assert out.vectors[0][1][0] == pytest.approx([0.6, 1.0])
    # eq. 5: both parts are n / 2. eq. 7: ||(p - n) / 2||^2 + p.n / 4
    assert out.contrast == [[0.0, 0.0]]
    assert out.disentangle[0] == pytest.approx([(1 + 4) / 4 + 3 / 4, 0.25 / 4 + 1.5 / 4])
    assert ans.auxiliary_loss(out, 0.5, False) == pytest.approx(0.5 * (2.0 + 0.4375))
    # s(u, p) - s(u, n) = 1 - 0.6 for both
    loss = ans.total_loss(USER, POS, one([1.0, 0.0]), item_xs, out, 0.5, "mean", False)
    assert loss == pytest.approx(minus_log_sigmoid(0.4) + 0.5 * 2.4375)
    # released: the noise has the lengths 1 and 0.1 * sqrt 2: (0.06, 0.08) and 0.1 / sqrt 2 twice
    out = ans.ans(*args, ans_weights(2, None), 0.0, 2, "mean", ans.RELEASED)
    assert out.ids == [[2, 1]]
    assert out.vectors[0][1][0] == pytest.approx([0.06, 2.92])
    assert out.vectors[0][0][0] == pytest.approx([0.5 + 0.1 / math.sqrt(2), 1.0])
    assert out.contrast[0] == [0.0, 0.0]
    easy_products = [math.hypot(0.0, 3 / 4), math.hypot(0.5 / 4, 1 / 4)]
    distances = [math.hypot(0.5, 1.0), 0.25]
    assert out.disentangle[0] == pytest.approx([distances[m] + easy_products[m] for m in range(2)])
    # ln(1 + e^0 + e^0), and a mean
    expected = 0.5 * (math.log(3) + sum(distances + easy_products) / 2)
    assert ans.auxiliary_loss(out, 0.5, True) == pytest.approx(expected)


@pytest.mark.parametrize("pool", POOLS)
def test_ans_without_noise_is_dns(pool: str) -> None:
    user, pos, user_xs, item_xs, candidates = random_case(26)
    noise = torch.zeros(3, 6, 3, 4)
    for options in (ans.FAITHFUL, ans.RELEASED):
        out = ans.ans(
            user,
            pos,
            user_xs,
            item_xs,
            candidates,
            noise,
            ans_weights(4, 27),
            0.7,
            2,
            pool,
            options,
        )
        assert out.ids == dns(user, pos, user_xs, item_xs, candidates, 2, pool)
        for b in range(3):
            assert out.gain[b] == pytest.approx([0.0] * 6)
            for k in range(2):
                for h in range(3):
                    expected = item_xs[h][out.ids[b][k]].tolist()
                    assert out.vectors[b][k][h] == pytest.approx(expected)


@pytest.mark.parametrize("pool", POOLS)
def test_ans_ablations(pool: str) -> None:
    case = random_case(28)
    pos, item_xs, candidates = case[1], case[3], case[4]
    noise = 20.0 * ans_noise(6, 3, 4)
    args = (*case, noise, ans_weights(4, 29))
    # no gain is epsilon = 0
    no_gain = ans.ans(*args, 0.7, 6, pool, ans.Options(gain=False))
    assert no_gain == ans.ans(*args, 0.0, 6, pool)
    # a large epsilon ranks by gain alone
    out = ans.ans(*args, 1e9, 6, pool)
    for b in range(3):
        gain = {int(candidates[b, m]): out.gain[b][m] for m in range(6)}
        gains = [gain[i] for i in out.ids[b]]
        assert all(gains[k] >= gains[k + 1] - 1e-6 for k in range(5))
    # the full method stays within length 1 of the candidate, moves each entry towards the
    # positive, and is beyond the bound without the magnitude
    free = ans.ans(*args, 0.0, 6, pool, ans.Options(magnitude=False))
    straight = ans.ans(*args, 0.0, 6, pool, ans.Options(magnitude=False, direction=False))
    whole = ans.ans(*args, 0.0, 6, pool, ans.Options(magnitude=False, disentangle=False))
    full = ans.ans(*args, 0.0, 6, pool)
    for b in range(3):
        for k in range(6):
            for h in range(3):
                for result in (full, free, straight, whole):
                    e_n = item_xs[h][result.ids[b][k]].tolist()
                    e_p = item_xs[h][pos[b]].tolist()
                    m = candidates[b].tolist().index(result.ids[b][k])
                    moved = [result.vectors[b][k][h][d] - e_n[d] for d in range(4)]
                    if result is straight:
                        assert moved == pytest.approx(noise[b, m, h].tolist())
                        continue
                    # a gate in (0, 1) leaves e_p'' - easy the sign of e_p - e_n; a margin whose
                    # W (...) is just below 0 is 0 but for rounding
                    assert all(moved[d] * (e_p[d] - e_n[d]) > -1e-14 for d in range(4))
                    if result is full:
                        assert math.hypot(*moved) <= 1.0 + 1e-12
                    else:
                        lengths = [abs(x) for x in moved]
                        assert lengths == pytest.approx(noise[b, m, h].tolist())
    assert whole.contrast == whole.disentangle == [[0.0] * 6] * 3


def test_ans_where() -> None:
    user, pos, user_xs, item_xs, candidates = random_case(30)
    for pool in POOLS:  # one layer: pooling changes nothing
        args = (user, pos, user_xs[:1], item_xs[:1], candidates, ans_noise(6, 1, 4))
        of_layers = ans.ans(*args, ans_weights(4, 31), 0.3, 2, pool, where="layer")
        of_pooled = ans.ans(*args, ans_weights(4, 31), 0.3, 2, pool, where="pooled")
        assert of_layers == of_pooled
    args = (user, pos, user_xs, item_xs, candidates, ans_noise(6, 1, 12))
    out = ans.ans(*args, ans_weights(12, 32), 0.3, 2, "concat", where="pooled")
    assert len(out.vectors[0][0][0]) == 12
    loss = ans.total_loss(user, pos, user_xs, item_xs, out, 0.1, "concat", False, "pooled")
    assert math.isfinite(loss)


@pytest.mark.parametrize("pool", POOLS)
def test_hns(pool: str) -> None:
    user, pos, user_xs, item_xs, candidates = random_case(33)
    args = (user, pos, user_xs, item_xs, candidates)
    ids, vectors = ans.hns(*args, ans_weights(4, None), 2, pool)
    assert ids == candidates[:, :2].tolist()
    for b in range(3):
        for k in range(2):
            for h in range(3):
                expected = (item_xs[h][ids[b][k]] / 2).tolist()
                assert vectors[b][k][h] == pytest.approx(expected)


# --- IRGAN and AdvIR -----------------------------------------------------------------------------


def test_policy_probabilities_by_hand() -> None:
    g = f64([[LN2, 0.0, 0.0]])
    assert policy.probabilities(g, 1.0)[0] == pytest.approx([1 / 2, 1 / 4, 1 / 4])
    assert policy.probabilities(g, 0.5)[0] == pytest.approx([4 / 6, 1 / 6, 1 / 6])
    assert policy.probabilities(g, 1e-3)[0] == pytest.approx([1.0, 0.0, 0.0])
    assert policy.probabilities(g, 1e9)[0] == pytest.approx([1 / 3] * 3)
    logs = policy.log_probabilities(g, 1.0)[0]
    assert logs == pytest.approx([-LN2, -LN4, -LN4])


def test_policy_rewards_by_hand() -> None:
    assert policy.reward(LN3, 7.0, "softplus") == pytest.approx(LN4)
    assert policy.reward(LN3, 7.0, "sigmoid") == pytest.approx(0.5)
    assert policy.reward(LN3, LN3, "pairwise") == pytest.approx(LN2)
    pair = bpr_loss(f64([0.4]), f64([[1.3]]))
    assert policy.reward(1.3, 0.4, "pairwise") == pytest.approx(pair)
    with pytest.raises(ValueError, match="unknown reward"):
        policy.reward(0.0, 0.0, "linear")


def test_policy_gradient_loss_by_hand() -> None:
    log_p = [[-LN2, -LN4], [-LN4, -LN4]]
    rewards = [[2.0, 0.0], [1.0, 1.0]]
    assert policy.batch_mean(rewards) == 1.0
    # baseline 1: b = 0: (ln 2 - ln 4) / 2 = -ln(2) / 2; b = 1: 0
    loss = policy.policy_gradient_loss(log_p, rewards, [1.0, 1.0])
    assert loss == pytest.approx(-LN2 / 4)
    # no baseline: b = 0: 2 ln 2 / 2; b = 1: ln 4
    assert policy.policy_gradient_loss(log_p, rewards, [0.0, 0.0]) == pytest.approx(3 * LN2 / 2)
    assert policy.expected_reward([0.25, 0.75], [4.0, 8.0]) == 7.0


def test_policy_gradient_is_that_of_its_loss() -> None:
    scores, tau, step = [0.3, -0.7, 1.1], 0.6, 1e-6
    gradient = policy.policy_gradient(scores, tau, 1, 2.5)
    for m in range(3):
        values = []
        for sign in (1.0, -1.0):
            moved = list(scores)
            moved[m] += sign * step
            log_p = policy.log_probabilities(f64([moved]), tau)[0][1]
            values.append(policy.policy_gradient_loss([[log_p]], [[3.0]], [0.5]))
        assert gradient[m] == pytest.approx((values[0] - values[1]) / (2 * step), abs=1e-8)


@pytest.mark.parametrize("baseline", [0.0, 0.4, -3.0])
def test_policy_gradient_climbs_the_expected_reward(baseline: float) -> None:
    # the mean over the draws is minus the gradient of the expected reward, whatever the baseline
    scores, tau, rewards, step = [0.3, -0.7, 1.1], 0.6, [2.0, 0.5, -1.0], 1e-6
    distribution = policy.probabilities(f64([scores]), tau)[0]
    for m in range(3):
        mean = 0.0
        for drawn in range(3):
            advantage = rewards[drawn] - baseline
            gradient = policy.policy_gradient(scores, tau, drawn, advantage)
            mean += distribution[drawn] * gradient[m]
        values = []
        for sign in (1.0, -1.0):
            moved = list(scores)
            moved[m] += sign * step
            p = policy.probabilities(f64([moved]), tau)[0]
            values.append(policy.expected_reward(p, rewards))
        assert mean == pytest.approx(-(values[0] - values[1]) / (2 * step), abs=1e-8)


def test_bpr_gradients() -> None:
    vectors = [[0.3, -1.0], [0.5, 0.2], [-0.4, 0.9]]
    step = 1e-6
    gradients = policy.bpr_gradients(*vectors)
    for role in range(3):
        for d in range(2):
            values = []
            for sign in (1.0, -1.0):
                moved = [list(v) for v in vectors]
                moved[role][d] += sign * step
                values.append(softplus(dot(moved[0], moved[2]) - dot(moved[0], moved[1])))
            slope = (values[0] - values[1]) / (2 * step)
            assert gradients[role][d] == pytest.approx(slope, abs=1e-8)


def test_perturbation() -> None:
    assert policy.perturb([1.0, 1.0], [3.0, 4.0], 0.5) == pytest.approx([1.3, 1.4])
    assert policy.perturb([1.0, 1.0], [0.0, 0.0], 0.5) == [1.0, 1.0]
    assert policy.perturb([1.0, 1.0], [3.0, 4.0], 0.0) == [1.0, 1.0]
    e_u, e_p, e_n = [3.0, -4.0], [0.5, 0.2], [-0.4, 0.9]
    # u / ||u|| = (0.6, -0.8): the negative gains epsilon * 5, the positive loses it
    assert policy.perturbed_score(e_u, e_n, 0.1) == pytest.approx(dot(e_u, e_n) + 0.5)
    plain = dot(e_u, e_n) - dot(e_u, e_p)
    assert policy.perturbed_bpr(e_u, e_p, e_n, 0.1, "") == softplus(plain)
    assert policy.perturbed_bpr(e_u, e_p, e_n, 0.1, "n") == pytest.approx(softplus(plain + 0.5))
    assert policy.perturbed_bpr(e_u, e_p, e_n, 0.1, "pn") == pytest.approx(softplus(plain + 1.0))
    # the user moves along n - p
    step = 0.1 * math.dist(e_n, e_p)
    assert policy.perturbed_bpr(e_u, e_p, e_n, 0.1, "u") == pytest.approx(softplus(plain + step))
