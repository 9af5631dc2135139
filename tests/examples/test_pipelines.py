"""The examples in other people's pipelines: each runs, and does what it says."""

from __future__ import annotations

from importlib.util import find_spec

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


@pytest.mark.parametrize("number", range(3))
def test_homogeneous_link_prediction(number: int) -> None:
    sampler = homogeneous_link_prediction.make_samplers()[number]
    assert homogeneous_link_prediction.train(sampler, epochs=40) > 0.8


def test_homogeneous_negatives_are_no_edges_either_way() -> None:
    data = homogeneous_link_prediction.train_data
    known = to_dense_adj(data.edge_index, max_num_nodes=data.num_nodes)[0].bool()
    x = torch.randn(data.num_nodes, 4)
    for sampler in homogeneous_link_prediction.make_samplers():
        batch = sampler(data, x)
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


@pytest.mark.skipif(not find_spec("torch_sparse"), reason="needs the extra 'sparse'")
def test_link_neighbor_loader(capsys: pytest.CaptureFixture[str]) -> None:
    import link_neighbor_loader

    untrained, trained = (link_neighbor_loader.main(epochs) for epochs in (0, 20))
    assert trained > 1.5 * untrained


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
