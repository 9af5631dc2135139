"""Users folded in from their own training items are ranked nearly as well as when trained."""

from __future__ import annotations

import pytest
import torch

from pyg_negsamp.candidates import UniformCandidates
from pyg_negsamp.datasets import SyntheticInteractions
from pyg_negsamp.evaluation import evaluate
from pyg_negsamp.nn import ENCODERS
from pyg_negsamp.references import Popularity
from pyg_negsamp.training import Recommender, fit
from pyg_negsamp.transforms import RNS


@pytest.mark.parametrize("name", ["mf", "lightgcn", "ngcf"])
def test_folded_in_users_are_ranked_well(name: str, tmp_path) -> None:
    train, val, test = SyntheticInteractions("tiny")
    torch.manual_seed(0)
    encoder = ENCODERS[name](train, dim=16)
    sampler = RNS(UniformCandidates(train), pool=encoder.pool)
    recommender = Recommender(encoder, sampler, lr=2e-2, l2=1e-2)
    fit(recommender, train, val, tmp_path, 20, 256, eval_every=5, device="cpu", progress=False)
    tables = recommender.scoring_tables()
    user, item = train["user", "interacts", "item"].edge_index
    rows = encoder.fold_in(user, item, 60, recommender.loss, recommender.l2)
    own = evaluate(tables, test, (20,), ("NDCG",))["NDCG@20"]
    folded = evaluate({**tables, "user": rows}, test, (20,), ("NDCG",))["NDCG@20"]
    popular = evaluate(Popularity(train), test, (20,), ("NDCG",))["NDCG@20"]
    assert folded > popular
    assert folded > 0.85 * own
