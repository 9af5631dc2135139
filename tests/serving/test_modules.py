"""Models of modules and decoders: saved, loaded and asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from saved_models import dataset
from torch import Tensor
from torch_geometric.nn import GraphSAGE

from pyg_negsamp.cli import main
from pyg_negsamp.losses import SampledSoftmaxLoss
from pyg_negsamp.nn import FromModule, LightGCN
from pyg_negsamp.serving import TrainedModel
from pyg_negsamp.training import Recommender
from pyg_negsamp.transforms import RNS

WIDTH = 6


class Bilinear(torch.nn.Module):
    """No product of rows, and another one in training."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.matrix = torch.nn.Parameter(torch.randn(width, width))

    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        scores = ((user @ self.matrix).unsqueeze(1) * item.tanh()).sum(dim=-1)
        return torch.zeros_like(scores) if self.training else scores


class Other(Bilinear):
    pass


def bilinear_of_another_module() -> torch.nn.Module:
    """The class of a script, `__main__.Bilinear`, as whoever imports it names it."""
    cls = type("Bilinear", (Bilinear,), {"__module__": "a_script"})
    made: torch.nn.Module = cls()
    return made


def recommender(decoder: torch.nn.Module | None) -> Recommender:
    torch.manual_seed(0)
    data = dataset()[0]
    encoder = FromModule(GraphSAGE(-1, WIDTH, 2), data, decoder=decoder)
    for table in encoder.learned:
        torch.nn.init.normal_(table.weight)
    return Recommender(encoder, RNS(data))


def model(decoder: torch.nn.Module | None = None) -> TrainedModel:
    return TrainedModel.from_training(recommender(decoder), dataset())


def test_a_model_of_a_module_is_kept_and_asked_without_it(tmp_path: Path) -> None:
    before = model()
    before.save(tmp_path)
    after = TrainedModel.load(tmp_path)
    asked = [made.recommend(before.users[:9], unknown="popular") for made in (before, after)]
    pd.testing.assert_frame_equal(*asked)
    taken = before.items[:3]
    pd.testing.assert_frame_equal(after.recommend_for(taken, 4), before.recommend_for(taken, 4))


def test_a_decoder_is_kept_and_asked(tmp_path: Path) -> None:
    torch.manual_seed(1)
    decoder = Bilinear()
    before = model(decoder)
    before.save(tmp_path)
    after = TrainedModel.load(tmp_path, decoder=Bilinear())
    decoder.eval()
    users, items = (torch.tensor(table.to_numpy()) for table in before.embeddings())
    expected = torch.stack([decoder(users[[u]], items[None])[0] for u in range(len(users))])
    everything = [(u, i) for u in before.users for i in before.items]
    known = before.users[before.knows(before.users)]
    for made in (before, after):
        scores = made.score(*zip(*everything, strict=True))
        np.testing.assert_allclose(scores, expected.detach().flatten(), rtol=1e-5, atol=1e-5)
        lists = made.recommend(known, k=3, exclude_seen=False, items=before.items)
        for user, found in lists.groupby("user"):
            best = expected[before.users.get_loc(user)].topk(3)
            assert found["item"].tolist() == before.items[best.indices.numpy()].tolist()
            np.testing.assert_allclose(found["score"], best.values.detach(), rtol=1e-5)
        some = made.recommend(known[:5], k=3, items=before.items[4:9])
        assert set(some["item"]) <= set(before.items[4:9])
        assert made.evaluate() == before.evaluate()
        with pytest.raises(ValueError, match="'model' must be one whose scores are products"):
            made.export("npy", tmp_path / "export")
        pd.testing.assert_frame_equal(
            made.recommend_for(made.items[:3], 5), before.recommend_for(made.items[:3], 5)
        )
    after.save(tmp_path / "again")
    again = TrainedModel.load(tmp_path / "again", decoder=bilinear_of_another_module())
    pd.testing.assert_frame_equal(again.recommend(known), before.recommend(known))


def test_a_decoder_in_half_precision_is_asked(tmp_path: Path) -> None:
    """The same before it is saved and after it is loaded."""
    made = TrainedModel.from_training(recommender(Bilinear()).to(torch.bfloat16), dataset())
    made.save(tmp_path)
    loaded = TrainedModel.load(tmp_path, decoder=Bilinear())
    pairs = [(user, item) for user in made.users for item in made.items]
    found, expected = (asked.score(*zip(*pairs, strict=True)) for asked in (made, loaded))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    found, expected = (asked.recommend_for(made.items[:3], 40) for asked in (made, loaded))
    found, expected = (frame.set_index("item")["score"] for frame in (found, expected))
    np.testing.assert_allclose(found[expected.index], expected, atol=0.1)  # the row is rounded


def test_a_new_person_is_scored_by_the_decoder() -> None:
    torch.manual_seed(1)
    decoder = Bilinear()
    made = model(decoder)
    found = made.recommend_for(made.items[:3], k=len(made.items))
    items = torch.tensor(made.embeddings()[1].loc[found["item"]].to_numpy())
    basis = items.tanh() @ decoder.matrix.detach().t()  # scores are linear in the person's row
    row = torch.linalg.lstsq(basis, torch.tensor(found["score"].to_numpy()).unsqueeze(1)).solution
    np.testing.assert_allclose((basis @ row).flatten(), found["score"], rtol=1e-3, atol=1e-3)
    assert (found["score"].diff().dropna() <= 0).all()


@pytest.mark.parametrize(
    ("saved", "given", "said"),
    [
        (Bilinear(), None, r"a Bilinear, as in training: .* \(got None\)"),
        (Bilinear(), Other(), r"a Bilinear, .*got .*Other"),
        (Bilinear(), Bilinear(5), "one made with the arguments of the saved one"),
        (None, Bilinear(), "left out, as the model has none"),
    ],
)
def test_another_decoder_is_refused(saved: Any, given: Any, said: str, tmp_path: Path) -> None:
    model(saved).save(tmp_path)
    with pytest.raises(ValueError, match=f"TrainedModel: 'decoder' must be .*{said}") as error:
        TrainedModel.load(tmp_path, decoder=given)
    assert "\n" not in str(error.value)


def test_the_command_says_in_one_line_that_it_has_no_decoder(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    model(Bilinear()).save(tmp_path / "model")
    with pytest.raises(SystemExit) as exit:
        main(["recommend", str(tmp_path / "model")])
    assert exit.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "Bilinear" in line


def test_a_module_is_not_started_from_a_model() -> None:
    made = model()
    with pytest.raises(ValueError, match="'encoder' must be one whose rows are the library's"):
        made.warm_start(recommender(None).encoder, dataset())
    found = made.warm_start(LightGCN(dataset()[0], 8), dataset())
    assert found.other is not None


@pytest.mark.parametrize("similarity", ["dot", "cosine"])
def test_what_a_loop_of_ones_own_trained(similarity: Any, tmp_path: Path) -> None:
    """An encoder, or its tables alone, answer as a recommender does."""
    torch.manual_seed(0)
    encoder = LightGCN(dataset()[0], 4)
    loss = SampledSoftmaxLoss(similarity=similarity)
    whole = TrainedModel.from_training(Recommender(encoder, RNS(dataset()[0]), loss), dataset())
    known = whole.users[whole.knows(whole.users)]
    for trained in (encoder, encoder.scorer()):
        made = TrainedModel.from_training(trained, dataset(), similarity=similarity)
        made.save(tmp_path / "model")
        for one in (made, TrainedModel.load(tmp_path / "model")):
            pd.testing.assert_frame_equal(one.recommend(known), whole.recommend(known))
    folded = TrainedModel.from_training(encoder, dataset(), similarity=similarity)
    taken = whole.items[:3]
    pd.testing.assert_frame_equal(folded.recommend_for(taken), whole.recommend_for(taken))
    with pytest.raises(ValueError, match=r"of the library's own classes to fold in .*tables"):
        made.recommend_for(taken)


@pytest.mark.parametrize(
    ("trained", "arguments", "said"),
    [
        (3, {}, "'trained' must be a Recommender, an encoder, tables"),
        ({}, {}, r"'trained' must be tables with 'user': \[30, D\]"),
        ({"user": torch.rand(30, 2), "item": torch.rand(2, 2)}, {}, r"'item': .* \(got \[2, 2\]"),
        ({"user": torch.rand(30, 2), "item": torch.rand(40, 3)}, {}, "tables of one width"),
        ({"user": torch.rand(30, 2), "item": torch.ones(40, 2).long()}, {}, "in floating point"),
        (recommender(None), {"similarity": "cosine"}, "left out, as the recommender has 'dot'"),
        (recommender(None).encoder, {"similarity": "l2"}, "'similarity' must be one of"),
        (recommender(Bilinear()).encoder, {"similarity": "cosine"}, "the encoder has a decoder"),
    ],
)
def test_refuses(trained: Any, arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=f"TrainedModel: .*{said}"):
        TrainedModel.from_training(trained, dataset(), **arguments)
