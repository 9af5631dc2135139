"""A quick look at many (user, item) pairs, to tell which of them cannot be known links."""

from __future__ import annotations

import torch
from torch import Tensor

WORD = 64


class BitFilter(torch.nn.Module):
    """Says for most unseen items that they are unseen, without a search.

    Every link owns a word of 64 bits. The words of a user's links lie together, and each of his
    items sets the bit in them that its id leads to. An item whose bit is not set is not his; one
    whose bit is set, may be: one unseen item in 64 to one in 32 is. As a user's words are near each
    other, a row of candidates touches little memory.

    (A hash table with a single row of bits, B. H. Bloom, doi:10.1145/362686.362692.)

    Args:
        first: `[U + 1]` where each user's links start in the list of all of them.
        user: `[E]` the links' users, sorted.
        item: `[E]` their items.
    """

    first: Tensor
    word: Tensor

    def __init__(self, first: Tensor, user: Tensor, item: Tensor) -> None:
        super().__init__()
        self.register_buffer("first", first, persistent=False)
        # One word more than links: users without links look there, or at their neighbour's.
        word = torch.zeros(len(user) + 1, dtype=torch.int64, device=user.device)
        bit = (self._word(user, item) * WORD + item % WORD).unique()
        word.index_add_(0, bit // WORD, torch.ones_like(bit) << bit % WORD)
        self.register_buffer("word", word, persistent=False)

    def _word(self, user: Tensor, item: Tensor) -> Tensor:
        """Which word holds the item's bit: of a power of two of them, at most one per link."""
        degree = self.first[user + 1] - self.first[user]
        _, exponent = torch.frexp(degree.double())
        last = (1 << (exponent.long() - 1).clamp(min=0)) - 1
        return ((item >> 6) & last).add_(self.first[user])

    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        """Which pairs may be known links.

        Args:
            user: `[B]` user ids.
            item: `[B, M]` item ids.

        Returns:
            `[B, M]`, 0 where the pair is certainly unknown, 1 where it may be known; int64.
        """
        word = self.word[self._word(user.unsqueeze(1), item)]
        return (word >> (item & (WORD - 1))) & 1
