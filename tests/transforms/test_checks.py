"""Samplers notice positives that are no links, tables of other lengths, and ids that are none."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData
from torch_geometric.loader import LinkNeighborLoader
from torch_geometric.transforms import RandomLinkSplit

from pyg_negsamp.candidates import UniformCandidates
from pyg_negsamp.datasets import SyntheticInteractions
from pyg_negsamp.graph import EDGE_TYPE, training_links
from pyg_negsamp.training import LinkLoader
from pyg_negsamp.transforms import DENS, DNS, IRGAN, PRIS, RNS, AdvIR, NegativeSampling
from pyg_negsamp.transforms.checks import ROWS_LOOKED_AT

DATA = SyntheticInteractions("tiny")[0]
LINKS = DATA[EDGE_TYPE].edge_index
USERS, ITEMS, D = 60, 80, 4
BATCH = next(iter(LinkLoader(DATA, batch_size=8)))


def split(**options: float) -> HeteroData:
    """PyG's own split of the same links: its training part."""
    whole = HeteroData()
    whole["user"].num_nodes, whole["item"].num_nodes = USERS, ITEMS
    whole[EDGE_TYPE].edge_index = LINKS
    torch.manual_seed(0)
    options = {"add_negative_train_samples": False, **options}
    return RandomLinkSplit(edge_types=EDGE_TYPE, **options)(whole)[0]


def batches(data: HeteroData, sampler: NegativeSampling) -> None:
    """An epoch in which the sampler is the transform of a loader."""
    list(LinkLoader(data, batch_size=100, transform=sampler))


UNKNOWN = r"^RNS: 'pos' must be links that the candidates know.*also=.*AmazonBook.*check_positives"


def test_a_disjoint_split_is_noticed_and_mended() -> None:
    train = split(disjoint_train_ratio=0.3)
    with pytest.raises(ValueError, match=rf"{UNKNOWN}.*\(got 100 of 100 unknown\)"):
        batches(train, RNS(UniformCandidates(train)))
    supervision = train[EDGE_TYPE].edge_label_index
    sampler = RNS(UniformCandidates(train, also=supervision), num_negatives=30)
    for batch in LinkLoader(train, batch_size=100, transform=sampler):
        user, neg = batch["user"].src_index, batch["item"].dst_neg_index
        for links in (supervision, train[EDGE_TYPE].edge_index):
            key = links[0] * ITEMS + links[1]
            assert not torch.isin(user.unsqueeze(1) * ITEMS + neg, key).any()


def test_whatever_is_said_to_be_meant_passes() -> None:
    train = split(disjoint_train_ratio=0.3)
    batches(train, RNS(UniformCandidates(train), check_positives=False))
    batches(train, RNS(UniformCandidates(split())))
    batches(DATA, RNS(UniformCandidates(DATA)))


def test_one_unknown_among_those_looked_at_counts_all() -> None:
    user, pos = LINKS[:, :600].clone()
    sampler = DNS(UniformCandidates(DATA))
    x = torch.randn(USERS, D), torch.randn(ITEMS, D)
    sampler.sample(user, pos, *x)
    known = set(map(tuple, LINKS.t().tolist()))
    step = len(user) // ROWS_LOOKED_AT
    for at in (0, step, 2 * step):
        pos[at] = next(i for i in range(ITEMS) if (int(user[at]), i) not in known)
    with pytest.raises(ValueError, match=r"^DNS: 'pos' must be links.*got 3 of 600 unknown"):
        sampler.sample(user, pos, *x)


def test_unshifted_ids_of_a_joint_graph_are_noticed() -> None:
    index = torch.stack([LINKS[0], LINKS[1] + USERS])
    data = Data(edge_index=torch.cat([index, index.flip(0)], dim=1), num_nodes=USERS + ITEMS)
    sampler = RNS(UniformCandidates(data, items=range(USERS, USERS + ITEMS)))
    data.edge_label_index = index
    assert int(sampler(data).edge_label_index[1].min()) >= USERS
    data.edge_label_index = LINKS
    with pytest.raises(ValueError, match=UNKNOWN):
        sampler(data)


@pytest.mark.parametrize("disjoint", [0.0, 0.3])
def test_a_sampled_subgraph_is_looked_at_by_its_own_numbering(disjoint: float) -> None:
    pytest.importorskip("torch_sparse")  # of the extra 'sparse'
    train = split(disjoint_train_ratio=disjoint)
    loader = LinkNeighborLoader(
        train,
        num_neighbors=[4],
        edge_label_index=(EDGE_TYPE, training_links(train)),
        neg_sampling={"mode": "triplet", "amount": 3},
        batch_size=50,
    )
    batch = next(iter(loader))
    sampler = RNS(UniformCandidates(train))
    if disjoint:
        with pytest.raises(ValueError, match=rf"{UNKNOWN}.*\(got 50 of 50 unknown\)"):
            sampler(batch)
        sampler = RNS(UniformCandidates(train, also=training_links(train)))
    assert sampler(batch)["item"].dst_neg_index.shape == (50, 1)


def test_other_devices_are_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    monkeypatch.setattr(
        "pyg_negsamp.transforms.base.check_known", lambda *args: looked.append(len(args[2]))
    )
    sampler = RNS(UniformCandidates(DATA))
    for _ in range(3):
        sampler._check_known(*(torch.empty(5, dtype=torch.long, device="meta"),) * 2)
    assert looked == [5]
    for _ in range(3):
        sampler._check_known(*LINKS[:, :7])
    assert looked == [5, 7, 7, 7]


# Tables and ids ----------------------------------------------------------------------------------


def sample(users: Tensor, items: Tensor, **said: Tensor) -> None:
    ids = {"user": LINKS[0, :9], "pos": LINKS[1, :9], **said}
    DNS(UniformCandidates(DATA)).sample(ids["user"], ids["pos"], users, items)


@pytest.mark.parametrize(
    ("users", "items", "advice"),
    [
        (
            USERS + ITEMS,
            USERS + ITEMS,
            rf"split a joint table: x\[:{USERS}\], x\[{USERS}:\]",
        ),
        (USERS, USERS + ITEMS, "split a joint table"),
        (ITEMS, USERS, "seem to be swapped"),
        (USERS, ITEMS + 1, rf"\[{ITEMS}, D\]"),
        (USERS - 1, ITEMS, rf"got {USERS - 1} and {ITEMS} rows"),
    ],
)
def test_refuses_tables_of_other_lengths(users: int, items: int, advice: str) -> None:
    sample(torch.randn(USERS, D), torch.randn(ITEMS, D))
    with pytest.raises(ValueError, match=rf"^DNS: 'user_xs, item_xs' must be .*{advice}"):
        sample(torch.randn(users, D), torch.randn(items, D))


@pytest.mark.parametrize("field", ["user", "pos"])
@pytest.mark.parametrize("kind", [torch.float, torch.bool, torch.double])
def test_refuses_ids_that_are_no_whole_numbers(field: str, kind: torch.dtype) -> None:
    with pytest.raises(ValueError, match=rf"^DNS: '.*' must be .*integers.*{kind}"):
        sample(torch.randn(USERS, D), torch.randn(ITEMS, D), **{field: torch.ones(9).to(kind)})


@pytest.mark.parametrize("wrong", [None, 3, "x", [None], {}, torch.ones(USERS, D).long()])
@pytest.mark.parametrize("argument", ["user", "pos", "user_xs", "item_xs", "candidates"])
def test_wrong_kinds_of_arguments_are_named(argument: str, wrong: object) -> None:
    user, pos = LINKS[:, :8]
    given = {"user": user, "pos": pos, "user_xs": torch.ones(USERS, D)}
    given |= {"item_xs": torch.ones(ITEMS, D), "candidates": pos.unsqueeze(1), argument: wrong}
    if argument == "candidates" and wrong is None:
        return
    with pytest.raises(ValueError, match=f"^DNS: '.*{argument}.*' must be .* \\(got .*\\)$"):
        DNS(UniformCandidates(DATA)).sample(**given)


@pytest.mark.parametrize(
    ("batch", "x_dict", "argument"),
    [(None, {}, "batch"), ("x", {}, "batch"), (torch.ones(3), {}, "batch"),
     (BATCH, {}, "x_dict"), (BATCH, {"user": torch.ones(USERS, D)}, "x_dict"),
     (BATCH, {"user": 3, "item": 4}, "x_dict"), (BATCH, 3, "x_dict")],
)  # fmt: skip
def test_wrong_batches_and_tables_are_named(batch: Any, x_dict: Any, argument: str) -> None:
    with pytest.raises(ValueError, match=f"^DNS: '{argument}' must be .* \\(got .*\\)$"):
        DNS(UniformCandidates(DATA))(batch, x_dict)


def test_a_wrong_batch_is_described_and_not_printed() -> None:
    batch = HeteroData()
    batch["user"].x = torch.zeros(1000, 2)
    with pytest.raises(ValueError, match=r"^RNS: 'batch' must be ") as error:
        RNS(UniformCandidates(DATA))(batch)
    assert len(str(error.value)) < 400


# The binary form ---------------------------------------------------------------------------------


def binary() -> HeteroData:
    data = HeteroData()
    data["user"].num_nodes, data["item"].num_nodes = USERS, ITEMS
    data[EDGE_TYPE].edge_label_index = LINKS[:, :9]
    return data


@pytest.mark.parametrize("cls", [IRGAN, AdvIR, DENS])
def test_the_binary_form_keeps_the_auxiliary_loss(cls: type[NegativeSampling]) -> None:
    sampler = cls(UniformCandidates(DATA), dim=D)  # type: ignore[call-arg]
    x_dict = {"user": torch.randn(USERS, D), "item": torch.randn(ITEMS, D)}
    out = sampler(binary(), x_dict)
    out["item"].dst_neg_loss.backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in sampler.parameters())


def test_the_binary_form_keeps_weights() -> None:
    x_dict = {"user": torch.randn(USERS, D), "item": torch.randn(ITEMS, D)}
    sampler = PRIS(UniformCandidates(DATA), num_negatives=3)
    links = sampler(binary(), x_dict)[EDGE_TYPE]
    assert links.edge_label_weight.shape == links.edge_label.shape == (9 + 27,)
    assert links.edge_label_weight[:9].tolist() == [1.0] * 9
    torch.testing.assert_close(links.edge_label_weight[9:].view(9, 3).sum(1), torch.ones(9))
    generator = torch.Generator().manual_seed(0)
    own = sampler.sample(*LINKS[:, :9], x_dict["user"], x_dict["item"], generator=generator)
    again = sampler(binary(), x_dict, generator=torch.Generator().manual_seed(0))
    assert own.weight is not None
    assert torch.equal(again[EDGE_TYPE].edge_label_weight[9:], own.weight.flatten())
    assert "edge_label_weight" not in RNS(UniformCandidates(DATA))(binary())[EDGE_TYPE]
