"""Full-ranking evaluation: embeddings and a split in, metrics out."""

from pyg_negsamp.evaluation.full_rank import Ranked, evaluate, rank
from pyg_negsamp.evaluation.metrics import METRICS, metric_collection

__all__ = ["METRICS", "Ranked", "evaluate", "metric_collection", "rank"]
