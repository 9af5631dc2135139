"""Encoders: from the training graph to per-layer embeddings of users and items."""

from pyg_negsamp.nn.encoder import Encoder, XDict
from pyg_negsamp.nn.lightgcn import LightGCN
from pyg_negsamp.nn.mf import MF
from pyg_negsamp.nn.module import FromModule
from pyg_negsamp.nn.ngcf import NGCF, NGCFConv
from pyg_negsamp.nn.sgl import SGL
from pyg_negsamp.nn.simgcl import SimGCL, XSimGCL

#: Encoders by the name that the command knows them by.
ENCODERS: dict[str, type[Encoder]] = {
    "mf": MF,
    "lightgcn": LightGCN,
    "ngcf": NGCF,
    "sgl": SGL,
    "simgcl": SimGCL,
    "xsimgcl": XSimGCL,
}

__all__ = [
    "ENCODERS",
    "MF",
    "NGCF",
    "SGL",
    "Encoder",
    "FromModule",
    "LightGCN",
    "NGCFConv",
    "SimGCL",
    "XDict",
    "XSimGCL",
]
