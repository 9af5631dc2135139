"""Tables in every form that PyG's models give them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData
from torch_geometric.nn import JumpingKnowledge, SAGEConv, to_hetero
from torch_geometric.transforms import ToUndirected

from pyg_negsamp.datasets import SyntheticInteractions
from pyg_negsamp.evaluation import evaluate
from pyg_negsamp.graph import EDGE_TYPE
from pyg_negsamp.layers import as_layers, layers_by_type
from pyg_negsamp.transforms import (
    DINS,
    DNS,
    SAMPLERS,
    SRNS,
    Compose,
    ContrastiveDNS,
    MixGCF,
    NegativeSampling,
)

DATA, VAL, _ = SyntheticInteractions("tiny")
USER, POS = DATA[EDGE_TYPE].edge_index[:, :30]
H, D = 3, 4
XS = {"user": torch.randn(H, 60, D).unbind(), "item": torch.randn(H, 80, D).unbind()}

#: The same tables in every form, and what has to be said besides.
FORMS: dict[str, tuple[Any, int]] = {
    "a list of tensors per type": (XS, 1),
    "a list of tensors, and how many": (XS, H),
    "stacked": ({name: torch.stack(xs, 1) for name, xs in XS.items()}, 1),
    "side by side": ({name: torch.cat(xs, 1) for name, xs in XS.items()}, H),
    "a dictionary per layer": ([{name: xs[h] for name, xs in XS.items()} for h in range(H)], 1),
}


def batch() -> HeteroData:
    data = HeteroData()
    data["user"].src_index, data["item"].dst_pos_index = USER, POS
    return data


def drawn(sampler: NegativeSampling, x_dict: Any) -> Tensor:
    return sampler(batch(), x_dict, torch.Generator().manual_seed(0))["item"].dst_neg_xs


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_the_same_layers(form: str) -> None:
    x_dict, layers = FORMS[form]
    for xs, name in zip(layers_by_type(x_dict, ("user", "item"), layers), XS, strict=True):
        assert len(xs) == H
        assert all(map(torch.equal, xs, XS[name]))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers_take_every_form(name: str, form: str) -> None:
    def made(layers: int) -> NegativeSampling:
        torch.manual_seed(0)
        own = {"dim": D} if name in ("ans", "dens", "irgan", "advir") else {}
        sampler = SAMPLERS[name](SAMPLERS[name].proposal(DATA), layers=layers, **own)
        assert sampler.layers == layers
        return sampler

    x_dict, layers = FORMS[form]
    one, other = made(1), made(layers)
    one.start_epoch(0, 2, XS)
    other.start_epoch(0, 2, x_dict)
    assert torch.equal(drawn(one, XS), drawn(other, x_dict))
    if isinstance(x_dict, dict):
        seeds = [torch.Generator().manual_seed(1) for _ in range(2)]
        whole = one.sample(USER, POS, XS["user"], XS["item"], generator=seeds[0])
        parts = other.sample(USER, POS, x_dict["user"], x_dict["item"], generator=seeds[1])
        assert torch.equal(whole.xs, parts.xs)


@pytest.mark.parametrize("cls", [SRNS, ContrastiveDNS])
def test_whole_tables_are_read_in_every_form(cls: type[Any]) -> None:
    seen = []
    for x_dict, layers in FORMS.values():
        sampler = cls(DATA, layers=layers)
        sampler.start_epoch(10, 20, x_dict)
        seen.append(sampler.history[0][1] if cls is SRNS else sampler.retrieved)
    assert all(torch.equal(seen[0], one) for one in seen)


def test_compositions_read_layers_once() -> None:
    sampler = Compose(DNS(DATA, layers=H), DINS(layers=H))
    assert torch.equal(
        drawn(sampler, FORMS["side by side"][0]), drawn(Compose(DNS(DATA), DINS()), XS)
    )
    with pytest.raises(ValueError, match=r"^Compose: 'synthesize' must be one with layers=3"):
        Compose(DNS(DATA, layers=H), DINS())


@pytest.mark.parametrize("form", ["stacked", "a dictionary per layer"])
@pytest.mark.parametrize("pool", ["mean", "concat"])
def test_evaluation_takes_them_too(form: str, pool: Any) -> None:
    expected = evaluate(XS, VAL, pool=pool)
    assert evaluate(FORMS[form][0], VAL, pool=pool) == expected


def test_homogeneous_tables_stand_alone() -> None:
    index = torch.randint(0, 20, (2, 60))
    data = Data(edge_index=index, edge_label_index=index[:, :9], num_nodes=20)
    x = torch.randn(20, H, D)
    for table, layers in ((x, 1), (x.flatten(1), H), ([*x.unbind(1)], 1)):
        out = DNS(data, layers=layers)(data, table, torch.Generator().manual_seed(0))
        assert out.edge_label_index.shape == (2, 18)


class Layered(torch.nn.Module):
    """GraphSAGE that hands out its layers: as a list, or joined by JumpingKnowledge."""

    def __init__(self, joined: bool) -> None:
        super().__init__()
        self.convs = torch.nn.ModuleList(SAGEConv((D, D), D) for _ in range(2))
        self.join = JumpingKnowledge("cat") if joined else None

    def forward(self, x: Tensor, edge_index: Tensor) -> list[Tensor] | Tensor:
        xs = [x]
        for conv in self.convs:
            xs.append(conv(xs[-1], edge_index).relu())
        return xs if self.join is None else self.join(xs)


@pytest.mark.parametrize("joined", [False, True])
def test_what_to_hetero_gives(joined: bool) -> None:
    data = DATA.clone()
    for name, xs in XS.items():
        data[name].x = xs[0]
    data = ToUndirected()(data)
    torch.manual_seed(0)
    model = to_hetero(Layered(joined), data.metadata())
    x_dict = model(data.x_dict, data.edge_index_dict)
    assert isinstance(x_dict, dict if joined else list)
    negatives = drawn(MixGCF(DATA, layers=3 if joined else 1), x_dict)
    assert negatives.shape == (30, 1, 3, D)
    negatives.sum().backward()
    assert next(model.parameters()).grad is not None


# What is refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "layers", "said"),
    [
        (torch.zeros(5, 7), 3, r"\[N, 3 \* D\], because layers=3 \(got \[5, 7\]\)"),
        (torch.zeros(5, 2, 4), 3, r"of 3 layers, because layers=3 .*\(got 2 layers\)"),
        ([torch.zeros(5, 4)] * 2, 3, r"of 3 layers.*\(got 2 layers\)"),
        (torch.zeros(5, 2, 4, 1), 1, r"a tensor \[N, D\].*\(got \[5, 2, 4, 1\]\)"),
        (torch.zeros(5), 1, r"stacked one \[N, H, D\].*\(got \[5\]\)"),
        (torch.zeros(5, 0, 4), 1, r"list of H tensors.*\(got \[5, 0, 4\]\)"),
        ([], 1, r"list of H tensors.*\(got \[\]\)"),
        ([torch.zeros(5, 4), torch.zeros(5, 2, 4)], 1, r"\(got \[\[5, 4\], \[5, 2, 4\]\]\)"),
        ([torch.zeros(5, 4), torch.zeros(6, 4)], 1, r"\(got \[\[5, 4\], \[6, 4\]\]\)"),
        ([torch.zeros(5, 4), None], 1, r"\(got \[\[5, 4\], None\]\)"),
        (torch.zeros(5, 4).numpy(), 1, r"\(got a ndarray \[5, 4\] float32\)"),
        (torch.zeros(5, 4), 0, "'layers' must be a whole number, at least 1"),
    ],
)
def test_refuses_other_forms(x: Any, layers: int, said: str) -> None:
    with pytest.raises(ValueError, match=rf"^DNS: '.*' must be .*{said}|^DNS: {said}"):
        as_layers(x, layers, "DNS")


@pytest.mark.parametrize(
    ("x_dict", "said"),
    [
        ([{"user": XS["user"][0]}, XS["item"][0]], r"a dictionary per layer, or .*\(got a list"),
        ({"user": XS["user"]}, r"embeddings of 'user' and 'item' \(got those of \['user'\]\)"),
        ([{"item": XS["item"][0]}], r"embeddings of 'user' and 'item'"),
        (XS["user"][0], r"a table per node type, \{'user': x\[:U\], 'item': x\[U:\]\}"),
        ({"user": XS["user"], "item": XS["item"][0]}, r"H tensors \[U, D\] and H \[I, D\]"),
        ({"user": XS["user"][0], "item": 3}, r"a tensor \[N, D\].*\(got 3\)"),
    ],
)
def test_refuses_dictionaries_that_lack_something(x_dict: Any, said: str) -> None:
    with pytest.raises(ValueError, match=rf"^DNS: '.*x.*' must be .*{said}"):
        DNS(DATA)(batch(), x_dict)
