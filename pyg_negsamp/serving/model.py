"""A trained model that knows its users and items by their ids."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from pyg_negsamp.datasets import InteractionDataset
from pyg_negsamp.datasets.checks import require_kind, require_path
from pyg_negsamp.errors import invalid
from pyg_negsamp.evaluation import DEFAULT, Scorer, evaluate, evaluate_groups
from pyg_negsamp.nn import Encoder
from pyg_negsamp.scoring import Similarity
from pyg_negsamp.serving.export import Format, export_tables
from pyg_negsamp.serving.folding import Folding
from pyg_negsamp.serving.held_out import TestData, graph_to_test
from pyg_negsamp.serving.ids import named
from pyg_negsamp.serving.lists import Lists
from pyg_negsamp.serving.ranking import ByDecoder, ByReference, Tables
from pyg_negsamp.serving.store import Parts, read_model, write_model
from pyg_negsamp.serving.taking import take
from pyg_negsamp.serving.warm import New, start_from


class TrainedModel:
    """A trained model: keep it, ask it for recommendations, fold in new persons, test it.

    ```python
    model = TrainedModel.from_training(recommender, dataset)
    model.save("models/first")
    model = TrainedModel.load("models/first")  # in another process, without the data
    model.recommend(["c17", "c42"], k=10)
    model.recommend_for(["sku9", "sku4"], k=10)
    ```

    Users and items are named by the ids of the data. Ids are whole numbers or text; `17` also finds
    the text `'17'`, and `'17'` the number. All lists are exact: every allowed item competes.

    Made by :meth:`from_training`, :meth:`load`, or :func:`pyg_negsamp.train`.

    Attributes:
        users: Ids of the users, in the order of the tables.
        items: Ids of the items.
        config: What the model was made with, as given.
        metrics: What was measured of it, as given.
    """

    def __init__(self, parts: Parts, made: tuple[Encoder, torch.nn.Module] | None = None) -> None:
        """Puts the parts together; see the other ways in.

        Args:
            parts: What ranks, links, ids, and how the model was made.
            made: Encoder and loss, if they are there.
        """
        self._parts = parts
        self._ranking, self._links, self._users, self._items, self._record, self._state = parts
        self._lists = Lists(parts.ranking, parts.links, parts.users, parts.items)
        self._folding = Folding(parts, made)
        self.users, self.items = parts.users.index, parts.items.index
        self.config: dict[str, Any] = parts.record["config"]
        self.metrics: dict[str, Any] = parts.record["metrics"]

    def __repr__(self) -> str:
        return (
            f"TrainedModel({self._record['method']['class']}, {len(self.users)} users, "
            f"{len(self.items)} items)"
        )

    # Make, save, load -----------------------------------------------------------------------

    @classmethod
    def from_training(
        cls,
        trained: Any,
        dataset: InteractionDataset,
        known: HeteroData | None = None,
        config: Mapping[str, Any] | None = None,
        metrics: Mapping[str, float] | None = None,
        similarity: Similarity | None = None,
    ) -> TrainedModel:
        """Takes a model as it is now; later training does not change it.

        Args:
            trained: A :class:`pyg_negsamp.training.Recommender`; an encoder, or the vectors of
                users and items `{node type: [N, D]}`, trained in a loop of one's own; or what a
                reference of :mod:`pyg_negsamp.references` returned.
            dataset: The data: three graphs, and the ids of users and items, which count from zero
                where it has none.
            known: The graph that was trained on. Default: the dataset's training graph.
            config: Hyper-parameters, seed and whatever else should be kept, as plain values.
            metrics: What was measured, by name.
            similarity: How vectors of an encoder or of tables become scores, `'dot'` or
                `'cosine'`. Default: `'dot'`. A recommender knows it by itself (`rank_by`).

        Raises:
            ValueError: If `trained` is none of these, if graphs do not go together, if a vector is
                not finite, or if `config` holds anything but plain values.
        """
        return cls(*take(trained, dataset, known, config or {}, metrics or {}, similarity))

    def save(self, path: str | Path) -> None:
        """Saves the model in a folder: whole, or not at all.

        A model that is there already is replaced. Several processes may save and load meanwhile.

        Args:
            path: The folder.

        Raises:
            ValueError: If `path` holds something else than a model.
            OSError: If it cannot be written, naming the folder.
        """
        write_model(require_path(self, "path", path), self._parts)

    @classmethod
    def load(cls, path: str | Path, decoder: torch.nn.Module | None = None) -> TrainedModel:
        """Loads a saved model: without the data, and running no code but the library's.

        Args:
            path: The folder; or that of a run, which holds it as `model/`.
            decoder: Of a model that was trained with a decoder: a module of the same class, made
                with the same arguments. It gets the saved parameters.

        Raises:
            FileNotFoundError: If there is none.
            ValueError: If a file is missing or a bit of it has changed, in one line naming it; if
                the model needs a decoder and `decoder` is not it.
        """
        return cls(read_model(require_path(cls, "path", path), decoder))

    # What evaluate and rank read ------------------------------------------------------------

    def holds(self, links: Tensor) -> Tensor:
        """Which links `[2, E]` of positions the model was trained on: `[E]` bool."""
        return self._links.trained_on(links)

    def scorer(self) -> Scorer:
        """What the model ranks by."""
        return self._ranking.scorer()

    # Ask ------------------------------------------------------------------------------------

    def recommend(
        self,
        users: Iterable[Any] | None = None,
        k: int = 10,
        exclude_seen: bool = True,
        items: Iterable[Any] | None = None,
        unknown: str = "raise",
    ) -> pd.DataFrame:
        """The best items for users.

        Items without training links are recommended only if `items` names them. A user for whom
        fewer than `k` items are left has a shorter list; who is asked for twice has two.

        Args:
            users: Ids, in the order to answer in. Default: all users.
            k: Length of the lists. Default 10.
            exclude_seen: Whether to leave out what a person has in the data, training, validation
                and test links alike. Default: yes.
            items: Ids of the items to choose among. Default: all with training links.
            unknown: What a user gets who is not known or has no training links: `'popular'`, the
                items with most training links (then the score is their number); or `'raise'`, an
                error. Default: an error.

        Returns:
            Columns `user`, `item`, `score`, `rank` (from 1), a row per recommendation.

        Raises:
            ValueError: If a user is unknown (with `unknown='raise'`) or an item is, listing up to
                five, or if `k` or `unknown` is out of range.
        """
        blocks = self.recommend_blocks(users, k, exclude_seen, items, unknown)
        return pd.concat(list(blocks), ignore_index=True)

    def knows(self, users: Iterable[Any]) -> np.ndarray:
        """Which users have lists of their own: `[n]` bool, those known who have training links.

        Args:
            users: Ids.
        """
        return self._lists.find(users)[2].numpy()

    def recommend_blocks(
        self,
        users: Iterable[Any] | None = None,
        k: int = 10,
        exclude_seen: bool = True,
        items: Iterable[Any] | None = None,
        unknown: str = "raise",
    ) -> Iterator[pd.DataFrame]:
        """As :meth:`recommend`, in frames of some thousand users each, to write one after another.

        Arguments are checked before the first. Memory: the tables, and some hundred megabytes.
        """
        return self._lists.for_users(users, k, exclude_seen, items, unknown)

    def recommend_for(
        self, taken: Iterable[Any], k: int = 10, items: Iterable[Any] | None = None
    ) -> pd.DataFrame:
        """The best items for a person whom the model has not met, from what the person took.

        References score them exactly as one of their own; encoders by :meth:`Encoder.fold_in`.
        What the person took is left out. Taken items that the model was not trained on say nothing.

        Args:
            taken: Ids of the items, each counted once.
            k: Length of the list. Default 10.
            items: Ids of the items to choose among. Default: all with training links.

        Returns:
            Columns `item`, `score`, `rank`.

        Raises:
            ValueError: If an item is unknown, if none has training links, or if the encoder or the
                loss of a loaded model is not the library's own.
        """
        position = self._items.positions(taken, "taken").unique()
        trained = position[self._links.item_count[position] > 0]
        if not len(trained):
            expected = "at least one item that the model was trained on"
            raise invalid(self, "taken", expected, named(self._items.at(position).tolist()))
        scores = self._folding.scores(torch.zeros_like(trained), trained, 1)
        return self._lists.for_new(scores, position, items, k)

    def similar_items(self, items: Iterable[Any], k: int = 10) -> pd.DataFrame:
        """The items most like given ones: by the cosine of their vectors, or a reference's weights.

        Items without training links are like none.

        Args:
            items: Ids.
            k: Length of the lists. Default 10.

        Returns:
            Columns `item`, `similar`, `score`, `rank`.

        Raises:
            ValueError: If an item is unknown or has no training links, listing up to five.
        """
        return self._lists.similar(items, k)

    def score(self, users: Iterable[Any], items: Iterable[Any]) -> np.ndarray:
        """The scores of users with items, pair by pair: as many as there are pairs.

        Args:
            users: Ids.
            items: As many ids.

        Raises:
            ValueError: If an id is unknown, or there are not as many.
        """
        user, item = self._users.positions(users, "users"), self._items.positions(items, "items")
        if len(user) != len(item):
            raise invalid(self, "items", f"as many ids as users, {len(user)}", len(item))
        return self._ranking.pairs(user, item).numpy()

    def embeddings(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The vectors of users and of items, by id: their products, or what the decoder makes of
        them, are the scores.

        Raises:
            ValueError: If the model is a reference, which has none.
        """
        tables = self._tables()
        return (
            pd.DataFrame(tables.users.numpy().copy(), index=self.users),
            pd.DataFrame(tables.items.numpy().copy(), index=self.items),
        )

    def _tables(self) -> Tables:
        """The vectors that rank; refuses a reference."""
        if isinstance(self._ranking, ByReference):
            raise invalid(self, "model", "one with vectors", self._record["method"]["class"])
        return self._ranking

    def export(self, format: Format, to: str | Path) -> list[Path]:
        """Writes the vectors for other programs.

        What each format holds: :func:`pyg_negsamp.serving.export.export_tables`.

        Args:
            format: `'parquet'`, `'npy'`, `'onnx'` or `'faiss'`.
            to: A folder, new or empty.

        Returns:
            The files.

        Raises:
            ValueError: If the model is a reference, which has no vectors, if its scores are a
                decoder's, or if an extra is missing.
        """
        require_path(self, "to", to)
        tables = self._tables()
        if isinstance(tables, ByDecoder):
            expected = "one whose scores are products of vectors"
            raise invalid(self, "model", expected, f"a decoder, {self._record['decoder']}")
        return export_tables(
            self.users, self.items, tables.users, tables.items, format, to,
            user_links=self._links.user_count, item_links=self._links.item_count,
        )  # fmt: skip

    # Test -----------------------------------------------------------------------------------

    def evaluate(
        self,
        test_data: TestData = None,
        k: Sequence[int] = (10, 20),
        metrics: Sequence[str] = DEFAULT,
    ) -> dict[str, float]:
        """Test metrics by full ranking, see :func:`pyg_negsamp.evaluation.evaluate`.

        Args:
            test_data: The links to find. Default: the test links of the model's own data, with
                training and validation links known. A frame with columns `user` and `item` of ids:
                all links of the model's data are known but those in the frame. A dataset with the
                same ids: its test graph. A graph: it must have the model's sizes, and know the
                links that the model was trained on.
            k: Lengths of the lists. Default 10 and 20.
            metrics: Names out of `METRICS`. Default: those of accuracy, coverage and average
                popularity.

        Raises:
            ValueError: If ids are unknown or differ, if the model was trained on links to be found
                in a dataset or graph, or as :func:`pyg_negsamp.evaluation.evaluate`.
        """
        data = graph_to_test(test_data, self._links, self._users, self._items)
        return evaluate(self._ranking.scorer(), data, k, metrics)

    def evaluate_groups(
        self,
        k: Sequence[int] = (10, 20),
        metrics: Sequence[str] = DEFAULT,
        test_data: TestData = None,
    ) -> pd.DataFrame:
        """Test metrics of new users, of quartiles of users by activity, and of items by popularity.

        See :func:`pyg_negsamp.evaluation.evaluate_groups`.

        Args:
            k: Lengths of the lists. Default 10 and 20.
            metrics: Names out of `METRICS`. Default: those of accuracy, coverage and average
                popularity.
            test_data: As for :meth:`evaluate`.

        Returns:
            A row per group: `by`, `name`, `least` and `most` training links of a member, `users`
            and `held_out` links in the test, and the metrics.
        """
        data = graph_to_test(test_data, self._links, self._users, self._items)
        counts = self._links.user_count, self._links.item_count
        found = evaluate_groups(self._ranking.scorer(), data, *counts, k, metrics)
        groups = [asdict(group) for group in found]
        return pd.DataFrame([{**group, **group.pop("metrics")} for group in groups])

    # Train anew -----------------------------------------------------------------------------

    def warm_start(self, encoder: Encoder, dataset: InteractionDataset) -> New:
        """Copies what was learned of users and items that are still there into a fresh encoder.

        Rows go by id. Users and items that the model does not know keep the rows drawn for them. So
        do parameters that it does not have, since it may be of another kind of encoder.

        Args:
            encoder: The encoder, over the dataset's training graph; changed in place.
            dataset: The data, for its ids.

        Returns:
            How many users and items are new, how many held-out links of the data the model was
            trained on, and whether it is of another kind.

        Raises:
            ValueError: If the model is a reference, if widths differ, or if an argument is no such
                thing.
        """
        for name, given, kind in (
            ("encoder", encoder, Encoder),
            ("dataset", dataset, InteractionDataset),
        ):
            require_kind(self, name, given, kind)
        return start_from(self._parts, encoder, dataset)
