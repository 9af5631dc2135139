"""What parts declare is what happens: every sampler with every loss, in a step of training."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch_geometric.data import HeteroData
from torch_geometric.nn import GraphSAGE

from pyg_negsamp.cli import main
from pyg_negsamp.datasets import SyntheticInteractions
from pyg_negsamp.experiments.config import Config
from pyg_negsamp.experiments.methods import make_encoder, make_loss, make_sampler
from pyg_negsamp.graph import EDGE_TYPE
from pyg_negsamp.losses import (
    LOSSES,
    BCLoss,
    BPRLoss,
    InBatchSoftmaxLoss,
    RankingLoss,
    SogCLRLoss,
    WARPLoss,
    graph_arguments,
)
from pyg_negsamp.nn import MF, Encoder, FromModule
from pyg_negsamp.training import LinkLoader, Recommender, combinations
from pyg_negsamp.training.combinations import clash, waste
from pyg_negsamp.transforms import (
    AHNS,
    DINS,
    DNS,
    MIDX,
    RNS,
    SAMPLERS,
    Compose,
    Negatives,
    NegativeSampling,
    Selection,
)

DATA = SyntheticInteractions("tiny")[0]
BATCH = next(iter(LinkLoader(DATA, batch_size=16)))
#: Losses as the command makes them, and those whose needs depend on an argument.
VARIANTS = [(name, {}) for name in LOSSES] + [
    ("in-batch-softmax", {"loss_correction": "corrected"})
]


def config(**fields: object) -> Config:
    return Config.of(dataset="tiny", dim=4, **fields)


@pytest.fixture(scope="module", params=["mf", "lightgcn"])
def encoder(request: pytest.FixtureRequest) -> Encoder:
    return make_encoder(config(encoder=request.param), DATA)


@pytest.fixture(scope="module")
def losses(encoder: Encoder) -> list[RankingLoss]:
    return [make_loss(config(loss=name, **own), DATA, encoder) for name, own in VARIANTS]


class Written(Recommender):
    """Keeps the negatives of its step, which copies their rows."""

    def _lie_in_table(self, chosen, tables):  # type: ignore[no-untyped-def]
        return False

    def _loss_of(self, user_rows, pos_rows, negatives, ids):  # type: ignore[no-untyped-def]
        self.negatives = negatives
        return super()._loss_of(user_rows, pos_rows, negatives, ids)


def step(model: Written, loss: RankingLoss) -> Negatives:
    """One step with another loss, and nobody asked whether it will do."""
    model.loss, model.similarity, model.needs = loss, loss.similarity, loss.needs
    model.sampler.follow(model.score)
    model.encoder.zero_grad()
    value, _ = model._step(BATCH)
    value.backward()
    assert value.isfinite()
    gradient = model.encoder.embedding.weight.grad
    assert gradient is not None
    assert gradient.isfinite().all()
    assert gradient.any()
    return model.negatives


@pytest.mark.parametrize("name", list(SAMPLERS))
def test_a_step_fails_where_it_was_said(
    encoder: Encoder, losses: list[RankingLoss], name: str
) -> None:
    sampler = make_sampler(config(neg=name), DATA, encoder)
    model = Written(encoder, sampler)
    model.generator = torch.Generator().manual_seed(0)
    for loss in losses:
        said = clash(encoder, sampler, loss)
        try:
            negatives = step(model, loss)
        except ValueError:
            assert said is not None, type(loss)
        else:
            assert said is None, said
            has = {"neg_item": negatives.index, "log_q": negatives.log_q}
            has["pos_log_q"] = negatives.pos_log_q
            assert {key for key, value in has.items() if value is not None} == {*sampler.gives}


class Nameless(RNS):
    """Negatives that no item stands behind, as a generator of vectors makes them."""

    gives = ()

    def make(self, chosen: Selection, *rows: torch.Tensor) -> Negatives:
        return Negatives(None, super().make(chosen, *rows).xs)


def graph_sage(**options: object) -> FromModule:
    return FromModule(GraphSAGE(4, 4, 2), DATA, EDGE_TYPE, dim=4, **options)


class Decoder(torch.nn.Module):
    def forward(self, user: torch.Tensor, item: torch.Tensor) -> torch.Tensor:
        return -(user.unsqueeze(1) - item).square().sum(dim=2)


class OfAll(BPRLoss):
    needs_whole_table = True


@pytest.mark.parametrize(
    ("encoder", "sampler", "loss", "said"),
    [
        (MF, Nameless, lambda: BCLoss(DATA), "'sampler' must be one that gives neg_item, such as"),
        (
            MF,
            DNS,
            lambda: InBatchSoftmaxLoss(correction="corrected"),
            r"'sampler' must be one that gives log_q, .*MIDX.* for InBatchSoftmaxLoss \(got DNS\)",
        ),
        (
            lambda data: graph_sage(decoder=Decoder()),
            RNS,
            OfAll,
            "'loss' must be one that reads no whole table",
        ),
        (
            lambda data: graph_sage(num_neighbors=[2]),
            RNS,
            OfAll,
            "'loss' must be one that knows no more than the batch",
        ),
    ],
)
def test_refused_at_construction(
    encoder: Callable[[HeteroData], Encoder],
    sampler: Callable[[HeteroData], NegativeSampling],
    loss: Callable[[], RankingLoss],
    said: str,
) -> None:
    with pytest.raises(ValueError, match=f"^Recommender: {said}"):
        Recommender(encoder(DATA), sampler(DATA), loss())


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        (SogCLRLoss, "60 users .got SogCLRLoss with num_users=59."),
        (WARPLoss, "[0-9]+ items .got WARPLoss with num_items="),
    ],
)
def test_a_loss_is_made_for_as_many_as_there_are(loss: type, said: str) -> None:
    """Or two users share a memory, and ranks are of another catalogue, in silence."""
    own = {name: x - 1 for name, x in graph_arguments(loss, DATA).items()}
    with pytest.raises(ValueError, match=f"^Recommender: 'loss' must be .* encoder's {said}"):
        Recommender(MF(DATA, dim=4), RNS(DATA, num_negatives=4), loss(**own))


def test_a_decoder_takes_the_losses_of_dot_products() -> None:
    scored, sampler = graph_sage(decoder=Decoder()), RNS(DATA)
    made = [make_loss(config(loss=name), DATA, scored) for name in LOSSES]
    taken = [loss for loss in made if clash(scored, sampler, loss) is None]
    assert taken == [loss for loss in made if loss.similarity == "dot"]


def test_a_composition_gives_what_its_choice_gives() -> None:
    loss = InBatchSoftmaxLoss(similarity="dot", correction="corrected")
    for select, goes in ((MIDX, True), (AHNS, False)):
        both = Compose(select(DATA), DINS(DATA))
        assert (clash(MF(DATA, dim=4), both, loss) is None) == goes


@pytest.mark.parametrize(
    ("sampler", "loss", "said"),
    [
        ({"neg": "dns"}, "direct-au", "DirectAULoss looks at no negatives: DNS chooses them in v"),
        ({"neg": "pns"}, "direct-au", None),
        ({"neg": "rns"}, "bsl", "BilateralSoftmaxLoss is itself with 2 negatives per positive or"),
        ({"neg": "rns", "num_negatives": 2}, "bsl", None),
        ({"neg": "rns"}, "bpr", None),
    ],
)
def test_waste_is_warned_of(sampler: dict[str, object], loss: str, said: str | None) -> None:
    encoder = MF(DATA, dim=4)
    parts = (
        make_sampler(config(**sampler), DATA, encoder),
        make_loss(config(loss=loss), DATA, encoder),
    )
    assert (waste(*parts) or "").startswith(said or "")
    assert (waste(*parts) is None) == (said is None)
    if said is not None:
        with pytest.warns(UserWarning, match=said):
            Recommender(encoder, *parts)


@pytest.mark.parametrize("command", ["train", "tune", "compare"])
def test_the_command_refuses_before_it_reads(
    capsys: pytest.CaptureFixture[str], command: str
) -> None:
    if command == "tune":
        pytest.importorskip("optuna")
    flags = "--neg rns --loss in-batch-softmax --loss-correction corrected --dataset nowhere.csv"
    with pytest.raises(SystemExit) as stopped:
        main([command, *flags.split()])
    said = capsys.readouterr().err
    assert stopped.value.code == 2
    assert said.count("\n") == 1
    assert "--neg must be one that gives log_q, such as MIDX" in said


def test_the_rules_name_no_part() -> None:
    """What is added to a registry follows from its declarations alone."""
    names = {cls.__name__ for cls in (*SAMPLERS.values(), *LOSSES.values())}
    told = {"BPRLoss", "SampledSoftmaxLoss"}  # as a hint of what to take
    with open(combinations.__file__) as lines:
        text = lines.read()
    assert {name for name in names if f"{name}(" in text} == told
