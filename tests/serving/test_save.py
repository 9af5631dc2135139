"""Saved and loaded: the same bit by bit, whole or not there, and no damage goes unseen."""

from __future__ import annotations

import os
import random
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from fresh import Python
from full_disks import full_disk
from saved_models import METHODS, dataset, model, recommender, trained

from pyg_negsamp.serving import TrainedModel, folder


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "first"
    model("lightgcn").save(path)
    return path


#: Every method, and every kind of ids with vectors and without.
KEPT = [(method, "text") for method in METHODS]
KEPT += [(method, ids) for ids in ("digits", "integers", "none") for method in ("lightgcn", "ease")]


@pytest.mark.parametrize(("method", "ids"), KEPT)
def test_a_round_trip_changes_nothing(method: str, ids: str, tmp_path: Path) -> None:
    before = model(method, ids)
    before.save(tmp_path / "a" / "model")
    after = TrainedModel.load(tmp_path / "a")  # a run's folder
    assert after.users.equals(before.users)
    assert after.items.equals(before.items)
    assert after.users.dtype == before.users.dtype
    assert after.config == before.config
    assert after.metrics == before.metrics
    assert repr(after) == repr(before)
    for arguments in ({}, {"exclude_seen": False, "k": 33}, {"items": before.items[3:9]}):
        frames = [made.recommend(unknown="popular", **arguments) for made in (before, after)]
        pd.testing.assert_frame_equal(*frames, check_exact=True)
    pd.testing.assert_frame_equal(
        after.similar_items(before.items[:5]), before.similar_items(before.items[:5])
    )
    assert after.evaluate() == before.evaluate()
    assert after.evaluate(dataset(ids)) == before.evaluate(dataset(ids))
    pd.testing.assert_frame_equal(after.evaluate_groups(), before.evaluate_groups())
    after.save(tmp_path / "b")
    for name in folder.FILES:
        assert (tmp_path / "a" / "model" / name).read_bytes() == (
            tmp_path / "b" / name
        ).read_bytes()


def test_ids_of_other_kinds_are_known_by_their_text(tmp_path: Path) -> None:
    data = dataset()
    data.user_ids = pd.date_range("2024-01-01", periods=30)
    data.item_ids = pd.Index(np.arange(40) / 2)
    TrainedModel.from_training(trained("ease", data[0]), data).save(tmp_path / "model")
    found = TrainedModel.load(tmp_path / "model").recommend(["2024-01-03 00:00:00"], items=["0.5"])
    assert found["item"].tolist() in (["0.5"], [])


def test_numbers_beyond_int64_stay_what_they_are(tmp_path: Path) -> None:
    """As text, in all that a model says; asked for as numbers they are found."""
    data = dataset()
    large = np.arange(2**63 - 3, 2**63 + 37, dtype=np.uint64)
    data.user_ids, data.item_ids = pd.Index(large[:30]), pd.Index(large)
    before = TrainedModel.from_training(trained("mf", data[0]), data)
    before.save(tmp_path / "model")
    after = TrainedModel.load(tmp_path / "model")
    assert after.users.tolist() == [*map(str, large[:30].tolist())]
    for asked in (large[5:7], large[5:7].tolist(), [*map(str, large[5:7])]):
        found = after.recommend(asked, items=large[:9], exclude_seen=False)
        assert set(found["user"]) == {*map(str, large[5:7])}
        assert set(found["item"]) == {*map(str, large[:9])}
    assert after.evaluate(data) == before.evaluate()
    after.export("parquet", tmp_path / "out")
    assert pd.read_parquet(tmp_path / "out" / "items.parquet")["item"].tolist() == [
        *map(str, large)
    ]
    data.user_ids = pd.Index([-(2**63), *range(29)])
    lowest = TrainedModel.from_training(trained("mf", data[0]), data)
    assert len(lowest.recommend([str(-(2**63))], k=3)) == 3
    data.user_ids = pd.Index(range(29))
    with pytest.raises(ValueError, match=r"user ids.*as many as users, 30 \(got 29\)"):
        TrainedModel.from_training(trained("mf", data[0]), data)


def test_repeated_links_and_what_was_trained_on_are_kept(tmp_path: Path) -> None:
    """A model that was refitted on repeated links is folded in with them."""
    data = dataset()
    known = data[2].clone()
    store = known["user", "item"]
    store.edge_index = torch.cat([store.edge_index, store.edge_index[:, :9]], dim=1)
    before = TrainedModel.from_training(recommender(known, "lightgcn"), data, known)
    before.save(tmp_path / "model")
    after = TrainedModel.load(tmp_path / "model")
    pd.testing.assert_frame_equal(after.recommend_for(["i001"]), before.recommend_for(["i001"]))
    assert int(after._links.user_count.sum()) == store.edge_index.size(1)
    assert after.evaluate() == before.evaluate()


def test_other_names_of_nodes(tmp_path: Path) -> None:
    from pyg_negsamp.candidates import UniformCandidates
    from pyg_negsamp.datasets import SyntheticInteractions
    from pyg_negsamp.nn import LightGCN
    from pyg_negsamp.training import Recommender
    from pyg_negsamp.transforms import RNS

    edge_type = ("customer", "buys", "product")
    data = SyntheticInteractions("tiny", edge_type=edge_type)
    encoder = LightGCN(data[0], 4, edge_type=edge_type)
    sampler = RNS(UniformCandidates(data[0], edge_type), edge_type=edge_type)
    before = TrainedModel.from_training(Recommender(encoder, sampler), data)
    before.save(tmp_path / "model")
    after = TrainedModel.load(tmp_path / "model")
    assert after.evaluate() == before.evaluate() == after.evaluate(data[2]) == after.evaluate(data)
    pd.testing.assert_frame_equal(after.recommend_for([3]), before.recommend_for([3]))
    assert len(after.recommend([3], unknown="popular")) == 10


# Damage ----------------------------------------------------------------------------------------


def test_no_flipped_bit_goes_unseen(saved: Path, tmp_path: Path) -> None:
    """200 of them over all files: each is one line that names the file."""
    draw = random.Random(0)
    copy = tmp_path / "copy"
    shutil.copytree(saved, copy)
    for flip in range(200):
        file = copy / folder.FILES[flip % len(folder.FILES)]
        data = bytearray(file.read_bytes())
        whole = bytes(data)
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        file.write_bytes(data)
        with pytest.raises(ValueError, match=file.name) as error:
            TrainedModel.load(copy)
        assert "\n" not in str(error.value)
        assert "save" in str(error.value)
        file.write_bytes(whole)
    TrainedModel.load(copy)


@pytest.mark.parametrize("name", folder.FILES)
@pytest.mark.parametrize("cut", [0, 1, 50])
def test_no_cut_or_missing_file_goes_unseen(
    saved: Path, tmp_path: Path, name: str, cut: int
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(saved, copy)
    data = (copy / name).read_bytes()
    for wrong in (data[:cut], data[:-1], data + b"\n"):
        (copy / name).write_bytes(wrong)
        with pytest.raises(ValueError, match=name):
            TrainedModel.load(copy)
    (copy / name).unlink()
    with pytest.raises(ValueError, match=rf"{name} is missing"):
        TrainedModel.load(copy)


def rewritten(path: Path, change) -> None:
    """A record that somebody wrote, with a right last line."""
    text = (path / folder.RECORD).read_bytes()
    record = yaml.safe_load(text)
    change(record)
    text = yaml.safe_dump(record).encode()
    (path / folder.RECORD).write_bytes(text + folder._last_line(text))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda record: record.update(format=2), "newer pyg_negsamp"),
        (lambda record: record.pop("format"), "no record"),
        (lambda record: record["checksums"].pop("users.parquet"), "no record"),
        (lambda record: record.update(checksums=list(folder.FILES[:-1])), "no record"),
        (lambda record: record.update(method={"class": "EASE"}), "do not go together"),
    ],
)
def test_records_that_make_no_sense(saved: Path, tmp_path: Path, change, said: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(saved, copy)
    rewritten(copy, change)
    with pytest.raises(ValueError, match=said) as error:
        TrainedModel.load(copy)
    assert "\n" not in str(error.value)


GONE = object()


@pytest.mark.parametrize("method", ["mf", "ease"])
def test_no_field_of_a_record_may_be_missing_or_something_else(method: str, tmp_path: Path) -> None:
    """One line names the file, when it is loaded or when somebody is folded in."""
    model(method).save(tmp_path / "model")
    file = tmp_path / "model" / folder.RECORD
    text = file.read_bytes()
    whole = yaml.safe_load(text[: -len(folder._last_line(b""))])
    paths = [[name] for name in whole]
    paths += [
        [part, name] for part in ("method", "loss", "checksums") for name in whole.get(part, ())
    ]
    paths += [["method", "arguments", name] for name in whole["method"].get("arguments", ())]
    harmless = {"library", "arguments"}  # of a class that is not ours, there are none
    for *path, name in paths:
        for other in (GONE, None, True, -3, "x", [1], {"x": 1}):

            def change(record: dict, path=path, name=name, other=other) -> None:
                for part in path:
                    record = record[part]
                record.pop(name) if other is GONE else record.update({name: other})

            rewritten(tmp_path / "model", change)
            said = ""
            try:
                TrainedModel.load(tmp_path).recommend_for(["i001"])
            except ValueError as error:
                said = str(error)
            assert "\n" not in said
            assert not said or str(file.parent) in said or file.name in said or "own class" in said
            assert said or other is not GONE or harmless & {*path, name}, name
            file.write_bytes(text)


def test_a_record_runs_no_code(saved: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(saved, copy)
    text = f"format: !!python/object/apply:os.mkdir ['{tmp_path / 'gotcha'}']\n".encode()
    (copy / folder.RECORD).write_bytes(text + folder._last_line(text))
    with pytest.raises(ValueError, match=r"no record"):
        TrainedModel.load(copy)
    assert not (tmp_path / "gotcha").exists()


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no saved model: .*nothing does not exist"):
        TrainedModel.load(tmp_path / "nothing")
    (tmp_path / "some.csv").touch()
    with pytest.raises(FileNotFoundError, match=r"some.csv is a file, not the folder of a run"):
        TrainedModel.load(tmp_path / "some.csv")
    with pytest.raises(ValueError, match=r"no saved model"):
        TrainedModel.load(tmp_path)


# Saving ----------------------------------------------------------------------------------------


def left_over(folder: Path) -> list[str]:
    """What a save leaves beside the model, but for its lock."""
    return [
        entry.name
        for entry in folder.iterdir()
        if entry.name != "model" and entry.suffix != ".lock"
    ]


STEPS = ["mkdir", "save_file", "to_parquet", "write_bytes", "fsync", "rename 1", "rename 2"]


class Killed(BaseException):
    """What no `except` of a save may mend: the process is gone."""


def kill_at(step: str, patch: pytest.MonkeyPatch) -> None:
    """Ends the process, as it were, in the middle of a step of a save."""

    def killed(*arguments, **options):
        raise Killed

    if step == "save_file":
        patch.setattr("safetensors.torch.save_file", killed)
    elif step == "to_parquet":
        patch.setattr(pd.DataFrame, "to_parquet", killed)
    elif step == "fsync":
        patch.setattr(os, "fsync", killed)
    elif step in ("mkdir", "write_bytes"):
        patch.setattr(Path, step, killed)
    else:
        replace, left = Path.replace, [int(step[-1])]

        def counted(self, target):
            left[0] -= 1
            if left[0] <= 0:
                raise Killed
            return replace(self, target)

        patch.setattr(Path, "replace", counted)
    # A killed process cleans nothing up.
    patch.setattr(shutil, "rmtree", killed)


@pytest.mark.parametrize("step", STEPS)
def test_a_killed_save_leaves_the_earlier_model(step: str, tmp_path: Path) -> None:
    path = tmp_path / "model"
    first, second = model("mf"), model("ease")
    first.save(path)
    with pytest.MonkeyPatch.context() as patch:
        kill_at(step, patch)
        with pytest.raises(Killed):
            second.save(path)
    assert repr(TrainedModel.load(path)) == repr(first)
    assert repr(TrainedModel.load(tmp_path)) == repr(first)
    second.save(path)
    assert repr(TrainedModel.load(path)) == repr(second)
    assert not left_over(tmp_path)


@pytest.mark.parametrize("step", STEPS[:-1])
def test_a_killed_first_save_leaves_no_model(step: str, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        kill_at(step, patch)
        with pytest.raises(Killed):
            model().save(tmp_path / "model")
    with pytest.raises(FileNotFoundError):
        TrainedModel.load(tmp_path / "model")
    model().save(tmp_path / "model")
    TrainedModel.load(tmp_path / "model")


def test_a_failed_save_cleans_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self, path, **options):
        raise OSError("no space left")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", full)
    with pytest.raises(OSError, match=r"model cannot be written: no space left"):
        model().save(tmp_path / "model")
    assert not (tmp_path / "model").exists()
    assert not left_over(tmp_path)


@pytest.mark.parametrize("format", ["save", "parquet", "npy", "onnx", "faiss"])
def test_a_full_disk_is_one_line_that_names_the_folder(tmp_path: Path, format: str) -> None:
    """Whatever the library that writes has to say; an earlier model stays."""
    if format in ("onnx", "faiss"):
        pytest.importorskip(format)
    made, path = model("mf"), tmp_path / "model"
    made.save(path)
    for earlier in (True, False):
        to = path if format == "save" and earlier else tmp_path / "new"
        with full_disk(), pytest.raises(OSError, match=rf"{to} cannot be written: ") as error:
            made.save(to) if format == "save" else made.export(format, to)
        assert "\n" not in str(error.value)
        assert not (tmp_path / "new").exists()
        assert not left_over(tmp_path)
    TrainedModel.load(path)


def test_two_who_save_and_one_who_loads_meanwhile(tmp_path: Path) -> None:
    """Each finds one of the models, whole."""
    path, models = tmp_path / "model", [model("mf"), model("ease")]
    models[0].save(path)
    failed = []

    def save(made: TrainedModel) -> None:
        try:
            for _ in range(15):
                made.save(path)
        except Exception as error:
            failed.append(error)

    savers = [threading.Thread(target=save, args=[made]) for made in models]
    for saver in savers:
        saver.start()
    found = set()
    while any(saver.is_alive() for saver in savers):
        loaded = TrainedModel.load(tmp_path)
        found.add(repr(loaded))
        assert bool(loaded._state) == ("MF" in repr(loaded))
    assert not failed
    assert found <= {repr(made) for made in models}
    assert not left_over(tmp_path)


@pytest.mark.parametrize("seen", [["users.parquet"], None])
def test_a_model_that_is_being_replaced_is_no_reason_to_refuse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seen: list[str] | None
) -> None:
    """Another process deletes it while its folder is read, or has just renamed it."""
    path, iterdir, looked = tmp_path / "model", Path.iterdir, []
    model().save(path)

    def meanwhile(self: Path) -> Iterator[Path]:
        looked.append(self)
        if len(looked) > 1:
            return iterdir(self)
        if seen is None:
            raise FileNotFoundError(self)
        return iter([self / name for name in seen])

    monkeypatch.setattr(Path, "iterdir", meanwhile)
    model("ease").save(path)
    assert looked[0] == path
    assert "EASE" in repr(TrainedModel.load(path))


def test_replaces_a_model_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.mkdir()
    model().save(path)  # into an empty folder
    model("ease").save(path)
    (path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"something else.*notes.txt.*another folder"):
        model().save(path)
    assert (path / "notes.txt").exists()
    other = tmp_path / "other"
    other.mkdir()
    (other / "users.parquet").write_text("mine")
    file = tmp_path / "file"
    file.write_text("mine")
    for taken in (other, file):
        with pytest.raises(ValueError, match=r"something else"):
            model().save(taken)


#: Fails where lightning is imported; that the process has it from the beginning is forgotten.
ASK = """
import sys
for name in [name for name in sys.modules if name.split(".")[0] == "lightning"]:
    del sys.modules[name]
sys.modules["lightning"] = sys.modules["pytorch_lightning"] = None
from pyg_negsamp.serving import TrainedModel
model = TrainedModel.load(sys.argv[1])
model.recommend(["u001"]), model.recommend_for(["i001"]), model.evaluate()
from pyg_negsamp.cli import main
main(["similar", sys.argv[1], "--items", "i001"])
"""


def test_asking_needs_neither_lightning_nor_the_data(saved: Path) -> None:
    done = Python("-c", ASK, str(saved)).wait()
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("item,similar,score,rank")


def test_config_is_plain(tmp_path: Path) -> None:
    data = dataset()
    config = {"k": (1, 2), "path": tmp_path, "x": np.float64(0.5), "no": None, 3: torch.tensor([1])}
    made = TrainedModel.from_training(trained("ease", data[0]), data, config=config)
    assert made.config == {"k": [1, 2], "path": str(tmp_path), "x": 0.5, "no": None, "3": [1]}
    made.save(tmp_path / "model")
    assert TrainedModel.load(tmp_path / "model").config == made.config
    with pytest.raises(ValueError, match=r"config.f.*plain values"):
        TrainedModel.from_training(trained("ease", data[0]), data, config={"f": print})


def test_refuses_to_be_made_of_what_does_not_go_together() -> None:
    data, other = dataset(), dataset(seed=5, num_users=33, num_items=43)
    with pytest.raises(ValueError, match=r"'trained'.*Recommender"):
        TrainedModel.from_training(7, data)
    for method in ("mf", "ease"):
        with pytest.raises(ValueError, match=r"'trained'.*30 users"):
            TrainedModel.from_training(trained(method, other[0]), data)
    with pytest.raises(ValueError, match=r"'known'.*30 users"):
        TrainedModel.from_training(trained("mf", data[0]), data, other[0])
    with pytest.raises(ValueError, match=r"'known'.*in the dataset"):
        TrainedModel.from_training(trained("mf", data[0]), data, dataset(seed=1)[0])
    broken = recommender(data[0])
    with torch.no_grad():
        broken.encoder.embedding.weight[3] = torch.nan
    with pytest.raises(ValueError, match=r"finite vectors of users"):
        TrainedModel.from_training(broken, data)
    data.user_ids = pd.Index(["a"] * 30)
    with pytest.raises(ValueError, match=r"user ids.*different.*'a'"):
        TrainedModel.from_training(trained("mf", data[0]), data)


def test_whoever_reads_one_file_reads_all(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    before = os.umask(0o027)
    try:
        model("mf").save(folder)
    finally:
        os.umask(before)
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o640}
