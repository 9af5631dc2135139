"""Trains NGCF with any negative sampler: `python examples/train_ngcf.py --neg dins`."""

from common import main
from pyg_negsamp.nn import NGCF

if __name__ == "__main__":
    main(NGCF)
