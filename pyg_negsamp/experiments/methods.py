"""From the names in a configuration to objects."""

from __future__ import annotations

import inspect
import warnings
from functools import cache
from typing import Any

import torch
from torch_geometric.data import HeteroData

from pyg_negsamp.datasets import SyntheticInteractions
from pyg_negsamp.diagnostics import diagnostics_named
from pyg_negsamp.evaluation import Scorer
from pyg_negsamp.experiments.arguments import ConfigError, arguments_of
from pyg_negsamp.experiments.config import Config
from pyg_negsamp.graph import known_links
from pyg_negsamp.losses import LOSSES, RankingLoss, graph_arguments
from pyg_negsamp.memory import shortage
from pyg_negsamp.nn import ENCODERS, Encoder
from pyg_negsamp.references import REFERENCES
from pyg_negsamp.training import LinkLoader, Ranks, Recommender, check_replays, check_schedule
from pyg_negsamp.transforms import SAMPLERS, NegativeSampling


def make_encoder(config: Config, data: HeteroData) -> Encoder:
    """The encoder, over a training graph; its layers and pool by default its own."""
    said = config.encoder
    cls = ENCODERS[said.encoder]
    options: dict[str, Any] = dict(said.arguments)
    if said.layers is not None:
        options["num_layers"] = said.layers
    if said.pool is not None:
        options["pool"] = said.pool
    return cls(data, dim=said.dim, **options)


def make_sampler(config: Config, data: HeteroData, encoder: Encoder) -> NegativeSampling:
    """The sampler, for an encoder, over candidates from the training graph."""
    said = config.sampler
    cls = SAMPLERS[said.neg]
    own: dict[Any, dict[str, Any]] = {cls: {}, cls.proposal: {}}
    for argument in arguments_of("neg", said.neg):
        if argument.name in said.arguments:
            own[argument.target][argument.name] = said.arguments[argument.name]
    if "dim" in inspect.signature(cls).parameters:
        own[cls]["dim"] = encoder.width
    return cls(
        cls.proposal(data, **own[cls.proposal]),
        num_candidates=said.num_candidates,
        num_negatives=said.num_negatives,
        pool=encoder.pool,
        **own[cls],
    )


def make_loss(config: Config, data: HeteroData, encoder: Encoder) -> RankingLoss:
    """The loss, for an encoder, with what it keeps of each user or item of the training graph."""
    cls = LOSSES[config.loss.loss]
    return cls(**graph_arguments(cls, data, encoder.width), **config.loss.arguments)


def make_recommender(config: Config, data: HeteroData) -> Recommender:
    """All that is trained, over one training graph."""
    check_memory(config, data)
    with torch.random.fork_rng(devices=[]):  # what is drawn, is drawn on the CPU
        torch.default_generator.manual_seed(config.training.seed)
        encoder = make_encoder(config, data)
        return Recommender(
            encoder,
            make_sampler(config, data, encoder),
            make_loss(config, data, encoder),
            lr=config.lr,
            l2=config.training.l2,
            k=config.evaluation.top_k,
            seed=config.training.seed,
            rank_by=config.encoder.rank_by,
        )


def try_out(config: Config) -> None:
    """Refuses what could not be run, before data is read: builds all of it on a small graph.

    Raises:
        ValueError: The first reason.
    """
    data = small_graph()
    if config.is_reference:
        make_reference(config, data)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the run itself will say it
        model = make_recommender(config, data)
    said = config.training
    if said.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device", "'auto' or 'cpu': torch sees no CUDA device", said.device)
    model.ranks = Ranks.here(said.devices, said.num_nodes)
    if said.cuda_graph:
        check_replays(model, said.device, said.precision, noticed(config))
    LinkLoader(data, said.batch_size)
    check_schedule(said.epochs, said.patience, said.eval_every)


@cache
def small_graph() -> HeteroData:
    """What a run is tried out on."""
    return SyntheticInteractions("tiny")[0]


def check_memory(config: Config, data: HeteroData) -> None:
    """Refuses a model or batches that cannot fit, before anything is allocated.

    It counts the least that training holds at once, so that nothing is refused which would do.
    """
    links, said, flat = known_links(data), config.sampler, config.flat()
    number = 8 if config.training.precision == "64-true" else 4
    width = config.encoder.dim * number
    table = (links.num_users + links.num_items) * width
    batch = min(config.training.batch_size, links.index.size(1))
    drawn, kept, each = said.num_candidates or 1, said.num_negatives or 1, width
    of_batch = not SAMPLERS[said.neg].takes_candidates
    if of_batch or said.arguments.get("shared"):
        each = 2 * number  # a score and a weight, since vectors are shared
        kept = batch if of_batch and said.num_negatives is None else kept
    # Shared besides the positives: a score and a weight; past ones, with a row for each layer.
    uniform = batch * flat.get("num_uniform", 0) * 2 * number
    past = flat.get("num_cached", 0) * (
        batch * 2 * number + width * ((config.encoder.layers or 0) + 1)
    )
    needs = {
        "dim": table * 4,  # weights, gradient, two of Adam's
        "layers": table * (4 + (config.encoder.layers or 0)),
        "num_candidates": batch * drawn * 8,  # ids
        "num_negatives": batch * kept * each,  # vectors
        "num_uniform": uniform,
        "num_cached": past,
        "batch_size": batch * (drawn * 8 + kept * each) + uniform + past,
    }
    for name, needed in needs.items():
        if (short := shortage(needed)) is not None:
            expected = f"less: it needs {short[0]} of memory, and {short[1]} are free"
            raise ConfigError(name, expected, flat.get(name))


def make_reference(config: Config, data: HeteroData) -> Scorer:
    """A ranking without training."""
    return REFERENCES[config.encoder.encoder](data, **config.encoder.arguments)


def fit_options(config: Config) -> dict[str, Any]:
    """What a configuration says of :func:`pyg_negsamp.training.fit`."""
    said = config.training
    return {
        "epochs": said.epochs,
        "batch_size": said.batch_size,
        "patience": said.patience,
        "eval_every": said.eval_every,
        "device": said.device,
        "devices": said.devices,
        "num_nodes": said.num_nodes,
        "strategy": said.strategy,
        "precision": said.precision,
        "cuda_graph": said.cuda_graph,
        "max_time": said.max_time,
        "diagnostics": noticed(config),
    }


def noticed(config: Config) -> tuple[str, ...]:
    """The diagnostics of a run: no false negatives where validation links are those of test."""
    names = diagnostics_named(config.training.diagnostics)
    on_test = config.evaluation.protocol == "paper"
    return tuple(name for name in names if not (on_test and name == "false-negatives"))
