"""The stages put in order: loader, step, run."""

from pyg_negsamp.training.costs import Costs
from pyg_negsamp.training.diagnostics import Diagnostics
from pyg_negsamp.training.false_negatives import FalseNegatives
from pyg_negsamp.training.fit import Fitted, check_schedule, fit, last_checkpoint
from pyg_negsamp.training.links import LinkLoader
from pyg_negsamp.training.neighbors import NeighborLinkLoader
from pyg_negsamp.training.progress import Progress
from pyg_negsamp.training.recommender import NonFiniteLossError, Recommender

__all__ = [
    "Costs",
    "Diagnostics",
    "FalseNegatives",
    "Fitted",
    "LinkLoader",
    "NeighborLinkLoader",
    "NonFiniteLossError",
    "Progress",
    "Recommender",
    "check_schedule",
    "fit",
    "last_checkpoint",
]
