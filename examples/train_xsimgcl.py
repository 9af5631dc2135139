"""Trains XSimGCL with any negative sampler: `python examples/train_xsimgcl.py --neg dins`."""

from common import main
from pyg_negsamp.nn import XSimGCL

if __name__ == "__main__":
    main(XSimGCL)
