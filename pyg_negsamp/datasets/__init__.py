"""From any source of interactions to three graphs: train on one, tune on one, test on one.

A source is a named benchmark (`InteractionDataset("datasets", "gowalla")`), your own files or
frame (`InteractionDataset.from_files`, `.from_frame`), or a made-up world whose true
preferences are known (`SyntheticInteractions("small")`). Whatever it is, repeated links are
removed and counted, a split divides what is left (`RandomSplit`, `LatestSplit`, `LeaveOneOut`,
`TemporalSplit`, or the `PredefinedSplit` of the papers), and

    train_data, val_data, test_data = dataset

are bipartite `HeteroData` graphs as PyG's own link splits give them: `edge_index` is what may
be known, `edge_label_index` what is to be learned or ranked. `dataset.report()` tells what the
data hold, and what was wrong with them.
"""

from pyg_negsamp.datasets.benchmarks import (
    BENCHMARKS,
    Benchmark,
    BenchmarkFile,
    content_digest,
)
from pyg_negsamp.datasets.download import DownloadError
from pyg_negsamp.datasets.interactions import InteractionDataset
from pyg_negsamp.datasets.split_base import InteractionSplit
from pyg_negsamp.datasets.splits import LatestSplit, LeaveOneOut, PredefinedSplit, RandomSplit
from pyg_negsamp.datasets.synthetic import PRESETS, SyntheticInteractions, SyntheticPreset
from pyg_negsamp.datasets.temporal import TemporalSplit

__all__ = [
    "BENCHMARKS",
    "PRESETS",
    "Benchmark",
    "BenchmarkFile",
    "DownloadError",
    "InteractionDataset",
    "InteractionSplit",
    "LatestSplit",
    "LeaveOneOut",
    "PredefinedSplit",
    "RandomSplit",
    "SyntheticInteractions",
    "SyntheticPreset",
    "TemporalSplit",
    "content_digest",
]
