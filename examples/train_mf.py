"""Trains MF with any negative sampler: `python examples/train_mf.py --neg dins`."""

from common import main
from pyg_negsamp.nn import MF

if __name__ == "__main__":
    main(MF)
