"""`python -m pyg_negsamp`: the command."""

from pyg_negsamp.cli import main

if __name__ == "__main__":
    main()
