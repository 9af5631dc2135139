"""Negatives drawn by the loader: the same for any number of workers, others for every batch."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor
from torch_geometric.data import Data, HeteroData
from torch_geometric.transforms import Compose

from pyg_negsamp.candidates import Candidates, PopularityCandidates, UniformCandidates
from pyg_negsamp.datasets import SyntheticInteractions
from pyg_negsamp.graph import EDGE_TYPE
from pyg_negsamp.nn import MF
from pyg_negsamp.training import LinkLoader, Recommender
from pyg_negsamp.training.randomness import ENCODER, NEGATIVES, ORDER, epoch_generator
from pyg_negsamp.transforms import DNS, PNS, RNS, NegativeSampling, Selection

pytestmark = [
    pytest.mark.filterwarnings("ignore:This DataLoader will create"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),
    pytest.mark.filterwarnings("ignore:The number of training batches"),
    pytest.mark.filterwarnings("ignore:You defined a `validation_step`"),
]

Triple = tuple[list[int], list[int], list[list[int]]]


@pytest.fixture(scope="module")
def data() -> HeteroData:
    return SyntheticInteractions("tiny")[0]


def sampler(data: HeteroData, cls: type[NegativeSampling] = RNS, num: int = 3) -> NegativeSampling:
    return cls(cls.proposal(data), num_negatives=num)


def batches(loader: LinkLoader) -> list[Triple]:
    return [
        (
            batch["user"].src_index.tolist(),
            batch["item"].dst_pos_index.tolist(),
            batch["item"].dst_neg_index.tolist(),
        )
        for batch in loader
    ]


def negatives(loader: LinkLoader) -> list[list[list[int]]]:
    return [drawn for _, _, drawn in batches(loader)]


def repeated(num: int = 8) -> HeteroData:
    """A graph whose links come several times, so that all batches in order hold the same ones."""
    data = HeteroData()
    data["user"].num_nodes, data["item"].num_nodes = 30, 500
    links = torch.stack([torch.arange(30), torch.arange(30) * 7])
    data[EDGE_TYPE].edge_index = links.repeat(1, num)
    return data


@pytest.mark.parametrize("cls", [RNS, PNS])
def test_same_batches_with_any_number_of_workers(
    data: HeteroData, cls: type[NegativeSampling]
) -> None:
    runs = []
    for num_workers in (0, 1, 2):
        loader = LinkLoader(
            data, 100, seed=3, transform=sampler(data, cls), num_workers=num_workers
        )
        assert loader.num_workers == num_workers
        first = batches(loader)
        loader.sampler.set_epoch(2)
        runs.append((first, batches(loader)))
    assert runs[0] == runs[1] == runs[2]
    assert runs[0][0] != runs[0][1]
    assert len(runs[0][0]) == 7


@pytest.mark.parametrize("cls", [RNS, PNS])
def test_negatives_are_unobserved_and_positives_complete(
    data: HeteroData, cls: type[NegativeSampling]
) -> None:
    links = list(map(tuple, data[EDGE_TYPE].edge_index.t().tolist()))
    found = []
    for user, pos, drawn in batches(LinkLoader(data, 100, transform=sampler(data, cls, 5))):
        found += zip(user, pos, strict=True)
        assert len(drawn) == len(user)
        for u, items in zip(user, drawn, strict=True):
            assert len(items) == 5
            assert not set(links) & {(u, i) for i in items}
    assert sorted(found) == sorted(links)


def test_the_order_is_that_without_a_transform(data: HeteroData) -> None:
    plain = [
        (batch["user"].src_index.tolist(), batch["item"].dst_pos_index.tolist())
        for batch in LinkLoader(data, 100, seed=3)
    ]
    with_negatives = LinkLoader(data, 100, seed=3, transform=sampler(data))
    assert [(user, pos) for user, pos, _ in batches(with_negatives)] == plain


@pytest.mark.parametrize("num_workers", [0, 2])
def test_every_batch_has_negatives_of_its_own(num_workers: int) -> None:
    """The same positives in every batch, which only the stream can tell apart."""
    graph = repeated()
    loader = LinkLoader(graph, 30, shuffle=False, transform=sampler(graph), num_workers=num_workers)
    found = batches(loader)
    assert len(found) == 8
    assert all(batch[:2] == found[0][:2] for batch in found)
    for (_, _, a), (_, _, b) in itertools.combinations(found, 2):
        assert a != b
        # Not even shifted by a few draws: of ids out of 500, hardly any agree.
        assert sum(x == y for p, q in zip(a, b, strict=True) for x, y in zip(p, q, strict=True)) < 9


def test_epochs_and_seeds_have_negatives_of_their_own() -> None:
    graph = repeated(2)
    runs = {}
    for seed, epoch in itertools.product(range(3), range(3)):
        loader = LinkLoader(graph, 30, shuffle=False, seed=seed, transform=sampler(graph))
        loader.sampler.set_epoch(epoch)
        runs[seed, epoch] = negatives(loader)
        assert negatives(loader) == runs[seed, epoch]
    for a, b in itertools.combinations(runs.values(), 2):
        assert a != b
        assert a[0] not in b
        assert a[1] not in b


def test_set_epoch_of_the_loader_is_that_of_its_sampler(data: HeteroData) -> None:
    one, other = (LinkLoader(data, 100, transform=sampler(data)) for _ in range(2))
    one.set_epoch(4)
    other.sampler.set_epoch(4)
    assert batches(one) == batches(other)
    other.sampler.set_epoch(5)
    assert batches(one) != batches(other)


def test_negatives_do_not_depend_on_the_global_generator(data: HeteroData) -> None:
    loader = LinkLoader(data, 100, transform=sampler(data))
    torch.manual_seed(1)
    first, state = batches(loader), torch.random.get_rng_state()
    torch.manual_seed(2)
    assert batches(loader) == first
    torch.manual_seed(1)
    for batch in LinkLoader(data, 100):
        del batch
    assert torch.equal(torch.random.get_rng_state(), state)


def test_every_purpose_has_a_stream_of_its_own() -> None:
    """No two of them begin alike: seeds, epochs, purposes, and batches or none."""
    starts = [
        torch.rand(4, generator=epoch_generator(seed, epoch, stream, batch=batch))
        for seed in range(4)
        for epoch in range(4)
        for stream in (ORDER, NEGATIVES, ENCODER)
        for batch in (None, 0, 1, 2, 3)
    ]
    assert len({tuple(start.tolist()) for start in starts}) == len(starts) == 4 * 4 * 3 * 5
    again = torch.rand(4, generator=epoch_generator(0, 0, ORDER))
    assert torch.equal(again, starts[0])


def test_a_transform_gets_the_batch_and_its_generator(data: HeteroData) -> None:
    got = []

    def transform(batch: HeteroData, generator: torch.Generator) -> HeteroData:
        got.append((len(batch["user"].src_index), generator.initial_seed()))
        batch["item"].mark = batch["item"].dst_pos_index + 1
        return batch

    found = list(LinkLoader(data, 400, transform=transform))
    assert [size for size, _ in got] == [400, 225]
    assert got[0][1] != got[1][1]
    for batch in found:
        assert torch.equal(batch["item"].mark, batch["item"].dst_pos_index + 1)
        assert batch["user"].num_nodes == 60
        assert batch["item"].num_nodes == 80


def test_works_under_other_names(data: HeteroData) -> None:
    edge_type = ("reader", "reads", "book")
    renamed = HeteroData()
    renamed["reader"].num_nodes, renamed["book"].num_nodes = 60, 80
    renamed[edge_type].edge_index = data[EDGE_TYPE].edge_index
    transform = RNS(UniformCandidates(renamed, edge_type), num_negatives=3, edge_type=edge_type)
    loader = LinkLoader(renamed, 100, edge_type=edge_type, transform=transform)
    drawn = [batch["book"].dst_neg_index.tolist() for batch in loader]
    assert drawn == negatives(LinkLoader(data, 100, transform=sampler(data)))


# Training on what the loader drew ---------------------------------------------------------------


Call = tuple[list[int], list[int], list[list[int]] | None, list[list[int]]]


def listen(model: Recommender) -> list[Call]:
    """Writes down what the model's sampler is given, and what it chooses."""
    heard: list[Call] = []
    choose: Callable[..., Selection] = model.sampler.choose

    def overheard(
        user: Tensor, pos: Tensor, user_xs: object, item_xs: object,
        candidates: Tensor | None = None, generator: torch.Generator | None = None,
    ) -> Selection:  # fmt: skip
        chosen = choose(user, pos, user_xs, item_xs, candidates, generator)
        given = None if candidates is None else candidates.tolist()
        heard.append((user.tolist(), pos.tolist(), given, chosen.index.tolist()))
        return chosen

    model.sampler.choose = overheard
    return heard


def train(model: Recommender, loader: LinkLoader, epochs: int) -> None:
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, loader)


def of_epochs(loader: LinkLoader, epochs: int) -> list[Triple]:
    expected = []
    for epoch in range(epochs):
        loader.sampler.set_epoch(epoch)
        expected += batches(loader)
    return expected


@pytest.mark.parametrize("num_workers", [0, 1])
@pytest.mark.parametrize(
    ("cls", "proposal"), [(RNS, UniformCandidates), (PNS, PopularityCandidates)]
)
def test_trains_on_exactly_the_negatives_of_the_loader(
    data: HeteroData,
    cls: type[NegativeSampling],
    proposal: type[Candidates],
    num_workers: int,
) -> None:
    drawn_by = cls(proposal(data))
    model = Recommender(MF(data, dim=4), RNS(UniformCandidates(data)))
    heard = listen(model)
    loader = LinkLoader(data, 200, seed=5, transform=drawn_by, num_workers=num_workers)
    train(model, loader, epochs=2)
    expected = of_epochs(LinkLoader(data, 200, seed=5, transform=drawn_by), epochs=2)
    assert len(expected) == 8
    assert heard == [(*batch, batch[2]) for batch in expected]


def test_a_sampler_chooses_among_the_negatives_of_the_loader(data: HeteroData) -> None:
    torch.manual_seed(0)
    model = Recommender(MF(data, dim=4), DNS(UniformCandidates(data)), lr=0.0)
    heard = listen(model)
    loader = LinkLoader(data, 200, seed=5, transform=sampler(data, num=6))
    train(model, loader, epochs=1)
    users, items = (model.scoring_tables()[name] for name in ("user", "item"))
    expected = of_epochs(loader, 1)
    assert [call[:3] for call in heard] == expected
    for user, _, given, chosen in heard:
        for u, drawn, best in zip(user, given, chosen, strict=True):
            assert len(drawn) == 6
            assert best == [max(drawn, key=lambda i: float(users[u] @ items[i]))]


def test_without_a_transform_the_sampler_draws(data: HeteroData) -> None:
    model = Recommender(MF(data, dim=4), RNS(UniformCandidates(data)))
    heard = listen(model)
    train(model, LinkLoader(data, 200), epochs=1)
    assert [given for _, _, given, _ in heard] == [None] * 4


def test_refuses_what_cannot_draw_for_it(data: HeteroData) -> None:
    for transform in (Compose([sampler(data)]), lambda batch: batch, 7):
        with pytest.raises(ValueError, match=r"'transform' must be .*that takes generator"):
            LinkLoader(data, transform=transform)
    both = Compose([])
    loader = LinkLoader(
        data, transform=lambda batch, generator: both(sampler(data)(batch, generator=generator))
    )
    assert "dst_neg_index" in next(iter(loader))["item"]
    with pytest.raises(ValueError, match="LinkLoader: 'data' must be a HeteroData graph"):
        LinkLoader(Data(edge_index=torch.tensor([[0], [1]]), num_nodes=2))
