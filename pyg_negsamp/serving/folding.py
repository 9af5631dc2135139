"""Scores for persons whom a model has not met, from the items that they took."""

from __future__ import annotations

import torch
from torch import Tensor

from pyg_negsamp.errors import invalid
from pyg_negsamp.nn import Encoder, FromModule
from pyg_negsamp.nn.folding import fitted_rows
from pyg_negsamp.scoring import ranking_tables
from pyg_negsamp.serving.folder import RECORD
from pyg_negsamp.serving.making import check_own, class_path, make_encoder, make_loss
from pyg_negsamp.serving.ranking import ByDecoder, ByReference, Tables
from pyg_negsamp.serving.store import Parts


class Folding:
    """References score new persons themselves; encoders make them rows.

    Encoder and loss of a loaded model are made when first needed, and then kept.

    Args:
        parts: The model's.
        made: Encoder and loss, if they are there.
    """

    def __init__(self, parts: Parts, made: tuple[Encoder, torch.nn.Module] | None = None) -> None:
        self.parts, self.made = parts, made

    def scores(self, owner: Tensor, item: Tensor, num: int) -> Tensor:
        """Scores of all items for persons.

        Args:
            owner: `[E]` which person took an item, in `[0, num)`.
            item: `[E]` item positions.
            num: Number of persons.

        Returns:
            `[num, I]`.

        Raises:
            ValueError: If encoder or loss have to be made and are not the library's own, or if
            their record makes none.
        """
        ranking, record = self.parts.ranking, self.parts.record
        if isinstance(ranking, ByReference):
            return ranking.reference.fold_in(owner, item, num)
        if self.made is None and record["method"]["class"] == class_path(FromModule):
            rows = self._fitted(owner, item, num, ranking)
        else:
            if self.made is None:
                self.made = self._make()
            encoder, loss = self.made
            rows = encoder.fold_in(owner, item, num, loss, record["l2"])
        return ranking.of_rows(ranking_tables(rows, record["similarity"]))

    def _fitted(self, owner: Tensor, item: Tensor, num: int, ranking: Tables) -> Tensor:
        """Rows of persons by what is saved of a module's model: items, loss and decoder."""
        decoder = ranking.decoder if isinstance(ranking, ByDecoder) else None
        loss, l2 = make_loss(self.parts.record["loss"]), self.parts.record["l2"]
        return fitted_rows(ranking.items, owner, item, num, loss, l2, score=decoder)

    def _make(self) -> tuple[Encoder, torch.nn.Module]:
        record = self.parts.record
        for name in ("method", "loss"):
            check_own(record[name])
        graph = self.parts.links.encoder_graph()
        try:
            encoder = make_encoder(record["method"], graph, self.parts.state)
            return encoder, make_loss(record["loss"])
        except (KeyError, TypeError, RuntimeError, ValueError) as error:
            expected = "a record that encoder and loss can be made from"
            said = " ".join(str(error).split())
            raise invalid("TrainedModel", RECORD, expected, said) from error
