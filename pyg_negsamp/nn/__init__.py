"""Encoders: from the training graph to per-layer embeddings of users and items."""

from pyg_negsamp.nn.ease import EASE
from pyg_negsamp.nn.encoder import Encoder, XDict
from pyg_negsamp.nn.item_knn import ItemKNN
from pyg_negsamp.nn.lightgcn import LightGCN
from pyg_negsamp.nn.mf import MF
from pyg_negsamp.nn.ngcf import NGCF, NGCFConv
from pyg_negsamp.nn.pooling import POOLS, Pool, pool_layers
from pyg_negsamp.nn.popularity_ranking import popularity
from pyg_negsamp.nn.sgl import SGL
from pyg_negsamp.nn.simgcl import SimGCL, XSimGCL

#: Encoders by the name that scripts know them by.
ENCODERS: dict[str, type[Encoder]] = {
    "mf": MF,
    "lightgcn": LightGCN,
    "ngcf": NGCF,
    "sgl": SGL,
    "simgcl": SimGCL,
    "xsimgcl": XSimGCL,
}

__all__ = [
    "EASE",
    "ENCODERS",
    "MF",
    "NGCF",
    "POOLS",
    "SGL",
    "Encoder",
    "ItemKNN",
    "LightGCN",
    "NGCFConv",
    "Pool",
    "SimGCL",
    "XDict",
    "XSimGCL",
    "pool_layers",
    "popularity",
]
