"""How a sampler scores: as the model that it is trained with."""

from __future__ import annotations

from torch import Tensor

from pyg_negsamp.errors import invalid, one_of, short
from pyg_negsamp.scoring import (
    Score,
    candidate_scores,
    shared_scores,
    similarity_of,
)


class Scored:
    """The part of a sampler that turns users and items into numbers."""

    # In tuples, because a decoder is a part of the model and not of its sampler.
    _given: tuple[Score | None] = (None,)
    _score: tuple[Score] = ("dot",)

    def score_by(self, score: Score | None) -> None:
        """Takes a score, or dot products until a model says otherwise."""
        self._given = (score,)
        self._score = (self._checked("dot" if score is None else score),)

    @property
    def score(self) -> Score:
        """How a user and an item become a number, for samplers that look at scores."""
        return self._score[0]

    @property
    def given_score(self) -> Score | None:
        """What it was told itself; `None` if it follows the model."""
        return self._given[0]

    def _checked(self, score: Score) -> Score:
        if not callable(score):
            one_of(self, "score", score, ("dot", "cosine"))
        return score

    def follow(self, score: Score) -> None:
        """Has the sampler score as the model does that it is trained with.

        Raises:
            ValueError: If it was told another score itself.
        """
        given = self.given_score
        if given is not None and given is not score and given != score:
            expected = f"that of the model, {short(score)}, or left out"
            raise invalid(self, "score", expected, short(given))
        self._score = (self._checked(score),)

    def scores(self, user: Tensor, items: Tensor, candidates: Tensor) -> Tensor:
        """Scores `[B, M]` of rows `[B, D]` with candidates `[B, M]` of a table `[I, D]`."""
        return candidate_scores(user, items, candidates, self.score)

    def pair_scores(self, user: Tensor, item: Tensor) -> Tensor:
        """Scores `[B, K]` of rows `[B, D]` with rows `[B, K, D]`."""
        return similarity_of(self.score)(user, item)

    def shared_scores(self, user: Tensor, item: Tensor) -> Tensor:
        """Scores `[B, n]` of rows `[B, D]` with the same rows `[n, D]` for all: by one product."""
        return shared_scores(self.score, user, item)
