"""From what was just trained to the parts of a model that can be kept."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.typing import EdgeType, NodeType

from pyg_negsamp.datasets import InteractionDataset
from pyg_negsamp.datasets.checks import require_kind
from pyg_negsamp.errors import invalid, one_of, short
from pyg_negsamp.losses import BPRLoss, RankingLoss
from pyg_negsamp.nn import Encoder
from pyg_negsamp.nn.adjacency import Adjacency
from pyg_negsamp.references import Reference
from pyg_negsamp.scoring import SIMILARITIES, Similarity, ranking_tables
from pyg_negsamp.serving.ids import ids_of
from pyg_negsamp.serving.links import SavedLinks
from pyg_negsamp.serving.making import class_name, described, plain
from pyg_negsamp.serving.ranking import ByDecoder, ByReference, Tables
from pyg_negsamp.serving.store import Parts

OWNER = "TrainedModel"
#: Copies of encoder and loss, to fold in with.
Made: TypeAlias = tuple[Encoder, torch.nn.Module] | None


def take(
    trained: Any,
    dataset: InteractionDataset,
    known: HeteroData | None,
    config: Mapping[str, Any],
    metrics: Mapping[str, float],
    similarity: Similarity | None = None,
) -> tuple[Parts, Made]:
    """The parts of a model, see :meth:`pyg_negsamp.serving.TrainedModel.from_training`.

    A recommender is known by its `scoring_tables`, so that this needs no lightning.

    Args:
        trained: A recommender, an encoder, tables or a reference.
        dataset: The data.
        known: The graph that was trained on.
        config: What is to be kept besides.
        metrics: What was measured.
        similarity: Of an encoder or tables.

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
    ranking, how, made = _taken(trained, links, similarity)
    record = {"config": plain(dict(config), "config"), "metrics": plain(dict(metrics), "metrics")}
    record |= how
    if made is not None and isinstance(adjacency := getattr(made[0], "adjacency", None), Adjacency):
        links = links.weighed(*adjacency.user_links(links.num_users))
    state = {} if made is None else made[0].state_dict()
    state = {name: x.clone() for name, x in state.items()}
    return Parts(ranking, links, users, items, record, state), made


def _taken(
    trained: Any, links: SavedLinks, similarity: Similarity | None
) -> tuple[Tables | ByReference, dict[str, Any], Made]:
    """What ranks, how it was made, and copies of encoder and loss."""
    if isinstance(trained, Reference):
        _check_sizes(trained.seen.size(0), trained.seen.size(1), links)
        return ByReference(copy.copy(trained)), {"method": {"class": type(trained).__name__}}, None
    if hasattr(trained, "scoring_tables"):
        if similarity not in (None, trained.rank_by):
            expected = f"left out, as the recommender has {trained.rank_by!r}"
            raise invalid(OWNER, "similarity", expected, similarity)
        return _of_encoder(trained.encoder, links, trained.rank_by, trained.loss, trained.l2)
    by = one_of(OWNER, "similarity", similarity or "dot", SIMILARITIES)
    if isinstance(trained, Encoder):
        return _of_encoder(trained, links, by, BPRLoss(), 0.0)
    if isinstance(trained, Mapping):
        nobody = {"class": "tables"}
        record = {"method": nobody, "loss": nobody, "similarity": by, "l2": 0.0}
        return Tables(*_vectors(trained, links, links.edge_type, by)), record, None
    expected = "a Recommender, an encoder, tables by node type, or what a reference returned"
    raise invalid(OWNER, "trained", expected, type(trained).__name__)


def _of_encoder(
    encoder: Encoder, links: SavedLinks, similarity: str, loss: torch.nn.Module, l2: float
) -> tuple[Tables, dict[str, Any], Made]:
    """What :func:`_taken` returns, of an encoder that was trained with a loss."""
    _check_sizes(encoder.num_users, encoder.num_items, links)
    if isinstance(loss, RankingLoss):
        loss = loss.of_new_users()
    made = copy.deepcopy(encoder).cpu().eval().requires_grad_(False)
    vectors = _vectors(made.pooled_tables(), links, encoder.edge_type, similarity)
    record: dict[str, Any] = {"method": described(encoder), "loss": described(loss)}
    record |= {"similarity": similarity, "l2": l2}
    if made.decoder is None:
        return Tables(*vectors), record, (made, copy.deepcopy(loss).cpu())
    if similarity != "dot":
        raise invalid(OWNER, "similarity", "left out, since the encoder has a decoder", similarity)
    record["decoder"] = class_name(made.decoder)
    return ByDecoder(*vectors, made.decoder), record, (made, copy.deepcopy(loss).cpu())


def _vectors(
    tables: Mapping[NodeType, Any], links: SavedLinks, edge_type: EdgeType, similarity: str
) -> tuple[Tensor, Tensor]:
    """Copies of the vectors that rank, of users and of items."""
    found = []
    for name, size in ((edge_type[0], links.num_users), (edge_type[2], links.num_items)):
        x = tables.get(name)
        if not isinstance(x, Tensor) or x.dim() != 2 or len(x) != size or not x.is_floating_point():
            expected = f"tables with {name!r}: [{size}, D], in floating point (layers pooled)"
            got = [*x.shape] if isinstance(x, Tensor) else short(x)
            raise invalid(OWNER, "trained", expected, got)
        found.append(ranking_tables(x.detach(), similarity).cpu().clone())
    user, item = found
    if user.size(1) != item.size(1):
        got = f"widths {user.size(1)} and {item.size(1)}"
        raise invalid(OWNER, "trained", "tables of one width", got)
    return user, item


def _check_sizes(num_users: int, num_items: int, links: SavedLinks) -> None:
    if (num_users, num_items) != (links.num_users, links.num_items):
        expected = f"a model of {links.num_users} users and {links.num_items} items"
        raise invalid(OWNER, "trained", expected, f"{num_users} and {num_items}")
