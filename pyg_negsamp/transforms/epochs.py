"""How a sampler hears of epochs: for schedules, and to look at the whole table."""

from __future__ import annotations

import warnings

import torch

from pyg_negsamp.layers import Embeddings


class Epochs:
    """The part of a sampler that is told where training stands.

    A method that has a schedule writes :meth:`set_epoch`; one that looks at the whole table writes
    :meth:`refresh`.
    """

    #: Whether it was told that an epoch begins, or has complained that it was not.
    _told = False

    def start_epoch(
        self,
        epoch: int,
        max_epochs: int,
        x_dict: Embeddings | None = None,
    ) -> None:
        """Tells the sampler that an epoch begins: the one call that a loop of one's own owes it.

        Args:
            epoch: Which epoch, from 0.
            max_epochs: How many there will be.
            x_dict: Embeddings of all nodes of the graph, as for :meth:`forward`. Samplers that look
                at the whole table (:class:`SRNS`, :class:`ContrastiveDNS`) need them.
        """
        self._told = True
        self.set_epoch(epoch, max_epochs)
        if x_dict is not None:
            self.refresh(x_dict)

    @property
    def needs_epochs(self) -> bool:
        """Whether it works otherwise once it knows which epoch it is, or sees the whole table."""
        return type(self).set_epoch is not Epochs.set_epoch or self.needs_whole_table

    @property
    def needs_whole_table(self) -> bool:
        """Whether it works otherwise once it sees the embeddings of all nodes of the graph."""
        return type(self).refresh is not Epochs.refresh

    def _warn_untold(self) -> None:
        """Says once, in a loop that nobody told it about, that it never hears of epochs."""
        if self.needs_epochs and not self._told and not torch.compiler.is_compiling():
            self._told = True
            name = type(self).__name__
            warnings.warn(
                f"{name} was not told of epochs, and stays as it is before the first one: call "
                "sampler.start_epoch(epoch, max_epochs, x_dict) at the start of each",
                stacklevel=4,
            )

    def set_epoch(self, epoch: int, max_epochs: int) -> None:
        """Tells schedules where training stands: `epoch` of `max_epochs`, from 0."""

    def refresh(self, x_dict: Embeddings) -> None:
        """Lets samplers that look at the whole table do so, once per epoch."""
