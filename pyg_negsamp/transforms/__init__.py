"""Second pass: choose, or make, the negatives. One file per paper."""

from pyg_negsamp.transforms.base import Negatives, NegativeSampling, Selection
from pyg_negsamp.transforms.dins import DINS
from pyg_negsamp.transforms.dns import DNS
from pyg_negsamp.transforms.mixgcf import MixGCF
from pyg_negsamp.transforms.pns import PNS
from pyg_negsamp.transforms.rns import RNS

#: Samplers by the name that scripts know them by.
SAMPLERS: dict[str, type[NegativeSampling]] = {
    "rns": RNS,
    "pns": PNS,
    "dns": DNS,
    "mixgcf": MixGCF,
    "dins": DINS,
}

__all__ = [
    "DINS",
    "DNS",
    "PNS",
    "RNS",
    "SAMPLERS",
    "MixGCF",
    "NegativeSampling",
    "Negatives",
    "Selection",
]
