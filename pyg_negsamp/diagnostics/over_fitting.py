"""Over-fitting: how much better a model ranks the links that it was trained on.

Shi et al., 2022 (SDNS, arXiv:2211.13912), section 2.2, figure 3 (a) and (b): with hard negatives,
validation falls while training goes on. Unit: that of NDCG, at the first `k`, a fraction.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.typing import EdgeType

from pyg_negsamp.diagnostics.look import Look
from pyg_negsamp.evaluation import Scorer, evaluate
from pyg_negsamp.graph import EDGE_TYPE


def training_ndcg(
    scorer: Scorer,
    links: Tensor,
    num_users: int,
    num_items: int,
    k: int,
    edge_type: EdgeType = EDGE_TYPE,
) -> float:
    """NDCG of finding training links again, with nothing left out of the lists.

    Args:
        scorer: Tables of users and items, or a function that scores, see
            :func:`pyg_negsamp.evaluation.rank`.
        links: `[2, E]` all training links of some users, who alone are ranked for.
        num_users: `U`.
        num_items: `I`.
        k: Length of the lists.
        edge_type: What tables call users and items.

    Returns:
        The mean over users.
    """
    split = HeteroData()
    split[edge_type[0]].num_nodes, split[edge_type[2]].num_nodes = num_users, num_items
    split[edge_type].edge_index = links[:, :0]
    split[edge_type].edge_label_index = links
    return evaluate(scorer, split, (k,), ("NDCG",), edge_type=edge_type)[f"NDCG@{k}"]


def look_at_over_fitting(look: Look) -> dict[str, Tensor]:
    """The metric on training links, and by how much it is above that on validation links."""
    if look.train is None:
        return {}
    found = {"over-fitting/train": look.train}
    validation = [value for name, value in look.validated.items() if "NDCG@" in name]
    if validation:  # at the first k, which comes first
        found["over-fitting/gap"] = look.train - validation[0]
    return {
        name: torch.tensor(value, dtype=torch.double, device=look.pos_score.device)
        for name, value in found.items()
    }
