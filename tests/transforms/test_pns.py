"""PNS is RNS over popularity candidates."""

from __future__ import annotations

import torch
from scipy.stats import chisquare

from oracles.candidates import popularity_probabilities
from pyg_negsamp.candidates import PopularityCandidates
from pyg_negsamp.graph import EDGE_TYPE
from pyg_negsamp.testing import SamplerContract, toy
from pyg_negsamp.transforms import PNS


class TestPNS(SamplerContract):
    sampler_class = PNS

    def test_follows_popularity(self) -> None:
        problem = toy()
        user, item = problem.data[EDGE_TYPE].edge_index
        seen = set(item[user == 2].tolist())
        degrees = torch.bincount(item, minlength=12).tolist()
        expected = torch.tensor(popularity_probabilities(degrees, seen, 0.75))
        candidates = PopularityCandidates(problem.data, power=0.75)
        sampler = PNS(candidates, check_positives=False)
        batch = problem.batch()
        batch["user"].src_index = torch.full((20000,), 2)
        batch["item"].dst_pos_index = torch.zeros(20000, dtype=torch.long)
        generator = torch.Generator().manual_seed(0)
        drawn = torch.bincount(
            sampler(batch, generator=generator)["item"].dst_neg_index.flatten(), minlength=12
        )
        possible = expected > 0
        assert drawn[~possible].sum() == 0
        assert chisquare(drawn[possible], 20000 * expected[possible]).pvalue > 1e-3
