"""`pyg-negsamp train --devices 2`, as it starts by itself and as torchrun starts it."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from pathlib import Path

import pytest
from fresh import Python

from pyg_negsamp.cli import main
from pyg_negsamp.training.checkpoints import read_checkpoint

WORDS = ["train", "--dataset", "tiny", "--encoder", "mf", "--neg", "mixgcf", "--dim", "8"]
WORDS += ["--device", "cpu", "--epochs", "2"]


def free_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def test_torchrun_starts_ranks_of_which_the_first_speaks_and_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main([*WORDS, "--out", str(tmp_path / "alone")])
    world = {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    world |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port(), "GROUP_RANK": "0"}
    for name, value in world.items():
        monkeypatch.setenv(name, value)
    ranks = []
    for rank in "01":
        monkeypatch.setenv("RANK", rank)
        monkeypatch.setenv("LOCAL_RANK", rank)
        words = [*WORDS, "--protocol", "refit", "--devices", "2", "--out", "several"]
        ranks.append(Python("-m", "pyg_negsamp", *words, folder=tmp_path))
    first, other = (rank.wait() for rank in ranks)
    assert (first.returncode, other.returncode) == (0, 0), first.stderr + other.stderr
    assert other.stdout + other.stderr == ""
    assert first.stdout.count("val/NDCG@20 0.") == 2  # once per epoch
    assert "popularity" in first.stdout
    one, two = (
        json.loads((tmp_path / name / "metrics.json").read_text())["history"]
        for name in ("alone", "several")
    )
    for mine, theirs in zip(one, two, strict=True):
        mine["seconds"] = theirs["seconds"] = 0
        assert theirs == pytest.approx(mine, abs=1e-4)


def test_a_killed_rank_ends_the_others_and_the_run_goes_on_with_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*WORDS[:-1], "100000", "--patience", "100000", "--diagnostics", "none"]
    first = Python("-m", "pyg_negsamp", *words, "--devices", "2", "--out", "run", folder=tmp_path)
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    while not last.exists():
        assert first.process.is_alive()
        time.sleep(0.1)
    children = Path(f"/proc/{first.pid}/task/{first.pid}/children").read_text().split()
    (other,) = map(int, children)
    os.kill(other, signal.SIGKILL)
    killed = time.monotonic()
    ended = first.wait()
    assert time.monotonic() - killed < 10
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert "another rank has ended, and the run needs all of them; " in ended.stderr
    assert "go on with --resume --out run\n" in ended.stderr
    epochs = len(read_checkpoint(last)["history"]) + 1
    changed = ["--devices", "1", "--epochs", str(epochs)]
    main(["train", "--resume", "--out", str(tmp_path / "run"), *changed])
    assert f"epoch {epochs}/{epochs}" not in ended.stdout
    assert f"epoch {epochs}/{epochs}" in capsys.readouterr().out


SIDE_BY_SIDE = ["compare", "tune", "reproduce ahns/amazon-phones"]
DEVICES, NUM_NODES = (
    f"--{name} must be left out: the runs of" for name in ("devices", "num-nodes")
)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        *((f"{command} --devices 2", DEVICES) for command in SIDE_BY_SIDE),
        *((f"{command} --config config.yaml", DEVICES) for command in SIDE_BY_SIDE[:2]),
        ("tune --num-nodes 2", NUM_NODES),
        *((command, "not started by torchrun: their runs") for command in SIDE_BY_SIDE),
    ],
)
def test_runs_side_by_side_have_a_process_each(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    typed: str,
    expected: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text("dataset: tiny\ndevices: 2\n")
    if "torchrun" in expected:
        monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
        monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SystemExit) as stopped:
        main(typed.split())
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert expected in said
    assert "go side by side, by --jobs N or --cluster ADDRESS" in said
    assert said.count("\n") == 1
