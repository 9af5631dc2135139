"""Trains MF with any negative sampler: `python examples/train_mf.py --neg dins`.

The same as `pyg-negsamp train --encoder mf`; `--help` lists the flags.
"""

import sys

from pyg_negsamp.cli import main

if __name__ == "__main__":
    main(["train", "--encoder", "mf", *sys.argv[1:]])
