"""Trains SGL with any negative sampler: `python examples/train_sgl.py --neg dins`.

The same as `pyg-negsamp train --encoder sgl`; `--help` lists the flags.
"""

import sys

from pyg_negsamp.cli import main

if __name__ == "__main__":
    main(["train", "--encoder", "sgl", *sys.argv[1:]])
