"""Training on links that happened at times, with items that exist from a time on."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest
import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.nn import GraphSAGE

from pyg_negsamp.candidates import BatchCandidates, PopularityCandidates, UniformCandidates
from pyg_negsamp.datasets import SyntheticInteractions
from pyg_negsamp.graph import EDGE_TYPE
from pyg_negsamp.nn import MF, FromModule
from pyg_negsamp.training import LinkLoader, Recommender, fit
from pyg_negsamp.transforms import DNS, RNS


def splits() -> tuple[HeteroData, HeteroData, Tensor]:
    """Links that happened at 1, 2, ..., and items of which half exist from a later time on."""
    train_data, val_data, _ = SyntheticInteractions("tiny")
    num_links = train_data[EDGE_TYPE].edge_label_index.size(1)
    since = torch.zeros(train_data["item"].num_nodes)
    since[::2] = num_links / 2
    train_data[EDGE_TYPE].edge_label_time = torch.arange(1.0, num_links + 1)
    return train_data, val_data, since


class Watched(DNS):
    """Keeps what it was given to choose from."""

    def select(self, user: Tensor, pos: Tensor, *rest: Any, **named: Any) -> Any:
        self.seen.append((user, pos, rest[2]))
        return super().select(user, pos, *rest, **named)


def watched(candidates: Any) -> Watched:
    sampler = Watched(candidates, num_candidates=6)
    sampler.seen = []
    return sampler


@pytest.mark.parametrize("source", [UniformCandidates, PopularityCandidates, BatchCandidates])
def test_fit_offers_no_item_before_it_existed(source: Any) -> None:
    train_data, val_data, since = splits()
    sampler = watched(source(train_data, time=since))
    torch.manual_seed(0)
    made = Recommender(MF(train_data, 4), sampler)
    fit(made, train_data, val_data, epochs=1, batch_size=100, progress=False)
    times = dict(
        zip(
            map(tuple, train_data[EDGE_TYPE].edge_label_index.t().tolist()),
            train_data[EDGE_TYPE].edge_label_time.tolist(),
            strict=True,
        )
    )
    early, late = set(), set()
    for user, pos, candidates in sampler.seen:
        time = torch.tensor([times[pair] for pair in zip(user.tolist(), pos.tolist(), strict=True)])
        assert bool((since[candidates] <= time.unsqueeze(1)).all())
        (late if time.max() > since.max() else early).update(candidates.flatten().tolist())
    assert any(since[list(late)] > 0), "later on, the others are offered"


@pytest.mark.skipif(not find_spec("torch_sparse"), reason="needs the extra 'sparse'")
@pytest.mark.filterwarnings("ignore:Using 'NeighborSampler' without a 'pyg-lib'")
def test_on_sampled_neighbourhoods_too() -> None:
    train_data, val_data, since = splits()
    torch.manual_seed(0)
    encoder = FromModule(GraphSAGE(-1, 4, 1), train_data, num_neighbors=[3])
    sampler = UniformCandidates(train_data, time=since)
    made = Recommender(encoder, DNS(sampler, num_candidates=6))
    fit(made, train_data, val_data, epochs=2, batch_size=100, progress=False)
    assert made.chosen.numel()


def test_the_loader_brings_times_where_there_are_some() -> None:
    train_data = splits()[0]
    links = train_data[EDGE_TYPE].edge_label_index
    for batch in LinkLoader(train_data, 100):
        place = batch[EDGE_TYPE].edge_label_time.long() - 1
        assert torch.equal(links[0, place], batch["user"].src_index)
        assert torch.equal(links[1, place], batch["item"].dst_pos_index)
    train_data[EDGE_TYPE].edge_label = torch.ones(links.size(1))
    train_data[EDGE_TYPE].edge_label[::3] = 0
    (batch,) = LinkLoader(train_data, 10**6, shuffle=False)
    assert batch[EDGE_TYPE].edge_label_time.tolist()[:4] == [2.0, 3.0, 5.0, 6.0]
    del train_data[EDGE_TYPE].edge_label_index, train_data[EDGE_TYPE].edge_label
    train_data[EDGE_TYPE].time = torch.arange(links.size(1)) + 7
    (batch,) = LinkLoader(train_data, 10**6, shuffle=False)
    assert batch[EDGE_TYPE].edge_label_time[:2].tolist() == [7, 8]
    del train_data[EDGE_TYPE].time
    (batch,) = LinkLoader(train_data, 10**6, shuffle=False)
    assert EDGE_TYPE not in batch.edge_types


def without_times(data: HeteroData, since: Tensor) -> Tensor:
    del data[EDGE_TYPE].edge_label_time
    return since


def too_few_times(data: HeteroData, since: Tensor) -> Tensor:
    data[EDGE_TYPE].edge_label_time = torch.ones(3)
    return since


def nothing_yet(data: HeteroData, since: Tensor) -> Tensor:
    return torch.full_like(since, 3.0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without_times, "fit: 'train_data' must be with edge_label_time"),
        (too_few_times, r"'edge_label_time' must be \[625\] times"),
        (nothing_yet, r"fit: 'train_data' must be of links .*\(got 2 links without"),
    ],
)
def test_refuses_before_the_first_step(change: Any, said: str) -> None:
    train_data, val_data, since = splits()
    since = change(train_data, since)
    made = Recommender(MF(train_data, 4), DNS(UniformCandidates(train_data, time=since)))
    with pytest.raises(ValueError, match=said):
        fit(made, train_data, val_data, epochs=1, progress=False)


@pytest.mark.parametrize("K", [1, 3])
def test_negatives_in_binary_form_are_of_their_rows_times(K: int) -> None:
    train_data, _, since = splits()
    found = RNS(UniformCandidates(train_data, time=since), num_negatives=K)(train_data)
    links, times = found[EDGE_TYPE].edge_label_index, found[EDGE_TYPE].edge_label_time
    assert times.shape == links[0].shape
    num = train_data[EDGE_TYPE].edge_label_index.size(1)
    assert torch.equal(times[num:].view(num, K), times[:num].unsqueeze(1).expand(-1, K))
    assert bool((since[links[1, num:]] <= times[num:]).all())
    assert train_data[EDGE_TYPE].edge_label_time.shape == (num,)
