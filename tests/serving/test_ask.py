"""What a model answers, against loops over its scores."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch
from saved_models import METHODS, REFERENCES, dataset, model, recommender, trained
from torch.nn.functional import normalize
from torch_geometric.data import HeteroData

from pyg_negsamp.datasets import InteractionDataset
from pyg_negsamp.evaluation import evaluate, full_rank
from pyg_negsamp.losses import SampledSoftmaxLoss
from pyg_negsamp.references import Popularity
from pyg_negsamp.serving import TrainedModel, lists, ranking

every_method = pytest.mark.parametrize("method", METHODS)


@cache
def scores_of(method: str) -> np.ndarray:
    """All scores `[U, I]` of the model of that method."""
    data = dataset()
    made = trained(method, data[0])
    if method in REFERENCES:
        return made(torch.arange(30)).numpy()
    tables = made.scoring_tables()
    return (tables["user"] @ tables["item"].t()).numpy()


def expected_list(scores: np.ndarray, banned: set[int], k: int) -> list[int]:
    order = sorted(range(len(scores)), key=lambda item: -scores[item])
    return [item for item in order if item not in banned][:k]


@cache
def all_links() -> dict[int, set[int]]:
    train, val, test = dataset()
    links: dict[int, set[int]] = {}
    for index in (train["user", "item"].edge_index, val["user", "item"].edge_label_index,
                  test["user", "item"].edge_label_index):  # fmt: skip
        for user, item in index.t().tolist():
            links.setdefault(user, set()).add(item)
    return links


@cache
def untrained_items() -> set[int]:
    return set(range(40)) - set(dataset()[0]["user", "item"].edge_index[1].tolist())


@every_method
@pytest.mark.parametrize("exclude_seen", [True, False])
def test_recommends_the_best_that_nobody_has(method: str, exclude_seen: bool) -> None:
    """Not in training, validation or test; and no item that was never trained on."""
    made, scores, links = model(method), scores_of(method), all_links()
    users = [f"u{user:03}" for user in (4, 11, 4, 0)]
    found = made.recommend(users, k=7, exclude_seen=exclude_seen)
    assert list(found.columns) == ["user", "item", "score", "rank"]
    assert found["user"].tolist() == [user for user in users for _ in range(7)]
    assert found["rank"].tolist() == [*range(1, 8)] * 4
    for at, user in enumerate((4, 11, 4, 0)):
        banned = untrained_items() | (links[user] if exclude_seen else set())
        row = found.iloc[7 * at : 7 * at + 7]
        best = scores[user][expected_list(scores[user], banned, 7)]
        np.testing.assert_allclose(row["score"], best, rtol=1e-5)
        items = [int(item[1:]) for item in row["item"]]
        assert not banned & set(items)
        assert len(set(items)) == 7
        np.testing.assert_allclose(scores[user][items], best, rtol=1e-5)


@every_method
def test_chooses_among_allowed_items(method: str) -> None:
    """Also one without training links, if named; lists end where nothing is left."""
    made, scores, links = model(method), scores_of(method), all_links()
    (cold,) = untrained_items() & {39}
    allowed = [7, 39, 3, 12, 7]
    found = made.recommend(["u004"], k=10, items=[f"i{item:03}" for item in allowed])
    assert set(found["item"]) == {f"i{item:03}" for item in set(allowed) - links[4]}
    assert found["item"].str[1:].astype(int).eq(cold).sum() == 1
    np.testing.assert_allclose(found["score"], scores[4][found["item"].str[1:].astype(int)], 1e-5)
    assert found["score"].is_monotonic_decreasing


@every_method
def test_what_a_person_has_is_left_out_of_few_items_too(method: str) -> None:
    """The first of them as well as the last."""
    made, links = model(method), all_links()
    user = next(user for user, items in links.items() if len(items) >= 2)
    taken = sorted(links[user] - untrained_items())
    free = [item for item in range(40) if item not in links[user] | untrained_items()][:1]
    allowed = [f"i{item:03}" for item in (taken[0], taken[-1], *free)]
    assert taken[0] < free[0] or taken[-1] > free[0]
    for named in (allowed, allowed[::-1], [allowed[0], allowed[2]], [allowed[1], allowed[2]]):
        found = made.recommend([f"u{user:03}"], items=named)
        assert found["item"].tolist() == [f"i{free[0]:03}"]


@every_method
def test_lists_are_shorter_where_fewer_items_are_left(method: str) -> None:
    found = model(method).recommend(["u004"], k=1000)
    assert len(found) == 40 - len(untrained_items() | all_links()[4])


@every_method
def test_blocks_are_the_whole(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = model(method)
    whole = made.recommend(k=5, unknown="popular")
    assert whole["user"].unique().tolist() == made.users.tolist()
    monkeypatch.setattr(lists, "USERS", 7)
    blocks = list(made.recommend_blocks(k=5, unknown="popular"))
    assert [block["user"].nunique() for block in blocks] == [7, 7, 7, 7, 2]
    pd.testing.assert_frame_equal(pd.concat(blocks, ignore_index=True), whole)
    monkeypatch.setattr(lists, "ROWS", 120)  # lists of 40 items: three users at a time
    blocks = list(made.recommend_blocks(k=10**9, unknown="popular"))
    assert {block["user"].nunique() for block in blocks} == {3}


@every_method
def test_blocks_of_scores_do_not_show(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three users, and three items, at a time."""
    made = model(method)
    items = [item for item in made.items if int(item[1:]) not in untrained_items()]
    asked = [lambda: made.recommend(k=5, unknown="popular")]
    if method != "popularity":
        asked.append(lambda: made.similar_items(items, k=4))
    whole = [ask() for ask in asked]
    monkeypatch.setitem(full_rank.BLOCK_BYTES, "cpu", 3 * 40 * 4)
    for ask, expected in zip(asked, whole, strict=True):
        pd.testing.assert_frame_equal(ask(), expected, rtol=1e-5)


@every_method
@pytest.mark.parametrize("at_once", [1, 7, 1000])
def test_scores_of_pairs(method: str, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unsorted and repeated, and in blocks of any size."""
    for name in ("PAIRS", "USERS"):
        monkeypatch.setattr(ranking, name, at_once)
    generator = np.random.default_rng(0)
    user, item = generator.integers(30, size=50), generator.integers(40, size=50)
    found = model(method).score([f"u{u:03}" for u in user], [f"i{i:03}" for i in item])
    np.testing.assert_allclose(found, scores_of(method)[user, item], rtol=1e-5, atol=1e-6)


def test_nobody_asked() -> None:
    found = model().recommend([])
    assert list(found.columns) == ["user", "item", "score", "rank"]
    assert found.empty


@every_method
def test_unknown_users_get_what_is_popular(method: str) -> None:
    """And users without training links; seen items are left out where there are some."""
    made, count = (
        model(method),
        np.bincount(dataset()[0]["user", "item"].edge_index[1], minlength=40),
    )
    users = ["nobody", "u004", "u029", "nobody"]
    found = made.recommend(users, k=5, unknown="popular")
    assert found["user"].tolist() == [user for user in users for _ in range(5)]
    for at, seen in ((0, set()), (2, all_links()[29]), (3, set())):
        row = found.iloc[5 * at : 5 * at + 5]
        best = [item for item in np.argsort(-count, kind="stable") if item not in seen][:5]
        assert row["item"].tolist() == [f"i{item:03}" for item in best]
        assert row["score"].tolist() == count[best].tolist()
    pd.testing.assert_frame_equal(
        found.iloc[5:10].reset_index(drop=True), made.recommend(["u004"], k=5), check_dtype=False
    )


def trained_on(index: torch.Tensor) -> TrainedModel:
    """A model of the dataset that was trained on some of its links, `[2, n]`."""
    data = dataset()
    known = data[0].clone()
    known["user", "item"].edge_index = index
    return TrainedModel.from_training(trained("mf", known), data, known=known)


@pytest.mark.parametrize("exclude_seen", [True, False])
@pytest.mark.parametrize("named", [None, [39, 12, 7, 5, 3]])
def test_what_is_popular_is_without_what_a_person_has(
    exclude_seen: bool, named: list[int] | None
) -> None:
    """The one who is not known at all comes first: places among others are not rows.

    Of the others, one is the first of all users, and one the last.
    """
    index = dataset()[0]["user", "item"].edge_index
    index = index[:, index[0] > 0]
    made = trained_on(index)
    count = np.bincount(index[1], minlength=40)
    best = sorted(count.nonzero()[0] if named is None else named, key=lambda i: (-count[i], i))
    seen_by = {"nobody": set(), "u029": all_links()[29], "u000": all_links()[0]}
    found = made.recommend(
        seen_by,
        k=1000,
        exclude_seen=exclude_seen,
        items=None if named is None else [f"i{item:03}" for item in named],
        unknown="popular",
    )
    assert found["user"].unique().tolist() == [*seen_by]
    for user, seen in seen_by.items():
        left = [item for item in best if not (exclude_seen and item in seen)]
        rows = found[found["user"] == user]
        assert rows["item"].tolist() == [f"i{item:03}" for item in left]
        assert rows["score"].tolist() == count[left].tolist()


def test_what_is_popular_ends_where_nothing_is_left_of_all_items() -> None:
    """Every item has training links."""
    links = [(user, item) for user, items in all_links().items() for item in items if user < 29]
    made = trained_on(torch.tensor(links).t())
    found = made.recommend(["u029"], k=1000, unknown="popular")
    own = {f"i{item:03}" for item in all_links()[29]}
    assert {*found["item"]} == {f"i{item:03}" for item in range(40)} - own


@pytest.mark.parametrize(
    ("users", "said"),
    [
        (["u001", "x"], "got 'x'"),
        (["u029"], "got 'u029'"),
        ([f"x{n}" for n in range(9)], "got 9: 'x0', 'x1', 'x2', 'x3', 'x4', ..."),
        ("u001", "a list of user ids"),
        (17, "a list of user ids"),
    ],
)
def test_refuses_users_that_it_does_not_know(users: object, said: str) -> None:
    with pytest.raises(ValueError, match=r"^TrainedModel: 'users'") as error:
        model().recommend(users)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def nothing_like_that(made: TrainedModel) -> list[tuple[str, object]]:
    """Calls with what nobody can mean, by the argument that is wrong."""
    data = dataset()
    fresh = recommender(data[0]).encoder
    take = TrainedModel.from_training
    return [
        ("users", lambda: made.recommend([["u001"]])),
        ("users", lambda: made.recommend([["u001"]], unknown="popular")),
        ("users", lambda: made.recommend(torch.tensor(3))),
        ("users", lambda: made.recommend(np.array([["u001"]]), unknown="popular")),
        ("items", lambda: made.recommend(["u001"], items=[{}])),
        ("k", lambda: made.recommend(["u001"], k="5")),
        ("unknown", lambda: made.recommend(["u001"], unknown=[])),
        ("taken", lambda: made.recommend_for([("i001",)])),
        ("taken", lambda: made.recommend_for(None)),
        ("items", lambda: made.similar_items([["i001"]])),
        ("users", lambda: made.score(None, None)),
        ("path", lambda: TrainedModel.load(None)),
        ("path", lambda: made.save(3)),
        ("to", lambda: made.export("npy", None)),
        ("format", lambda: made.export(None, "to")),
        ("dataset", lambda: take(3, None)),
        ("trained", lambda: take(3, data)),
        ("known", lambda: take(recommender(data[0]), data, 3)),
        ("config", lambda: take(recommender(data[0]), data, config=3)),
        ("metrics", lambda: take(recommender(data[0]), data, metrics=[1])),
        ("test_data", lambda: made.evaluate("test")),
        ("test_data", lambda: made.evaluate(pd.DataFrame({"user": [["u001"]], "item": [1]}))),
        ("k", lambda: made.evaluate(k=5)),
        ("k", lambda: made.evaluate_groups(k="5")),
        ("metrics", lambda: made.evaluate(metrics=3)),
        ("metrics", lambda: made.evaluate(metrics="NDCG")),
        ("metrics", lambda: made.evaluate(metrics=[["NDCG"]])),
        ("encoder", lambda: made.warm_start(3, data)),
        ("dataset", lambda: made.warm_start(fresh, None)),
    ]


def test_wrong_kinds_of_arguments_are_named() -> None:
    for argument, call in nothing_like_that(model()):
        with pytest.raises(ValueError, match=f": '{argument}' must be .* \\(got .*\\)$"):
            call()


def test_refuses_all_users_if_some_were_not_trained_on() -> None:
    with pytest.raises(ValueError, match=r"unknown='popular'.*got 'u029'"):
        model().recommend()


@pytest.mark.parametrize("ids", ["text", "digits", "integers", "none"])
def test_ids_are_compared_by_kind(ids: str) -> None:
    made = model(ids=ids)
    known = {"text": "u004", "digits": "104", "integers": 104, "none": 4}[ids]
    assert made.recommend([known], k=3)["user"].tolist() == [known] * 3
    if ids != "text":
        number = int(known)
        asked = [[number], [str(number)], [np.int64(number)], pd.Series([number]),
                 np.array([str(number)]), torch.tensor([number])]  # fmt: skip
        for users in asked:
            pd.testing.assert_frame_equal(made.recommend(users, k=3), made.recommend([known], k=3))
    for unknown in ("0104", "+4", 4.5, None, True, float("nan"), 10**30, "4.0"):
        with pytest.raises(ValueError, match=r"'users'"):
            made.recommend([unknown])


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"k": 0}, "k"),
        ({"k": 1.5}, "k"),
        ({"unknown": "random"}, "unknown"),
        ({"items": ["i001", "x"]}, "items"),
        ({"items": []}, "items"),
        ({"items": "i001"}, "items"),
    ],
)
def test_refuses_other_wrong_arguments_before_the_first_block(arguments: dict, name: str) -> None:
    with pytest.raises(ValueError, match=f"^TrainedModel: '{name}'"):
        model().recommend_blocks(["u001"], **arguments)


@every_method
def test_scores_pairs(method: str) -> None:
    made, scores = model(method), scores_of(method)
    users, items = [3, 0, 3, 29], [1, 39, 1, 7]
    found = made.score([f"u{user:03}" for user in users], [f"i{item:03}" for item in items])
    np.testing.assert_allclose(found, scores[users, items], rtol=1e-5, atol=1e-6)
    assert made.score([], []).shape == (0,)
    with pytest.raises(ValueError, match=r"'items'.*as many"):
        made.score(["u001"], ["i001", "i002"])
    with pytest.raises(ValueError, match=r"'items'.*'x'"):
        made.score(["u001"], ["x"])


@every_method
def test_similar_items(method: str) -> None:
    data = dataset()
    made = trained(method, data[0])
    if method in REFERENCES:
        like = made.similar(torch.arange(40)).numpy()
    else:
        items = normalize(made.scoring_tables()["item"], dim=1)
        like = (items @ items.t()).numpy()
    found = model(method).similar_items(["i005", "i002"], k=4)
    assert list(found.columns) == ["item", "similar", "score", "rank"]
    for item in (5, 2):
        row = found[found["item"] == f"i{item:03}"]
        best = expected_list(like[item], untrained_items() | {item}, 4)
        np.testing.assert_allclose(row["score"], like[item][best], rtol=1e-4, atol=1e-6)
        assert f"i{item:03}" not in row["similar"].tolist()
    for wrong in ("x", "i039"):
        with pytest.raises(ValueError, match=f"'items'.*'{wrong}'"):
            model(method).similar_items([wrong])


def test_item_knn_lists_only_neighbours() -> None:
    like = trained("item-knn", dataset()[0]).similar(torch.tensor([5]))
    assert len(model("item-knn").similar_items(["i005"], k=100)) == int((like > -torch.inf).sum())


@pytest.mark.parametrize("method", ["mf", "ngcf"])
def test_embeddings_score(method: str) -> None:
    made = model(method)
    users, items = made.embeddings()
    assert users.index.equals(made.users)
    assert items.index.equals(made.items)
    np.testing.assert_allclose(users.to_numpy() @ items.to_numpy().T, scores_of(method), 1e-4, 1e-5)
    with pytest.raises(ValueError, match=r"vectors \(got EASE\)"):
        model("ease").embeddings()


def test_cosines_are_what_a_loss_of_cosines_ranks_by() -> None:
    data = dataset()
    made = TrainedModel.from_training(recommender(data[0], loss=SampledSoftmaxLoss()), data)
    users, _ = made.embeddings()
    np.testing.assert_allclose(np.linalg.norm(users, axis=1), 1, rtol=1e-5)
    found = made.recommend(["u001"], k=3)
    assert bool((found["score"] <= 1 + 1e-6).all())


# Testing ----------------------------------------------------------------------------------------


@every_method
def test_evaluates_its_own_data_as_training_did(method: str) -> None:
    data = dataset()
    made = trained(method, data[0])
    scorer = made if method in REFERENCES else made.scoring_tables()
    expected = evaluate(scorer, data[2], (5, 10))
    asked = model(method)
    assert asked.evaluate(k=(5, 10)) == pytest.approx(expected)
    assert asked.evaluate(dataset(), k=(5, 10)) == pytest.approx(expected)
    assert asked.evaluate(data[2], k=(5, 10)) == pytest.approx(expected)
    index = data[2]["user", "item"].edge_label_index
    held_out = pd.DataFrame({"user": made_ids("u", index[0]), "item": made_ids("i", index[1])})
    assert asked.evaluate(held_out, k=(5, 10)) == pytest.approx(expected)
    validation = evaluate(scorer, data[1], (5,))
    assert asked.evaluate(data[1], k=(5,)) == pytest.approx(validation)


def made_ids(letter: str, position: torch.Tensor) -> list[str]:
    return [f"{letter}{at:03}" for at in position.tolist()]


def test_a_frame_may_hold_out_what_was_trained_on() -> None:
    """Everything the model knows is masked, unless it is what is held out."""
    data, made = dataset(), model()
    index = data[0]["user", "item"].edge_index[:, :20]
    found = made.evaluate(pd.DataFrame({"user": made_ids("u", index[0]),
                                        "item": made_ids("i", index[1])}), k=(40,))  # fmt: skip
    assert found["Recall@40"] == 1


def one_more_item() -> HeteroData:
    data = dataset()[2]
    data["item"].num_nodes += 1
    return data


@pytest.mark.parametrize(
    ("test_data", "said"),
    [
        (lambda: pd.DataFrame({"user": ["u001"], "item": ["x"]}), "items of the model (got 'x')"),
        (lambda: pd.DataFrame({"customer": ["u001"]}), "columns 'user' and 'item'"),
        (lambda: dataset("integers"), "user ids"),
        (lambda: one_more_item(), "40 items"),
        (lambda: dataset(seed=1)[2], "known links"),
        (lambda: dataset(seed=1), "not trained on"),
        (lambda: [1], "a frame, a dataset or a graph"),
    ],
)
def test_refuses_to_be_tested_on_other_data(test_data, said: str) -> None:
    with pytest.raises(ValueError, match=r"^TrainedModel: 'test_data'") as error:
        model().evaluate(test_data())
    assert said in str(error.value)


def test_a_model_that_was_refitted_is_not_tested_on_validation() -> None:
    """`known` says what it was trained on."""
    data = dataset()
    known = data[2].clone()
    made = TrainedModel.from_training(recommender(known), data, known)
    assert made.evaluate(k=(5,)) == made.evaluate(data[2], k=(5,))
    with pytest.raises(ValueError, match=r"test_data"):
        made.evaluate(data[1])


def test_groups_make_up_the_whole() -> None:
    made = model("item-knn")
    found, whole = made.evaluate_groups(k=(5,)), made.evaluate(k=(5,))
    assert list(found.columns[:6]) == ["by", "name", "least", "most", "users", "held_out"]
    users = found[found["by"] == "users"]
    assert (users["Recall@5"] * users["users"]).sum() / users["users"].sum() == pytest.approx(
        whole["Recall@5"]
    )
    total = dataset()[2]["user", "item"].edge_label_index.size(1)
    assert found.groupby("by")["held_out"].sum().tolist() == [total, total]
    assert found[found["by"] == "items"]["name"].tolist() == ["head", "middle", "tail"]


def test_lengths_and_yes_or_no_of_any_kind() -> None:
    asked = model("mf")
    pd.testing.assert_frame_equal(
        asked.recommend(["u001"], np.int64(3)), asked.recommend(["u001"], 3)
    )
    with pytest.raises(ValueError, match=r"'k' must be a whole number.*got '3'"):
        asked.recommend(["u001"], "3")
    with pytest.raises(ValueError, match=r"'exclude_seen' must be .*got 'no'"):
        asked.recommend(["u001"], exclude_seen="no")


def test_ids_of_64_bits_beside_unknown_ones_come_back_as_they_were() -> None:
    least = 2**53
    frame = pd.DataFrame(
        {"user": [least + n % 6 for n in range(40)], "item": [n * 7 % 11 for n in range(40)]}
    )
    data = InteractionDataset.from_frame(frame)
    model = TrainedModel.from_training(Popularity(data[0]), data)
    found = model.recommend([least + 1, None, 2.5], k=1, unknown="popular")
    assert found["user"].tolist() == [least + 1, None, 2.5]
