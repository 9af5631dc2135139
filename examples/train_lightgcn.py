"""Trains LightGCN with any negative sampler: `python examples/train_lightgcn.py --neg dins`.

The same as `pyg-negsamp train --encoder lightgcn`; `--help` lists the flags.
"""

import sys

from pyg_negsamp.cli import main

if __name__ == "__main__":
    main(["train", "--encoder", "lightgcn", *sys.argv[1:]])
