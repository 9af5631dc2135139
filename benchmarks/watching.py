"""What a look at training costs, in CPU time, beside the epoch at whose end it is taken.

python benchmarks/watching.py --dataset gowalla --root DATA --encoder mf --neg dns
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import Any

import torch
from lightning.pytorch.callbacks import Callback

from bench import run_parser
from pyg_negsamp.diagnostics import DEFAULT, diagnostics_named
from pyg_negsamp.experiments import Config, load_data
from pyg_negsamp.experiments.methods import make_recommender
from pyg_negsamp.training import Costs, Diagnostics, fit


class Measured(Diagnostics):
    """Diagnostics that note the CPU time of every look."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.looks: list[float] = []

    def on_train_epoch_end(self, *args: Any) -> None:
        """Looks."""
        started = time.process_time()
        super().on_train_epoch_end(*args)
        self.looks.append(time.process_time() - started)


class Epochs(Callback):
    """Notes the CPU time at which every epoch begins."""

    def __init__(self) -> None:
        self.begun: list[float] = []

    def on_train_epoch_start(self, *_: Any) -> None:
        """Notes it."""
        self.begun.append(time.process_time())

    def on_train_end(self, *_: Any) -> None:
        """Notes the end of the last one."""
        self.begun.append(time.process_time())


def main(argv: Sequence[str] | None = None) -> None:
    """Trains with the default diagnostics, and with all."""
    parser = run_parser(__doc__)
    parser.add_argument("--epochs", type=int, default=3)
    said = vars(parser.parse_args(argv))
    torch.set_num_threads(1)
    config = Config.of(**said)
    train_data, val_data, _ = load_data(config)
    for title, names in (("default", DEFAULT), ("all", diagnostics_named("all"))):
        costs, epochs = Costs(), Epochs()
        looked = Measured(train_data, val_data, names, costs)
        callbacks = [*([costs] if "cost" in names else []), looked, epochs]
        model = make_recommender(config, train_data)
        fit(model, train_data, val_data, epochs=config.training.epochs, device="cpu",
            callbacks=callbacks, diagnostics="none", progress=False)  # fmt: skip
        whole = [later - sooner for sooner, later in pairwise(epochs.begun)]
        look, epoch = median(looked.looks), median(whole)
        print(
            f"{title}: a look {1000 * look:.0f} ms of CPU time, the rest of an epoch "
            f"{epoch - look:.2f} s, {look / (epoch - look):.1%}; one in {looked.every} epochs later"
        )


if __name__ == "__main__":
    main()
