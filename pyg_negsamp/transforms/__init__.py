"""Second pass: choose, or make, the negatives. One file per paper."""

from pyg_negsamp.transforms.adasir import AdaSIR
from pyg_negsamp.transforms.advir import AdvIR
from pyg_negsamp.transforms.ahns import AHNS
from pyg_negsamp.transforms.ans import ANS
from pyg_negsamp.transforms.base import NegativeSampling
from pyg_negsamp.transforms.bir import BIR
from pyg_negsamp.transforms.bns import BNS
from pyg_negsamp.transforms.cbns import CBNS
from pyg_negsamp.transforms.compose import Compose
from pyg_negsamp.transforms.contrastive import ContrastiveDNS
from pyg_negsamp.transforms.cuco import CuCo
from pyg_negsamp.transforms.dens import DENS
from pyg_negsamp.transforms.dins import DINS
from pyg_negsamp.transforms.divns import DivNS
from pyg_negsamp.transforms.dns import DNS
from pyg_negsamp.transforms.dnsmn import DNSMN
from pyg_negsamp.transforms.in_batch import InBatch
from pyg_negsamp.transforms.irgan import IRGAN
from pyg_negsamp.transforms.mcns import MCNS
from pyg_negsamp.transforms.midx import MIDX
from pyg_negsamp.transforms.mixgcf import MixGCF
from pyg_negsamp.transforms.mns import MNS
from pyg_negsamp.transforms.negatives import Negatives, Selection
from pyg_negsamp.transforms.nscaching import NSCaching
from pyg_negsamp.transforms.pns import PNS
from pyg_negsamp.transforms.pris import PRIS
from pyg_negsamp.transforms.rns import RNS
from pyg_negsamp.transforms.sdns import SDNS
from pyg_negsamp.transforms.shared import SharedSampling
from pyg_negsamp.transforms.srns import SRNS

#: Samplers by the name that the command knows them by.
SAMPLERS: dict[str, type[NegativeSampling]] = {
    "rns": RNS,
    "pns": PNS,
    "dns": DNS,
    "dns-mn": DNSMN,
    "srns": SRNS,
    "cuco": CuCo,
    "ahns": AHNS,
    "dens": DENS,
    "mixgcf": MixGCF,
    "sdns": SDNS,
    "dins": DINS,
    "ans": ANS,
    "contrastive-dns": ContrastiveDNS,
    "irgan": IRGAN,
    "advir": AdvIR,
    "pris": PRIS,
    "bns": BNS,
    "nscaching": NSCaching,
    "adasir": AdaSIR,
    "mcns": MCNS,
    "midx": MIDX,
    "divns": DivNS,
    "in-batch": InBatch,
    "mns": MNS,
    "cbns": CBNS,
    "bir": BIR,
}

__all__ = [
    "AHNS",
    "ANS",
    "BIR",
    "BNS",
    "CBNS",
    "DENS",
    "DINS",
    "DNS",
    "DNSMN",
    "IRGAN",
    "MCNS",
    "MIDX",
    "MNS",
    "PNS",
    "PRIS",
    "RNS",
    "SAMPLERS",
    "SDNS",
    "SRNS",
    "AdaSIR",
    "AdvIR",
    "Compose",
    "ContrastiveDNS",
    "CuCo",
    "DivNS",
    "InBatch",
    "MixGCF",
    "NSCaching",
    "NegativeSampling",
    "Negatives",
    "Selection",
    "SharedSampling",
]
