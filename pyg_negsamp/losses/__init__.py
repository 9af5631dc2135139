"""Losses on scores of positives `[B]` and negatives `[B, K]`; they never see a sampler."""

from pyg_negsamp.losses.adaptive_tau import AdaptiveTauLoss
from pyg_negsamp.losses.adv_info_nce import AdvInfoNCELoss
from pyg_negsamp.losses.base import NEEDS, RankingLoss, graph_arguments
from pyg_negsamp.losses.bias_aware import BCLoss
from pyg_negsamp.losses.bilateral import BilateralSoftmaxLoss
from pyg_negsamp.losses.bpr import BPRLoss, SoftBPRLoss
from pyg_negsamp.losses.contrastive import ContrastiveLoss
from pyg_negsamp.losses.cosine_contrastive import CosineContrastiveLoss
from pyg_negsamp.losses.direct_au import DirectAULoss
from pyg_negsamp.losses.gbce import GBCELoss
from pyg_negsamp.losses.hard_contrastive import HardContrastiveLoss
from pyg_negsamp.losses.hinge import HingeLoss
from pyg_negsamp.losses.in_batch import InBatchSoftmaxLoss
from pyg_negsamp.losses.llpauc import LLPAUCLoss
from pyg_negsamp.losses.pairwise_softmax import PairwiseSoftmaxLoss
from pyg_negsamp.losses.regularizer import l2_penalty
from pyg_negsamp.losses.self_adversarial import SelfAdversarialLoss
from pyg_negsamp.losses.softmax import KPairBPRLoss, SampledSoftmaxLoss
from pyg_negsamp.losses.softmax_at_k import SoftmaxAtKLoss
from pyg_negsamp.losses.sogclr import SogCLRLoss
from pyg_negsamp.losses.warp import WARPLoss

#: Losses by the name that the command knows them by.
LOSSES: dict[str, type[RankingLoss]] = {
    "bpr": BPRLoss,
    "soft-bpr": SoftBPRLoss,
    "k-pair-bpr": KPairBPRLoss,
    "hinge": HingeLoss,
    "warp": WARPLoss,
    "gbce": GBCELoss,
    "llpauc": LLPAUCLoss,
    "self-adversarial": SelfAdversarialLoss,
    "ccl": CosineContrastiveLoss,
    "direct-au": DirectAULoss,
    "ssm": SampledSoftmaxLoss,
    "in-batch-softmax": InBatchSoftmaxLoss,
    "contrastive": ContrastiveLoss,
    "hcl": HardContrastiveLoss,
    "bsl": BilateralSoftmaxLoss,
    "psl": PairwiseSoftmaxLoss,
    "sl-at-k": SoftmaxAtKLoss,
    "sogclr": SogCLRLoss,
    "adap-tau": AdaptiveTauLoss,
    "bc": BCLoss,
    "adv-info-nce": AdvInfoNCELoss,
}

__all__ = [
    "LOSSES",
    "NEEDS",
    "AdaptiveTauLoss",
    "AdvInfoNCELoss",
    "BCLoss",
    "BPRLoss",
    "BilateralSoftmaxLoss",
    "ContrastiveLoss",
    "CosineContrastiveLoss",
    "DirectAULoss",
    "GBCELoss",
    "HardContrastiveLoss",
    "HingeLoss",
    "InBatchSoftmaxLoss",
    "KPairBPRLoss",
    "LLPAUCLoss",
    "PairwiseSoftmaxLoss",
    "RankingLoss",
    "SampledSoftmaxLoss",
    "SelfAdversarialLoss",
    "SoftBPRLoss",
    "SoftmaxAtKLoss",
    "SogCLRLoss",
    "WARPLoss",
    "graph_arguments",
    "l2_penalty",
]
