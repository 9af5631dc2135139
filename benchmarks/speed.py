"""How fast each stage is, beside PyG in the same run, and how near the machine's limit.

python benchmarks/speed.py --dataset gowalla --root DATA
python benchmarks/speed.py --dataset gowalla --root DATA --quick --check --json speed.json
python benchmarks/speed.py --stages growth --plot plots/
python benchmarks/speed.py --dataset gowalla --root DATA --recbole OTHER/bin/python

Times are medians. The limit of a stage is the larger of the time to move its bytes at the rate at
which this machine copies, and the time to do its operations at the rate at which it multiplies
matrices; only what the stage cannot do without is counted. Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Callable
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

import torch
import torch_geometric

import stages
from bench import Bench, stolen_seconds
from pyg_negsamp.datasets import BENCHMARKS
from pyg_negsamp.datasets.download import DownloadError
from pyg_negsamp.graph import known_links
from pyg_negsamp.training.memory import freed_memory_kept

STAGES = (
    "draw",
    "propagate",
    "step",
    "shared",
    "parts",
    "epoch",
    "evaluate",
    "load",
    "memory",
    "profile",
    "recbole",
    "growth",
)
#: Most CSR products that a step may take, and the other ratios that `--check` holds.
LIMITS = {"LightGCN-3 + RNS": 10.0, "LightGCN-3 + DNS-32": 13.0, "LightGCN-3 + DINS-64": 17.0}
LEAST_DRAW_SPEEDUP, MOST_EVALUATION_RATIO, MOST_SOFTMAX_RATIO = 8.0, 2.5, 1.75


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
    softmax, products = bench.ms(stages.SOFTMAX), bench.ms(stages.PRODUCTS)
    if softmax and products:
        found["softmax, in its three products"] = (softmax / products, "<=", MOST_SOFTMAX_RATIO)
    for peer in ("PyG LightGCN, edge_index", "PyG LightGCN, SparseTensor"):
        fused, other = bench.ms("3 layers, fused read"), bench.ms(peer)
        if fused and other:
            found[f"3 layers, times faster than {peer}"] = (other / fused, ">=", 1.0)
    dins, rns = bench.ms("LightGCN-3 + DINS-64"), bench.ms("LightGCN-3 + RNS")
    if dins and rns:
        found["DINS-64 step over RNS step"] = (dins / rns, "<=", 1.6)
    for name in ("LightGCN-3 + RNS", "LightGCN-3 + DNS-32", "MF + RNS", "MF + DNS-32"):
        ours, theirs = bench.ms(name), bench.ms(f"RecBole {name}")
        if ours and theirs:
            found[f"{name}, times faster than RecBole"] = (theirs / ours, ">=", 1.0)
    theirs = bench.ms("RecBole evaluation")
    if whole and theirs:
        found["evaluation, times faster than RecBole"] = (theirs / whole, ">=", 1.0)
    return found


def plot(bench: Bench, folder: Path) -> None:
    """The rows of the growth stage, one picture for each of what grows."""
    import matplotlib.pyplot as plt

    rows = [row for row in bench.rows if row.stage == "growth"]
    points = [({k: int(v) for k, v in (p.split("=") for p in r.name.split())}, r) for r in rows]
    usual = {"M": 32, "D": stages.D, "L": stages.L}
    own = points[0][0]["links"] if points else 0
    for what in ("links", "M", "D", "L"):
        line = sorted(
            (at[what], row.ms, row.peak_mb)
            for at, row in points
            if all(at[k] == v for k, v in usual.items() if k != what)
            and (what == "links" or at["links"] == own)
        )
        grown, *measured = zip(*line, strict=True)
        figure, axes = plt.subplots(2, figsize=(4, 5), sharex=True)
        for panel, values, unit in zip(axes, measured, ("ms per step", "peak MB"), strict=True):
            panel.loglog(grown, values, marker="o")
            panel.set(ylabel=unit)
        axes[0].set(title="LightGCN + DINS")
        axes[1].set(xlabel=what)
        figure.savefig(folder / f"growth-{what}.png", dpi=120, bbox_inches="tight")
        plt.close(figure)


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, and leaves with exit code 2."""

    def error(self, message: str) -> NoReturn:
        """Prints `message` alone, without the usage."""
        self.exit(2, f"{self.prog}: error: {' '.join(message.split())}\n")


@freed_memory_kept()  # as training does; what is measured beside it has the same
def main(argv: list[str] | None = None) -> None:
    """Measures, prints, and checks."""
    parser = Parser(
        description=(__doc__ or "").split("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--dataset", default="medium", help="a benchmark or a synthetic preset")
    parser.add_argument("--root", default="datasets", help="folder that holds benchmarks by name")
    parser.add_argument(
        "--stages", nargs="+", choices=STAGES, help="default: all but the last three"
    )
    parser.add_argument(
        "--device",
        choices=["cpu", "cuda"],
        default="cuda" if torch.cuda.is_available() else "cpu",
        help="where",
    )
    parser.add_argument("--repeats", type=int, default=15, help="runs behind a median")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write rows, ratios and machine there"
    )
    parser.add_argument("--plot", type=Path, metavar="DIR", help="draw the growth stage there")
    parser.add_argument(
        "--recbole", metavar="PYTHON", help="interpreter that has RecBole; adds the stage 'recbole'"
    )
    parser.add_argument("--quick", action="store_true", help="the most telling rows")
    parser.add_argument("--check", action="store_true", help="exit 1 where a ratio is missed")
    args = parser.parse_args(argv)
    if args.repeats < 1:
        parser.error(f"--repeats: expected at least 1, got {args.repeats}")
    try:
        for folder in (args.json and args.json.parent, args.plot):
            if folder:
                folder.mkdir(parents=True, exist_ok=True)
        if args.json and args.json.is_dir():
            raise ValueError(f"--json {args.json} is a folder")
        if args.device == "cuda" and not torch.cuda.is_available():
            raise ValueError("--device cuda: torch sees no CUDA device")
        train, val, test = (split.to(args.device) for split in stages.load(args))
    except (ValueError, OSError, DownloadError) as error:
        parser.error(str(error))

    quick = ["draw", "propagate", "step", "evaluate"]
    wanted = args.stages or (quick if args.quick else list(STAGES[:-3]))
    if args.plot and "growth" not in wanted:
        parser.error("--plot needs --stages growth")
    asked = args.recbole is not None
    if not asked and find_spec("recbole"):
        args.recbole = sys.executable
        asked = not args.stages and args.dataset in BENCHMARKS
    if asked and "recbole" not in wanted:
        wanted.append("recbole")
    if "recbole" in wanted and not (args.recbole and args.dataset in BENCHMARKS):
        parser.error("RecBole needs --recbole and a benchmark")
    bench = Bench(args.device, 5 if args.quick else args.repeats)
    machine: dict[str, object] = {
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
          f"{links.index.size(1)} links; B = {stages.B}, D = {stages.D}")  # fmt: skip
    print(", ".join(f"{name} {value}" for name, value in machine.items()) + "\n")

    run: dict[str, Callable[[], None]] = {
        "draw": lambda: stages.draw(bench, train),
        "propagate": lambda: stages.propagate(bench, train),
        "step": lambda: stages.steps(bench, train, args.quick),
        "shared": lambda: stages.shared(bench, train),
        "parts": lambda: stages.parts(bench, train),
        "epoch": lambda: stages.epochs(bench, train, val),
        "evaluate": lambda: stages.evaluation(bench, train, test),
        "load": lambda: stages.load_times(bench, args),
        "memory": lambda: stages.memory(bench, args),
        "profile": lambda: stages.profile(bench, train),
        "recbole": lambda: stages.recbole(bench, args),
        "growth": lambda: stages.growth(bench, args),
    }
    stolen = stolen_seconds()
    for stage in wanted:
        try:
            run[stage]()
        except (ValueError, OSError) as error:
            parser.error(str(error))

    print()
    machine["stolen_CPU_seconds"] = stolen_seconds() - stolen
    print(f"{machine['stolen_CPU_seconds']:.1f} s of CPU time went to other machines meanwhile")
    missed = False
    found = ratios(bench)
    for name, (value, sign, bound) in found.items():
        held = value <= bound if sign == "<=" else value >= bound
        missed |= not held
        print(f"{name:<50} {value:>8.2f}  {sign} {bound:g}{'' if held else '  MISSED'}")
    if args.json:
        rows = [{**asdict(row), "limit_ms": bench.limit(row)} for row in bench.rows]
        result = {"dataset": args.dataset, "machine": machine, "rows": rows, "ratios": found}
        args.json.write_text(json.dumps(result, indent=2) + "\n")
    if args.plot:
        plot(bench, args.plot)
    if args.check and missed:
        sys.exit(1)


if __name__ == "__main__":
    main()
