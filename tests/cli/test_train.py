"""`pyg-negsamp train`, and the scripts that call it, as their users do."""

from __future__ import annotations

import json
import os
import runpy
import signal
import sys
from pathlib import Path

import pytest
import torch
import yaml
from conftest import ROOT
from fresh import Python
from small_table import until

import pyg_negsamp
from pyg_negsamp import cli
from pyg_negsamp.cli import main, train
from pyg_negsamp.evaluation import ACCURACY
from pyg_negsamp.experiments import Config
from pyg_negsamp.nn import ENCODERS
from pyg_negsamp.serving import TrainedModel

QUICK = ["--dataset", "tiny", "--epochs", "2", "--dim", "8", "--device", "cpu"]


def run(out: Path, *flags: str, encoder: str = "mf") -> dict:
    main(["train", "--encoder", encoder, *QUICK, "--out", str(out), *flags])
    return json.loads((out / "metrics.json").read_text())


def error(capsys: pytest.CaptureFixture[str], *flags: str) -> str:
    with pytest.raises(SystemExit) as stopped:
        main(["train", "--encoder", "mf", *QUICK, *flags])
    said = capsys.readouterr().err
    assert stopped.value.code == 2
    assert said.count("\n") == 1, said
    return said


@pytest.mark.parametrize(
    ("neg", "encoder"),
    [("rns", "mf"), ("dins", "lightgcn"), ("srns", "mf"), ("irgan", "lightgcn"), ("mns", "mf")],
)
def test_samplers_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], neg: str, encoder: str
) -> None:
    result = run(tmp_path, "--neg", neg, encoder=encoder)
    said = capsys.readouterr().out
    assert "train links" in said
    assert f"{encoder} + {neg}" in said
    assert said.index("val/NDCG@20") < said.index("popularity")
    assert result["protocol"] == "clean"
    assert set(result["test"]) == set(result["popularity"]) >= {"Recall@20", "NDCG@50"}
    assert len(result["history"]) == 2
    assert (tmp_path / "checkpoints" / "best.ckpt").exists()


@pytest.mark.parametrize("name", list(ENCODERS))
def test_every_encoder_has_its_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["train", *QUICK, "--out", str(tmp_path)])
    runpy.run_path(str(ROOT / "examples" / f"train_{name}.py"), run_name="__main__")
    assert f"{name} + dins" in capsys.readouterr().out


def test_flags_reach_the_encoder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--encoder-view", "walk", "--encoder-weight", "0", "--layers", "2"]
    silent = run(tmp_path / "silent", *flags, encoder="sgl")
    plain = run(tmp_path / "plain", "--layers", "2", encoder="lightgcn")
    # Without weight, SGL is LightGCN; what it draws besides does not touch the negatives.
    assert silent["test"] == plain["test"]
    run(tmp_path / "concat", encoder="ngcf")
    assert TrainedModel.load(tmp_path / "concat").embeddings()[0].shape[1] == 8 * 4
    run(tmp_path / "bias", "--encoder-bias", "--neg", "dens", encoder="mf")
    assert "--encoder-view must be left out: it is for sgl" in error(
        capsys, "--encoder-view", "walk"
    )


@pytest.mark.parametrize("loss", ["soft-bpr", "k-pair-bpr", "ssm", "contrastive"])
def test_every_loss_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str], loss: str) -> None:
    run(tmp_path, "--loss", loss, "--num-negatives", "3")
    assert f"mf + dins + {loss}" in capsys.readouterr().out


def test_flags_reach_sampler_first_pass_and_loss(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path / "a", "--neg", "dins", "--beta", "3.5", "--num-candidates", "7")
    assert "num_candidates=7, num_negatives=1, pool='mean', beta=3.5" in capsys.readouterr().out
    run(tmp_path / "b", "--neg", "pns", "--power", "0.25")
    assert "power=0.25" in capsys.readouterr().out
    run(tmp_path / "c", "--neg", "ans", "--no-gain", "--loss", "ssm", "--loss-temperature", "0.5")
    config = yaml.safe_load((tmp_path / "c" / "config.yaml").read_text())
    assert config["gain"] is False
    assert config["loss_temperature"] == 0.5


def test_config_file_gives_defaults_and_flags_win(tmp_path: Path) -> None:
    config = tmp_path / "run.yaml"
    config.write_text("neg: ahns\nalpha: 0.5\nnum-candidates: 4\ntop_k: [5]\ngain:\n")
    run(tmp_path / "run", "--config", str(config), "--alpha", "0.9")
    written = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert written["neg"] == "ahns"
    assert written["alpha"] == 0.9
    assert written["num_candidates"] == 4
    assert written["top_k"] == [5]
    again = run(tmp_path / "again", "--config", str(tmp_path / "run" / "config.yaml"))
    first = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert again["test"] == first["test"]


def test_the_saved_model_ranks_as_the_run_was_told(tmp_path: Path) -> None:
    """Trained by cosines, ranked by products: selecting, testing and the model say the same."""
    flags = ("--loss", "ssm", "--top-k", "5")
    found = {}
    for by in ("cosine", "dot"):
        result = run(tmp_path / by, *flags, "--rank-by", by, encoder="lightgcn")
        found[by] = [result["test"]["NDCG@5"], result["validation"]]
        model = TrainedModel.load(tmp_path / by)
        assert model.evaluate(k=(5,))["NDCG@5"] == pytest.approx(found[by][0], abs=1e-6)
        users, _ = model.embeddings()
        lengths = torch.from_numpy(users.to_numpy()).norm(dim=1)
        assert bool((lengths - 1).abs().max() < 1e-5) == (by == "cosine")
    assert found["cosine"] != found["dot"]
    assert run(tmp_path / "c", *flags, encoder="lightgcn")["validation"] == found["cosine"][1]


def test_another_method_takes_the_place_of_that_in_a_file(tmp_path: Path) -> None:
    run(tmp_path / "run", "--num-candidates", "4")
    file = str(tmp_path / "run" / "config.yaml")
    main(["train", "--config", file, "--encoder", "item-knn", "--out", str(tmp_path / "knn")])
    written = yaml.safe_load((tmp_path / "knn" / "config.yaml").read_text())
    assert written["encoder"] == "item-knn"
    assert not {"neg", "dim", "epochs", "num_candidates"} & {*written}


def test_resume_reads_the_config_of_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path / "parts", "--neg", "mixgcf", "--lr", "0.01")
    main(["train", "--resume", "--out", str(tmp_path / "parts"), "--epochs", "4"])
    run(tmp_path / "whole", "--neg", "mixgcf", "--lr", "0.01", "--epochs", "4")
    parts, whole = (
        json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("parts", "whole")
    )
    assert parts["test"] == whole["test"]
    assert len(parts["history"]) == 4
    assert "--epochs must be at least 4" in error(
        capsys, "--resume", "--out", str(tmp_path / "parts"), "--epochs", "3", "--neg", "mixgcf"
    )


def test_paper_protocol_says_so_and_selects_on_test(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = run(tmp_path, "--protocol", "paper")
    said = capsys.readouterr().out
    assert "SELECTED ON TEST" in said
    assert f"{'loss':>9} {'test/NDCG@20':>14}" in said
    assert "val/" not in said  # while it trains, too
    (logged,) = (tmp_path / "logs" / "csv").rglob("metrics.csv")
    header = logged.read_text().splitlines()[0].split(",")
    assert "test/NDCG@20" in header
    assert not any(name.startswith("val/") for name in header)
    assert result["protocol"] == "paper"
    best = result["history"][result["best_epoch"] - 1]
    on_test = pytest.approx(result["test"]["NDCG@20"], abs=1e-6)
    assert best["test/NDCG@20"] == result["selected on test"] == on_test
    assert not {"val/NDCG@20", "validation"} & {*best, *result}
    saved = TrainedModel.load(tmp_path).metrics
    assert "validation/NDCG@20" not in saved
    assert saved["selected on test/NDCG@20"] == saved["test/NDCG@20"] == on_test


@pytest.mark.parametrize(
    ("flags", "improving", "below"),
    [
        ("--encoder mf --epochs 2", True, True),
        ("--encoder mf --epochs 3 --eval-every 2", True, True),
        ("--encoder lightgcn --epochs 60 --lr 0.05 --patience 2", False, False),
        ("--encoder ease", False, False),
    ],
)
def test_says_what_one_should_not_conclude_much_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: str, improving: bool, below: bool
) -> None:
    words = ["--dataset", "tiny", "--device", "cpu", "--out", str(tmp_path / "run")]
    main(["train", *words, *flags.split()])
    said = capsys.readouterr().out
    assert ("still improving at the last epoch: " in said) == improving
    assert ("below popularity: " in said) == below


def test_refit_selects_on_validation_and_trains_on_all_of_train(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--lr", "0.5", "--epochs", "8", "--neg", "dns"]
    refit = run(tmp_path / "refit", "--protocol", "refit", *flags)
    said = capsys.readouterr().out
    assert "training anew, on validation links too" in said
    assert f"the model tested is saved in {tmp_path / 'refit' / 'model'}" in said
    clean = run(tmp_path / "clean", *flags)
    best = clean["best_epoch"]
    assert 1 <= best < 8  # so that the end is another
    assert refit["best_epoch"] == best
    assert [e["val/NDCG@20"] for e in refit["history"]] == [
        e["val/NDCG@20"] for e in clean["history"]
    ]
    # The same epochs on the same links; here they are selected by having no others.
    flags[3] = str(best)
    whole = run(tmp_path / "all", "--protocol", "paper", "--eval-every", str(best), *flags)
    assert refit["test"] == whole["test"]
    assert refit["popularity"] == whole["popularity"]
    # Once finished, and once killed in its second part, it ends the same.
    out = str(tmp_path / "refit")
    main(["train", "--resume", "--out", out])
    assert json.loads((tmp_path / "refit" / "metrics.json").read_text())["test"] == whole["test"]
    (tmp_path / "refit" / "refit" / "checkpoints" / "last.ckpt").unlink()
    main(["train", "--resume", "--out", out])
    assert json.loads((tmp_path / "refit" / "metrics.json").read_text())["test"] == whole["test"]


def test_refit_trains_on_repeated_links_too(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    rows = [f"{u},{(u * 3 + i) % 17}" for u in range(20) for i in range(6) for _ in range(i + 1)]
    log.write_text("\n".join(["user,item", *rows]) + "\n")
    flags = ["--dataset", str(log), "--duplicates", "keep"]
    refit = run(tmp_path / "refit", *flags, "--protocol", "refit")
    best = str(refit["best_epoch"])
    flags += ["--protocol", "paper", "--epochs", best, "--eval-every", best]
    assert run(tmp_path / "paper", *flags)["test"] == refit["test"]


def test_refit_does_not_go_on_from_another_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path / "run", "--protocol", "refit")
    (tmp_path / "run" / "checkpoints" / "last.ckpt").unlink()
    said = error(capsys, "--protocol", "refit", "--out", str(tmp_path / "run"))
    assert "refit already holds a run" in said


def test_a_tilde_is_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    main(["train", *QUICK, "--neg", "rns", "--encoder", "mf", "--out=~/runs/first"])
    assert (tmp_path / "runs" / "first" / "model").is_dir()
    model = pyg_negsamp.train(
        "tiny", device="cpu", out="~/runs/second", epochs=1, encoder="mf", neg="rns"
    )
    assert model.users is not None
    assert (tmp_path / "runs" / "second" / "checkpoints").is_dir()
    assert not (tmp_path / "~").exists()


@pytest.mark.parametrize(("encoder", "said"), [("lightgcn", 0), ("mf", 1)])
def test_weights_are_read_or_it_says_so_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], encoder: str, said: int
) -> None:
    rows = [f"{u},{(u * 7 + 3 * n) % 15},{n + 0.5}" for u in range(20) for n in range(8)]
    (tmp_path / "bought.csv").write_text("\n".join(["user,item,pieces", *rows]))
    flags = ["--dataset", str(tmp_path / "bought.csv"), "--weight-column", "pieces"]
    run(tmp_path / "run", *flags, encoder=encoder)
    lines = [line for line in capsys.readouterr().err.splitlines() if "weight" in line]
    assert lines == ["pyg-negsamp train: warning: MF: edge_weight of the graph is not read"] * said


def test_own_files(tmp_path: Path) -> None:
    rows = ["customer;product"] + [f"c{u};p{(u * 3 + i) % 17}" for u in range(20) for i in range(6)]
    log = tmp_path / "log.csv"
    log.write_text("\n".join(row.replace(";", ",") for row in rows) + "\n")
    columns = ["--user-column", "customer", "--item-column", "product"]
    result = run(tmp_path / "a", "--dataset", str(log), *columns)
    assert result["report"]["users"] == 20
    train, test = tmp_path / "train.txt", tmp_path / "test.txt"
    train.write_text("".join(f"{u} {u} {u + 1} {u + 2} {u + 3}\n" for u in range(12)))
    test.write_text("".join(f"{u} {u + 4}\n" for u in range(12)))
    result = run(tmp_path / "b", "--dataset", str(train), "--test-file", str(test))
    assert result["report"]["test_links"] == 12


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--neg foo", "--neg must be one of rns, pns"),
        ("--neg din", "did you mean 'dins'?"),
        ("--epochs x", "--epochs must be a valid integer"),
        ("--epochs 0", "--epochs must be greater than or equal to 1"),
        ("--beta 1 --neg rns", "--beta must be left out: it is for ahns, dins (got 'rns')"),
        ("--loss-tau 1", "--loss-tau must be left out: it is for contrastive"),
        ("--beta -1", "--beta must be a number in [0, inf]"),
        ("--loss ssm --loss-temperature -1", "--loss-temperature must be a number"),
        ("--loss contrastive --loss-tau -1", "--loss-tau must be a number"),
        ("--loss ssm --loss-similarity x", "--loss-similarity must be one of"),
        ("--encoder sgl --encoder-edge-dropout 1.5", "--encoder-edge-dropout must be"),
        ("--encoder lightgcn --layers 999999999", "--layers must be less: it needs"),
        ("--neg --", "argument --neg: expected one argument"),
        ("--out=--", "argument --out: expected one argument"),
        (
            "--dataset nothing.csv --val-file x",
            "--val-file must be left out, or given with --test-file",
        ),
        ("--test-share 0", "--test-share must be greater than 0"),
        ("--val-share 0.9", "--val-share must be with --test-share below 1 in all"),
        ("--top-k 1000001", "--top-k must be list lengths"),
        ("--num-candidates 0", "--num-candidates"),
        ("--lr -1", "--lr must be a number in [0, inf)"),
        ("--seed -1", "--seed"),
        (f"--seed {2**63}", "--seed must be less than"),
        ("--top-k 0", "--top-k"),
        ("--k-core 5", "--k-core"),
        ("--dataset nothing", "--dataset must be a file, a prepared folder, or one of tiny"),
        ("--dataset nothing.csv", "nothing.csv"),
        ("--config nothing.yaml", "nothing.yaml"),
        ("--resume", "--resume needs --out"),
        ("--resume --out nowhere", "there is no run to resume in nowhere"),
        ("--dim 99999999999", "--dim must be less: it needs"),
        ("--warm-start nowhere", "nowhere"),
        ("--layers 2", "--layers must be left out: mf has none"),
        ("--encoder ease --dim 8", "must be left out: ease is not trained"),
        ("--rank-by cos", "--rank-by"),
        ("--split temporal", "time"),
        ("--val-time 3", "--val-time must be given with the other one"),
        ("--unknown 1", "unrecognized arguments"),
        ("--betta 1", "did you mean --beta?"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    flags: str,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    said = error(capsys, *flags.split())
    assert message in said
    assert not list(tmp_path.rglob("metrics.json"))


def test_bad_config_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "bad.yaml"
    for text, message in (
        ("learning_rate: 1", "--learning-rate must be a field of a configuration"),
        ("- a\n- b", "must hold 'field: value' lines"),
        ("lr: [1", "line 1"),
        ("lr: fast", "--lr must be a valid number"),
    ):
        config.write_text(text)
        assert message in error(capsys, "--config", str(config))


def test_a_finished_run_is_not_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path)
    before = (tmp_path / "config.yaml").read_text()
    capsys.readouterr()
    assert "already holds a run" in error(capsys, "--out", str(tmp_path), "--seed", "5")
    assert (tmp_path / "config.yaml").read_text() == before
    assert "is a part of another run" in error(capsys, "--out", str(tmp_path / "model"))
    (tmp_path / "table").mkdir()
    (tmp_path / "table" / "comparison.json").touch()
    assert "holds a table of `compare`" in error(capsys, "--out", str(tmp_path / "table"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_without_cuda(capsys: pytest.CaptureFixture[str]) -> None:
    assert "torch sees no CUDA device" in error(capsys, "--device", "cuda")


@pytest.mark.parametrize("script", ["train_mf.py", "train_lightgcn.py"])
def test_scripts_run_from_anywhere_and_explain_themselves(tmp_path: Path, script: str) -> None:
    done = Python(str(ROOT / "examples" / script), "--help", folder=tmp_path).wait()
    assert done.returncode == 0, done.stderr
    for group in ("data:", "encoder:", "negative sampling:", "loss:", "training:", "evaluation:"):
        assert f"\n{group}" in done.stdout
    said = " ".join(done.stdout.split())
    # Of the methods in question, and of no other.
    assert "dins: Weight of the positive, at least 0." in said
    assert ("lightgcn: Share of links" in said) == (script == "train_lightgcn.py")
    assert "ahns:" not in said


def test_benchmarks_by_name(tmp_path: Path, benchmarks: Path) -> None:
    result = run(tmp_path, "--dataset", "lastfm", "--root", str(benchmarks), "--epochs", "1")
    assert result["report"]["users"] == 640


def test_known_test_links_count_as_misses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], benchmarks: Path
) -> None:
    flags = ("--dataset", "lastfm", "--root", str(benchmarks), "--epochs", "1", "--top-k", "20")
    result = run(tmp_path, *flags, "--eval", "with-known")
    assert "with-known: test links that train has too count as well" in capsys.readouterr().out
    known, new = set(), {}
    for name in ("train.txt", "test.txt"):
        for line in (benchmarks / "lastfm" / name).read_text().splitlines():
            user, *items = map(int, line.split())
            if name == "train.txt":
                known |= {(user, item) for item in items}
            elif items:
                new[user] = sum((user, item) not in known for item in items)
    # Whoever has a hit has it in both; a user of whom all links are known never has one.
    full, other = result["test"], result["test_with_known"]
    users = sum(links > 0 for links in new.values())
    assert users < len(new)
    for name in ("HitRatio@20", "Precision@20"):
        assert other[name] * len(new) == pytest.approx(full[name] * users, rel=1e-5)
    for name in ("Recall@20", "NDCG@20"):
        assert 0 < other[name] * len(new) < full[name] * users
    assert "--eval must be 'full' or 'sampled', but for a benchmark by name" in error(
        capsys, "--eval", "with-known"
    )


def test_sampled_evaluation_stands_beside_full_ranking(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = run(tmp_path, "--neg", "rns", "--eval", "sampled")
    assert "sampled: held-out items among 100 others only" in capsys.readouterr().out
    # Lists out of a sample say nothing of coverage or popularity.
    assert set(result["test_sampled"]) == {f"{name}@{k}" for name in ACCURACY for k in (20, 50)}
    assert "test_sampled" not in run(tmp_path / "full", "--neg", "rns")


def test_a_run_goes_on_with_its_own_flags_or_not_at_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path / "run", "--neg", "rns")
    config = (tmp_path / "run" / "config.yaml").read_text()
    resume = ["train", "--resume", "--out", str(tmp_path / "run"), "--epochs", "3"]
    for flags in (["--dim", "16"], ["--neg", "dns"], ["--seed", "5"]):
        with pytest.raises(SystemExit) as stopped:
            main([*resume, *flags])
        assert stopped.value.code == 2
        assert f"was begun with another {flags[0]}" in capsys.readouterr().err
    file = tmp_path / "run" / "config.yaml"
    assert file.read_text() == config
    for end in (30, -5):  # of a file that was cut off
        file.write_text(config[:end])
        with pytest.raises(SystemExit):
            main(resume)
        assert f"{file} is damaged" in capsys.readouterr().err
    file.write_text(config)
    main(resume)
    assert len(json.loads((tmp_path / "run" / "metrics.json").read_text())["history"]) == 3


def test_flags_of_a_file_are_for_files(capsys: pytest.CaptureFixture[str]) -> None:
    for flag in ("--test-file", "--user-column", "--item-column"):
        assert f"{flag} must be left out: it is for a file, not for tiny" in error(
            capsys, flag, "x"
        )


def test_a_run_does_not_go_on_with_another_encoder_or_other_links(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "own.csv"
    rows = [f"u{u},i{(u * 7 + j * j) % 23}" for u in range(30) for j in range(12)]
    file.write_text("user,item\n" + "\n".join(rows))
    test = tmp_path / "test.csv"
    test.write_text("user,item\n" + "\n".join(f"u{u},i{(u * 7 + 5) % 23}" for u in range(30)))
    run(tmp_path / "run", "--neg", "rns", "--dataset", str(file), "--test-file", str(test))
    config = (tmp_path / "run" / "config.yaml").read_text()
    resume = ["train", "--resume", "--out", str(tmp_path / "run"), "--epochs", "3"]
    with pytest.raises(SystemExit):
        main([*resume, "--encoder", "lightgcn"])
    assert "was begun with another --encoder" in capsys.readouterr().err
    file.write_text("user,item\n" + "\n".join(row.replace("i2", "i1") for row in rows))
    with pytest.raises(SystemExit):
        main(resume)
    assert "was begun with another set of links" in capsys.readouterr().err
    # Nor with other links to test on.
    file.write_text("user,item\n" + "\n".join(rows))
    test.write_text("user,item\n" + "\n".join(f"u{u},i{(u * 7 + 5) % 23}" for u in range(29)))
    with pytest.raises(SystemExit):
        main(resume)
    assert "was begun with another set of links" in capsys.readouterr().err
    # Nor with the same links of other people, whose rows would be those of the first.
    file.write_text("user,item\n" + "\n".join(rows).replace("u", "v"))
    test.write_text("user,item\n" + "\n".join(f"v{u},i{(u * 7 + 5) % 23}" for u in range(30)))
    with pytest.raises(SystemExit):
        main(resume)
    assert "was begun with another set of links, or of ids" in capsys.readouterr().err
    assert (tmp_path / "run" / "config.yaml").read_text() == config


@pytest.mark.parametrize("flag", ["--epochs", "--patience", "--batch-size"])
def test_what_training_refuses_leaves_nothing_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flag: str
) -> None:
    error(capsys, "--out", str(tmp_path / "run"), flag, "0")
    assert not (tmp_path / "run").exists()
    run(tmp_path / "done", "--neg", "rns")
    config = (tmp_path / "done" / "config.yaml").read_text()
    capsys.readouterr()
    error(capsys, "--resume", "--out", str(tmp_path / "done"), flag, "0")
    assert (tmp_path / "done" / "config.yaml").read_text() == config


def test_a_damaged_checkpoint_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path, "--neg", "rns")
    last = tmp_path / "checkpoints" / "last.ckpt"
    whole = last.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], b"no checkpoint at all"):
        last.write_bytes(damaged)
        capsys.readouterr()
        said = error(capsys, "--resume", "--out", str(tmp_path), "--epochs", "3")
        assert "a whole checkpoint" in said


def test_ctrl_c_says_how_to_go_on_where_that_is_possible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    run(tmp_path / "kept", "--neg", "rns")
    monkeypatch.setattr(train, "run_config", interrupted)
    for name, advice in (("none", "before the first checkpoint"), ("kept", "go on with --resume")):
        with pytest.raises(SystemExit) as stopped:
            main(["train", *QUICK, "--out", str(tmp_path / name)])
        assert stopped.value.code == 130
        assert advice in capsys.readouterr().err


def test_runs_of_one_second_have_folders_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train.time, "strftime", lambda _: "now")
    names = set()
    for process in (1, 2):
        monkeypatch.setattr(train.os, "getpid", lambda process=process: process)
        names.add(train.run_name(Config.of(dataset="a/log.csv.gz")))
    assert names == {"lightgcn-dins-log-now-1", "lightgcn-dins-log-now-2"}


def test_sigterm_ends_a_training_with_its_code_and_says_how_to_go_on(tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = ["train", *QUICK, "--encoder", "mf", "--epochs", "100000", "--patience", "100000"]
    run = Python("-m", "pyg_negsamp", *words, "--out", str(out))
    until(lambda: (out / "checkpoints" / "last.ckpt").exists())
    os.kill(run.pid, signal.SIGTERM)
    ended = run.wait()
    assert ended.returncode == 143
    said = ended.stderr.splitlines()[-1]
    assert said == f"pyg-negsamp train: terminated; go on with --resume --out {out}"


def test_ctrl_c_while_a_command_is_imported_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "import_module", interrupted)
    with pytest.raises(SystemExit) as stopped:
        main(["train"])
    assert stopped.value.code == 130
    assert capsys.readouterr().err == "\npyg-negsamp train: interrupted\n"


def test_a_damaged_model_is_refused_before_training_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path / "run")
    (tmp_path / "run" / "model" / "model.yaml").unlink()
    before = (tmp_path / "run" / "checkpoints" / "last.ckpt").stat().st_mtime_ns
    said = error(capsys, "--resume", "--out", str(tmp_path / "run"), "--epochs", "3")
    assert "holds something else than a saved model" in said
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").stat().st_mtime_ns == before
