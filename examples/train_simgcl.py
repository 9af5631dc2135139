"""Trains SimGCL with any negative sampler: `python examples/train_simgcl.py --neg dins`."""

from common import main
from pyg_negsamp.nn import SimGCL

if __name__ == "__main__":
    main(SimGCL)
