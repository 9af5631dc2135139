"""How fast each stage is, beside PyG in the same run, and how near the machine's limit.

python benchmarks/speed.py --dataset gowalla --root DATA
python benchmarks/speed.py --dataset gowalla --root DATA --quick --check --json speed.json
python benchmarks/speed.py --stages growth --plot plots/      # needs the extra 'bench'

Times are medians. The limit of a stage is the larger of the time to move its bytes at the rate at
which this machine copies, and the time to do its operations at the rate at which it multiplies
matrices; only what the stage cannot do without is counted. Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import torch
import torch_geometric
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.nn.models import LightGCN as PyGLightGCN
from torch_geometric.utils import structured_negative_sampling

from pyg_negsamp.candidates import UniformCandidates
from pyg_negsamp.datasets import BENCHMARKS, PRESETS, InteractionDataset, SyntheticInteractions
from pyg_negsamp.evaluation import evaluate, rank
from pyg_negsamp.graph import EDGE_TYPE, known_links
from pyg_negsamp.nn import MF, Encoder, LightGCN
from pyg_negsamp.training import LinkLoader, Recommender
from pyg_negsamp.training.recommender import roles
from pyg_negsamp.transforms import SAMPLERS

B, D, L = 2048, 64, 3
STAGES = ("draw", "propagate", "step", "parts", "evaluate", "load", "memory", "growth")
#: Most CSR products that a step may take, and the other ratios that `--check` holds.
LIMITS = {"LightGCN-3 + RNS": 10.0, "LightGCN-3 + DNS-32": 13.0, "LightGCN-3 + DINS-64": 17.0}
LEAST_DRAW_SPEEDUP, MOST_EVALUATION_RATIO = 8.0, 2.5


class Cost(NamedTuple):
    """What something cannot do without.

    Attributes:
        bytes: Bytes to move.
        operations: Floating-point operations.
    """

    bytes: float = 0.0
    operations: float = 0.0

    def times(self, factor: float) -> Cost:
        """As often as that."""
        return Cost(self.bytes * factor, self.operations * factor)


@dataclass
class Row:
    """One measurement.

    Attributes:
        stage: Which of `STAGES`.
        name: What was run.
        ms: Median, in milliseconds (or MB, for memory).
        cost: What it cannot do without.
        peer: Whether it is somebody else's code.
    """

    stage: str
    name: str
    ms: float
    cost: Cost = Cost()  # noqa: RUF009
    peer: bool = False


class Bench:
    """Times things on one device, and keeps the rows."""

    def __init__(self, device: str, repeats: int) -> None:
        self.device, self.repeats = device, repeats
        self.rows: list[Row] = []
        copied, size = torch.randn(2**25, device=device), 2048
        square = torch.randn(size, size, device=device)
        target = torch.empty_like(copied)
        #: Bytes per second of a copy, and operations per second of a matrix product.
        self.bandwidth = 2 * copied.nbytes / self.time(lambda: target.copy_(copied))
        self.rate = 2 * size**3 / self.time(lambda: square @ square)

    def time(self, run: Callable[[], object], repeats: int = 0) -> float:
        """Median seconds of `run`, after one that does not count."""
        times = []
        for _ in range((repeats or self.repeats) + 1):
            self.synchronize()
            started = time.perf_counter()
            run()
            self.synchronize()
            times.append(time.perf_counter() - started)
        return statistics.median(times[1:])

    def synchronize(self) -> None:
        """Waits for the device."""
        if self.device == "cuda":
            torch.cuda.synchronize()

    def add(
        self,
        stage: str,
        name: str,
        run: Callable[[], object],
        cost: Cost = Cost(),  # noqa: B008
        peer: bool = False,
        repeats: int = 0,
    ) -> Row:
        """Times `run` and prints its row."""
        row = Row(stage, name, self.time(run, repeats) * 1e3, cost, peer)
        self.rows.append(row)
        self.show(row)
        return row

    def limit(self, row: Row) -> float:
        """The least milliseconds that this machine needs for a row; 0 if not counted."""
        return 1e3 * max(row.cost.bytes / self.bandwidth, row.cost.operations / self.rate)

    def show(self, row: Row) -> None:
        """Prints a row, its traffic and its share of the limit."""
        line = f"{row.stage:<10} {row.name:<44} {row.ms:>10.2f} ms"
        if limit := self.limit(row):
            line += (
                f" {row.cost.bytes / 1e6:>8.0f} MB {row.cost.operations / 1e6:>9.0f} MFLOP"
                f" {limit / row.ms:>6.0%} of the limit"
            )
        print(line, flush=True)

    def ms(self, name: str) -> float | None:
        """The time of a row, if it was measured."""
        return next((row.ms for row in self.rows if row.name == name), None)


def product_cost(nnz: int, nodes: int, dim: int = D) -> Cost:
    """Of a sparse product: indices, values, gathered rows and the result."""
    return Cost(nnz * (8.0 + 4 * dim) + nodes * 4.0 * dim, 2.0 * nnz * dim)


def draw(bench: Bench, data: HeteroData) -> None:
    """Exact candidates, beside PyG's structured sampling."""
    links = known_links(data).index
    user, pos = links[:, torch.randperm(links.size(1))[:B].to(links.device)]
    candidates = UniformCandidates(data).to(bench.device)
    bench.add("draw", "candidates 2048 x 64", lambda: candidates(user, 64), Cost(16.0 * B * 64))
    repeated = torch.stack([user, pos]).repeat_interleave(64, dim=1)
    size = max(candidates.num_users, candidates.num_items)
    bench.add(
        "draw",
        "PyG structured_negative_sampling 2048 x 64",
        lambda: structured_negative_sampling(repeated, size),
        peer=True,
    )


def propagate(bench: Bench, data: HeteroData) -> None:
    """One product, and three layers forward and backward, beside PyG's LightGCN."""
    encoder = LightGCN(data, dim=D, num_layers=L).to(bench.device)
    matrix, x = encoder.adjacency(), encoder.embedding.weight.detach()
    cost = product_cost(matrix.values().numel(), len(x))
    bench.add("propagate", "CSR product", lambda: matrix @ x, cost)
    grad = torch.randn_like(x)

    def ours() -> None:
        x_dict = encoder()
        encoder.zero_grad()
        ends = [torch.stack(list(xs)).mean(0) for xs in x_dict.values()]
        torch.cat(ends).backward(grad)

    bench.add("propagate", "3 layers, autograd", ours, cost.times(2 * L))
    links = known_links(data)
    user = torch.randint(links.num_users, (B,), device=bench.device)
    item = torch.randint(links.num_items, (2 * B,), device=bench.device)

    def fused() -> None:
        encoder.zero_grad()
        users, items = encoder.rows(encoder.tables(), user, item)
        (users.sum() + items.sum()).backward()

    bench.add("propagate", "3 layers, fused read", fused, cost.times(2 * L))

    peer = PyGLightGCN(len(x), D, L).to(bench.device)
    index = links.index + links.index.new_tensor([[0], [links.num_users]])
    both = torch.cat([index, index.flip(0)], dim=1)

    def run_peer(edge_index: Tensor) -> Callable[[], None]:
        def run() -> None:
            peer.zero_grad()
            peer.get_embedding(edge_index).backward(grad)

        return run

    bench.add("propagate", "PyG LightGCN, edge_index", run_peer(both), peer=True, repeats=3)
    if torch_geometric.typing.WITH_TORCH_SPARSE and bench.device == "cpu":
        sparse = torch_geometric.typing.SparseTensor.from_edge_index(
            both, sparse_sizes=(len(x), len(x))
        ).t()
        bench.add("propagate", "PyG LightGCN, SparseTensor", run_peer(sparse), peer=True, repeats=5)


def make_model(data: HeteroData, encoder: type[Encoder], sampler: str, dim: int = D) -> Recommender:
    """A model by the names of the table: `'RNS'`, `'DNS-32'`, `'DINS-64'`."""
    name, _, number = sampler.partition("-")
    cls = SAMPLERS[name.lower()]
    torch.manual_seed(0)
    candidates = UniformCandidates(data)
    model = Recommender(
        encoder(data, dim=dim), cls(candidates, num_candidates=int(number) if number else None)
    )
    model.generator = torch.Generator(data[EDGE_TYPE].edge_index.device).manual_seed(0)
    model.loss_sum = torch.zeros((), dtype=torch.double)
    model.num_positives = 0
    return model


def make_step(device: str, data: HeteroData, model: Recommender) -> Callable[[], None]:
    """A whole training step: sample, loss, backward, optimiser."""
    model.to(device)
    model.loss_sum = model.loss_sum.to(device)
    optimizer = model.configure_optimizers()
    batches = iter(LinkLoader(data, B))

    def step() -> None:
        nonlocal batches
        batch = next(batches, None)
        if batch is None:
            batches = iter(LinkLoader(data, B))
            batch = next(batches)
        loss = model.training_step(batch, 1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    step()  # makes the optimiser's state
    return step


def steps(bench: Bench, data: HeteroData, quick: bool) -> None:
    """Whole training steps."""
    wanted: list[tuple[str, type[Encoder], list[str]]] = [
        ("LightGCN-3", LightGCN, ["RNS", "DNS-32", "DINS-32", "DINS-64"]),
        ("MF", MF, ["RNS", "DNS-32", "DINS-64"]),
    ]
    for name, encoder, samplers in wanted:
        for sampler in samplers:
            if quick and sampler == "DINS-32":
                continue
            step = make_step(bench.device, data, make_model(data, encoder, sampler))
            bench.add("step", f"{name} + {sampler}", step)


def parts(bench: Bench, data: HeteroData) -> None:
    """The parts of a LightGCN-3 + DINS-64 step, one by one."""
    model = make_model(data, LightGCN, "DINS-64").to(bench.device)
    model.loss_sum = model.loss_sum.to(bench.device)
    encoder, sampler, M, H = model.encoder, model.sampler, 64, L + 1
    assert isinstance(encoder, LightGCN)
    batch = next(iter(LinkLoader(data, B)))
    user, pos = batch["user"].src_index, batch["item"].dst_pos_index
    cost = product_cost(encoder.adjacency.column.numel(), encoder.adjacency.num_nodes)
    bench.add(
        "parts", "draw", lambda: sampler.draw(user, pos, model.generator), cost=Cost(16.0 * B * M)
    )
    bench.add("parts", "propagate", encoder.tables, cost.times(L))
    tables, drawn = encoder.tables(), sampler.draw(user, pos, model.generator)
    xs = tables["user"], tables["item"]
    bench.add(
        "parts",
        "score and select",
        lambda: sampler.choose(user, pos, *xs, drawn, model.generator),
        cost=Cost(4.0 * B * M * D * H, 2.0 * B * M * D * H),
    )
    chosen = sampler.choose(user, pos, *xs, drawn, model.generator)
    ids = roles(pos, chosen.index)
    read = 4.0 * 3 * len(pos) * D * H
    bench.add("parts", "gather", lambda: encoder.rows(tables, user, ids), cost=Cost(2 * read))

    def loss_of(user_rows: Tensor, item_rows: Tensor) -> Tensor:
        neg_rows = item_rows[len(pos) :].unflatten(0, chosen.index.shape[:2])
        negatives = sampler.make(chosen, user_rows, item_rows[: len(pos)], neg_rows)
        u, p, n = user_rows.mean(1), item_rows[: len(pos)].mean(1), negatives.xs.mean(2)
        return model.loss((u * p).sum(-1), (u.unsqueeze(1) * n).sum(-1))

    rows = [x.detach().requires_grad_() for x in encoder.rows(tables, user, ids)]
    bench.add("parts", "loss", lambda: loss_of(*rows), cost=Cost(2 * read))

    def forward_backward() -> None:
        encoder.zero_grad()
        loss_of(*encoder.rows(tables, user, ids)).backward()

    forward = bench.time(lambda: loss_of(*encoder.rows(tables, user, ids)))
    row = Row("parts", "backward", (bench.time(forward_backward) - forward) * 1e3)
    row.cost = Cost(L * cost.bytes + 2 * read, L * cost.operations)
    bench.rows.append(row)
    bench.show(row)
    optimizer = model.configure_optimizers()
    bench.add(
        "parts", "optimiser", optimizer.step, cost=Cost(7.0 * 4 * encoder.adjacency.num_nodes * D)
    )


def evaluation(bench: Bench, data: HeteroData, test: HeteroData) -> None:
    """Full ranking of all test users at 20 and 50, beside the bare product of the same size."""
    links = known_links(data)
    x_dict = {
        "user": torch.randn(links.num_users, D, device=bench.device),
        "item": torch.randn(links.num_items, D, device=bench.device),
    }
    users = test[EDGE_TYPE].edge_label_index[0].unique()
    block = max(1, 2**24 // (4 * links.num_items))
    size = 1.0 * len(users) * links.num_items

    def bare() -> None:
        for ids in users.split(block):
            x_dict["user"][ids] @ x_dict["item"].t()

    cost = Cost(4 * size, 2 * size * D)
    for name, run in (
        ("bare product of the same size", bare),
        ("rank, k = 50", lambda: list(rank(x_dict, test, 50))),
        ("rank and all metrics, k = 20 and 50", lambda: evaluate(x_dict, test, (20, 50))),
    ):
        bench.add("evaluate", name, run, cost, repeats=3)


def load_times(bench: Bench, args: argparse.Namespace) -> None:
    """Reading the text files, and reading the cache."""
    if args.dataset not in BENCHMARKS:
        return
    folder = Path(args.root) / args.dataset
    bench.add(
        "load",
        "text files",
        lambda: InteractionDataset.from_files(folder / "train.txt", test=folder / "test.txt"),
        repeats=3,
    )
    bench.add("load", "cached", lambda: InteractionDataset(args.root, args.dataset), repeats=3)


def peak_rss() -> float:
    """Most memory that this process has held, in MB."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage starts from what the parent held
        line = next(row for row in status.read_text().splitlines() if row.startswith("VmHWM"))
        return int(line.split()[1]) / 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def _train_and_report(args: argparse.Namespace, pipe: Connection) -> None:
    data, _, _ = load(args)
    data = data.to(args.device)
    step = make_step(args.device, data, make_model(data, LightGCN, "DINS-64"))
    for _ in range(10):
        step()
    pipe.send(torch.cuda.max_memory_allocated() / 1e6 if args.device == "cuda" else peak_rss())


def memory(bench: Bench, args: argparse.Namespace) -> None:
    """Peak memory of LightGCN-3 + DINS-64 training, in a process of its own."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(
        target=_train_and_report, args=(args, theirs)
    )
    process.start()
    row = Row("memory", "peak of LightGCN-3 + DINS-64 (MB, not ms)", ours.recv())
    process.join()
    bench.rows.append(row)
    print(f"{row.stage:<10} {row.name:<44} {row.ms:>10.0f} MB")


def growth(bench: Bench, data: HeteroData, quick: bool) -> None:
    """A DINS step against candidates, width, layers, and links of synthetic graphs."""

    def step_ms(graph: HeteroData, layers: int, dim: int, candidates: int) -> None:
        torch.manual_seed(0)
        model = make_model(graph, LightGCN, f"DINS-{candidates}", dim)
        model.encoder = LightGCN(graph, dim=dim, num_layers=layers)
        links = graph[EDGE_TYPE].edge_index.size(1)
        name = f"links={links} M={candidates} D={dim} L={layers}"
        bench.add("growth", name, make_step(bench.device, graph, model), repeats=5)

    for candidates in (8, 32, 128, 256):
        step_ms(data, L, D, candidates)
    for dim in (32, 128, 256):
        step_ms(data, L, dim, 32)
    for layers in (1, 2, 4):
        step_ms(data, layers, D, 32)
    for preset in ("small", "medium", "yelp2018", *(() if quick else ("large",))):
        graph, _, _ = SyntheticInteractions(preset)
        step_ms(graph.to(bench.device), L, D, 32)


def ratios(bench: Bench) -> dict[str, tuple[float, str, float]]:
    """What `--check` holds: name, value, `'<='` or `'>='`, bound."""
    found: dict[str, tuple[float, str, float]] = {}
    product = bench.ms("CSR product")
    for name, most in LIMITS.items():
        step = bench.ms(name)
        if product and step:
            found[f"{name}, in CSR products"] = (step / product, "<=", most)
    ours, theirs = (
        bench.ms("candidates 2048 x 64"),
        bench.ms("PyG structured_negative_sampling 2048 x 64"),
    )
    if ours and theirs:
        found["draws, times faster than PyG"] = (theirs / ours, ">=", LEAST_DRAW_SPEEDUP)
    whole, bare = (
        bench.ms("rank and all metrics, k = 20 and 50"),
        bench.ms("bare product of the same size"),
    )
    if whole and bare:
        found["evaluation, in bare products"] = (whole / bare, "<=", MOST_EVALUATION_RATIO)
    for peer in ("PyG LightGCN, edge_index", "PyG LightGCN, SparseTensor"):
        fused, other = bench.ms("3 layers, fused read"), bench.ms(peer)
        if fused and other:
            found[f"3 layers, times faster than {peer}"] = (other / fused, ">=", 1.0)
    dins, rns = bench.ms("LightGCN-3 + DINS-64"), bench.ms("LightGCN-3 + RNS")
    if dins and rns:
        found["DINS-64 step over RNS step"] = (dins / rns, "<=", 1.6)
    return found


def plot(bench: Bench, folder: Path) -> None:
    """The rows of the growth stage, one picture for each of what grows."""
    import matplotlib.pyplot as plt

    folder.mkdir(parents=True, exist_ok=True)
    rows = [row for row in bench.rows if row.stage == "growth"]
    points = [({k: int(v) for k, v in (p.split("=") for p in r.name.split())}, r.ms) for r in rows]
    usual = {"M": 32, "D": D, "L": L}
    own = points[0][0]["links"] if points else 0
    for what in ("links", "M", "D", "L"):
        line = sorted(
            (at[what], ms)
            for at, ms in points
            if all(at[k] == v for k, v in usual.items() if k != what)
            and (what == "links" or at["links"] == own)
        )
        figure, axes = plt.subplots(figsize=(4, 3))
        axes.loglog(*zip(*line, strict=True), marker="o")
        axes.set(xlabel=what, ylabel="ms per step", title="LightGCN + DINS")
        figure.savefig(folder / f"growth-{what}.png", dpi=150, bbox_inches="tight")
        plt.close(figure)


def load(args: argparse.Namespace) -> InteractionDataset:
    """The graph to measure on."""
    if args.dataset in PRESETS:
        return SyntheticInteractions(args.dataset)
    return InteractionDataset(args.root, args.dataset)


def main(argv: list[str] | None = None) -> None:
    """Measures, prints, and checks."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--dataset", default="medium", help="a benchmark or a synthetic preset")
    parser.add_argument("--root", default="datasets", help="folder that holds benchmarks by name")
    parser.add_argument("--stages", nargs="+", choices=STAGES, help="default: all but growth")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--repeats", type=int, default=15, help="runs behind a median")
    parser.add_argument("--json", metavar="FILE", help="write rows, ratios and machine there")
    parser.add_argument("--plot", metavar="DIR", help="draw the growth stage there")
    parser.add_argument("--quick", action="store_true", help="the most telling rows")
    parser.add_argument("--check", action="store_true", help="exit 1 where a ratio is missed")
    args = parser.parse_args(argv)
    try:
        train, _, test = (split.to(args.device) for split in load(args))
    except (ValueError, OSError) as error:
        parser.exit(2, f"{parser.prog}: error: {error}\n")

    quick = ["draw", "propagate", "step", "evaluate"]
    stages = args.stages or (quick if args.quick else list(STAGES[:-1]))
    bench = Bench(args.device, 5 if args.quick else args.repeats)
    machine = {
        "processor": platform.processor() or platform.machine(),
        "device": torch.cuda.get_device_name() if args.device == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torch_geometric": torch_geometric.__version__,
        "torch_sparse": torch_geometric.typing.WITH_TORCH_SPARSE,
        "copy_GB_per_s": bench.bandwidth / 1e9,
        "matmul_GFLOP_per_s": bench.rate / 1e9,
    }
    links = known_links(train)
    print(f"{args.dataset}: {links.num_users} users, {links.num_items} items, "
          f"{links.index.size(1)} links; B = {B}, D = {D}")  # fmt: skip
    print(", ".join(f"{name} {value}" for name, value in machine.items()) + "\n")

    run: dict[str, Callable[[], None]] = {
        "draw": lambda: draw(bench, train),
        "propagate": lambda: propagate(bench, train),
        "step": lambda: steps(bench, train, args.quick),
        "parts": lambda: parts(bench, train),
        "evaluate": lambda: evaluation(bench, train, test),
        "load": lambda: load_times(bench, args),
        "memory": lambda: memory(bench, args),
        "growth": lambda: growth(bench, train, args.quick),
    }
    for stage in stages:
        run[stage]()

    print()
    missed = False
    found = ratios(bench)
    for name, (value, sign, bound) in found.items():
        held = value <= bound if sign == "<=" else value >= bound
        missed |= not held
        print(f"{name:<50} {value:>8.2f}  {sign} {bound:g}{'' if held else '  MISSED'}")
    if args.json:
        rows = [{**asdict(row), "limit_ms": bench.limit(row)} for row in bench.rows]
        result = {"dataset": args.dataset, "machine": machine, "rows": rows, "ratios": found}
        Path(args.json).write_text(json.dumps(result, indent=2) + "\n")
    if args.plot:
        plot(bench, Path(args.plot))
    if args.check and missed:
        sys.exit(1)


if __name__ == "__main__":
    main()
