"""The scores of PyG's knowledge graph models (`TransE`, `DistMult`, `ComplEx`, `RotatE`), by rows.

A sampler scores rows of users with rows of items. Here a user is a head with a relation, an item a
tail, and the score the model's own::

    score = KGEScore(model)
    candidates = UniformCandidates(kg, relation=kg.edge_type, num_relations=model.num_relations)
    sampler = DNS(candidates, score=score)
    tails = sampler.sample(*score.inputs(head, relation, tail)).index  # [B, K]
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.func import functional_call
from torch_geometric.nn.kge import KGEModel

from pyg_negsamp.errors import invalid, one_of, short
from pyg_negsamp.graph import is_integer

#: What the models call their tables of entities and of relations; some have two of a kind.
ENTITY, RELATION = "node_emb", "rel_emb"


class KGEScore:
    """A model's own score, as `score=` of a sampler: a function of rows.

    The row of an entity is what the model's tables hold of it, one after another: `[D]`, or
    `[2 * D]` where it has a real and an imaginary part. The row of a user is that of the entity
    that is known, followed by that of the relation.

    Not a module: the model's parameters are the model's alone. Scores have gradients towards rows;
    for a model with `sparse=True` take losses of `model(head, relation, tail)` instead.

    Args:
        model: One of PyG's, or another `KGEModel` that keeps its embeddings alike.
        corrupt: Which end negatives stand at: the `'tail'`, or the `'head'`. The known end is then
            the tail, and candidates are made of the flipped graph. Default: the tail.

    Raises:
        ValueError: If it is no such model.
    """

    def __init__(self, model: KGEModel, corrupt: str = "tail") -> None:
        if not isinstance(model, KGEModel):
            raise invalid(self, "model", "a KGEModel of torch_geometric.nn", short(model))
        self.model = model
        self.corrupt = one_of(self, "corrupt", corrupt, ("tail", "head"))
        tables = [name for name, _ in model.named_parameters()]
        entity, relation = (
            tuple(name for name in tables if name.startswith(kind)) for kind in (ENTITY, RELATION)
        )
        if not entity or not relation or {*entity, *relation} != set(tables):
            expected = f"one whose parameters are tables called {ENTITY}... and {RELATION}..."
            raise invalid(self, "model", expected, ", ".join(tables))
        self.entity_tables, self.relation_tables = entity, relation

    def inputs(
        self, head: Tensor, relation: Tensor, tail: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What `sample` of a sampler takes, of triples.

        Args:
            head: `[B]` entities.
            relation: `[B]` relations.
            tail: `[B]` entities.

        Returns:
            Users `[B]`, as the candidates number them; positives `[B]`; the rows of these users
            `[B, W]`; the rows of all entities `[N, D]`, or `[N, 2 * D]`.

        Raises:
            ValueError: If these are no `B` ids each.
        """
        model = self.model
        for name, ids, size in (
            ("head", head, model.num_nodes),
            ("relation", relation, model.num_relations),
            ("tail", tail, model.num_nodes),
        ):
            expected = f"[B] ids in [0, {size}), as many as heads"
            if ids.dim() != 1 or ids.shape != head.shape or not is_integer(ids):
                raise invalid(self, name, expected, f"{[*ids.shape]} {ids.dtype}")
            if ids.numel() and not 0 <= int(ids.min()) <= int(ids.max()) < size:
                raise invalid(self, name, expected, f"{int(ids.min())}..{int(ids.max())}")
        known, wanted = (head, tail) if self.corrupt == "tail" else (tail, head)
        rows = [self._table(name)[known] for name in self.entity_tables]
        rows += [self._table(name)[relation] for name in self.relation_tables]
        entities = [self._table(name) for name in self.entity_tables]
        every = entities[0] if len(entities) == 1 else torch.cat(entities, dim=1)
        return known.long() * model.num_relations + relation, wanted, torch.cat(rows, dim=1), every

    def __call__(self, user: Tensor, item: Tensor) -> Tensor:
        """Scores users with the items in their rows, by the model's `forward`.

        Args:
            user: `[B, W]` rows of an entity and a relation.
            item: `[B, K, D]` rows of entities.

        Returns:
            `[B, K]`.
        """
        num_rows, num_items = item.shape[:2]
        # The model reads tables: for this call, they hold the rows at hand.
        entity, relation = user.tensor_split([item.size(2)], dim=1)
        entities = torch.cat([entity, item.flatten(0, 1)]).chunk(len(self.entity_tables), dim=1)
        relations = relation.chunk(len(self.relation_tables), dim=1)
        tables = dict(zip(self.entity_tables, entities, strict=True))
        tables |= dict(zip(self.relation_tables, relations, strict=True))
        known = torch.arange(num_rows, device=user.device).repeat_interleave(num_items)
        wanted = torch.arange(num_rows, num_rows + len(known), device=user.device)
        ends = (known, wanted) if self.corrupt == "tail" else (wanted, known)
        scores: Tensor = functional_call(self.model, tables, (ends[0], known, ends[1]))
        return scores.view(num_rows, num_items)

    def _table(self, name: str) -> Tensor:
        return self.model.get_parameter(name)
