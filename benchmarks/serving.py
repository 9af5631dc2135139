"""How long recommending to everybody takes, beside the bare product.

python benchmarks/serving.py                              # 10^5 users x 10^5 items, D = 64, top 10
python benchmarks/serving.py --users 10000                # shorter: everything is per user

The bare product multiplies the same blocks of users with all items, and keeps nothing. Run it on an
idle machine.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable

import pandas as pd
import torch

from pyg_negsamp.evaluation.full_rank import BLOCK_BYTES
from pyg_negsamp.serving import TrainedModel
from pyg_negsamp.serving.ids import Ids
from pyg_negsamp.serving.links import SavedLinks
from pyg_negsamp.serving.ranking import Tables
from pyg_negsamp.serving.store import Parts


def random_model(num_users: int, num_items: int, dim: int, per_user: int) -> TrainedModel:
    """Random tables, and as many links per user; every item has one."""
    torch.manual_seed(0)
    user = torch.arange(num_users).repeat_interleave(per_user)
    item = torch.randint(num_items, (len(user),))
    item[: min(num_items, len(item))] = torch.arange(num_items)[: len(item)]
    key = torch.unique(user * num_items + item)
    links = SavedLinks(
        key // num_items,
        key % num_items,
        torch.zeros(len(key), dtype=torch.uint8),
        torch.ones(len(key), dtype=torch.int32),
        num_users,
        num_items,
    )
    tables = Tables(torch.randn(num_users, dim), torch.randn(num_items, dim))
    ids = [
        Ids(pd.Index([f"{kind}{n}" for n in range(size)]), kind)
        for kind, size in (("user", num_users), ("item", num_items))
    ]
    record = {"config": {}, "metrics": {}, "method": {"class": "random"}}
    return TrainedModel(Parts(tables, links, ids[0], ids[1], record, {}))


def seconds(run: Callable[[], None]) -> tuple[float, float]:
    """How long it takes, once: on the clock, and of all cores."""
    started, cores = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - started, time.process_time() - cores


def main() -> None:
    """Prints seconds, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--top-k", type=int, default=10)
    parser.add_argument("--links", type=int, default=50, help="per user")
    parser.add_argument("--repeats", type=int, default=1)
    args = parser.parse_args()
    model = random_model(args.users, args.items, args.dim, args.links)
    tables = model._ranking
    assert isinstance(tables, Tables)
    users, items = tables.users, tables.items
    block = max(1, BLOCK_BYTES["cpu"] // (4 * args.items))

    def bare() -> None:
        for rows in users.split(block):
            rows @ items.t()

    def ours() -> None:
        for frame in model.recommend_blocks(k=args.top_k):
            assert len(frame)

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(args.repeats):
        product, whole = seconds(bare), seconds(ours)
        print(
            f"{args.users} users x {args.items} items, D = {args.dim}, top {args.top_k}, "
            f"{torch.get_num_threads()} threads: {whole[0]:.1f} s, bare product "
            f"{product[0]:.1f} s, {whole[0] / product[0]:.2f} times as long "
            f"({whole[1] / product[1]:.2f} in seconds of cores, if others compute too)"
        )
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"memory beside tables, ids and links: {(after - before) / 1024:.0f} MiB at most")


if __name__ == "__main__":
    main()
