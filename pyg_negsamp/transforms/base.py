"""The one contract behind every sampler: three steps, three entrances.

A sampler turns positives `[B]` and candidates `[B, M]` into `K` negatives per positive:

    select       which candidates, per positive or per layer     no gradient
    gather       rows of users, positives, chosen negatives      the only place with gradient
    synthesize   what is made of those rows                      the identity, for most

`sample` runs all three on plain tensors; `forward` does so on a PyG mini-batch; training calls
them one by one, so that an encoder can gather all roles at once.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, NoReturn

import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData
from torch_geometric.transforms import BaseTransform
from torch_geometric.typing import EdgeType

from pyg_negsamp.candidates import Candidates, Source, UniformCandidates, as_candidates
from pyg_negsamp.errors import invalid, short, whole_number, yes_or_no
from pyg_negsamp.graph import EDGE_TYPE
from pyg_negsamp.layers import (
    Embeddings,
    Layers,
    Pool,
    as_layers,
    check_pool,
    gather_rows,
    has_types,
    layers_by_type,
    pool_layers,
)
from pyg_negsamp.numerics import check_generator
from pyg_negsamp.scoring import Score
from pyg_negsamp.space import Space
from pyg_negsamp.transforms.batch import read_positives, stores, write_negatives
from pyg_negsamp.transforms.checks import (
    check_ids,
    check_known,
    check_lengths,
    check_range,
    check_rows_are_users,
    check_tables,
)
from pyg_negsamp.transforms.epochs import Epochs
from pyg_negsamp.transforms.negatives import Negatives, Selection
from pyg_negsamp.transforms.per_user import unseen_again
from pyg_negsamp.transforms.scored import Scored


class NegativeSampling(Scored, Epochs, BaseTransform, torch.nn.Module):
    """Base class of all samplers; second pass of negative sampling.

    A subclass writes :meth:`select`, and :meth:`synthesize` if its negatives are made rather
    than found. (:class:`torch_geometric.sampler.NegativeSampling` is a loader option of the
    same name: what such a loader drew into `dst_neg_index` is this class's first pass.)

    Args:
        candidates: First pass: draws unobserved items. Or the training graph, of which
            :attr:`proposal` is made, or its links alone, see
            :data:`pyg_negsamp.candidates.Source`. May be `None` if candidates always come with
            the batch or the call.
        num_candidates: Candidates per positive, `M`, when this class draws them. Default: the
            method's own, and no less than `K`.
        num_negatives: Negatives per positive, `K`. Default: the method's own, usually 1.
        pool: How layers become the scoring embedding; must be the encoder's.
        layers: Number of layers `H` that stand side by side in tables `[N, H * D]`, as those of
            PyG's `JumpingKnowledge('cat')` do. Default 1. Other forms say it by themselves, see
            :mod:`pyg_negsamp.layers`.
        score: How a user and an item become a number, for samplers that look at scores: `'dot'`,
            `'cosine'`, or a function or module (the model's decoder) from rows of users `[B, D]`
            and of items `[B, K, D]` to `[B, K]`, such as a :class:`~pyg_negsamp.kge.KGEScore`; both
            may differ in width then. Default: that of the recommender which the sampler
            is given to; else dot products.
        edge_type: Names of the user and item node types in batches and in `x_dict`. Default: that
            of the candidates.
        check_positives: Whether to refuse positives that the candidates do not know as links: they
            would be drawn as negatives. A call looks at some of its rows, see
            :data:`ROWS_LOOKED_AT`, and at the first call only where looking makes a device wait.
            Default: yes.
        as_links: Whether a batch in triplet form gets `edge_label_index`, `edge_label` and, with
            weights, `edge_label_weight` of positives and negatives besides, for loops that work on
            links. Default: no.

    Raises:
        ValueError: If `num_negatives < 1` or `num_candidates < num_negatives`.
    """

    #: What the command uses for `candidates` when nobody says otherwise.
    proposal: ClassVar[type[Candidates]] = UniformCandidates
    #: `K` unless told otherwise.
    default_num_negatives: ClassVar[int] = 1
    #: `M` unless told otherwise; never less than `K`.
    default_num_candidates: ClassVar[int] = 1
    #: Arguments to search, of this class or of its `proposal`; the source stands beside it.
    search_space: ClassVar[Space] = {}
    #: Width `D` that learned parts expect, if there are any.
    width: int | None = None
    #: Whether a call on another device than the CPU has looked at its positives.
    _looked = False
    #: Whether `select` reads embeddings; if not, the sampler also works without them.
    reads_embeddings: ClassVar[bool] = True
    #: Whether it keeps something for each user: then rows cannot have relations or times as well.
    keeps_users: ClassVar[bool] = False
    #: The buffers that keep items for each user, `[U]` or `[U, S]`.
    memories: ClassVar[tuple[str, ...]] = ()
    #: Whether it calculates with rows of users and of items other than by scores.
    one_width: bool = False
    #: Whether `select` reads no more than a row, its candidates and the tables, draws nothing that
    #: depends on the number of rows, and keeps nothing: then ranks choose for a part of the rows.
    chooses_by_row: bool = False
    #: Whether what is made of a row, and its loss, a mean over rows, depend on the row and on
    #: learned parts alone, and every tensor in `Selection.state` has a row for each: then ranks
    #: make negatives for a part of the rows.
    by_row: bool = False
    #: Whether a step waits for no number, and does the same to the same memory whatever steps came
    #: before it in the epoch: then it can be recorded and replayed, see `cuda_graph` of
    #: :func:`pyg_negsamp.training.fit`.
    replayable: bool = True
    #: Whether its negatives, unless synthesised, are existing items.
    finds_items: ClassVar[bool] = True
    #: Whether it chooses among candidates; if not, all positives share the negatives that it finds,
    #: see :class:`pyg_negsamp.transforms.shared.SharedSampling`.
    takes_candidates: bool = True
    #: What of :data:`pyg_negsamp.losses.NEEDS` its :class:`Negatives` have: `neg_item`, the ids in
    #: `index`; `log_q` and `pos_log_q`, if it knows its proposal.
    gives: tuple[str, ...] = ("neg_item",)

    candidates: Candidates | None

    def __init__(
        self,
        candidates: Source = None,
        *,
        num_candidates: int | None = None,
        num_negatives: int | None = None,
        pool: Pool = "mean",
        layers: int = 1,
        score: Score | None = None,
        edge_type: EdgeType | None = None,
        check_positives: bool = True,
        as_links: bool = False,
    ) -> None:
        super().__init__()
        if num_negatives is None:
            num_negatives = self.default_num_negatives
        num_negatives = whole_number(self, "num_negatives", num_negatives, least=1)
        if num_candidates is None:
            num_candidates = max(self.default_num_candidates, num_negatives)
        num_candidates = whole_number(self, "num_candidates", num_candidates, least=1)
        if num_candidates < num_negatives:
            expected = f"at least num_negatives = {num_negatives}"
            raise invalid(self, "num_candidates", expected, num_candidates)
        self.candidates = as_candidates(self, candidates, self.proposal, edge_type)
        if self.keeps_users and self.candidates is not None:
            check_rows_are_users(self, self.candidates)
        self.num_candidates = num_candidates
        self.num_negatives = num_negatives
        self.pool: Pool = check_pool(self, pool)
        self.layers = whole_number(self, "layers", layers, least=1)
        self.score_by(score)
        self.edge_type = self._edge_type(edge_type)
        self.check_positives = yes_or_no(self, "check_positives", check_positives)
        self.as_links = yes_or_no(self, "as_links", as_links)

    def _load_from_state_dict(self, *args: Any) -> None:
        """As of any module; of what it kept for users, nothing that they have seen since."""
        super()._load_from_state_dict(*args)
        if self.candidates is not None:
            for name in self.memories:
                unseen_again(getattr(self, name), self.candidates)

    def _edge_type(self, said: EdgeType | None) -> EdgeType:
        """The edge type in full: what was said, or that of the candidates."""
        if isinstance(said, tuple) and len(said) == 3:
            return said
        if self.candidates is None and said is not None:
            expected = "(user, relation, item), as nobody else knows it"
            raise invalid(self, "edge_type", expected, short(said))
        found = EDGE_TYPE if self.candidates is None else self.candidates.edge_type
        if said is not None and said != (found[0], found[2]):
            raise invalid(self, "edge_type", f"that of the candidates, {found}", short(said))
        return found

    # What a method writes ------------------------------------------------------------------

    @abstractmethod
    def select(
        self,
        user: Tensor,
        pos: Tensor,
        user_xs: Sequence[Tensor],
        item_xs: Sequence[Tensor],
        candidates: Tensor,
        generator: torch.Generator | None = None,
    ) -> Selection:
        """Step 1: chooses `K` of `M` candidates. Called without gradient.

        Args:
            user: `[B]` user ids, rows of `user_xs`.
            pos: `[B]` item ids of the positives, rows of `item_xs`.
            user_xs: `H` tensors `[U, D]`.
            item_xs: `H` tensors `[I, D]`.
            candidates: `[B, M]` item ids, `M >= K`.
            generator: Source of randomness.
        """

    def coefficients(
        self, index: Tensor, like: Tensor, generator: torch.Generator | None = None
    ) -> Tensor | None:
        """Draws what :meth:`synthesize` mixes with, if it needs to. Here, nothing.

        Args:
            index: `[B, K]` or `[B, K, H]` item ids that were selected.
            like: Any embedding: its type and device are those to draw in.
            generator: Source of randomness.
        """
        return None

    def synthesize(self, user: Tensor, pos: Tensor, neg: Tensor, state: Any = None) -> Tensor:
        """Step 3: makes negatives of gathered rows, differentiably. Here, the identity.

        Args:
            user: `[B, H, D]` rows of the users.
            pos: `[B, H, D]` rows of the positives.
            neg: `[B, K, H, D]` rows of the chosen candidates.
            state: What :meth:`select` handed over.

        Returns:
            `[B, K, H, D]`.
        """
        return neg

    # The two passes -------------------------------------------------------------------------

    @torch.no_grad()
    def choose(
        self,
        user: Tensor,
        pos: Tensor,
        user_xs: Sequence[Tensor],
        item_xs: Sequence[Tensor],
        candidates: Tensor | None = None,
        generator: torch.Generator | None = None,
        named: tuple[Tensor, Tensor] | None = None,
    ) -> Selection:
        """Steps 0 and 1, without gradient: draws candidates, unless given, and selects.

        Args:
            user: `[B]` user ids, rows of `user_xs`.
            pos: `[B]` item ids of the positives, rows of `item_xs`.
            user_xs: `H` tensors `[U, D]`.
            item_xs: `H` tensors `[I, D]`.
            candidates: `[B, M]` item ids. Default: drawn.
            generator: Source of randomness.
            named: Users and positives as the graph of `self.candidates` numbers them, if `user` and
                `pos` are of another numbering.
        """
        if candidates is None:
            candidates = self.draw(user, pos, generator)
        elif candidates.dim() != 2 or len(candidates) != len(user):
            got = tuple(candidates.shape)
            raise invalid(self, "candidates", f"[B, M] with B = {len(user)}", got)
        elif candidates.size(1) < self.num_negatives:
            expected = (
                f"[B, M] with M >= num_negatives = {self.num_negatives} (of a loader: "
                "neg_sampling=dict(mode='triplet', amount=M))"
            )
            raise invalid(self, "candidates", expected, tuple(candidates.shape))
        chosen = self.select(user, pos, user_xs, item_xs, candidates, generator)
        return self.settle(chosen, item_xs, generator)

    def settle(
        self,
        chosen: Selection,
        item_xs: Sequence[Tensor],
        generator: torch.Generator | None = None,
    ) -> Selection:
        """Draws what :meth:`select` left to chance, for all rows at once. Here, nothing.

        Args:
            chosen: What :meth:`select` chose.
            item_xs: `H` tensors `[I, D]`.
            generator: Source of randomness.
        """
        return chosen

    def draw(
        self,
        user: Tensor,
        pos: Tensor,
        generator: torch.Generator | None = None,
        time: Tensor | None = None,
    ) -> Tensor:
        """First pass: `[B, M]` candidates for users `[B]` and their positives `[B]`, at times."""
        if self.candidates is None:
            expected = (
                "a source to draw from, such as the training graph: "
                f"{type(self).__name__}(train_data); or the call brings candidates of its own"
            )
            raise invalid(self, "candidates", expected, None)
        return self.candidates(user, self.num_candidates, generator, pos, time)

    def known(self, chosen: Selection) -> dict[str, Tensor | None]:
        """What :class:`Negatives` say of a choice beside its rows: weights and probabilities.

        Here, nothing. A method that looks at the rows for it overrides :meth:`make`.
        """
        return {}

    def make(self, chosen: Selection, user: Tensor, pos: Tensor, neg: Tensor) -> Negatives:
        """Step 3 and its packing; arguments as in :meth:`synthesize`."""
        rows, known = self.synthesize(user, pos, neg, chosen.state), self.known(chosen)
        if not chosen.shared:
            return Negatives(chosen.index, rows, **known)
        size = len(user)  # the rows [K, H, D], repeated for all positives without a copy
        index = chosen.index.expand(size, -1)
        return Negatives(index, rows.expand(size, *rows.shape), shared=rows, **known)

    @property
    def makes_nothing(self) -> bool:
        """Whether its negatives are rows of the table as they are, see :meth:`known`."""
        base = NegativeSampling
        return all(
            getattr(getattr(self, name), "__func__", None) is getattr(base, name)
            for name in ("make", "synthesize")
        )

    # The entrances --------------------------------------------------------------------------

    def sample(
        self,
        user: Tensor,
        pos: Tensor,
        user_xs: Layers,
        item_xs: Layers | None = None,
        candidates: Tensor | None = None,
        generator: torch.Generator | None = None,
        time: Tensor | None = None,
    ) -> Negatives:
        """Samples negatives on plain tensors: all three steps.

        Args:
            user: `[B]` user ids, rows of `user_xs`.
            pos: `[B]` item ids of the positives, rows of `item_xs`.
            user_xs: `[U, D]`, or `H` of them in any form of :func:`pyg_negsamp.layers.as_layers`.
                In a knowledge graph, which has too many users for a table: `[B, D]`, the rows of
                `user` itself.
            item_xs: `[I, D]`, likewise. Default: `user_xs`, as in a homogeneous graph.
            candidates: `[B, M]` item ids to choose from. Default: drawn.
            generator: Source of randomness, on the device of `user`.
            time: `[B]` when each row happened, if the candidates' items have times.

        Raises:
            ValueError: If shapes disagree, ids are out of range, or embeddings are not finite.
        """
        self._warn_untold()
        check_ids(self, user, pos)
        check_generator(self, generator, user.device)
        self._check_known(user, pos)
        size = (self.candidates.num_users, self.candidates.num_items) if self.candidates else None
        users = as_layers(user_xs, self.layers, self, "user_xs")
        items = users if item_xs is None else as_layers(item_xs, self.layers, self, "item_xs")
        if time is not None and candidates is None and self.takes_candidates:
            candidates = self.draw(user, pos, generator, time)
        return self._sample(user, pos, users, items, candidates, generator, size, (user, pos))

    def _sample(
        self,
        user: Tensor,
        pos: Tensor,
        users: Sequence[Tensor],
        items: Sequence[Tensor],
        candidates: Tensor | None,
        generator: torch.Generator | None,
        size: tuple[int, int] | None,
        named: tuple[Tensor, Tensor],
        hopeless: Tensor | None = None,
    ) -> Negatives:
        """All three steps, on tables of `size` users and items.

        Rows that are hopeless have no part in the loss of the method's own.
        """
        if self.candidates is not None and self.candidates.num_relations is not None:
            if candidates is None and self.takes_candidates:
                candidates = self.draw(user, pos, generator)
            # From here on users are rows of the batch, as those of their table are.
            user = torch.arange(len(user), device=user.device)
            size = (len(user), self.candidates.num_items)
        # A decoder may take users and items of different widths.
        apart = callable(self.score) and not self.one_width
        check_tables(self, users, items, self.width, apart)
        if size is not None:
            check_lengths(self, len(users[0]), len(items[0]), *size)
        for name, index, table in (
            ("user", user, users),
            ("pos", pos, items),
            ("candidates", candidates, items),
        ):
            check_range(self, name, index, len(table[0]))
        chosen = self.choose(user, pos, users, items, candidates, generator, named)
        user_rows, pos_rows = gather_rows(users, user), gather_rows(items, pos)
        neg_rows = chosen.arrange(gather_rows(items, chosen.items))
        for name, rows in (("user_xs", user_rows), ("item_xs", pos_rows), ("item_xs", neg_rows)):
            if not rows.isfinite().all():
                expected = "finite in every row that is read (smaller learning rate? clipping?)"
                raise invalid(self, name, expected, "NaN or inf")
        made = self.make(chosen, user_rows, pos_rows, neg_rows)
        if made.loss is not None and hopeless is not None and hopeless.any():
            rows = ~hopeless
            useful = self.make(chosen.part(rows), user_rows[rows], pos_rows[rows], neg_rows[rows])
            made.loss = useful.loss
        return made

    def forward(
        self,
        batch: HeteroData | Data,
        x_dict: Embeddings | None = None,
        generator: torch.Generator | None = None,
    ) -> HeteroData | Data:
        """Samples negatives on a mini-batch or a graph, in either of PyG's forms.

        Args:
            batch: `HeteroData` with `src_index [B]` on users and `dst_pos_index [B]` on items
                (both on the graph itself for homogeneous `Data`), as PyG's
                `neg_sampling='triplet'`. If the loader has drawn `dst_neg_index`, `[B]` or
                `[B, M]`, these are the candidates; in a sampled subgraph (with `n_id`), known
                positives among them are replaced by others of the row, if this sampler has
                `candidates` to know them by. Or, with neither: positives in
                `edge_label_index [2, B]`, the binary form.
            x_dict: Embeddings of the batch's nodes: `{node type: [N, D]}`, or layers of these in
                any form of :func:`pyg_negsamp.layers.layers_by_type`; for `Data` the table alone.
                Samplers that choose without looking at embeddings work without it, and can be
                the `transform=` of a loader.
            generator: Source of randomness, on the device of the batch.

        Returns:
            A copy of `batch` with `dst_neg_index` (`[B, K]`, or `[B, K, H]`; left out if no
            items stand behind the negatives), with `dst_neg_xs` `[B, K, H, D]` if embeddings
            were given, and with `dst_neg_weight`, `dst_neg_loss`, `dst_neg_log_q`,
            `dst_pos_log_q` and `dst_neg_shared_xs` (`[K, H, D]`) where the method has them, see
            :class:`Negatives`.
            In a sampled subgraph, rows whose candidates are all known positives get weight 0, and
            no part in `dst_neg_loss`; the others get 1 unless the method has weights of its own.
            In the binary form, `K` links per positive are appended to `edge_label_index`, with
            `edge_label` 0, and weights to `edge_label_weight`, with 1 for the positives.
            The argument is not changed.

        Raises:
            ValueError: If a field or the embeddings are missing, besides what :meth:`sample`
                raises.
        """
        self._warn_untold()
        if not isinstance(batch, HeteroData | Data):
            expected = "a HeteroData or Data mini-batch; for tensors there is sampler.sample(...)"
            raise invalid(self, "batch", expected, short(batch))
        batch = copy.copy(batch)
        num = self.num_candidates if self.takes_candidates else None
        found = read_positives(self, batch, self.edge_type, self.candidates, num, generator)
        check_generator(self, generator, found.user.device)
        self._check_known(*found.named_globally)
        if self.needs_global_ids and "n_id" in stores(batch, self.edge_type)[1]:
            expected = (
                "in the numbering of the whole graph, by which this sampler knows its nodes, as "
                "pyg_negsamp.training.LinkLoader makes it; in sampled subgraphs take DNS, say"
            )
            raise invalid(self, "batch", expected, "a sampled subgraph (n_id)")
        if found.time is not None and found.candidates is None and self.takes_candidates:
            found.candidates = self.draw(found.user, found.pos, generator, found.time)
        links = found.binary or self.as_links
        mixes = type(self).synthesize is not NegativeSampling.synthesize
        if links and (mixes or not self.finds_items):
            self._refuse_links(found.binary, "the negatives of this sampler are no items")
        if x_dict is None:
            if self.reads_embeddings or not self.takes_candidates:
                expected = (
                    "the embeddings that this sampler scores with: call it in the loop, after the "
                    "encoder, sampler(batch, x_dict); without any, as the transform of a loader, "
                    "only samplers that read none work, such as RNS and PNS"
                )
                raise invalid(self, "x_dict", expected, None)
            chosen = self.choose(found.user, found.pos, (), (), found.candidates, generator)
            write_negatives(batch, self.edge_type, found, chosen.index, as_links=self.as_links)
            return batch
        if isinstance(batch, HeteroData) and not has_types(x_dict):
            first, _, last = self.edge_type
            if first != last:
                expected = f"a table per node type, {{'{first}': x[:U], '{last}': x[U:]}}"
                raise invalid(self, "x_dict", expected, short(x_dict))
        user_xs, item_xs = self._ends(x_dict)
        negatives = self._sample(
            found.user,
            found.pos,
            user_xs,
            item_xs,
            found.candidates,
            generator,
            found.size,
            found.named_globally,
            found.hopeless,
        )
        index = negatives.index
        if links and index is not None and index.dim() == 3 and index.size(2) > 1:
            self._refuse_links(found.binary, "this sampler chooses an item per layer")
        write_negatives(batch, self.edge_type, found, index, negatives, self.as_links)
        return batch

    def _refuse_links(self, binary: bool, why: str) -> NoReturn:
        """Says why negatives cannot be links."""
        way = "(read their embeddings from 'dst_neg_xs', or take a sampler of items, such as DNS)"
        if not binary:
            raise invalid(self, "as_links", f"False, because {why} {way}", True)
        expected = f"in the triplet form, 'src_index' and 'dst_pos_index', because {why} {way}"
        raise invalid(self, "batch", expected, "edge_label_index, the binary form")

    def _ends(self, x_dict: Embeddings) -> list[Sequence[Tensor]]:
        """The layers of users and of items; on homogeneous graphs they are the same."""
        ends = (self.edge_type[0], self.edge_type[2])
        return layers_by_type(x_dict, ends, self.layers, self)

    def _whole_tables(self, x_dict: Embeddings) -> tuple[Tensor, Tensor]:
        """The pooled vectors of all users and of all items, for :meth:`refresh`."""
        users, items = (pool_layers(xs, self.pool).detach() for xs in self._ends(x_dict))
        if self.candidates is not None:
            size = (self.candidates.num_users, self.candidates.num_items)
            check_lengths(self, len(users), len(items), *size)
        if not (users.isfinite().all() and items.isfinite().all()):
            expected = "finite in every row (smaller learning rate? clipping?)"
            raise invalid(self, "x_dict", expected, "NaN or inf")
        return users, items

    @property
    def needs_global_ids(self) -> bool:
        """Whether it looks nodes up by their ids, so that a sampled subgraph would mislead it."""
        return False

    # PyG's transforms take the data alone and print their name alone; a module's methods pass
    # every argument on, and print them.
    __call__ = torch.nn.Module.__call__
    __repr__ = torch.nn.Module.__repr__

    def _check_known(self, user: Tensor, pos: Tensor) -> None:
        """Refuses positives `[B]` that the candidates do not know."""
        if not self.check_positives or self.candidates is None:
            return
        if user.device.type != "cpu":
            if self._looked:
                return
            self._looked = True
        check_known(self, self.candidates, user, pos)

    def extra_repr(self) -> str:
        """What `print` shows between the brackets."""
        return (
            f"num_candidates={self.num_candidates}, num_negatives={self.num_negatives}, "
            f"pool={self.pool!r}"
        )
