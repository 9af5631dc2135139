"""First pass: item ids that a user has not seen, drawn exactly and without rejection."""

from pyg_negsamp.candidates.base import Candidates
from pyg_negsamp.candidates.batch import BatchCandidates
from pyg_negsamp.candidates.cells import Cells
from pyg_negsamp.candidates.pool import PoolCandidates
from pyg_negsamp.candidates.popularity import PopularityCandidates
from pyg_negsamp.candidates.reading import Also, Items
from pyg_negsamp.candidates.source import Source, as_candidates
from pyg_negsamp.candidates.uniform import UniformCandidates

__all__ = [
    "Also",
    "BatchCandidates",
    "Candidates",
    "Cells",
    "Items",
    "PoolCandidates",
    "PopularityCandidates",
    "Source",
    "UniformCandidates",
    "as_candidates",
]
