"""The graphs of encoder, candidates and training must go together."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from torch_geometric.data import HeteroData
from torch_geometric.transforms import RandomLinkSplit

from pyg_negsamp.candidates import UniformCandidates
from pyg_negsamp.datasets import SyntheticInteractions
from pyg_negsamp.evaluation import evaluate, evaluate_users, rank
from pyg_negsamp.graph import EDGE_TYPE, held_out_links, known_links, training_links
from pyg_negsamp.nn import ENCODERS, MF, LightGCN
from pyg_negsamp.references import REFERENCES
from pyg_negsamp.serving import TrainedModel
from pyg_negsamp.training import LinkLoader, Recommender, fit
from pyg_negsamp.transforms import RNS

DATASET = SyntheticInteractions("tiny")
TRAIN, VAL, TEST = DATASET


def with_links(*parts: torch.Tensor) -> HeteroData:
    graph = HeteroData()
    graph["user"].num_nodes, graph["item"].num_nodes = 60, 80
    graph[EDGE_TYPE].edge_index = torch.cat(parts, dim=1)
    return graph


#: All links that there are, and the training links with one more or less.
FULL = with_links(TEST[EDGE_TYPE].edge_index, held_out_links(TEST))
LESS = with_links(TRAIN[EDGE_TYPE].edge_index[:, 1:])
HELD_OUT = held_out_links(VAL).size(1)


def train(encoder: HeteroData, candidates: HeteroData, data: HeteroData = TRAIN) -> None:
    model = Recommender(LightGCN(encoder, dim=4), RNS(UniformCandidates(candidates)))
    fit(model, data, VAL, epochs=1, device="cpu", progress=False)


def test_refuses_an_encoder_that_has_seen_what_is_held_out() -> None:
    expected = rf"^LightGCN: 'data' must be .*{HELD_OUT} of {HELD_OUT} held-out links in it"
    with pytest.raises(ValueError, match=expected):
        train(FULL, TRAIN)
    with pytest.raises(ValueError, match=expected):  # whoever trains by hand
        Recommender(LightGCN(FULL, dim=4), RNS(UniformCandidates(TRAIN))).validation_step(VAL, 0)


def test_says_once_where_links_differ_otherwise(recwarn: pytest.WarningsRecorder) -> None:
    train(TRAIN, TRAIN)
    shuffled = with_links(TRAIN[EDGE_TYPE].edge_index.flip(1))
    train(shuffled, shuffled)
    assert not [w for w in recwarn if "links differ" in str(w.message)]
    with pytest.warns(UserWarning, match=r"train_data has 625.*encoder's graph has 624") as said:
        train(LESS, TRAIN)
    assert len([w for w in said if "links differ" in str(w.message)]) == 1
    with pytest.warns(UserWarning, match=r"candidates' graph has \d+"):
        train(TRAIN, FULL)


def test_matrix_factorisation_reads_no_links() -> None:
    model = Recommender(MF(FULL, dim=4), RNS(UniformCandidates(TRAIN)))
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="fit: links")
        fit(model, TRAIN, VAL, epochs=1, device="cpu", progress=False)
    assert not model.holds(held_out_links(VAL)).any()


@pytest.mark.parametrize("place", [0, 1, 313, 624])
def test_refuses_training_links_that_the_candidates_do_not_know(
    place: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A single one, wherever it stands, and before the first step."""
    links = TRAIN[EDGE_TYPE].edge_index
    less = with_links(links[:, :place], links[:, place + 1 :])
    steps: list[int] = []
    monkeypatch.setattr(Recommender, "training_step", lambda *args: steps.append(args[-1]))
    with pytest.raises(ValueError, match=r"^RNS: 'pos' must be links.*got 1 of 625 unknown"):
        train(TRAIN, less)
    assert not steps


def test_links_may_be_unknown_where_that_is_meant() -> None:
    model = Recommender(MF(TRAIN, dim=4), RNS(UniformCandidates(LESS), check_positives=False))
    with pytest.warns(UserWarning, match="links differ"):
        fit(model, TRAIN, VAL, epochs=1, device="cpu", progress=False)


def test_refuses_a_graph_of_other_sizes() -> None:
    other = TRAIN.clone()
    other["item"].num_nodes = 81
    with pytest.raises(ValueError, match=r"^fit: 'train_data' must be .* 60 users and 80 items"):
        train(TRAIN, TRAIN, other)


@pytest.mark.parametrize("name", [*ENCODERS, *REFERENCES])
def test_ranking_refuses_models_that_have_seen_the_answers(name: str) -> None:
    methods = {**ENCODERS, **REFERENCES}
    options = {"dim": 4} if name in ENCODERS else {}
    honest, knowing = (methods[name](graph, **options) for graph in (TRAIN, FULL))
    evaluate(honest, VAL)
    if name == "mf":
        evaluate(knowing, VAL)
        return
    for use in (evaluate, evaluate_users, lambda *args: list(rank(*args, k=3))):
        with pytest.raises(ValueError, match=rf"{HELD_OUT} of {HELD_OUT} held-out links in it"):
            use(knowing, VAL)


@pytest.mark.parametrize("training", [False, True])
def test_to_rank_leaves_the_mode_of_an_encoder(training: bool) -> None:
    """And ranks without dropout, whatever the mode."""
    encoder = LightGCN(TRAIN, dim=4, edge_dropout=0.5).train(training)
    first, second = evaluate(encoder, VAL), evaluate(encoder, VAL)
    assert first == second
    assert encoder.training == training
    assert evaluate(encoder.eval(), VAL) == first


def test_models_rank_as_their_tables_do() -> None:
    encoder = LightGCN(TRAIN, dim=4)
    model = Recommender(encoder, RNS(UniformCandidates(TRAIN)))
    found = evaluate(model.scoring_tables(), TEST)
    assert evaluate(model, TEST) == evaluate(encoder, TEST) == found
    saved = TrainedModel.from_training(model, DATASET)
    assert evaluate(saved, TEST) == pytest.approx(found)
    knowing = Recommender(LightGCN(FULL, dim=4), RNS(UniformCandidates(TRAIN)))
    with pytest.raises(ValueError, match="held-out links in it"):
        evaluate(TrainedModel.from_training(knowing, DATASET, known=FULL), TEST)


# What is trained on ------------------------------------------------------------------------------


def rated(ratings: torch.Tensor) -> HeteroData:
    data = with_links(TRAIN[EDGE_TYPE].edge_index)
    data[EDGE_TYPE].edge_label_index = TRAIN[EDGE_TYPE].edge_index
    data[EDGE_TYPE].edge_label = ratings
    return data


def loaded(data: HeteroData) -> set[tuple[int, int]]:
    found: set[tuple[int, int]] = set()
    for batch in LinkLoader(data, batch_size=100):
        user, item = batch["user"].src_index.tolist(), batch["item"].dst_pos_index.tolist()
        found |= set(zip(user, item, strict=True))
    return found


@pytest.mark.parametrize("negatives", [False, True])
@pytest.mark.parametrize("labels", [False, True])
@pytest.mark.parametrize("disjoint", [0.0, 0.4])
def test_supervision_links_are_what_is_trained_on(
    negatives: bool, labels: bool, disjoint: float
) -> None:
    torch.manual_seed(0)
    transform = RandomLinkSplit(
        edge_types=EDGE_TYPE,
        add_negative_train_samples=negatives,
        split_labels=labels,
        disjoint_train_ratio=disjoint,
    )
    data = transform(with_links(TRAIN[EDGE_TYPE].edge_index))[0]
    wanted = set(map(tuple, training_links(data).t().tolist()))
    assert loaded(data) == wanted
    assert wanted <= set(map(tuple, known_links(TRAIN).index.t().tolist()))
    messages = set(map(tuple, known_links(data).index.t().tolist()))
    assert (wanted & messages == set()) if disjoint else (wanted == messages)
    sampler = RNS(UniformCandidates(data, also=training_links(data)))
    model = Recommender(LightGCN(data, dim=4), sampler)
    fit(model, data, None, epochs=1, device="cpu", progress=False)


def test_ratings_are_no_labels() -> None:
    ratings = torch.arange(625) % 5 + 1
    for use in (LinkLoader, held_out_links):
        with pytest.raises(ValueError, match=r"'edge_label' must be 0 or 1.*rating >= 4.*got 1"):
            use(rated(ratings))
    liked = {
        tuple(pair)
        for pair, rating in zip(
            TRAIN[EDGE_TYPE].edge_index.t().tolist(), ratings.tolist(), strict=True
        )
        if rating >= 4
    }
    for kind in (torch.long, torch.float, torch.bool):
        assert loaded(rated((ratings >= 4).to(kind))) == liked


def test_a_run_of_supervision_links_learns(tmp_path: Path) -> None:
    """Messages over some links, supervision by the others, and everything else as ever."""
    torch.manual_seed(0)
    data = RandomLinkSplit(
        num_val=0, num_test=0, edge_types=EDGE_TYPE, disjoint_train_ratio=0.5,
        add_negative_train_samples=False,
    )(with_links(TRAIN[EDGE_TYPE].edge_index))[0]  # fmt: skip
    sampler = RNS(UniformCandidates(data, also=training_links(data)))
    model = Recommender(LightGCN(data, dim=8, num_layers=1), sampler, lr=0.05)
    fitted = fit(model, data, VAL, tmp_path, epochs=20, device="cpu", progress=False)
    assert fitted.history[-1]["loss"] < 0.7 * fitted.history[0]["loss"]


def test_says_where_links_to_train_on_compete_in_the_lists() -> None:
    val = VAL.clone()
    val[EDGE_TYPE].edge_index = val[EDGE_TYPE].edge_index[:, 5:]
    model = Recommender(MF(TRAIN, dim=4), RNS(TRAIN))
    with pytest.warns(UserWarning, match="5 of 625 links to train on are not known in val_data"):
        fit(model, TRAIN, val, epochs=1, device="cpu", progress=False)
