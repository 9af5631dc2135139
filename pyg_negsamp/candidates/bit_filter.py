"""A quick look at many (user, item) pairs, to tell which of them cannot be known links."""

from __future__ import annotations

import torch
from torch import Tensor

#: Odd, 2**32 divided by the golden ratio, as int32: its multiples spread well (Knuth).
SPREAD = -1640531527


class BitFilter:
    """Says for most unseen items that they are unseen, without a search.

    Every link owns two words of 32 bits. The words of a user's links lie together, and each of his
    items sets two bits in the one of them that its id leads to. An item of which a bit is not set
    is not his; one whose bits are both set, may be: about one unseen item in 200 is. As a user's
    words are near each other, a row of candidates touches little memory.

    (B. H. Bloom, doi:10.1145/362686.362692, with both bits in one word.)

    Not a module: only the CPU looks things up here, wherever the sampler moves.

    Args:
        first: `[U + 1]` where each user's links start in the list of all of them.
        user: `[E]` the links' users, sorted.
        item: `[E]` their items.
    """

    def __init__(self, first: Tensor, user: Tensor, item: Tensor) -> None:
        first, user, item = first.cpu(), user.cpu(), item.cpu().int()
        # A user's words are a power of two, so that remainders are masks: one less than it.
        _, exponent = torch.frexp(first.diff().double())
        #: `[U, 2]` each user's first word, and how many follow it.
        self.words = torch.stack([first[:-1] * 2, (1 << exponent) - 1], dim=1).int()
        word = self._word(user, item.unsqueeze(1)).flatten().long() * 32
        bit = torch.cat([word + (item & 31), word + (item >> 5 & 31)]).unique()
        # Two words more than links own: users without links look there, or at their neighbour's.
        bits = torch.zeros(2 * len(user) + 2, dtype=torch.int64, device="cpu")
        # Bit 0 is the highest: shifted to the left by its number, a bit becomes the sign.
        bits.index_add_(0, bit // 32, torch.ones_like(bit) << 31 - bit % 32)
        self.bits = bits.int()

    def __call__(self, user: Tensor, item: Tensor) -> Tensor:
        """Which pairs may be known links.

        Args:
            user: `[B]` user ids, on the CPU as all of these.
            item: `[B, M]` item ids.

        Returns:
            `[B, M]` bool, false where the pair is certainly unknown.
        """
        item = item.int()
        word = self.bits.index_select(0, self._word(user, item).view(-1)).view_as(item)
        other = word << (item & 31)
        word <<= (item >> 5).bitwise_and_(31)
        word &= other
        return word < 0

    def _word(self, user: Tensor, item: Tensor) -> Tensor:
        """`[B, M]` int32: which word holds the items' bits, of one or two per link."""
        first, last = self.words.index_select(0, user).unsqueeze(2).unbind(1)
        word = item * SPREAD
        word >>= 12  # the lowest bits of a product depend on the lowest bits of the id alone
        word &= last
        word += first
        return word
