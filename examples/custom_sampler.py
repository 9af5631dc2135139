"""A sampler of your own, methods composed, and both checked.

python examples/custom_sampler.py        # trains with both
pytest examples/custom_sampler.py        # holds yours to the contract that ours keep
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pyg_negsamp.candidates import UniformCandidates
from pyg_negsamp.datasets import RandomSplit, SyntheticInteractions
from pyg_negsamp.evaluation import evaluate
from pyg_negsamp.layers import pool_layers
from pyg_negsamp.losses import BPRLoss, SoftBPRLoss
from pyg_negsamp.nn import MF
from pyg_negsamp.scoring import candidate_scores
from pyg_negsamp.testing import SamplerContract
from pyg_negsamp.training import Recommender, fit
from pyg_negsamp.transforms import AHNS, DINS, Compose, NegativeSampling, Selection


class MedianHardness(NegativeSampling):
    """Takes candidates of middling hardness: neither trivial nor likely to be liked."""

    default_num_candidates = 15

    def select(
        self,
        user: Tensor,
        pos: Tensor,
        user_xs: Sequence[Tensor],
        item_xs: Sequence[Tensor],
        candidates: Tensor,
        generator: torch.Generator | None = None,
    ) -> Selection:
        """The `K` candidates in the middle of the ranking."""
        users = pool_layers([x[user] for x in user_xs], self.pool)
        scores = candidate_scores(users, pool_layers(item_xs, self.pool), candidates)
        order = scores.argsort(dim=1, descending=True)
        first = (candidates.size(1) - self.num_negatives) // 2
        return Selection(candidates.gather(1, order[:, first : first + self.num_negatives]))


class TestMedianHardness(SamplerContract):
    """Shapes, seeds, gradients, other people's batches, bad arguments: all of it inherited."""

    sampler_class = MedianHardness


def main() -> None:
    """Trains MF with the sampler above, and with a composition of published ones."""
    train_data, val_data, test_data = SyntheticInteractions("tiny", split=RandomSplit(0.1, 0.2))
    candidates = UniformCandidates(train_data)
    for sampler, loss in (
        (MedianHardness(candidates), BPRLoss()),
        # Selected as AHNS does, mixed as DINS does, under SDNS's soft loss: no subclass needed.
        (Compose(AHNS(candidates, beta=0.2), DINS(beta=2.0)), SoftBPRLoss(alpha=0.5)),
    ):
        torch.manual_seed(0)
        model = Recommender(MF(train_data, dim=16), sampler, loss, lr=0.02)
        fit(model, train_data, val_data, epochs=20, batch_size=128)
        result = evaluate(model.scoring_tables(), test_data)
        print(f"{type(sampler).__name__}: test NDCG@20 {result['NDCG@20']:.4f}\n")


if __name__ == "__main__":
    main()
