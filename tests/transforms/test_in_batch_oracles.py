"""In-batch samplers against formulas that were written by somebody who had not seen them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor
from torch.nn.functional import normalize

from oracles import in_batch as oracle
from oracles import since_2019
from pyg_negsamp.graph import EDGE_TYPE
from pyg_negsamp.losses import InBatchSoftmaxLoss
from pyg_negsamp.nn import MF
from pyg_negsamp.testing import Toy, toy
from pyg_negsamp.training import Recommender
from pyg_negsamp.transforms import BIR, CBNS, MNS, InBatch, SharedSampling

SOFTMAX = {"classic": since_2019.softmax_logq, "corrected": since_2019.softmax_corrected_logq}


def inputs(seed: int) -> tuple[Toy, np.ndarray]:
    """A problem of one layer in which links come again, and its links `[E, 2]`."""
    problem = toy(0, seed=seed)
    links = problem.data[EDGE_TYPE].edge_index
    problem.data[EDGE_TYPE].edge_index = torch.cat([links, links[:, :3]], dim=1)
    return problem, problem.data[EDGE_TYPE].edge_index.t().numpy()


def same(found: Tensor, expected: np.ndarray) -> None:
    torch.testing.assert_close(found.double(), torch.from_numpy(np.asarray(expected)))


@pytest.mark.parametrize("seed", range(3))
def test_weights_and_probabilities(seed: int) -> None:
    problem, links = inputs(seed)
    user, pos = problem.user.numpy(), problem.pos.numpy()
    args = problem.user, problem.pos, problem.user_xs, problem.item_xs
    for sampler, uniform in ((InBatch(problem.data), 0), (MNS(problem.data, num_uniform=7), 7)):
        found = sampler.sample(*args, generator=problem.generator())
        item = found.index[0].numpy()
        assert item[:9].tolist() == pos.tolist()
        same(found.weight, oracle.in_batch_weights(links, user, item))
        for log_q, ids in ((found.log_q[0], item), (found.pos_log_q, pos)):
            expected = oracle.in_batch_log_q(links, ids)
            if uniform:
                expected = oracle.mns_log_q(links, ids, 9, uniform, 12)
            same(log_q, expected)


def test_memory() -> None:
    problem, links = inputs(0)
    sampler, memory = CBNS(problem.data, num_cached=13, warmup=0), oracle.Memory(13)
    sampler.start_epoch(0, 1)
    for seed in range(4):
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.from_numpy(links)[torch.randperm(len(links), generator=generator)[:6]]
        user, pos = drawn.t()
        tables = [x + seed for x in problem.item_xs]
        found = sampler.sample(user, pos, problem.user_xs, tables)
        ids, rows = memory.contents()
        item = np.concatenate([pos.numpy(), ids])
        assert found.index[0].tolist() == item.tolist()
        same(found.weight, oracle.in_batch_weights(links, user.numpy(), item))
        own = tables[0][pos].numpy()
        same(found.shared[:, 0], np.concatenate([own, rows]) if len(ids) else own)
        memory.push(pos.numpy(), own)


def test_importance() -> None:
    problem, links = inputs(1)
    sampler = BIR(problem.data, temperature=2.0, num_negatives=4000)
    weight = sampler.sample(
        problem.user,
        problem.pos,
        problem.user_xs,
        problem.item_xs,
        generator=problem.generator(),
    ).weight
    scores = problem.user_xs[0][problem.user] @ problem.item_xs[0][problem.pos].t()
    chance = oracle.bir_probabilities(
        links, problem.user.numpy(), problem.pos.numpy(), scores.numpy(), 2.0
    )
    for drawn, share in zip(weight.numpy(), chance * 4000, strict=True):
        assert not drawn[share == 0].any()
        likely = share > 5
        assert chisquare(drawn[likely], share[likely], sum_check=False).pvalue > 1e-4


@pytest.mark.parametrize("correction", ["classic", "corrected"])
@pytest.mark.parametrize("cls", [InBatch, MNS])
def test_the_loss_of_a_step_and_its_gradients(cls: type[SharedSampling], correction: str) -> None:
    """From vectors to the gradients of vectors: cosines, mask, log Q and softmax together."""
    problem, links = inputs(2)
    own = {} if cls is InBatch else {"num_uniform": 20}
    loss = InBatchSoftmaxLoss(temperature=0.2, correction=correction)
    model = Recommender(MF(problem.data, dim=5), cls(problem.data, **own), loss, l2=0.0).double()
    torch.nn.init.normal_(model.encoder.embedding.weight)
    model.generator, model.num_positives = problem.generator(), 0
    model.loss_sum = torch.zeros((), dtype=torch.double)
    value = model.training_step(problem.batch(), 1)
    value.backward()
    users, items = (x[0].detach().requires_grad_() for x in model.encoder.tables().values())
    item = model.chosen[0].numpy()
    u, v = normalize(users[problem.user], dim=1), normalize(items, dim=1)
    log_q, pos_log_q = (
        torch.from_numpy(
            oracle.in_batch_log_q(links, ids)
            if cls is InBatch
            else oracle.mns_log_q(links, ids, 9, 20, 12)
        )
        for ids in (item, problem.pos.numpy())
    )
    expected = SOFTMAX[correction](
        (u * v[problem.pos]).sum(1),
        u @ v[item].t(),
        torch.from_numpy(oracle.in_batch_weights(links, problem.user.numpy(), item)),
        log_q=log_q.expand(9, -1),
        pos_log_q=pos_log_q,
        temperature=0.2,
    )
    torch.testing.assert_close(value, expected)
    expected.backward()
    found = model.encoder.embedding.weight.grad
    torch.testing.assert_close(found, torch.cat([users.grad, items.grad]))
