"""The oracles of the encoders against numbers worked out by hand, and known equalities."""

import math

import pytest
import torch
from torch import Tensor

from oracles import ease, lightgcn, neighbours, ngcf, sgl, simgcl

U, I, D = 4, 5, 3  # noqa: E741
# User 3 and item 4 have no edge; the edge (0, 1) is there twice.
EDGES = [(0, 0), (0, 1), (0, 1), (1, 1), (1, 2), (2, 0), (2, 3)]


def f64(values: list) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def uniform(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def same(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def dense_adjacency(edges: list[tuple[int, int]], num_users: int, num_items: int) -> Tensor:
    """D^(-1/2) A D^(-1/2) of users and items, zero where a degree is."""
    A = torch.zeros(num_users + num_items, num_users + num_items, dtype=torch.float64)
    for u, i in edges:
        A[u, num_users + i] += 1.0
        A[num_users + i, u] += 1.0
    degree = A.sum(dim=1)
    scale = torch.where(degree > 0, degree.clamp(min=1).rsqrt(), torch.zeros_like(degree))
    return scale[:, None] * A * scale[None, :]


# --- NGCF ---------------------------------------------------------------------------------------


def test_ngcf_by_hand() -> None:
    """User 0 has items 0 and 1, user 1 has none: c = 1 / sqrt(2 * 1)."""
    user0, item0 = f64([[1, 2], [-5, 1]]), f64([[3, 0], [-1, 1]])
    W1, W2 = f64([[1, 0], [0, 1]]), f64([[0, 1], [2, 0]])
    c = 1 / math.sqrt(2)
    # Products with user 0: (3, 0) and (-1, 2); W2 of them: (0, 6) and (2, -2).
    user = [1 + c * (3 + 0 - 1 + 2), 2 + c * (0 + 6 + 1 - 2)]
    items = [[3 + c * (1 + 0), 0 + c * (2 + 6)], [-1 + c * (1 + 2), 1 + c * (2 - 2)]]
    lonely = [-0.2 * 5, 1.0]
    users, out = ngcf.propagate(user0, item0, [(0, 0), (0, 1)], [W1], [W2])
    assert len(users) == len(out) == 2
    same(users[0], user0)
    same(out[0], item0)
    for got, raw in zip([*users[1], *out[1]], [user, lonely, *items], strict=True):
        same(got, f64(raw) / math.hypot(*raw))
    # The direction of W: row by row, out by in.
    tall = f64([[1, 0], [0, 0], [2, 1]])
    users, _ = ngcf.propagate(user0, item0, [], [tall], [torch.zeros(3, 2)])
    same(users[1][0], f64([1, 0, 4]) / math.sqrt(17))


def test_ngcf_without_weights_is_lightgcn_plus_self() -> None:
    """W1 = identity, W2 = 0, slope 1: x' = x + A x, layer after layer, rows of norm one."""
    user0, item0 = random(U, D), random(I, D, seed=1)
    eye, zero = torch.eye(D, dtype=torch.float64), torch.zeros(D, D, dtype=torch.float64)
    users, items = ngcf.propagate(user0, item0, EDGES, [eye] * 3, [zero] * 3, 1.0)
    x, y = user0, item0
    for h in range(1, 4):
        us, vs = lightgcn.propagate(x, y, EDGES, 1)
        x, y = x + us[1], y + vs[1]
        same(users[h], torch.nn.functional.normalize(x, dim=1))
        same(items[h], torch.nn.functional.normalize(y, dim=1))


def test_ngcf_is_its_matrix_form() -> None:
    """Eq. 7: E' = LeakyReLU((A + identity) E W1^T + (A E * E) W2^T), widths that change."""
    widths = [D, 4, 2]
    W1 = [random(widths[h + 1], widths[h], seed=10 + h) for h in range(2)]
    W2 = [random(widths[h + 1], widths[h], seed=20 + h) for h in range(2)]
    x = random(U + I, D)
    A = dense_adjacency(EDGES, U, I)
    masks = [(uniform(U + I, w, seed=w) > 0.4).double() / 0.6 for w in widths[1:]]
    users, items = ngcf.propagate(x[:U], x[U:], EDGES, W1, W2, 0.3, masks)
    plain, _ = ngcf.propagate(x[:U], x[U:], EDGES, W1, W2, 0.3)
    for h in range(2):
        z = (A @ x + x) @ W1[h].t() + (A @ x * x) @ W2[h].t()
        x = torch.nn.functional.leaky_relu(z, 0.3) * masks[h]
        expected = torch.nn.functional.normalize(x, dim=1, eps=1e-12)
        same(torch.cat([users[h + 1], items[h + 1]]), expected)
    assert not torch.allclose(users[2], plain[2])


def test_ngcf_zero_rows_and_gradients() -> None:
    """A row masked away stays zero, and its gradient is finite."""
    user0, item0 = random(2, 2).requires_grad_(), random(1, 2, seed=1).requires_grad_()
    W = [torch.eye(2, dtype=torch.float64)]
    mask = f64([[0, 0], [1, 1], [1, 1]])
    users, items = ngcf.propagate(user0, item0, [(0, 0), (1, 0)], W, W, message_masks=[mask])
    same(users[1][0], f64([0, 0]))
    same(users[1][1].norm(), f64(1.0))
    same(items[1][0].norm(), f64(1.0))
    (users[1][:, 0].sum() + items[1].sum()).backward()
    assert user0.grad is not None
    assert bool(user0.grad.isfinite().all())
    assert bool((user0.grad[1] != 0).any())


# --- SGL ----------------------------------------------------------------------------------------


def test_sgl_dropouts() -> None:
    assert sgl.node_dropout(EDGES, [True, False, True, True], [False, True, True, True, True]) == [
        (0, 1),
        (0, 1),
        (2, 3),
    ]
    kept = [True, False, True, False, False, False, True]
    assert sgl.edge_dropout(EDGES, kept) == [(0, 0), (0, 1), (2, 3)]
    with pytest.raises(ValueError, match="zip"):
        sgl.edge_dropout(EDGES, [True])


def test_sgl_view_of_all_edges_is_lightgcn() -> None:
    user0, item0 = random(U, D), random(I, D, seed=1)
    users, items = sgl.view(user0, item0, [EDGES] * 3)
    user_xs, item_xs = lightgcn.propagate(user0, item0, EDGES, 3)
    same(users, torch.stack(user_xs).mean(dim=0))
    same(items, torch.stack(item_xs).mean(dim=0))


def test_sgl_view_recomputes_degrees() -> None:
    """Layer 1 over (0, 0) alone, degrees one; layer 2 over (0, 0), (0, 1): 1 / sqrt(2)."""
    user0, item0 = f64([[2]]), f64([[3], [5]])
    users, items = sgl.view(user0, item0, [[(0, 0)], [(0, 0), (0, 1)]])
    # Layer 1: user 3, items 2, 0. Layer 2: user (2 + 0) / sqrt(2), items both 3 / sqrt(2).
    same(users, f64([[(2 + 3 + 2 / math.sqrt(2)) / 3]]))
    same(items, f64([[(3 + 2 + 3 / math.sqrt(2)) / 3], [(5 + 0 + 3 / math.sqrt(2)) / 3]]))
    # The order of the layers matters.
    swapped, _ = sgl.view(user0, item0, [[(0, 0), (0, 1)], [(0, 0)]])
    # Layer 1: user 8 / sqrt(2), items both 2 / sqrt(2); layer 2: user 2 / sqrt(2).
    same(swapped, f64([[(2 + 10 / math.sqrt(2)) / 3]]))


def test_sgl_view_without_edges() -> None:
    user0, item0 = random(U, D), random(I, D, seed=1)
    users, items = sgl.view(user0, item0, [[], []])
    same(users, user0 / 3)
    same(items, item0 / 3)


@pytest.mark.parametrize("info_nce", [sgl.info_nce, simgcl.info_nce])
@pytest.mark.parametrize("temperature", [0.2, 1.0])
def test_info_nce_closed_forms(info_nce, temperature: float) -> None:
    """Orthogonal rows: ln(1 + (n - 1) e^(-1 / tau)); equal rows: ln n; whatever the lengths."""
    n = 4
    rows = torch.diag(f64([1, 2, 0.5, 7]))
    closed = math.log(1 + (n - 1) * math.exp(-1 / temperature))
    same(info_nce(rows, 3 * rows, temperature), f64(closed))
    same(
        info_nce(rows, -rows, temperature),
        f64(math.log(n - 1 + math.exp(-1 / temperature))) + 1 / temperature,
    )
    same(info_nce(torch.ones(n, 2), torch.ones(n, 2), temperature), f64(math.log(n)))
    same(info_nce(rows[:1], rows[:1], temperature), f64(0.0))


@pytest.mark.parametrize("info_nce", [sgl.info_nce, simgcl.info_nce])
def test_info_nce_by_hand_and_as_cross_entropy(info_nce) -> None:
    """The anchors are the first view: the softmax is over the rows of the second."""
    a, b = f64([[1, 0], [1, 0]]), f64([[2, 0], [0, 5]])
    # Cosines: both anchors 1 with row 0, 0 with row 1. tau = 0.5: weights e^2 and 1.
    e2 = math.exp(2)
    by_hand = (-math.log(e2 / (e2 + 1)) - math.log(1 / (e2 + 1))) / 2
    same(info_nce(a, b, 0.5), f64(by_hand))
    assert abs(float(info_nce(b, a, 0.5)) - math.log(2)) < 1e-12
    x, y = random(6, 3), random(6, 3, seed=1)
    normal = torch.nn.functional.normalize
    logits = normal(x, dim=1) @ normal(y, dim=1).t() / 0.3
    same(info_nce(x, y, 0.3), torch.nn.functional.cross_entropy(logits, torch.arange(6)))


@pytest.mark.parametrize("info_nce", [sgl.info_nce, simgcl.info_nce])
def test_info_nce_of_a_zero_row(info_nce) -> None:
    """A zero row has cosine 0 with all, and a finite gradient."""
    a = f64([[0, 0], [1, 0]]).requires_grad_()
    b = f64([[1, 0], [0, 1]])
    loss = info_nce(a, b, 1.0)
    same(loss.detach(), f64((math.log(2) + math.log(math.e + 1)) / 2))
    loss.backward()
    assert a.grad is not None
    assert bool(a.grad.isfinite().all())
    assert bool((a.grad[1] != 0).any())


def test_sgl_auxiliary_takes_distinct_nodes() -> None:
    user_a, user_b = random(U, D), random(U, D, seed=1)
    item_a, item_b = random(I, D, seed=2), random(I, D, seed=3)
    views = (user_a, user_b, item_a, item_b)
    got = sgl.auxiliary(*views, [2, 0, 2, 2], [4, 4, 1, 3], 0.2, 0.1)
    users, items = torch.tensor([0, 2]), torch.tensor([1, 3, 4])
    expected = 0.1 * sgl.info_nce(user_a[users], user_b[users], 0.2)
    expected = expected + 0.1 * sgl.info_nce(item_a[items], item_b[items], 0.2)
    same(got, expected)
    # With the repetitions left in, the loss is another one.
    repeated = sgl.info_nce(user_a[[2, 0, 2, 2]], user_b[[2, 0, 2, 2]], 0.2)
    assert abs(float(repeated - sgl.info_nce(user_a[users], user_b[users], 0.2))) > 1e-3
    # Every node once, orthogonal views: ln(1 + (n - 1) e^(-1 / tau)) twice.
    eye_u, eye_i = torch.eye(2, dtype=torch.float64), torch.eye(3, dtype=torch.float64)
    closed = math.log(1 + math.exp(-2)) + math.log(1 + 2 * math.exp(-2))
    got = sgl.auxiliary(eye_u, eye_u, eye_i, eye_i, [0, 1, 1], [0, 1, 2, 2], 0.5, 3.0)
    same(got, f64(3 * closed))


# --- SimGCL and XSimGCL -------------------------------------------------------------------------


def test_perturb_by_hand() -> None:
    """Uniform (3, 4) / 5 with the signs of the row; none where the row is zero."""
    e, noise = f64([[1, -2], [0, 5], [0, 0]]), f64([[0.3, 0.4], [0.3, 0.4], [0.3, 0.4]])
    expected = f64([[1 + 0.06, -2 - 0.08], [0, 5 + 0.08], [0, 0]])
    same(simgcl.perturb(e, noise, 0.1), expected)
    same(simgcl.perturb(e, torch.zeros(3, 2), 0.1), e)


def test_perturb_has_norm_epsilon_and_keeps_the_orthant() -> None:
    e, noise = random(20, 6), uniform(20, 6, seed=1)
    out = simgcl.perturb(e, noise, 0.3)
    same((out - e).norm(dim=1), torch.full((20,), 0.3, dtype=torch.float64))
    assert bool((out.sign() == e.sign()).all())
    assert bool((out.abs() >= e.abs()).all())
    # Every row has a noise of its own, along its own uniform.
    same((out - e).abs() / 0.3, torch.nn.functional.normalize(noise, dim=1))


def test_simgcl_layers_by_hand() -> None:
    """One user, one item, one edge: the layers exchange the two, each with its noise."""
    A, x0 = f64([[0, 1], [1, 0]]), f64([[1.0], [-2.0]])
    noise = [f64([[0.5], [0.7]])] * 2
    xs = simgcl.layers(x0, A, 2, noise, 0.1)
    # In one dimension the noise is epsilon with the sign of the node.
    same(xs[0], f64([[-2.1], [1.1]]))
    same(xs[1], f64([[1.2], [-2.2]]))  # the perturbed layer 1 is what layer 2 reads
    assert len(xs) == 2
    same(simgcl.view(x0, A, 2, noise, 0.1), f64([[-0.45], [-0.55]]))
    # The second layer has the second uniform: a row of two components shows which.
    x0, first, second = f64([[1.0, 1.0], [2.0, 3.0]]), f64([[3, 4], [4, 3]]), f64([[1, 0], [0, 1]])
    xs = simgcl.layers(x0, A, 2, [first, second], 5.0)
    same(xs[0], f64([[5.0, 7.0], [5.0, 4.0]]))
    same(xs[1], f64([[10.0, 4.0], [5.0, 12.0]]))


@pytest.mark.parametrize("with_noise", [False, True])
def test_simgcl_without_noise_is_lightgcn_less_its_ego_layer(with_noise: bool) -> None:
    """Without uniforms, and with epsilon 0: the mean of LightGCN's layers 1, ..., L."""
    x0, A = random(U + I, D), dense_adjacency(EDGES, U, I)
    noise = [uniform(U + I, D, seed=h) for h in range(3)] if with_noise else None
    user_xs, item_xs = lightgcn.propagate(x0[:U], x0[U:], EDGES, 3)
    expected = [torch.cat([u, i]) for u, i in zip(user_xs, item_xs, strict=True)]
    epsilon = 0.0 if with_noise else 0.2
    for got, layer in zip(simgcl.layers(x0, A, 3, noise, epsilon), expected[1:], strict=True):
        same(got, layer)
    same(simgcl.view(x0, A, 3, noise, epsilon), torch.stack(expected[1:]).mean(dim=0))


def test_simgcl_auxiliary() -> None:
    x0, A = random(U + I, D), dense_adjacency(EDGES, U, I)
    noise_a = [uniform(U + I, D, seed=h) for h in range(2)]
    noise_b = [uniform(U + I, D, seed=9 + h) for h in range(2)]
    users, items = [1, 0, 1, 2], [3, 0, 0, 2]
    got = simgcl.simgcl_auxiliary(x0, A, U, 2, noise_a, noise_b, 0.2, users, items, 0.2, 0.5)
    a = simgcl.view(x0, A, 2, noise_a, 0.2)
    b = simgcl.view(x0, A, 2, noise_b, 0.2)
    # SGL's loss of the same two views, written apart.
    same(got, sgl.auxiliary(a[:U], b[:U], a[U:], b[U:], users, items, 0.2, 0.5))
    other = simgcl.simgcl_auxiliary(x0, A, U, 2, noise_a, noise_a, 0.2, users, items, 0.2, 0.5)
    assert abs(float(got - other)) > 1e-6


def test_xsimgcl_auxiliary() -> None:
    x0, A = random(U + I, D), dense_adjacency(EDGES, U, I)
    noise = [uniform(U + I, D, seed=h) for h in range(3)]
    users, items = [1, 0, 1, 2], [3, 0, 0, 2]
    x1 = simgcl.perturb(A @ x0, noise[0], 0.2)
    x2 = simgcl.perturb(A @ x1, noise[1], 0.2)
    x3 = simgcl.perturb(A @ x2, noise[2], 0.2)
    pooled = (x1 + x2 + x3) / 3
    losses = []
    for layer, x in enumerate([x1, x2, x3], start=1):
        got = simgcl.xsimgcl_auxiliary(x0, A, U, 3, noise, 0.2, layer, users, items, 0.2, 0.5)
        same(got, sgl.auxiliary(pooled[:U], x[:U], pooled[U:], x[U:], users, items, 0.2, 0.5))
        losses.append(float(got))
    assert len({round(loss, 6) for loss in losses}) == 3


def test_xsimgcl_of_one_layer() -> None:
    """With one layer the two views are one; users and items of orthogonal rows: closed form."""
    x0 = torch.eye(4, dtype=torch.float64)
    A = dense_adjacency([(0, 0), (1, 1)], 2, 2)
    noise = [uniform(4, 4)]
    got = simgcl.xsimgcl_auxiliary(x0, A, 2, 1, noise, 0.1, 1, [0, 1], [0, 1], 0.5, 2.0)
    same(got, f64(2 * 2 * math.log(1 + math.exp(-2))))


# --- ItemKNN ------------------------------------------------------------------------------------


def test_item_knn_by_hand() -> None:
    """Three users, items of users {0, 1}, {0, 1, 2}, {2}, {}; the edge (0, 0) twice."""
    edges = [(0, 0), (0, 0), (1, 0), (0, 1), (1, 1), (2, 1), (2, 2)]
    s01, s12 = 2 / math.sqrt(6), 1 / math.sqrt(3)
    sim = f64(neighbours.similarity(edges, 4))
    same(sim, f64([[0, s01, 0, 0], [s01, 0, s12, 0], [0, s12, 0, 0], [0, 0, 0, 0]]))
    # k = 3: all others. Users 0 and 1 have items 0 and 1, user 2 has 1 and 2.
    row = [s01, s01, s12, 0]
    scores = neighbours.item_knn(edges, 3, 4, 3)
    same(scores, f64([row, row, [s01, s12, s12, 0]]))
    # k = 1: the neighbour of item 1 is item 0, which user 2 has not; that of item 2 is item 1.
    scores = neighbours.item_knn(edges, 3, 4, 1)
    same(scores, f64([row, row, [s01, 0, s12, 0]]))
    same(neighbours.item_knn(edges, 3, 4, 0), torch.zeros(3, 4, dtype=torch.float64))


def test_item_knn_takes_the_neighbours_of_the_scored_item() -> None:
    """Item 0's nearest is item 1, whose own nearest is item 2: the relation is one-sided."""
    # Users: item 0 {0}, item 1 {0, 1, 2}, item 2 {1, 2}.
    edges = [(0, 0), (0, 1), (1, 1), (2, 1), (1, 2), (2, 2)]
    s01, s12 = 1 / math.sqrt(3), 2 / math.sqrt(6)
    scores = neighbours.item_knn(edges, 3, 3, 1)
    # User 0 has items 0 and 1: item 0 by item 1, item 1 not (item 2 unseen), item 2 by item 1.
    same(scores[0], f64([s01, 0, s12]))
    same(scores[1], f64([s01, s12, s12]))


def test_item_knn_shrink() -> None:
    edges = [(0, 0), (1, 0), (0, 1), (1, 1), (2, 1), (3, 1)]
    s = 2 / (math.sqrt(2) * math.sqrt(4) + 10)
    same(neighbours.item_knn(edges, 4, 2, 1, 10.0), f64([[s, s], [s, s], [s, 0], [s, 0]]))
    # Without shrinkage one common user of one beats four of six; with it the order turns.
    edges = [(0, 0), *[(u, 0) for u in range(1, 6)], (0, 1), *[(u, 2) for u in range(1, 5)]]
    edges += [(u, 2) for u in range(6, 36)]
    # Item 0: 6 users, item 1: 1 user, item 2: 34 users; 1 / sqrt(6) and 4 / sqrt(204).
    assert neighbours.nearest(neighbours.similarity(edges, 3), 0, 1) == [1]
    assert neighbours.nearest(neighbours.similarity(edges, 3, 20.0), 0, 1) == [2]


def test_item_knn_ties() -> None:
    """Of equal similarities the lower id, also where float64 tells them apart."""
    edges = [(0, 0), (0, 1), (0, 2), (0, 3)]
    sim = neighbours.similarity(edges, 4)
    assert neighbours.nearest(sim, 0, 2) == [1, 2]
    assert neighbours.nearest(sim, 2, 2) == [0, 1]
    # 1 / sqrt(2), item 1, and 3 / sqrt(18), item 2, which is larger by a rounding only.
    assert 3 / math.sqrt(18) > 1 / math.sqrt(2)
    assert neighbours.nearest([[0, 1 / math.sqrt(2), 3 / math.sqrt(18)]] * 3, 0, 2) == [1, 2]
    assert neighbours.nearest([[0, 0.5, 0.6]] * 3, 0, 2) == [2, 1]


# --- EASE ---------------------------------------------------------------------------------------


def test_ease_by_hand() -> None:
    """Two items, users {0}, {0, 1} of them: G = [[1 + l, 1], [1, 2 + l]], B_ij = G_ij / G_ii."""
    B, scores = ease.ease([(0, 0), (0, 1), (1, 1), (1, 1)], 2, 2, 0.5)
    # inv(G) = [[2.5, -1], [-1, 1.5]] / det: B_01 = 1 / 1.5, B_10 = 1 / 2.5.
    same(B, f64([[0, 1 / 1.5], [1 / 2.5, 0]]))
    same(scores, f64([[1 / 2.5, 1 / 1.5], [1 / 2.5, 0]]))


@pytest.mark.parametrize("l2", [0.1, 3.0])
def test_ease_is_the_constrained_minimum(l2: float) -> None:
    """Column j of B: the ridge regression of item j on all the others, solved column by column."""
    X = (uniform(7, 5) > 0.5).double()
    edges = [(int(u), int(i)) for u, i in X.nonzero()]
    B, scores = ease.ease([*edges, *edges[:4]], 7, 5, l2)
    for j in range(5):
        rest = [i for i in range(5) if i != j]
        gram = X[:, rest].t() @ X[:, rest] + l2 * torch.eye(4, dtype=torch.float64)
        column = torch.zeros(5, dtype=torch.float64)
        column[rest] = torch.linalg.solve(gram, X[:, rest].t() @ X[:, j])
        torch.testing.assert_close(B[:, j], column, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(scores, X @ B, rtol=1e-9, atol=1e-10)
    assert not torch.allclose(B, B.t())

    def objective(weights: Tensor) -> float:
        return float(((X - X @ weights) ** 2).sum() + l2 * (weights**2).sum())

    for seed in range(5):
        step = random(5, 5, seed=seed) * 1e-2
        step.fill_diagonal_(0.0)
        assert objective(B + step) > objective(B)


def test_ease_without_edges() -> None:
    B, scores = ease.ease([], 2, 3, 1.0)
    same(B, torch.zeros(3, 3, dtype=torch.float64))
    same(scores, torch.zeros(2, 3, dtype=torch.float64))
