"""Trains SimGCL with any negative sampler: `python examples/train_simgcl.py --neg dins`.

The same as `pyg-negsamp train --encoder simgcl`; `--help` lists the flags.
"""

import sys

from pyg_negsamp.cli import main

if __name__ == "__main__":
    main(["train", "--encoder", "simgcl", *sys.argv[1:]])
