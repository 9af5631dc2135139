"""Steps of training, the last with fewer links, against a dense oracle in double precision."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

import pytest
import torch
from small_graph import (
    NUM_ITEMS,
    NUM_USERS,
    dense_adjacency,
    edges,
    gradients,
    graph,
    in_double,
    same,
)
from torch import Tensor
from torch_geometric.data import HeteroData

from oracles import training_step as oracle
from pyg_negsamp.graph import EDGE_TYPE
from pyg_negsamp.layers import POOLS
from pyg_negsamp.losses import LOSSES, graph_arguments
from pyg_negsamp.nn import MF, NGCF, Encoder, LightGCN, SimGCL
from pyg_negsamp.training import LinkLoader, Recommender, fit, step
from pyg_negsamp.transforms import SAMPLERS, Compose, NegativeSampling, Selection

LR, L2, B, K, M, D = 0.05, 0.3, 16, 2, 4, 4
NUM_LINKS = graph()[EDGE_TYPE].edge_index.size(1)

#: Arguments that matter, none of them at its default.
ARGUMENTS: dict[str, oracle.Numbers] = {
    "sdns": {"alpha": 0.6},
    "dins": {"beta": 0.5},
    "dens": {"gamma": 0.7},
    "ans": {"gamma": 0.4, "epsilon": 2.0},
    "irgan": {"temperature": 0.3},
    "divns": {"weight": 0.7},
    "advir": {"temperature": 0.3, "epsilon": 0.2, "gamma": 0.6, "warmup": 0},
}


class Case(NamedTuple):
    """An encoder, and what it is on paper."""

    encoder: type[Encoder]
    arguments: dict[str, object]
    layers: Callable[[oracle.Named, Tensor], list[Tensor]]


TWO = {"num_layers": 2}
ENCODERS = {
    "mf": Case(MF, {}, oracle.mf),
    "mf-bias": Case(MF, {"bias": True}, oracle.biased_mf),
    "lightgcn": Case(LightGCN, TWO, oracle.lightgcn),
    "lightgcn-no-ego": Case(LightGCN, {**TWO, "include_ego": False}, oracle.lightgcn_without_ego),
    "ngcf": Case(NGCF, {**TWO, "message_dropout": 0.0}, oracle.ngcf),
    "simgcl-no-noise": Case(SimGCL, {**TWO, "epsilon": 0.0}, oracle.lightgcn_without_ego),
}
#: Losses that meet every sampler; the others meet one without weights, one with, and mixtures.
OFTEN = oracle.LOSSES[:6]
SOME = ("rns", "pris", "dins")
#: Every sampler meets every loss: with layers of one kind or of the other, which one by turns; with
#: a single layer, every other loss. With layers, it meets every pool with one loss or another.
CASES = [
    (encoder, neg, loss, POOLS[(n + m + n // 2) % len(POOLS)])
    for encoder, turns in (("lightgcn", 1), ("ngcf", 0), ("mf", 0))
    for n, neg in enumerate(SAMPLERS)
    for m, loss in enumerate(OFTEN)
    if (n + m) % 2 == turns
]
CASES += [
    (encoder, neg, "bpr", "mean")
    for encoder in ENCODERS
    for neg in SAMPLERS
    if encoder not in ("lightgcn", "mf", "ngcf")
]
CASES += [
    (encoder, neg, loss, "mean")
    for encoder in ("mf", "lightgcn")
    for neg in SOME
    for loss in oracle.LOSSES[6:]
]
COMPOSED = ["dens+sdns", "irgan+dins", "pris+sdns"]
CASES += [("lightgcn", neg, "bpr", pool) for neg in COMPOSED for pool in POOLS]


@cache
def data() -> HeteroData:
    """One link comes three times, one twice; a user and an item have none."""
    return graph()


@cache
def constants() -> tuple[Tensor, oracle.Named]:
    """The dense adjacency, and what some formulas need to know of the graph."""
    degree = torch.bincount(data()[EDGE_TYPE].edge_index[1], minlength=NUM_ITEMS).double()
    seen = torch.zeros(NUM_USERS, NUM_ITEMS, dtype=torch.double)
    seen[data()[EDGE_TYPE].edge_index.unbind()] = 1
    known = {"num_users": torch.tensor(NUM_USERS), "degree": degree, "seen": seen}
    return dense_adjacency(edges(data())), known


class Seen:
    """Writes down what a sampler is shown at every step, and what it draws.

    Attributes:
        steps: What was drawn.
        layers: The embeddings that it was drawn by, `H` tensors `[N, D]`.
    """

    def __init__(self, sampler: NegativeSampling) -> None:
        self.steps: list[oracle.Chosen] = []
        self.layers: list[list[Tensor]] = []
        drawer = sampler.selector if isinstance(sampler, Compose) else sampler
        self.draw, self.choose = drawer.draw, sampler.choose
        drawer.draw, sampler.choose = self.drawing, self.choosing  # type: ignore[method-assign]

    def drawing(self, *args: Any, **kwargs: Any) -> Tensor:
        self.candidates = self.draw(*args, **kwargs)
        return self.candidates

    def choosing(
        self,
        user: Tensor,
        pos: Tensor,
        user_xs: Sequence[Tensor],
        item_xs: Sequence[Tensor],
        *args: Any,
        **kwargs: Any,
    ) -> Selection:
        both = zip(user_xs, item_xs, strict=True)
        self.layers.append([torch.cat(x).detach().clone() for x in both])
        chosen = self.choose(user, pos, user_xs, item_xs, *args, **kwargs)
        candidates = getattr(self, "candidates", chosen.index)  # MIDX draws what it takes
        step = oracle.Chosen(user, pos, candidates, chosen.index, chosen.state)
        if chosen.shared:
            index = chosen.index.expand(len(user), -1)
            step = oracle.Chosen(user, pos, index, index, chosen.state[0], shared=True)
        self.steps.append(step)
        return chosen


def sampler(neg: str, pool: str, width: int) -> NegativeSampling:
    if "+" in neg:
        return Compose(*(sampler(part, pool, width) for part in neg.split("+")))
    cls = SAMPLERS[neg]
    own: dict[str, Any] = dict(ARGUMENTS.get(neg, {}))
    if "dim" in inspect.signature(cls.__init__).parameters:
        own["dim"] = width
    proposal = SAMPLERS["pns" if neg == "pris" else neg].proposal(data())
    many = K if neg in ("rns", "pns", "pris", "contrastive-dns") else M
    if cls.takes_candidates:
        own["num_candidates"] = many
    return cls(proposal, num_negatives=K, pool=pool, **own)


class Run:
    """A recommender, and all that is needed to train its twin."""

    def __init__(self, encoder: str, neg: str, loss: str, pool: str) -> None:
        self.case, self.neg, self.loss, self.pool = ENCODERS[encoder], neg, loss, pool
        network = in_double(self.case.encoder, data(), D, pool=pool, **self.case.arguments)
        self.model = Recommender(
            network,
            sampler(neg, pool, network.width),
            LOSSES[loss](**graph_arguments(LOSSES[loss], data(), network.width)),
            lr=LR,
            l2=L2,
        ).double()
        for x in self.model.parameters():
            torch.nn.init.normal_(x)
        self.start = {name: x.detach().clone() for name, x in self.parameters()}
        self.seen = Seen(self.model.sampler)

    def parameters(self) -> Iterator[tuple[str, torch.nn.Parameter]]:
        """All that learns; a composition's selector goes by the names of a sampler."""
        for name, x in self.model.named_parameters():
            yield name.replace("sampler.selector.", "sampler."), x

    def by_hand(self) -> list[Tensor]:
        """An epoch, as lightning would do it: the loss of each step."""
        losses = []
        self.model.planned_epochs = 1
        self.model.on_train_epoch_start()
        optimizer = self.model.make_optimizer()
        for number, batch in enumerate(LinkLoader(data(), batch_size=B)):
            optimizer.zero_grad()
            loss = self.model.training_step(batch, number)
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        return losses

    def equals_the_oracle(self) -> list[Tensor]:
        """Compares embeddings at every step, and parameters in the end; the oracle's losses."""
        A, known = constants()
        p = {name: x.requires_grad_() for name, x in self.start.items()}
        arguments = {"num_negatives": K}
        for method in self.neg.split("+"):
            arguments |= ARGUMENTS.get(method, {})
        adam, losses = oracle.Adam(list(p.values()), LR), []
        for chosen, shown in zip(self.seen.steps, self.seen.layers, strict=True):
            layers = self.case.layers({**p, **known}, A)
            same(shown, [x.detach() for x in layers], 1e-9)
            loss = oracle.step_loss(
                layers, chosen, {**p, **known}, self.neg, arguments, self.loss, self.pool, L2
            )
            if self.case.encoder is SimGCL:
                loss = loss + oracle.noiseless_contrast(layers, NUM_USERS, chosen, self.pool)
            adam.step(gradients(loss, p.values()))
            losses.append(loss.detach())
        for name, x in self.parameters():
            same(x.detach(), p[name].detach(), 1e-9)
        return losses


@pytest.mark.parametrize(("encoder", "neg", "loss", "pool"), CASES)
def test_two_steps_equal_the_oracle(encoder: str, neg: str, loss: str, pool: str) -> None:
    run = Run(encoder, neg, loss, pool)
    found = run.by_hand()
    assert [len(chosen.user) for chosen in run.seen.steps] == [B, NUM_LINKS - B]
    same(found, run.equals_the_oracle(), 1e-9)


#: What makes, weighs by rows, or remembers them; all other negatives are items as they are.
MAKERS = {"mixgcf", "dins", "dens", "ans", "sdns", "advir", "irgan", "pris", "divns", "cbns"}
SHARED = {"in-batch", "mns", "bir"}


@pytest.mark.parametrize("neg", SAMPLERS)
def test_items_as_they_are_are_scored_where_their_rows_lie(
    neg: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run("mf", neg, "bpr", "mean")
    steps: list[Selection] = []
    plain = run.model._step_in_table
    monkeypatch.setattr(
        run.model, "_step_in_table", lambda *args: steps.append(args[-1]) or plain(*args)
    )
    run.by_hand()
    assert len(steps) == (0 if neg in MAKERS | SHARED else 2)


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize(("neg", "loss"), [("rns", "ssm"), ("dns", "bpr"), ("midx", "bsl")])
def test_copied_rows_equal_the_oracle_too(
    encoder: str, neg: str, loss: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step, "scores_where_they_lie", lambda *_: False)
    run = Run(encoder, neg, loss, "mean")
    same(run.by_hand(), run.equals_the_oracle(), 1e-9)


def test_log_q_corrects_scores_of_rows_that_lie_and_of_copies(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = []
    for in_place in (True, False):
        if not in_place:
            monkeypatch.setattr(step, "scores_where_they_lie", lambda *_: False)
        torch.manual_seed(0)
        found.append(Run("lightgcn", "midx", "in-batch-softmax", "mean").by_hand())
    same(*found, 1e-9)
    torch.manual_seed(0)
    assert not torch.allclose(found[0][0], Run("lightgcn", "midx", "ssm", "mean").by_hand()[0])


@pytest.mark.parametrize("encoder", ["mf", "lightgcn"])
@pytest.mark.parametrize("neg", ["irgan", "pris", "dins"])
def test_fit_equals_the_oracle(encoder: str, neg: str) -> None:
    """Two epochs of two steps; the loss of an epoch is the mean over its positives."""
    run = Run(encoder, neg, "bpr", "mean")
    fitted = fit(
        run.model,
        data(),
        None,
        epochs=2,
        batch_size=B,
        device="cpu",
        precision="64-true",
        progress=False,
    )
    losses = torch.stack(run.equals_the_oracle()).view(2, 2)
    sizes = torch.tensor([B, NUM_LINKS - B])
    same(fitted.history[0]["loss"], float((losses[0] * sizes).sum() / NUM_LINKS), 1e-9)
    same(fitted.history[1]["loss"], float((losses[1] * sizes).sum() / NUM_LINKS), 1e-9)
