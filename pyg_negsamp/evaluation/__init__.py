"""Full-ranking evaluation: embeddings and a split in, metrics out."""

from pyg_negsamp.evaluation.full_rank import Ranked, Scorer, evaluate, rank
from pyg_negsamp.evaluation.leakage import check_leakage
from pyg_negsamp.evaluation.metrics import METRICS, metric_collection

__all__ = [
    "METRICS",
    "Ranked",
    "Scorer",
    "check_leakage",
    "evaluate",
    "metric_collection",
    "rank",
]
