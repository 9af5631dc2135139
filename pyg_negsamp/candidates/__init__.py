"""First pass: item ids that a user has not seen, drawn exactly and without rejection."""

from pyg_negsamp.candidates.base import Candidates
from pyg_negsamp.candidates.pool import PoolCandidates
from pyg_negsamp.candidates.popularity import PopularityCandidates
from pyg_negsamp.candidates.uniform import UniformCandidates

__all__ = ["Candidates", "PoolCandidates", "PopularityCandidates", "UniformCandidates"]
