"""From what was just trained to the parts of a model that can be kept."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch_geometric.data import HeteroData

from pyg_negsamp.datasets import InteractionDataset
from pyg_negsamp.datasets.checks import require_kind
from pyg_negsamp.errors import invalid
from pyg_negsamp.losses import RankingLoss
from pyg_negsamp.nn import Encoder
from pyg_negsamp.references import Reference
from pyg_negsamp.serving.ids import ids_of
from pyg_negsamp.serving.links import SavedLinks
from pyg_negsamp.serving.making import class_name, described, plain
from pyg_negsamp.serving.ranking import ByDecoder, ByReference, Tables
from pyg_negsamp.serving.store import Parts

OWNER = "TrainedModel"


def take(
    trained: Any,
    dataset: InteractionDataset,
    known: HeteroData | None,
    config: Mapping[str, Any],
    metrics: Mapping[str, float],
) -> tuple[Parts, tuple[Encoder, torch.nn.Module] | None]:
    """The parts of a model, see :meth:`pyg_negsamp.serving.TrainedModel.from_training`.

    A recommender is known by its `scoring_tables`, so that this needs no lightning.

    Returns:
        The parts, copied; and copies of encoder and loss to fold in with, `None` for a reference.
    """
    require_kind(OWNER, "dataset", dataset, InteractionDataset)
    if known is not None:
        require_kind(OWNER, "known", known, HeteroData)
    require_kind(OWNER, "config", config, Mapping)
    require_kind(OWNER, "metrics", metrics, Mapping)
    graphs = list(dataset)
    links = SavedLinks.of(graphs, graphs[0] if known is None else known, dataset.edge_type)
    users = ids_of(dataset.user_ids, links.num_users, "user")
    items = ids_of(dataset.item_ids, links.num_items, "item")
    record: dict[str, Any] = {
        "config": plain(dict(config), "config"),
        "metrics": plain(dict(metrics), "metrics"),
    }
    if isinstance(trained, Reference):
        _check_sizes(trained.seen.size(0), trained.seen.size(1), links)
        record["method"] = {"class": type(trained).__name__}
        return Parts(ByReference(copy.copy(trained)), links, users, items, record, {}), None
    if not hasattr(trained, "scoring_tables"):
        expected = "a Recommender, or what a reference returned"
        raise invalid(OWNER, "trained", expected, type(trained).__name__)
    encoder: Encoder = trained.encoder
    _check_sizes(encoder.num_users, encoder.num_items, links)
    tables = trained.scoring_tables()
    user, item = (tables[encoder.edge_type[end]].cpu().clone() for end in (0, 2))
    loss = trained.loss.of_new_users() if isinstance(trained.loss, RankingLoss) else trained.loss
    record |= {"method": described(encoder), "loss": described(loss)}
    record |= {"similarity": trained.similarity, "l2": trained.l2}
    state = {name: x.detach().cpu().clone() for name, x in encoder.state_dict().items()}
    made = copy.deepcopy(encoder).cpu().eval().requires_grad_(False)
    ranking = Tables(user, item)
    if made.decoder is not None:
        ranking = ByDecoder(user, item, made.decoder)
        record["decoder"] = class_name(made.decoder)
    parts = Parts(ranking, links, users, items, record, state)
    return parts, (made, copy.deepcopy(loss).cpu())


def _check_sizes(num_users: int, num_items: int, links: SavedLinks) -> None:
    if (num_users, num_items) != (links.num_users, links.num_items):
        expected = f"a model of {links.num_users} users and {links.num_items} items"
        raise invalid(OWNER, "trained", expected, f"{num_users} and {num_items}")
