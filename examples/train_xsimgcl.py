"""Trains XSimGCL with any negative sampler: `python examples/train_xsimgcl.py --neg dins`.

The same as `pyg-negsamp train --encoder xsimgcl`; `--help` lists the flags.
"""

import sys

from pyg_negsamp.cli import main

if __name__ == "__main__":
    main(["train", "--encoder", "xsimgcl", *sys.argv[1:]])
