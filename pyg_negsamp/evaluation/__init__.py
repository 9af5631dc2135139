"""Evaluation: embeddings and a split in, metrics out. By full ranking, unless asked otherwise."""

from pyg_negsamp.evaluation.full_rank import (
    Ranked,
    Scorer,
    evaluate,
    evaluate_users,
    rank,
)
from pyg_negsamp.evaluation.groups import Group, evaluate_groups, item_thirds, user_quartiles
from pyg_negsamp.evaluation.leakage import Model, check_leakage, check_not_held
from pyg_negsamp.evaluation.metrics import METRICS, metric_collection
from pyg_negsamp.evaluation.sampled import evaluate_sampled

__all__ = [
    "METRICS",
    "Group",
    "Model",
    "Ranked",
    "Scorer",
    "check_leakage",
    "check_not_held",
    "evaluate",
    "evaluate_groups",
    "evaluate_sampled",
    "evaluate_users",
    "item_thirds",
    "metric_collection",
    "rank",
    "user_quartiles",
]
