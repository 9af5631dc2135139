"""Trains SGL with any negative sampler: `python examples/train_sgl.py --neg dins`."""

from common import main
from pyg_negsamp.nn import SGL

if __name__ == "__main__":
    main(SGL)
