"""Encoders: from the training graph to per-layer embeddings of users and items."""

from pyg_negsamp.nn.encoder import Encoder, XDict
from pyg_negsamp.nn.lightgcn import LightGCN
from pyg_negsamp.nn.mf import MF
from pyg_negsamp.nn.pooling import POOLS, Pool, pool_layers
from pyg_negsamp.nn.popularity import popularity

__all__ = ["MF", "POOLS", "Encoder", "LightGCN", "Pool", "XDict", "pool_layers", "popularity"]
