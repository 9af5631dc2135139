"""The examples in other people's pipelines: each runs, and does what it says."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pyg_lightgcn
import pyg_models_in_fit
import pytest
import torch
from torch_geometric.utils import to_dense_adj

import homogeneous_link_prediction
import knowledge_graph
import overlap
import precomputed_pool
import static_transform


def test_static_transform_is_the_same_with_any_number_of_workers() -> None:
    results = []
    for sampler in static_transform.make_samplers():
        alone, together = (static_transform.train(sampler, n, epochs=3) for n in (0, 2))
        assert alone == together
        results.append(alone)
    assert results[0] != results[1]


def test_static_transform_learns() -> None:
    untrained, trained = (
        static_transform.train(static_transform.make_samplers()[0], 0, epochs) for epochs in (0, 30)
    )
    assert trained > 1.5 * untrained


#: Examples that end with a table "without / with", and a few epochs of each.
TABLES = {
    "pyg_lightgcn": 2,
    "link_neighbor_loader": 2,
    "to_hetero": 25,
    "homogeneous_link_prediction": 20,
}


@pytest.mark.filterwarnings("ignore:Using 'NeighborSampler' without")
@pytest.mark.parametrize("name", TABLES)
def test_without_and_with(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    if name == "link_neighbor_loader" and not find_spec("torch_sparse"):
        pytest.skip("needs the extra 'sparse'")
    example = import_module(name)
    text = Path(str(example.__file__)).read_text()
    assert len(text.splitlines()) < 80
    table = example.main(epochs=TABLES[name], seeds=1)
    said = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in said[-2:]] == ["without", "with"]
    for found, (row, values) in zip(said[-2:], table.items(), strict=True):
        assert found.startswith(row)
        assert f"{values.mean():.4f}" in found
        assert values.shape == (1,)
        assert 0.02 < values.mean() < 1


def test_pygs_models_in_fit(capsys: pytest.CaptureFixture[str]) -> None:
    text = Path(str(pyg_models_in_fit.__file__)).read_text()
    assert len(text.splitlines()) <= 80
    table = pyg_models_in_fit.main(epochs=2, seeds=1)
    said = capsys.readouterr().out.splitlines()[1:]
    assert len(said) == len(table) == 6
    for line, (row, values) in zip(said, table.items(), strict=True):
        assert line.split()[0] == row.split()[0]
        assert f"{values.mean():.4f}" in line
        assert 0.02 < values.mean() < 1


def test_pyg_lightgcn_learns_sooner_with_hard_negatives() -> None:
    without, with_sampler = pyg_lightgcn.main(epochs=10, seeds=1).values()
    assert with_sampler.mean() > 1.3 * without.mean()


def test_homogeneous_negatives_are_no_edges_either_way() -> None:
    data = homogeneous_link_prediction.train_data
    known = to_dense_adj(data.edge_index, max_num_nodes=data.num_nodes)[0].bool()
    batch = homogeneous_link_prediction.sampler(data, torch.randn(data.num_nodes, 4))
    source, target = batch.edge_label_index[:, batch.edge_label == 0]
    assert len(source) == data.edge_label_index.size(1)
    assert not known[source, target].any()
    assert not known[target, source].any()
    assert not (source == target).any()


def test_knowledge_graph() -> None:
    """Each way learns; hard tails do better than PyG's own after as many epochs."""
    untrained = knowledge_graph.train("PyG's own", 0, epochs=0)
    without, hard, weighted = (
        knowledge_graph.train(method, 0, epochs=20)
        for method in ("PyG's own", "DNS", "DNS, self-adversarial")
    )
    assert untrained < 0.1 < without < min(hard, weighted)


def test_precomputed_pool() -> None:
    data = precomputed_pool.data
    for name, candidates in precomputed_pool.make_pools().items():
        assert 0 < precomputed_pool.train(candidates, epochs=2) < 1
        if name == "shown to the user":
            shown = data["user", "was_shown", "item"].edge_index
            user = torch.arange(precomputed_pool.num_users)
            for row, drawn in zip(user, candidates(user, 50), strict=True):
                assert torch.isin(drawn, shown[1, shown[0] == row]).all()


def test_overlap_with_dns(capsys: pytest.CaptureFixture[str]) -> None:
    seen = overlap.main(["--epochs", "4", "--num-candidates", "5"])
    assert len(seen) == 4
    assert all(1 / 5 < share < 1 for share in seen)
    assert "by chance 20.0%" in capsys.readouterr().out


def test_a_single_candidate_is_always_the_same() -> None:
    assert overlap.main(["--epochs", "2", "--num-candidates", "1"]) == [1, 1]


@pytest.mark.parametrize(
    "wrong", [["--dataset", "nope"], ["--epochs", "0"], ["--gamma", "-1"], ["--protocol", "refit"]]
)
def test_overlap_refuses_in_one_line(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        overlap.main(wrong)
    assert stopped.value.code == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert "must be" in said or "invalid choice" in said
