"""What is measured: each stage alone, whole steps, and others' code beside ours."""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import torch
import torch_geometric
from torch import Tensor
from torch.nn.functional import normalize
from torch_geometric.data import HeteroData
from torch_geometric.nn.models import LightGCN as PyGLightGCN
from torch_geometric.utils import structured_negative_sampling

from bench import Bench, Cost, Row, median_seconds
from pyg_negsamp.candidates import UniformCandidates
from pyg_negsamp.datasets import BENCHMARKS, PRESETS, InteractionDataset, SyntheticInteractions
from pyg_negsamp.evaluation import evaluate, rank
from pyg_negsamp.evaluation.full_rank import BLOCK_BYTES
from pyg_negsamp.graph import EDGE_TYPE, known_links
from pyg_negsamp.losses import SampledSoftmaxLoss
from pyg_negsamp.nn import MF, Encoder, LightGCN
from pyg_negsamp.scoring import Similarity, shared_scores, similarity_of
from pyg_negsamp.training import LinkLoader, Recommender, fit
from pyg_negsamp.training.memory import freed_memory_kept
from pyg_negsamp.training.step import roles
from pyg_negsamp.transforms import RNS, SAMPLERS

B, D, L = 2048, 64, 3
#: What a softmax over shared rows costs, and what of it is products.
SOFTMAX, PRODUCTS = "softmax of dot products", "three products 2048 x 1024"
#: Synthetic graphs that grow in links.
GROWING = ["small", "medium", "yelp2018-like", "large"]
#: Whole training steps, by encoder and then by sampler with its number of candidates.
STEPS: dict[str, tuple[type[Encoder], list[str]]] = {
    "LightGCN-3": (LightGCN, ["RNS", "DNS-32", "DINS-32", "DINS-64", "SSM-64"]),
    "MF": (MF, ["RNS", "DNS-32", "DINS-64", "SSM-64"]),
}


def load(args: argparse.Namespace) -> InteractionDataset:
    """The graph to measure on."""
    if args.dataset in PRESETS:
        return SyntheticInteractions(args.dataset)
    return InteractionDataset(args.root, args.dataset)


def product_cost(nnz: int, nodes: int, dim: int = D) -> Cost:
    """Of a sparse product: indices, values, gathered rows and the result."""
    return Cost(nnz * (8.0 + 4 * dim) + nodes * 4.0 * dim, 2.0 * nnz * dim)


def draw(bench: Bench, data: HeteroData) -> None:
    """Exact candidates, beside PyG's structured sampling."""
    links = known_links(data).index
    user, pos = links[:, torch.randperm(links.size(1))[:B].to(links.device)]
    candidates = UniformCandidates(data).to(bench.device)
    # Repeated for half a second: a few milliseconds see one of the speeds that a machine may have.
    bench.add(
        "draw",
        "candidates 2048 x 64",
        lambda: candidates(user, 64),
        Cost(16.0 * B * 64),
        repeats=12 * bench.repeats,
    )
    repeated = torch.stack([user, pos]).repeat_interleave(64, dim=1)
    size = max(candidates.num_users, candidates.num_items)
    bench.add(
        "draw",
        "PyG structured_negative_sampling 2048 x 64",
        lambda: structured_negative_sampling(repeated, size),
        peer=True,
        repeats=2 * bench.repeats,
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
    """A model by the names of the table: `'RNS'`, `'DNS-32'`; `'SSM-64'` is a softmax."""
    name, _, number = sampler.partition("-")
    torch.manual_seed(0)
    candidates = UniformCandidates(data)
    if name == "SSM":
        several = RNS(candidates, num_negatives=int(number))
        model = Recommender(encoder(data, dim=dim), several, SampledSoftmaxLoss(0.2))
    else:
        cls = SAMPLERS[name.lower()]
        one = cls(candidates, num_candidates=int(number) if number else None)
        model = Recommender(encoder(data, dim=dim), one)
    model.generator = torch.Generator(data[EDGE_TYPE].edge_index.device).manual_seed(0)
    model.loss_sum = torch.zeros((), dtype=torch.double)
    model.num_positives = 0
    return model


def make_step(device: str, data: HeteroData, model: Recommender) -> Callable[[], None]:
    """A whole training step: sample, loss, backward, optimiser."""
    model.to(device)
    model.loss_sum = model.loss_sum.to(device)
    optimizer = model.make_optimizer()
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
    for name, (encoder, samplers) in STEPS.items():
        for sampler in samplers:
            if quick and sampler == "DINS-32":
                continue
            step = make_step(bench.device, data, make_model(data, encoder, sampler))
            bench.add("step", f"{name} + {sampler}", step)


def profile(bench: Bench, data: HeteroData, steps: int = 10) -> None:
    """Where the time of a LightGCN-3 + DINS-64 step goes, and how often it waits for the device."""
    step = make_step(bench.device, data, make_model(data, LightGCN, "DINS-64"))
    with torch.profiler.profile() as profiler:
        for _ in range(steps):
            step()
    found = profiler.key_averages()
    order = "self_cuda_time_total" if bench.device == "cuda" else "self_cpu_time_total"
    print(found.table(sort_by=order, row_limit=15, max_name_column_width=60))
    waits = ("aten::item", "aten::nonzero", "cudaStreamSynchronize", "cudaDeviceSynchronize")
    for event in found:
        if event.key in waits:
            print(f"{event.key}: {event.count / steps:.1f} per step")


def shared(bench: Bench, data: HeteroData) -> None:
    """A softmax over 1024 uniform items that all rows share, beside its products alone.

    The products are those of the scores, and of their gradient with users and with items.
    """
    K = 1024
    sampler = RNS(data, shared=True, num_negatives=K).to(bench.device)
    batch = next(iter(LinkLoader(data, B)))
    user, pos = batch["user"].src_index, batch["item"].dst_pos_index
    links = known_links(data)
    sizes = links.num_users, links.num_items
    tables = [torch.randn(n, D, device=bench.device) for n in sizes]
    xs = [[x] for x in tables]
    bench.add("shared", "draw and mask", lambda: sampler.choose(user, pos, xs[0], xs[1]))
    chosen = sampler.choose(user, pos, xs[0], xs[1])
    read = (tables[0][user], tables[1][pos], tables[1][chosen.index])
    rows = [normalize(x) for x in read]
    grad = torch.rand(B, K, device=bench.device)

    def products() -> None:
        rows[0] @ rows[2].t(), grad @ rows[2], grad.t() @ rows[0]

    cost = Cost(3 * 4.0 * B * K, 3 * 2.0 * B * K * D)
    bench.add("shared", PRODUCTS, products, cost, repeats=12 * bench.repeats)
    loss = SampledSoftmaxLoss()

    def softmax(score: Similarity, weight: Tensor | None) -> None:
        u, p, n = (x.detach().requires_grad_() for x in rows)
        of_pos = similarity_of(score)(u, p.unsqueeze(1)).squeeze(1)
        loss(of_pos, shared_scores(score, u, n), weight).backward()

    cases: list[tuple[str, Similarity, Tensor | None]] = [
        (SOFTMAX, "dot", None),
        ("softmax of cosines", "cosine", None),
        ("softmax of cosines, with the mask", "cosine", chosen.state[0]),
    ]
    for name, score, weight in cases:
        bench.add("shared", name, partial(softmax, score, weight), cost, repeats=12 * bench.repeats)


def epochs(bench: Bench, train: HeteroData, val: HeteroData) -> None:
    """Whole epochs as training runs them, without validation, beside as many bare steps."""
    batches = -(-known_links(train).index.size(1) // B)
    for name, sampler in (("MF", "RNS"), ("LightGCN-3", "DINS-64")):
        encoder, _ = STEPS[name]
        model = make_model(train, encoder, sampler)
        step = make_step(bench.device, train, model)
        started = time.perf_counter()
        for _ in range(batches):
            step()
        float(model.loss_sum)  # waits for the device
        seconds = time.perf_counter() - started
        bench.keep(Row("epoch", f"{name} + {sampler}, a bare step", seconds * 1e3 / batches))
        for replayed in (False, True) if bench.device == "cuda" else (False,):
            model = make_model(train, encoder, sampler)
            with tempfile.TemporaryDirectory() as out:
                fitted = fit(
                    model,
                    train,
                    val,
                    out,
                    epochs=2,
                    device=bench.device,
                    progress=False,
                    cuda_graph=replayed,
                )
            seconds = fitted.history[-1]["seconds"]  # the first epoch makes the optimiser's state
            how = ", replayed" if replayed else ""
            for what, ms in (
                (f"{name} + {sampler}{how}, an epoch of {batches} steps", seconds * 1e3),
                (f"{name} + {sampler}{how}, a step of it", seconds * 1e3 / batches),
            ):
                bench.keep(Row("epoch", what, ms))


def recbole(bench: Bench, args: argparse.Namespace) -> None:
    """RecBole's steps and evaluation, in the interpreter that has it."""
    folder = Path(args.root) / args.dataset
    command = [args.recbole, str(Path(__file__).with_name("recbole_peer.py")), str(folder)]
    done = subprocess.run(
        [*command, "--repeats", str(bench.repeats)], stdout=subprocess.PIPE, text=True
    )
    if done.returncode:
        raise ValueError(f"--recbole: {args.recbole} left with {done.returncode}")
    result = json.loads(done.stdout.splitlines()[-1])
    print(f"RecBole with {result['versions']}, {result['threads']} threads")
    for name, ms in result["ms"].items():
        bench.keep(Row("recbole", f"RecBole {name}", ms, peer=True))


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
    ids = roles(pos, chosen)
    read = 4.0 * 3 * len(pos) * D * H
    bench.add("parts", "gather", lambda: encoder.rows(tables, user, ids), cost=Cost(2 * read))

    def loss_of(user_rows: Tensor, item_rows: Tensor) -> Tensor:
        neg_rows = chosen.arrange(item_rows[len(pos) :])
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
    bench.keep(row)
    optimizer = model.make_optimizer()
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
    block = max(1, BLOCK_BYTES["cpu"] // (4 * links.num_items))
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


def forget_peak(device: str) -> None:
    """Starts the peak anew, where the system can: what loading took is not training's."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory(device: str) -> float:
    """Most memory that this process has held, in MB: on the GPU, or resident."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 1e6
    status = Path("/proc/self/status")
    if status.exists():  # getrusage starts from what the parent held
        line = next(row for row in status.read_text().splitlines() if row.startswith("VmHWM"))
        return int(line.split()[1]) / 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def train_apart(
    args: argparse.Namespace, dim: int = D, layers: int = L, candidates: int = 64, repeats: int = 10
) -> tuple[int, float, float]:
    """Links, seconds per step and peak MB of LightGCN + DINS, in a process of its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_train, args, dim, layers, candidates, repeats).result()


@freed_memory_kept()
def _train(
    args: argparse.Namespace, dim: int, layers: int, candidates: int, repeats: int
) -> tuple[int, float, float]:
    torch.manual_seed(0)
    data, _, _ = load(args)
    data = data.to(args.device)
    forget_peak(args.device)
    model = make_model(data, LightGCN, f"DINS-{candidates}", dim)
    model.encoder = LightGCN(data, dim=dim, num_layers=layers)
    step = make_step(args.device, data, model)
    seconds = median_seconds(step, args.device, repeats)
    return data[EDGE_TYPE].edge_index.size(1), seconds, peak_memory(args.device)


def memory(bench: Bench, args: argparse.Namespace) -> None:
    """Peak memory of LightGCN-3 + DINS-64 training."""
    _, _, peak = train_apart(args)
    bench.keep(Row("memory", "peak of LightGCN-3 + DINS-64 training", peak_mb=peak))


def growth(bench: Bench, args: argparse.Namespace) -> None:
    """A DINS step and its memory against candidates, width, layers, and synthetic links."""
    usual = {"candidates": 32, "dim": D, "layers": L}
    points = [
        (args.dataset, {**usual, what: value})
        for what, values in (("candidates", (8, 32, 128, 256)), ("dim", (32, 128, 256)),
                             ("layers", (1, 2, 4)))
        for value in values
    ]  # fmt: skip
    presets = ["small", "medium", "yelp2018-like"] if args.quick else GROWING
    points += [(preset, usual) for preset in presets]
    for dataset, how in points:
        on = argparse.Namespace(**{**vars(args), "dataset": dataset})
        links, seconds, peak = train_apart(on, **how, repeats=5)
        name = f"links={links} M={how['candidates']} D={how['dim']} L={how['layers']}"
        bench.keep(Row("growth", name, seconds * 1e3, peak_mb=peak))
