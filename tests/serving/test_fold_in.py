"""Persons whom the model has not met, and what a fresh encoder takes over."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from saved_models import METHODS, REFERENCES, dataset, model, recommender, trained

from pyg_negsamp.candidates import UniformCandidates
from pyg_negsamp.datasets import InteractionDataset
from pyg_negsamp.graph import EDGE_TYPE
from pyg_negsamp.losses import BPRLoss, ContrastiveLoss, SampledSoftmaxLoss
from pyg_negsamp.nn import ENCODERS, MF, LightGCN
from pyg_negsamp.serving import TrainedModel
from pyg_negsamp.training import Recommender
from pyg_negsamp.transforms import RNS

TAKEN = ["i007", "i002", "i007"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("loss", [BPRLoss(), SampledSoftmaxLoss(), ContrastiveLoss(0.3)])
def test_recommends_by_the_rows_that_the_encoder_folds_in(
    method: str, loss: torch.nn.Module, tmp_path
) -> None:
    """The same before saving and after loading, and after training went on."""
    data = dataset()
    made = trained(method, data[0]) if method in REFERENCES else recommender(data[0], method, loss)
    asked = TrainedModel.from_training(made, data)
    owner, item = torch.zeros(2).long(), torch.tensor([2, 7])
    if method in REFERENCES:
        scores = made.fold_in(owner, item, 1)[0]
    else:
        rows = made.encoder.eval().fold_in(owner, item, 1, loss, made.l2)
        items = made.scoring_tables()["item"]
        if getattr(loss, "similarity", "dot") == "cosine":
            rows = torch.nn.functional.normalize(rows, dim=1)
        scores = (rows @ items.t())[0]
        with torch.no_grad():
            made.encoder.embedding.weight.zero_()
    found = asked.recommend_for(TAKEN, k=6)
    assert list(found.columns) == ["item", "score", "rank"]
    banned = {2, 7} | set(torch.nonzero(asked._links.item_count == 0).flatten().tolist())
    best = [i for i in scores.argsort(descending=True).tolist() if i not in banned][:6]
    np.testing.assert_allclose(found["score"], scores[best], rtol=1e-4, atol=1e-6)
    assert not set(found["item"]) & set(TAKEN)
    asked.save(tmp_path / "model")
    again = TrainedModel.load(tmp_path / "model").recommend_for(TAKEN, k=6)
    pd.testing.assert_frame_equal(found, again)


@pytest.mark.parametrize("kind", ["weights", "no weights", "known has none", "fewer links"])
@pytest.mark.parametrize("normalize", [True, False])
def test_a_loaded_model_folds_in_over_the_graph_of_its_encoder(
    kind: str, normalize: bool, tmp_path
) -> None:
    """Weights of links count, also where the graph that is said to be known has none."""
    data = dataset()
    graph, links = data[0].clone(), data[0][EDGE_TYPE]
    if kind == "fewer links":
        graph[EDGE_TYPE].edge_index = links.edge_index[:, 5:]
    elif kind != "no weights":
        weight = torch.rand(links.edge_index.size(1), generator=torch.Generator().manual_seed(0))
        graph[EDGE_TYPE].edge_weight = 3 * weight
    torch.manual_seed(0)
    encoder = LightGCN(graph, 6, 2, normalize=normalize)
    made = Recommender(encoder, RNS(data[0]))
    model = TrainedModel.from_training(made, data, graph if kind == "weights" else None)
    model.save(tmp_path / "model")
    again = TrainedModel.load(tmp_path / "model")
    found, expected = (asked.recommend_for(TAKEN, k=6) for asked in (again, model))
    pd.testing.assert_frame_equal(found, expected, atol=1e-6)
    assert (again._links.weight is None) == (kind == "no weights")


def test_an_encoder_of_other_links_is_not_saved() -> None:
    data = dataset()
    graph = data[0].clone()
    more = torch.tensor([[3, 3, 3], [0, 1, 2]])
    graph[EDGE_TYPE].edge_index = torch.cat([graph[EDGE_TYPE].edge_index, more], dim=1)
    with pytest.raises(ValueError, match=r"'dataset' must be a dataset with all links of the enc"):
        TrainedModel.from_training(LightGCN(graph, 6), data)


def test_encoders_of_ones_own_fold_in_without_dropout() -> None:
    """The copy that is kept is in evaluation mode; the one in training stays as it is."""
    modes = []

    class Own(MF):
        def fold_in(self, *arguments: Any) -> torch.Tensor:
            modes.append(self.training)
            return super().fold_in(*arguments)

    data = dataset()
    made = Recommender(Own(data[0], dim=6), RNS(UniformCandidates(data[0])))
    TrainedModel.from_training(made, data).recommend_for(TAKEN)
    assert modes == [False]
    assert made.encoder.training


@pytest.mark.parametrize("method", list(ENCODERS))
def test_models_in_half_precision_answer_too(method: str, tmp_path) -> None:
    """As those of twice the bits, but for rounding; scores are in single precision."""
    data = dataset()
    made = recommender(data[0], method).to(torch.bfloat16)
    TrainedModel.from_training(made, data).save(tmp_path / "model")
    half = TrainedModel.load(tmp_path / "model")
    single = TrainedModel.from_training(made.float(), data)
    for ask in (lambda m: m.recommend(["u004"], k=40), lambda m: m.recommend_for(TAKEN, k=40)):
        found, expected = (ask(m).set_index("item")["score"] for m in (half, single))
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected[found.index], atol=0.02 * expected.abs().max())


@pytest.mark.parametrize("method", list(REFERENCES))
def test_references_answer_exactly_as_for_a_user_who_took_the_same(method: str) -> None:
    asked, index = model(method), dataset()[0]["user", "item"].edge_index
    taken = index[1, index[0] == 4]
    found = asked.recommend_for([f"i{at:03}" for at in taken.tolist()], k=30)
    by_item = dict(zip(found["item"], found["score"], strict=True))
    whole = asked.recommend(["u004"], k=40, exclude_seen=False)
    for item, score in zip(whole["item"], whole["score"], strict=True):
        assert by_item.get(item, score) == score


def test_chooses_among_allowed_items() -> None:
    found = model().recommend_for(["i007"], items=["i007", "i001", "i039"])
    assert set(found["item"]) == {"i001", "i039"}


def test_items_that_nobody_was_trained_on_say_nothing() -> None:
    asked = model("lightgcn")
    pd.testing.assert_frame_equal(
        asked.recommend_for(["i007", "i039"]), asked.recommend_for(["i007"])
    )
    with pytest.raises(ValueError, match=r"'taken'.*got 'i039'"):
        asked.recommend_for(["i039"])
    with pytest.raises(ValueError, match=r"'taken'.*got none"):
        asked.recommend_for([])
    with pytest.raises(ValueError, match=r"'taken'.*got 'x'"):
        asked.recommend_for(["x", "i001"])
    with pytest.raises(ValueError, match=r"'taken'.*a list"):
        asked.recommend_for("i001")
    with pytest.raises(ValueError, match=r"'k'"):
        asked.recommend_for(["i001"], k=0)


class Mine(MF):
    """Somebody's own encoder."""


class MyLoss(BPRLoss):
    """Somebody's own loss."""


@pytest.mark.parametrize("own", ["encoder", "loss"])
def test_classes_of_ones_own_are_kept_and_asked_but_not_folded_in(own: str, tmp_path) -> None:
    data = dataset()
    made = recommender(data[0], loss=MyLoss() if own == "loss" else None)
    if own == "encoder":
        made.encoder = Mine(data[0], 6)
    asked = TrainedModel.from_training(made, data)
    assert len(asked.recommend_for(["i001"], k=3)) == 3
    asked.save(tmp_path / "model")
    again = TrainedModel.load(tmp_path / "model")
    pd.testing.assert_frame_equal(again.recommend(["u001"]), asked.recommend(["u001"]))
    assert again.evaluate() == asked.evaluate()
    name = "Mine" if own == "encoder" else "MyLoss"
    with pytest.raises(ValueError, match=rf"library's own.*{name}\)$"):
        again.recommend_for(["i001"])


@pytest.mark.parametrize("method", list(ENCODERS))
def test_options_of_an_encoder_are_kept(method: str, tmp_path) -> None:
    options = {
        "mf": {"bias": True},
        "lightgcn": {"alpha": [0.5, 0.3, 0.2], "num_layers": 2},
        "ngcf": {"negative_slope": 0.1, "pool": "sum"},
        "sgl": {"view": "walk", "pool": "final"},
        "simgcl": {"num_layers": 1},
        "xsimgcl": {"contrast_layer": 2},
    }
    asked = model(method, **options[method])
    asked.save(tmp_path / "model")
    again = TrainedModel.load(tmp_path / "model")
    pd.testing.assert_frame_equal(again.recommend_for(TAKEN), asked.recommend_for(TAKEN))


def test_folding_in_leaves_torchs_stream_alone(tmp_path) -> None:
    model("lightgcn").save(tmp_path / "model")
    again = TrainedModel.load(tmp_path / "model")
    before = torch.get_rng_state()
    again.recommend_for(TAKEN)
    assert torch.equal(before, torch.get_rng_state())


# A warm start ----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", list(ENCODERS))
def test_a_warm_start_copies_rows_by_id(method: str, tmp_path) -> None:
    """Users and items have come and gone, so positions differ."""
    earlier = recommender(dataset()[0], method)
    TrainedModel.from_training(earlier, dataset()).save(tmp_path / "model")
    data = dataset(seed=5, num_users=33, num_items=43)
    keep = data.user_ids[3:]
    later = recommender(data[0], method)
    with torch.no_grad():
        later.encoder.embedding.weight.fill_(7)
    new = TrainedModel.load(tmp_path / "model").warm_start(later.encoder, data)
    ids = [(dataset().user_ids, data.user_ids), (dataset().item_ids, data.item_ids)]
    assert new[:2] == tuple(len(set(now) - set(before)) for before, now in ids)
    old = {*zip(*named_links(dataset(), 0), strict=True)}
    held_out = [{*zip(*named_links(data, part), strict=True)} for part in (1, 2)]
    assert new[2:4] == tuple(len(links & old) for links in held_out)
    assert min(new[2:4]) > 0
    assert new.other is None
    assert new.users > 0
    assert new.items > 0
    before = earlier.encoder._split(earlier.encoder.embedding.weight)
    now = later.encoder._split(later.encoder.embedding.weight)
    for (old_ids, new_ids), old, fresh in zip(ids, before, now, strict=True):
        for position, name in enumerate(new_ids):
            expected = old[old_ids.get_loc(name)] if name in old_ids else torch.full((6,), 7.0)
            assert torch.equal(fresh[position], expected)
    assert len(keep) == len(data.user_ids) - 3
    for name, parameter in earlier.encoder.named_parameters():
        if "embedding" not in name:
            assert torch.equal(dict(later.encoder.named_parameters())[name], parameter)


def named_links(data: InteractionDataset, part: int) -> tuple[list[str], list[str]]:
    """Users and items of the links of a part."""
    store = data[part]["user", "item"]
    user, item = store.edge_index if part == 0 else store.edge_label_index
    return data.user_ids[user.numpy()].tolist(), data.item_ids[item.numpy()].tolist()


def test_a_warm_start_from_another_encoder_takes_what_fits_and_says_so() -> None:
    earlier, later = recommender(dataset()[0], "mf"), recommender(dataset()[0], "ngcf")
    weights = [name for name, _ in later.encoder.named_parameters() if "embedding" not in name]
    before = {name: later.encoder.get_parameter(name).clone() for name in weights}
    new = TrainedModel.from_training(earlier, dataset()).warm_start(later.encoder, dataset())
    assert torch.equal(later.encoder.embedding.weight, earlier.encoder.embedding.weight)
    assert all(torch.equal(later.encoder.get_parameter(name), before[name]) for name in weights)
    assert new == (0, 0, 0, 0, "MF")
    assert str(new) == (
        "0 users, 0 items are new; it is another encoder, MF, of which what fits is taken"
    )


def test_a_warm_start_copies_biases() -> None:
    earlier = recommender(dataset()[0], "mf", bias=True)
    torch.nn.init.normal_(earlier.encoder.biases)
    later = recommender(dataset()[0], "mf", bias=True)
    TrainedModel.from_training(earlier, dataset()).warm_start(later.encoder, dataset())
    assert torch.equal(later.encoder.biases, earlier.encoder.biases)


def test_a_warm_start_refuses_other_widths_and_references() -> None:
    data = dataset()
    fresh = MF(data[0], 5)
    before = fresh.embedding.weight.detach().clone()
    with pytest.raises(ValueError, match=r"embedding.weight is as wide"):
        model().warm_start(fresh, data)
    assert torch.equal(fresh.embedding.weight, before)
    with pytest.raises(ValueError, match=r"encoder to start from \(got EASE\)"):
        model("ease").warm_start(fresh, data)
