"""How often ANS takes the candidate that DNS would take: table 4 of the ANS paper.

python examples/overlap.py --dataset lastfm --root DATA

Both choose among the same candidates: DNS the one with the highest score, ANS the one whose
augmented form has the highest score with its gain (eq. 13). A share of 1 / M would be chance.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from pyg_negsamp.candidates import UniformCandidates
from pyg_negsamp.diagnostics import overlap
from pyg_negsamp.evaluation import evaluate
from pyg_negsamp.experiments import Config, load_data
from pyg_negsamp.layers import pool_rows
from pyg_negsamp.nn import MF
from pyg_negsamp.training import Recommender, fit
from pyg_negsamp.transforms import ANS, Negatives, Selection


class WatchedANS(ANS):
    """ANS that notes whether its choice is DNS's; it chooses as ever."""

    same, total = 0.0, 0

    def make(self, chosen: Selection, user: Tensor, pos: Tensor, neg: Tensor) -> Negatives:
        """As ANS, besides the count."""
        negatives = super().make(chosen, user, pos, neg)
        with torch.no_grad():
            whole = pool_rows(user, self.pool).unsqueeze(1)
            score = (whole * pool_rows(neg, self.pool)).sum(-1)
            hardest = chosen.index.gather(1, score.argmax(1, keepdim=True))
        assert negatives.index is not None
        self.same += float(overlap(negatives.index, hardest)) * len(user)
        self.total += len(user)
        return negatives


class ByEpoch(Callback):
    """The overlap of every epoch."""

    def __init__(self) -> None:
        self.overlap: list[float] = []

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Recommender) -> None:  # type: ignore[override]
        """Reads the count, and starts it anew."""
        sampler = pl_module.sampler
        assert isinstance(sampler, WatchedANS)
        self.overlap.append(sampler.same / sampler.total)
        sampler.same, sampler.total = 0.0, 0


def run(args: argparse.Namespace) -> list[float]:
    """Trains MF with ANS, prints the overlap, and returns that of every epoch."""
    fields = {"dataset": args.dataset, "root": args.root, "protocol": args.protocol}
    train, val, test = load_data(Config.of(**fields))
    val = test if args.protocol == "paper" else val
    torch.manual_seed(args.seed)
    sampler = WatchedANS(
        UniformCandidates(train),
        num_candidates=args.num_candidates,
        gamma=args.gamma,
        epsilon=args.epsilon,
    )
    model, epochs = Recommender(MF(train), sampler, lr=args.lr, seed=args.seed), ByEpoch()
    fitted = fit(model, train, val, epochs=args.epochs, patience=16, callbacks=[epochs])
    best, seen = fitted.best_epoch + 1, epochs.overlap
    for number in sorted({1, len(seen), best, *range(10, len(seen), 10)}):
        print(f"epoch {number:>3}: {seen[number - 1]:.1%}{'  best' if number == best else ''}")
    found, mean = evaluate(model.scoring_tables(), test), sum(seen[:best]) / best
    print(f"to the best epoch {mean:.1%}, by chance {1 / args.num_candidates:.1%}")
    print(f"test NDCG@20 {found['NDCG@20']:.4f}")
    return seen


def main(argv: Sequence[str] | None = None) -> list[float]:
    """Runs from the command line."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--dataset", default="tiny", help="synthetic, a benchmark, or a file")
    parser.add_argument("--root", default="datasets", help="folder that holds benchmarks by name")
    parser.add_argument("--protocol", choices=["clean", "paper"], default="clean")
    parser.add_argument("--num-candidates", type=int, default=16, metavar="M")
    parser.add_argument("--gamma", type=float, default=0.05, help="weight of the gates' losses")
    parser.add_argument("--epsilon", type=float, default=0.98, help="weight of the gain")
    parser.add_argument("--lr", type=float, default=1e-3, help="learning rate")
    parser.add_argument("--epochs", type=int, default=100, help="most epochs to train")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    try:
        return run(args)
    except ValueError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
