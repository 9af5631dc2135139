"""Any module as an encoder: what goes in, what comes out, decoders, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from small_graph import NUM_ITEMS, NUM_USERS, graph, same, seeded
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.nn import GAT, GCN, GIN, GraphSAGE, JumpingKnowledge, SAGEConv, to_hetero
from torch_geometric.nn.models import LightGCN as PyGLightGCN
from torch_geometric.transforms import ToUndirected

from pyg_negsamp.datasets import SyntheticInteractions
from pyg_negsamp.evaluation import evaluate, rank
from pyg_negsamp.graph import EDGE_TYPE
from pyg_negsamp.losses import SampledSoftmaxLoss
from pyg_negsamp.nn import FromModule
from pyg_negsamp.training import Recommender, fit
from pyg_negsamp.transforms import ANS, DENS, DINS, DNS, RNS, MixGCF

WIDTH = 6


def featured(users: int = 3, items: int = 5) -> HeteroData:
    """A width of 0 is no features."""
    data = graph()
    for name, width, size in (("user", users, NUM_USERS), ("item", items, NUM_ITEMS)):
        if width:
            data[name].x = torch.randn(size, width, generator=seeded(width))
    return data


class Layered(torch.nn.Module):
    """Three layers, given in one of the forms that PyG's users have."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.form = form
        self.convs = torch.nn.ModuleList(SAGEConv(-1, WIDTH) for _ in range(3))
        self.jump = JumpingKnowledge("cat")

    def forward(self, x: Tensor, edge_index: Tensor) -> Any:
        xs = []
        for conv in self.convs:
            xs.append(x := conv(x, edge_index).tanh())
        made = {"list": lambda: xs, "stacked": lambda: torch.stack(xs, 1)}
        return made.get(self.form, lambda: self.jump(xs))()


class MLP(torch.nn.Module):
    """A decoder with dropout."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.inner, self.outer = torch.nn.Linear(2 * width, 8), torch.nn.Linear(8, 1, False)

    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        both = torch.cat([user.unsqueeze(1).expand_as(item), item], dim=-1)
        hidden = torch.nn.functional.dropout(self.inner(both).tanh(), 0.3, self.training)
        return self.outer(hidden).squeeze(-1)


@pytest.mark.parametrize("make", [GraphSAGE, GCN, GAT, GIN])
def test_a_homogeneous_module_gets_users_and_items_in_one_graph(make: Callable[..., Any]) -> None:
    torch.manual_seed(0)
    model = make(4, WIDTH, 2).eval()
    encoder = FromModule(model, graph(), dim=4).eval()
    assert encoder.width == WIDTH
    user, item = graph()[EDGE_TYPE].edge_index
    both = torch.stack([torch.cat([user, item + NUM_USERS]), torch.cat([item + NUM_USERS, user])])
    expected = model(torch.cat([table.weight for table in encoder.learned]), both)
    same(torch.cat([xs[0] for xs in encoder().values()]), expected, 1e-5)


def test_dictionaries_are_those_of_the_data() -> None:
    torch.manual_seed(0)
    data = featured()
    data["genre"].num_nodes = 4
    data["item", "is", "genre"].edge_index = torch.tensor([[0, 1, 10], [0, 3, 2]])
    data = ToUndirected()(data)
    model = to_hetero(GraphSAGE((-1, -1), WIDTH, 2), data.metadata())
    encoder = FromModule(model, data, EDGE_TYPE, dim=7)
    assert encoder.learned_types == ["genre"]
    x_dict = {**data.x_dict, "genre": encoder.learned[0].weight}
    expected = model(x_dict, data.edge_index_dict)
    for name, (found,) in encoder().items():
        same(found, expected[name])


@pytest.mark.parametrize(
    ("users", "items", "learned"), [(3, 3, []), (0, 5, ["user"]), (4, 0, ["item"])]
)
def test_features_go_in_where_there_are_some(users: int, items: int, learned: list) -> None:
    data = featured(users, items)
    encoder = FromModule(GraphSAGE(-1, WIDTH, 2), data)
    assert encoder.learned_types == learned
    for table in encoder.learned:
        assert table.weight.size(1) == max(users, items)
    names = [name for name, _ in encoder.named_parameters() if name.startswith("learned")]
    assert len(names) == len(learned)


def test_an_item_with_features_and_no_link_is_ranked_by_them() -> None:
    data = featured(0, 5)
    unknown = NUM_ITEMS - 1  # isolated
    tables = []
    for change in (0.0, 1.0):
        data["item"].x[unknown] += change
        torch.manual_seed(0)
        tables.append(FromModule(GraphSAGE(5, WIDTH, 2), data).pooled_tables())
    first, second = (x["item"] for x in tables)
    assert not torch.allclose(first[unknown], second[unknown])
    same(first[:unknown], second[:unknown])
    held_out = data.clone()
    held_out[EDGE_TYPE].edge_label_index = torch.tensor([[2], [unknown]])
    encoder = FromModule(GraphSAGE(5, WIDTH, 2), data)
    (block,) = rank(encoder, held_out, NUM_ITEMS)
    assert unknown in block.top


@pytest.mark.parametrize("form", ["list", "stacked", "side by side"])
def test_layers_in_every_form(form: str) -> None:
    torch.manual_seed(0)
    module = Layered(form)
    layers = 3 if form == "side by side" else 1  # the others count themselves
    encoder = FromModule(module, graph(), layers=layers, pool="concat")
    expected = FromModule(module, graph(), layers=3)
    assert encoder.num_layers == 2
    assert encoder.width == WIDTH
    for table in (encoder(), expected()):
        assert [[*x.shape] for xs in table.values() for x in xs] == (
            [[NUM_USERS, WIDTH]] * 3 + [[NUM_ITEMS, WIDTH]] * 3
        )
    recommender = Recommender(encoder, MixGCF(graph(), num_candidates=4, pool="concat"))
    assert recommender.scoring_tables()["user"].shape == (NUM_USERS, 3 * WIDTH)


@pytest.mark.parametrize("sampler", [RNS, DNS, ANS])
def test_every_part_learns(sampler: Any) -> None:
    """In three epochs of `fit`, from scores of a decoder."""
    train_data, val_data, _ = SyntheticInteractions("tiny")
    torch.manual_seed(0)
    encoder = FromModule(GraphSAGE(-1, WIDTH, 2), train_data, decoder=MLP())
    own = {"dim": WIDTH} if sampler is ANS else {}
    # Margins of ANS get no gradient while rows are small.
    made = Recommender(encoder, sampler(train_data, num_candidates=4, **own), lr=3e-2)
    names = [name for name, _ in made.named_parameters()]
    assert not [name for name in names if "score" in name]
    assert {name.split(".")[1] for name in names if name.startswith("encoder")} == {
        "model",
        "decoder",
        "learned",
    }
    before = [parameter.detach().clone() for parameter in made.parameters()]
    found = fit(made, train_data, val_data, epochs=3, batch_size=100, progress=False)
    if sampler is RNS:
        assert found.history[-1]["loss"] < found.history[0]["loss"]
    for name, old, new in zip(names, before, made.parameters(), strict=True):
        assert not torch.equal(old, new), name


def test_sampler_loss_and_ranking_use_the_decoder() -> None:
    train_data, val_data, _ = SyntheticInteractions("tiny")
    torch.manual_seed(0)
    encoder = FromModule(GraphSAGE(-1, WIDTH, 2), train_data, decoder=MLP())
    made = Recommender(encoder, DNS(train_data, num_candidates=4))
    assert made.sampler.score is encoder.decoder
    tables = encoder.pooled_tables()
    encoder.decoder.eval()
    users, items = tables["user"], tables["item"]
    expected = torch.stack([encoder.decoder(users[[u]], items[None])[0] for u in range(len(users))])
    encoder.decoder.train()
    for model in (made, encoder):
        same(model.scorer()(torch.arange(len(users))), expected.detach(), 1e-6)
        assert evaluate(model, val_data) == evaluate(lambda user: expected.detach()[user], val_data)
    assert encoder.decoder.training
    # What DNS chooses is the best of its candidates.
    user, pos = train_data[EDGE_TYPE].edge_index[:, :50]
    candidates = made.sampler.draw(user, pos, seeded(0))
    encoder.decoder.eval()
    chosen = made.sampler.choose(user, pos, [users], [items], candidates).index[:, 0]
    scores = expected[user.unsqueeze(1), candidates]
    assert torch.equal(expected[user, chosen], scores.max(dim=1).values)


def test_a_decoder_in_half_precision_ranks_in_single() -> None:
    torch.manual_seed(0)
    encoder = FromModule(GraphSAGE(-1, WIDTH, 2), graph(), decoder=MLP()).to(torch.bfloat16)
    found = encoder.scorer()(torch.arange(3))
    assert found.dtype == torch.float32
    assert encoder.decoder.outer.weight.dtype == torch.bfloat16
    encoder.decoder.float()
    same(found, encoder.scorer()(torch.arange(3)))


@pytest.mark.parametrize("sampler", [MixGCF, DINS, DENS])
def test_a_decoder_of_concatenated_layers_chooses_no_single_ones(sampler: Any) -> None:
    encoder = FromModule(Layered("list"), graph(), pool="concat", decoder=MLP(3 * WIDTH))
    own = {"dim": WIDTH} if sampler is DENS else {}
    made = sampler(graph(), num_candidates=4, pool="concat", score=encoder.decoder, **own)
    user, pos = graph()[EDGE_TYPE].edge_index[:, :4]
    tables = encoder.settled_tables()
    made.start_epoch(0, 1, tables)
    with pytest.raises(ValueError, match=r"^score: 'score' must be 'dot' or 'cosine' to choose at"):
        made.sample(user, pos, tables["user"], tables["item"])


def test_a_new_person_is_scored_by_the_decoder() -> None:
    train_data = SyntheticInteractions("tiny")[0]
    torch.manual_seed(0)
    encoder = FromModule(GraphSAGE(-1, WIDTH, 2), train_data, decoder=MLP())
    for table in encoder.learned:
        torch.nn.init.normal_(table.weight, std=3.0)
    taken = torch.tensor([1, 5, 9])
    loss = SampledSoftmaxLoss(similarity="dot")
    row = encoder.fold_in(torch.zeros(3, dtype=torch.long), taken, 1, loss, l2=1e-4)
    items, decoder = encoder.pooled_tables()["item"], encoder.decoder.eval()

    def mean_of_taken(row: Tensor) -> float:
        scores = decoder(row, items[None])[0]
        return float((scores[taken].mean() - scores.mean()).detach())

    assert mean_of_taken(row) > mean_of_taken(torch.zeros_like(row)) + 0.01


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("decodes", [False, True])
def test_a_resumed_run_is_the_uninterrupted_one(
    dropout: float, decodes: bool, tmp_path: Any
) -> None:
    """With dropout in the module, and in a decoder."""
    train_data, val_data, _ = SyntheticInteractions("tiny")

    def run(out: Any, epochs: int, resume: bool = False) -> FromModule:
        torch.manual_seed(5)
        decoder = MLP() if decodes else None
        model = GraphSAGE(-1, WIDTH, 2, dropout=dropout)
        encoder = FromModule(model, train_data, decoder=decoder)
        torch.manual_seed(epochs)  # whatever else the program draws
        made = Recommender(encoder, DNS(train_data, num_candidates=4), lr=1e-2)
        fit(made, train_data, val_data, out, epochs, 100, resume=resume, progress=False, planned=3)
        return encoder

    whole = run(tmp_path / "whole", 3)
    run(tmp_path / "parts", 2)
    resumed = run(tmp_path / "parts", 3, resume=True)
    for x, y in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(x, y)


class Frozen(torch.nn.Module):
    """A norm that keeps its statistics, and one that does not."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = SAGEConv(WIDTH, WIDTH)
        self.norm, self.frozen = torch.nn.BatchNorm1d(WIDTH), torch.nn.BatchNorm1d(WIDTH).eval()

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        return self.frozen(self.norm(self.conv(x, edge_index)))


def test_to_rank_leaves_modes_and_statistics_as_they_were() -> None:
    decoder = MLP()
    decoder.inner.eval()
    encoder = FromModule(Frozen(), graph(), dim=WIDTH, decoder=decoder)
    statistics = [x.clone() for x in encoder.buffers()]
    encoder.pooled_tables()
    encoder.scorer()(torch.arange(3))
    modes = {name: part.training for name, part in encoder.named_modules()}
    assert [name for name in modes if not modes[name]] == ["model.frozen", "decoder.inner"]
    for x, y in zip(statistics, encoder.buffers(), strict=True):
        assert torch.equal(x, y)


class Writes(torch.nn.Module):
    def forward(self, x_dict: dict[str, Tensor], edge_index_dict: Any) -> dict[str, Tensor]:
        return {name: x.mul_(2.0) for name, x in x_dict.items()}


class Other(torch.nn.Module):
    def __init__(self, out: Any) -> None:
        super().__init__()
        self.out = out

    def forward(self, x: Tensor, edge_index: Tensor) -> Any:
        return self.out


def make(model: Any = None, data: Any = None, **arguments: Any) -> FromModule:
    model = GraphSAGE(-1, WIDTH, 1) if model is None else model
    return FromModule(model, graph() if data is None else data, **arguments)


def hetero(data: HeteroData) -> Any:
    return to_hetero(GraphSAGE((-1, -1), WIDTH, 2), ToUndirected()(data).metadata())


def oddly_featured(x: Any) -> HeteroData:
    data = graph()
    data["item"].x = x
    return data


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: make(3), r"'model' must be a torch Module \(got 3"),
        (lambda: make(data=graph().to_homogeneous()), "'data' must be a HeteroData graph"),
        (lambda: make(layers=0), "'layers' must be a whole number"),
        (lambda: make(dim=0), "'dim' must be a whole number"),
        (lambda: make(layers=2), "'layers' must be left out: PyG's models end in one table"),
        (lambda: make(PyGLightGCN(19, 4, 1)), r"'model' must .*LightGCN\.from_pyg\(model, data\)"),
        (lambda: make(Layered("side by side"), layers=4), r"'model' must be \[N, 4 \* D\]"),
        (lambda: make(Other(torch.zeros(3, 2))), "'model' must be"),
        (lambda: make(Other(None)), "'model' must be"),
        (lambda: make(Other({"user": torch.zeros(8, 2)})), "'model' must be"),
        (lambda: make(Writes(), ToUndirected()(graph()), edge_type=EDGE_TYPE), "leaves its inputs"),
        (lambda: make(Layered("list"), layers=2), "'model' must be of 2 layers"),
        (lambda: make(decoder="mlp"), "'decoder' must be a torch Module"),
        (lambda: make(num_neighbors=3), "'num_neighbors' must be a list of whole numbers"),
        (lambda: make(num_neighbors=[]), "'num_neighbors' must be a list of whole numbers"),
        (lambda: make(num_neighbors=[5, 0.5]), "'num_neighbors' must be a whole number"),
        (lambda: make(data=featured(3, 5)), r"features of one width.*got widths \[3, 5\]"),
        (lambda: make(data=featured(0, 5), dim=4), "'dim' must be 5, the width of the features"),
        (lambda: make(hetero(graph())), r"edges to 'user': T.ToUndirected\(\)\(data\)"),
        (lambda: make(data=oddly_featured(torch.zeros(3, 2))), r"features x \[11, F\] of 'item'"),
        (lambda: make(data=oddly_featured(torch.zeros(11, 2).long())), "in floating point"),
        (lambda: make(data=oddly_featured("red")), "features"),
    ],
)
def test_refuses(build: Callable[[], FromModule], said: str) -> None:
    with pytest.raises(ValueError, match=f"^FromModule: .*{said}"):
        build()


def test_a_decoder_and_a_cosine_loss_do_not_go_together() -> None:
    encoder = make(decoder=MLP())
    with pytest.raises(ValueError, match="Recommender: 'loss' must be one of dot products"):
        Recommender(encoder, DNS(graph()), SampledSoftmaxLoss(similarity="cosine"))
    with pytest.raises(ValueError, match=r"Recommender: 'rank_by' must be left out.*a decoder"):
        Recommender(encoder, DNS(graph()), rank_by="dot")
