"""Losses on scores of positives `[B]` and negatives `[B, K]`; they never see a sampler."""

from pyg_negsamp.losses.bpr import BPRLoss, SoftBPRLoss
from pyg_negsamp.losses.regularizer import l2_penalty

__all__ = ["BPRLoss", "SoftBPRLoss", "l2_penalty"]
