"""Trains NGCF with any negative sampler: `python examples/train_ngcf.py --neg dins`.

The same as `pyg-negsamp train --encoder ngcf`; `--help` lists the flags.
"""

import sys

from pyg_negsamp.cli import main

if __name__ == "__main__":
    main(["train", "--encoder", "ngcf", *sys.argv[1:]])
