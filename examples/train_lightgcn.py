"""Trains LightGCN with any negative sampler: `python examples/train_lightgcn.py --neg dins`."""

from common import main
from pyg_negsamp.nn import LightGCN

if __name__ == "__main__":
    main(LightGCN)
