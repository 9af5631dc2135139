"""Evaluation: embeddings and a split in, metrics out. By full ranking, unless asked otherwise."""

from pyg_negsamp.evaluation.full_rank import Ranked, Scorer, rank
from pyg_negsamp.evaluation.groups import Group, evaluate_groups, user_quartiles
from pyg_negsamp.evaluation.items import Items, item_thirds
from pyg_negsamp.evaluation.leakage import Model, check_leakage, check_not_held
from pyg_negsamp.evaluation.measured import Measured, measure
from pyg_negsamp.evaluation.measures import evaluate, evaluate_users
from pyg_negsamp.evaluation.metrics import (
    ACCURACY,
    DEFAULT,
    METRICS,
    PER_USER,
    Metric,
    check_list_lengths,
    check_metrics,
    metric_collection,
    metric_named,
)
from pyg_negsamp.evaluation.sampled import evaluate_sampled

__all__ = [
    "ACCURACY",
    "DEFAULT",
    "METRICS",
    "PER_USER",
    "Group",
    "Items",
    "Measured",
    "Metric",
    "Model",
    "Ranked",
    "Scorer",
    "check_leakage",
    "check_list_lengths",
    "check_metrics",
    "check_not_held",
    "evaluate",
    "evaluate_groups",
    "evaluate_sampled",
    "evaluate_users",
    "item_thirds",
    "measure",
    "metric_collection",
    "metric_named",
    "rank",
    "user_quartiles",
]
