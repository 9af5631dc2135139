"""Rankings without gradient that every comparison should have beside it."""

from collections.abc import Callable

from pyg_negsamp.references.base import Reference
from pyg_negsamp.references.ease import EASE
from pyg_negsamp.references.item_knn import ItemKNN
from pyg_negsamp.references.popularity import Popularity

#: References by the name that the command knows them by: from a training graph to what ranks.
REFERENCES: dict[str, Callable[..., Reference]] = {
    "popularity": Popularity,
    "item-knn": ItemKNN,
    "ease": EASE,
}

__all__ = ["EASE", "REFERENCES", "ItemKNN", "Popularity", "Reference"]
