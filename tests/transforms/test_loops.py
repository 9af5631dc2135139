"""Samplers in loops that are not ours: told of epochs by one call, and writing links."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch_geometric.data import HeteroData

from pyg_negsamp.datasets import SyntheticInteractions
from pyg_negsamp.graph import EDGE_TYPE
from pyg_negsamp.transforms import DINS, DNS, PRIS, RNS, SAMPLERS, Compose, CuCo, MixGCF
from pyg_negsamp.transforms.base import NegativeSampling

DATA = SyntheticInteractions("tiny")[0]
USER, POS = DATA[EDGE_TYPE].edge_index[:, :40]
X = {"user": torch.randn(60, 4), "item": torch.randn(80, 4)}
#: Samplers that work otherwise once they know the epoch, or see the whole table.
SCHEDULED = {"srns", "cuco", "dens", "contrastive-dns", "advir", "adasir", "mcns", "midx", "divns"}
SCHEDULED |= {"cbns"}


def made(name: str) -> NegativeSampling:
    own = {"dim": 4} if name in ("ans", "dens", "irgan", "advir") else {}
    return SAMPLERS[name](SAMPLERS[name].proposal(DATA), **own)


def batch() -> HeteroData:
    data = HeteroData()
    data["user"].src_index, data["item"].dst_pos_index = USER, POS
    return data


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sampler_that_is_never_told_of_epochs_says_so_once(name: str) -> None:
    sampler = made(name)
    assert sampler.needs_epochs == (name in SCHEDULED)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for _ in range(3):
            sampler(batch(), X)
            sampler.sample(USER, POS, X["user"], X["item"])
    assert len([w for w in said if "start_epoch" in str(w.message)]) == (name in SCHEDULED)


@pytest.mark.parametrize("name", SAMPLERS)
def test_who_was_told_says_nothing(name: str) -> None:
    sampler = made(name)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*was not told of epochs")
        for epoch in range(2):
            sampler.start_epoch(epoch, 2, X)
            sampler(batch(), X)


@pytest.mark.parametrize("name", sorted(SCHEDULED - {"cuco", "dens", "advir", "cbns"}))
def test_tables_that_cannot_be_those_of_the_graph_are_refused(name: str) -> None:
    nan = {**X, "item": X["item"] * torch.nan}
    for x_dict, said in (
        (nan, "'x_dict' must be finite in every row"),
        ({**X, "item": X["item"][1:]}, r"'user_xs, item_xs' must be \[60, D\] and \[80, D\]"),
    ):
        with pytest.raises(ValueError, match=said):
            made(name).start_epoch(20, 99, x_dict)


def test_the_one_call_moves_schedules_and_shows_tables() -> None:
    cuco = CuCo(DATA, num_candidates=8)
    cuco.start_epoch(3, 4)
    assert (cuco.epoch, cuco.max_epochs) == (3, 4)
    srns = made("srns")
    srns.start_epoch(0, 4, X)
    assert len(srns.history) == 1  # type: ignore[attr-defined]
    composed = Compose(CuCo(DATA), MixGCF())
    assert composed.needs_epochs
    composed.start_epoch(2, 4, X)
    assert composed.selector.epoch == 2  # type: ignore[attr-defined]


# Links -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("num", [1, 3])
def test_links_stand_beside_the_triplets(num: int) -> None:
    sampler = DNS(DATA, num_candidates=8, num_negatives=num, as_links=True)
    plain = DNS(DATA, num_candidates=8, num_negatives=num)
    out, triplets = (s(batch(), X, torch.Generator().manual_seed(0)) for s in (sampler, plain))
    assert torch.equal(out["item"].dst_neg_index, triplets["item"].dst_neg_index)
    links = out[EDGE_TYPE]
    assert links.edge_label.tolist() == [1.0] * 40 + [0.0] * 40 * num
    assert torch.equal(links.edge_label_index[:, :40], torch.stack([USER, POS]))
    expected = torch.stack([USER.repeat_interleave(num), out["item"].dst_neg_index.flatten()])
    assert torch.equal(links.edge_label_index[:, 40:], expected)
    assert "edge_label_weight" not in links
    assert triplets.edge_types == []


def test_links_without_embeddings_and_with_weights() -> None:
    links = RNS(DATA, as_links=True)(batch())[EDGE_TYPE]
    assert links.edge_label_index.shape == (2, 80)
    out = PRIS(DATA, num_negatives=2, as_links=True)(batch(), X)
    weight = out[EDGE_TYPE].edge_label_weight
    assert weight[:40].tolist() == [1.0] * 40
    assert torch.equal(weight[40:], out["item"].dst_neg_weight.flatten())


def test_mixtures_are_no_links() -> None:
    with pytest.raises(ValueError, match=r"^DINS: 'as_links' must be False, because .* no items"):
        DINS(DATA, as_links=True)(batch(), X)
