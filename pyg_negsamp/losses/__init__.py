"""Losses on scores of positives `[B]` and negatives `[B, K]`; they never see a sampler."""

import torch

from pyg_negsamp.losses.bpr import BPRLoss, SoftBPRLoss
from pyg_negsamp.losses.contrastive import ContrastiveLoss
from pyg_negsamp.losses.regularizer import l2_penalty
from pyg_negsamp.losses.self_adversarial import SelfAdversarialLoss
from pyg_negsamp.losses.softmax import KPairBPRLoss, SampledSoftmaxLoss

#: Losses by the name that the command knows them by.
LOSSES: dict[str, type[torch.nn.Module]] = {
    "bpr": BPRLoss,
    "soft-bpr": SoftBPRLoss,
    "k-pair-bpr": KPairBPRLoss,
    "ssm": SampledSoftmaxLoss,
    "contrastive": ContrastiveLoss,
    "self-adversarial": SelfAdversarialLoss,
}

__all__ = [
    "LOSSES",
    "BPRLoss",
    "ContrastiveLoss",
    "KPairBPRLoss",
    "SampledSoftmaxLoss",
    "SelfAdversarialLoss",
    "SoftBPRLoss",
    "l2_penalty",
]
