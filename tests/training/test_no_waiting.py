"""A training step never waits for the device: it reads no number and makes no tensor on the CPU.

Torch's `meta` device has shapes and no numbers. What reads one (`.item()`, `if tensor`, `nonzero`,
`unique`), or mixes devices, raises there.
"""

from __future__ import annotations

import inspect

import pytest
import torch
from torch_geometric.data import HeteroData

from pyg_negsamp.datasets import SyntheticInteractions
from pyg_negsamp.losses import LOSSES, graph_arguments
from pyg_negsamp.nn import ENCODERS, SGL, propagation
from pyg_negsamp.training import LinkLoader, Recommender
from pyg_negsamp.transforms import SAMPLERS


@pytest.fixture(scope="module")
def data() -> HeteroData:
    return SyntheticInteractions("tiny")[0]


def take_a_step(
    data: HeteroData, encoder: str, neg: str, loss: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, cls = ENCODERS[encoder](data, dim=8), SAMPLERS[neg]
    own = {"dim": network.width} if "dim" in inspect.signature(cls.__init__).parameters else {}
    made = LOSSES[loss](**graph_arguments(LOSSES[loss], data, network.width))
    model = Recommender(network, cls(cls.proposal(data), pool=network.pool, **own), made)
    network.start_epoch(None)
    model.sampler.start_epoch(0, 9, network.settled_tables())
    model.to("meta")
    # The sparse product has no `meta` version, and waits for nothing.
    monkeypatch.setattr(propagation, "multiply", lambda adjacency, x: torch.empty_like(x))
    if isinstance(network, SGL):  # drawn for the epoch, on the device where training takes place
        network.views = [[value.to("meta") for value in view] for view in network.views]
    model.generator, model.num_positives = None, 0
    model.loss_sum = torch.zeros((), dtype=torch.double, device="meta")
    batch = next(iter(LinkLoader(data, 64))).to("meta")
    found = model.training_step(batch, 1)
    assert found.device.type == "meta"
    found.backward()


#: Every sampler on one layer, on several, and on several that stand side by side; every encoder
#: with one that reads what it is shown, and with one that does not.
CASES = [(encoder, neg) for encoder in ("mf", "lightgcn", "ngcf") for neg in SAMPLERS]
CASES += [(encoder, neg) for encoder in ENCODERS for neg in ("rns", "dins")]


@pytest.mark.parametrize(("encoder", "neg"), dict.fromkeys(CASES))
def test_no_sampler_and_no_encoder_waits(
    data: HeteroData, encoder: str, neg: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_a_step(data, encoder, neg, "bpr", monkeypatch)


@pytest.mark.parametrize("neg", ["rns", "pris"])
@pytest.mark.parametrize("loss", list(LOSSES))
def test_no_loss_waits(
    data: HeteroData, loss: str, neg: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_a_step(data, "mf", neg, loss, monkeypatch)
