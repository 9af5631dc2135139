"""Second pass: choose, or make, the negatives. One file per paper."""

from pyg_negsamp.transforms.ahns import AHNS
from pyg_negsamp.transforms.base import Negatives, NegativeSampling, Selection
from pyg_negsamp.transforms.cuco import CuCo
from pyg_negsamp.transforms.dins import DINS
from pyg_negsamp.transforms.dns import DNS
from pyg_negsamp.transforms.dnsmn import DNSMN
from pyg_negsamp.transforms.mixgcf import MixGCF
from pyg_negsamp.transforms.pns import PNS
from pyg_negsamp.transforms.rns import RNS
from pyg_negsamp.transforms.sdns import SDNS

#: Samplers by the name that scripts know them by.
SAMPLERS: dict[str, type[NegativeSampling]] = {
    "rns": RNS,
    "pns": PNS,
    "dns": DNS,
    "dns-mn": DNSMN,
    "cuco": CuCo,
    "ahns": AHNS,
    "sdns": SDNS,
    "mixgcf": MixGCF,
    "dins": DINS,
}

__all__ = [
    "AHNS",
    "DINS",
    "DNS",
    "DNSMN",
    "PNS",
    "RNS",
    "SAMPLERS",
    "SDNS",
    "CuCo",
    "MixGCF",
    "NegativeSampling",
    "Negatives",
    "Selection",
]
