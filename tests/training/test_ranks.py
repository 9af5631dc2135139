"""Several processes find what one finds."""

from __future__ import annotations

import os
import shutil
import socket
from itertools import chain
from typing import Any
from unittest.mock import patch

import many_ranks as worker
import pytest
import torch
from fresh import CONTEXT
from lightning.fabric.plugins.environments import LightningEnvironment

from pyg_negsamp.training import Ranks, strategy

SIZES = (2, 3)
Found = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[Found]]:
    """What every rank found, by their number; of 1, what one finds alone."""
    folder = tmp_path_factory.mktemp("ranks")
    options = {"epochs": 1, "planned": worker.EPOCHS, "diagnostics": "none"}
    worker.run(worker.made("mf", "nscaching", "bpr"), Ranks(), out=folder / "of 2", **options)
    shutil.copytree(folder / "of 2", folder / "of 3")  # both go on with what one rank began
    started = {}
    for size in SIZES:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        started[size] = [
            CONTEXT.Process(target=worker.be, args=(rank, size, port, folder))
            for rank in range(size)
        ]
        for process in started[size]:
            process.start()
    alone = worker.all_of(Ranks(), folder / "alone")
    for process in chain.from_iterable(started.values()):
        process.join(300)
        assert process.exitcode == 0
    files = {size: [folder / f"{size}-{rank}.pt" for rank in range(size)] for size in SIZES}
    several = {size: [torch.load(file) for file in mine] for size, mine in files.items()}
    return {1: [alone], **several}


ALL = [" ".join(case) for case in worker.CASES]
FOR_THREE = [" ".join(case) for case in worker.FOR_THREE]
SINGLE = [f"{name} single" for name in FOR_THREE]
STEPS = {2: [*ALL, "compose", *SINGLE], 3: [*FOR_THREE, "compose", *SINGLE]}


def distance(one: dict[str, Any], other: dict[str, Any]) -> float:
    pairs = zip(one["parameters"], other["parameters"], strict=True)
    return max(float((a - b).abs().max()) for a, b in pairs if a.numel())


@pytest.mark.parametrize(("size", "name"), [(n, name) for n in SIZES for name in STEPS[n]])
def test_steps_are_those_of_one_rank(found: dict[int, list[Found]], name: str, size: int) -> None:
    (alone,), others = found[1], [rank[name] for rank in found[size]]
    one, first = alone[name], others[0]
    assert all(distance(first, other) == 0 for other in others)  # all ranks agree, bit by bit
    assert first["losses"] == pytest.approx(one["losses"], abs=1e-4)
    if not name.endswith("single"):
        assert distance(one, first) < 1e-9
        assert all(map(torch.equal, one["choices"], first["choices"]))
        assert torch.equal(one["stream"], first["stream"])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "name",
    [
        "run",
        "run whole",
        pytest.param(
            "run neighbours",
            marks=pytest.mark.skipif(not worker.WITH_NEIGHBOURS, reason="needs torch-sparse"),
        ),
        "run resumed",
    ],
)
def test_runs_are_those_of_one_rank(found: dict[int, list[Found]], name: str, size: int) -> None:
    one, ranks = found[1][0][name], [rank[name] for rank in found[size]]
    for other in ranks:
        assert distance(one, other) < 1e-9
        assert other["ends at once"]  # lightning would have ranks talk inside a signal's handler
        assert other["counted"] == one["counted"]
        assert other["best"] == pytest.approx(one["best"], abs=1e-7)
        for mine, theirs in zip(one["history"], other["history"], strict=True):
            assert theirs == pytest.approx(mine, abs=1e-6)


def test_what_is_shared_out(found: dict[int, list[Found]]) -> None:
    """Only what looks at more than a row, or learns tables of its own, is computed by all ranks."""
    whole = {name for name, case in found[2][0].items() if not case["shares"]}
    samplers = {name.split()[1] for name in whole if name.split()[2:3] == ["bpr"]}
    losses = {name.split()[2] for name in whole if name.startswith("mf rns")}
    assert samplers == {"irgan", "advir", "in-batch", "mns", "cbns", "bir"}
    assert losses == {"direct-au", "bsl", "sogclr", "adap-tau", "adv-info-nce"}


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("num", [0, 1, 4, 7])
def test_every_row_is_somebodys(size: int, num: int) -> None:
    ranks = [Ranks(rank, size) for rank in range(size)]
    assert [row for r in ranks for row in range(num)[r.rows(num)]] == [*range(num)]
    assert [r.number_of_rows(num) for r in ranks] == [len(range(num)[r.rows(num)]) for r in ranks]


TORCHRUN = {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "4", "RANK": "3", "LOCAL_WORLD_SIZE": "2"}
BY_HAND = {"NODE_RANK": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
SLURM = {"SLURM_NTASKS": "4", "SLURM_NTASKS_PER_NODE": "2", "SLURM_PROCID": "2"}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [(BY_HAND, 2), ({**BY_HAND, "LOCAL_RANK": "1"}, 3), (TORCHRUN, 3), (SLURM, 2)],
)
def test_ranks_know_themselves(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: int
) -> None:
    monkeypatch.setattr("sys.argv", [__file__])
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert Ranks.here(devices=2, num_nodes=2) == Ranks(expected, 4)


@pytest.mark.parametrize(
    ("environment", "devices", "num_nodes", "complaint"),
    [
        ({}, 0, 1, "devices"),
        (TORCHRUN, 1, 1, "must be 2, as torchrun has started"),
        (SLURM, 3, 1, "the 4 tasks of Slurm"),
        ({}, 2, 2, "'num_nodes' must be 1, unless .* NODE_RANK, MASTER_ADDR, MASTER_PORT say"),
        ({"NODE_RANK": "1"}, 1, 2, "MASTER_ADDR, MASTER_PORT say which one this is"),
        ({**BY_HAND, "NODE_RANK": "2"}, 1, 2, "more than NODE_RANK, which counts from 0 and is 2"),
        ({**BY_HAND, "NODE_RANK": "b"}, 1, 2, "counts from 0 and is b"),
    ],
)
def test_what_was_not_started_so_is_refused(
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    devices: int,
    num_nodes: int,
    complaint: str,
) -> None:
    monkeypatch.setattr("sys.argv", [__file__])
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=complaint):
        Ranks.here(devices, num_nodes)


@pytest.mark.parametrize(
    ("node", "said"), [("0", "waits for 1 more machine at HOST:1\n"), ("1", "")]
)
def test_the_first_of_machines_started_by_hand_says_what_it_waits_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], node: str, said: str
) -> None:
    monkeypatch.setattr(strategy, "_set_num_threads_if_needed", lambda **_: None)
    launcher = strategy.Launcher(LightningEnvironment(), 1, 2)
    with patch.dict(os.environ, {**BY_HAND, "NODE_RANK": node, "MASTER_ADDR": "HOST"}):
        assert launcher.launch(lambda: "done") == "done"
    assert capsys.readouterr().err.removeprefix("pyg-negsamp: ") == said


def test_others_need_a_script_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["-c"])
    with pytest.raises(ValueError, match="unless there is a script"):
        Ranks.here(2)
