"""Milliseconds of a training step where several processes share it, on CPU.

python benchmarks/ranks.py --dataset gowalla --root DATA --num-candidates 512
python benchmarks/ranks.py --dataset gowalla --root DATA --num-candidates 512 --devices 2
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import pairwise
from statistics import quantiles
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback

from bench import run_parser
from pyg_negsamp.experiments import Config, load_data
from pyg_negsamp.experiments.methods import make_recommender
from pyg_negsamp.training import fit

#: Steps at the beginning that do not count.
WARM_UP = 20


class Steps(Callback):
    """Notes the time after every step, and ends training after so many."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.ended: list[float] = []

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        """Notes it."""
        self.ended.append(time.perf_counter())
        trainer.should_stop |= len(self.ended) > WARM_UP + self.number

    @property
    def milliseconds(self) -> list[float]:
        """Of each step."""
        return [1000 * (later - sooner) for sooner, later in pairwise(self.ended)][WARM_UP:]


def main(argv: Sequence[str] | None = None) -> None:
    """Trains, and says what a step took."""
    parser = run_parser(__doc__)
    parser.add_argument("--devices", type=int, default=1, help="processes of one thread each")
    parser.add_argument("--steps", type=int, default=50, help="how many count")
    said = vars(parser.parse_args(argv))
    devices, steps = said.pop("devices"), Steps(said.pop("steps"))
    torch.set_num_threads(1)
    config = Config.of(**said)
    train_data, *_ = load_data(config)
    model = make_recommender(config, train_data)
    fit(model, train_data, None, epochs=10_000, device="cpu", devices=devices, callbacks=[steps],
        diagnostics="none", progress=False)  # fmt: skip
    if model.ranks.first:
        took = steps.milliseconds
        quarter, median, _ = quantiles(took, n=4)
        print(f"{devices} of one thread: a step {min(took):.1f} ms at least, "
              f"{quarter:.1f} first quartile, {median:.1f} median")  # fmt: skip


if __name__ == "__main__":
    main()
