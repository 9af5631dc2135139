"""The stages put in order: loader, step, run."""

from pyg_negsamp.training.costs import Costs
from pyg_negsamp.training.diagnostics import Diagnostics
from pyg_negsamp.training.false_negatives import FalseNegatives
from pyg_negsamp.training.fit import Fitted, check_schedule, fit, last_checkpoint
from pyg_negsamp.training.links import LinkLoader
from pyg_negsamp.training.neighbors import NeighborLinkLoader
from pyg_negsamp.training.progress import Progress
from pyg_negsamp.training.ranks import RankLostError, Ranks
from pyg_negsamp.training.recommender import NonFiniteLossError, Recommender
from pyg_negsamp.training.replayable import check_replays

__all__ = [
    "Costs",
    "Diagnostics",
    "FalseNegatives",
    "Fitted",
    "LinkLoader",
    "NeighborLinkLoader",
    "NonFiniteLossError",
    "Progress",
    "RankLostError",
    "Ranks",
    "Recommender",
    "check_replays",
    "check_schedule",
    "fit",
    "last_checkpoint",
]
