"""Nodes that a batch holds more than once count once, whether they are left out before or after."""

from __future__ import annotations

import torch

from pyg_negsamp.nn.contrast import distinct, info_nce


def test_left_out_rows_are_not_there() -> None:
    first, second = torch.randn(2, 6, 4, dtype=torch.double, generator=torch.manual_seed(0))
    first.requires_grad_(), second.requires_grad_()
    ids = torch.tensor([0, 0, 1, 3, 3, 3, 5])
    repeats = torch.tensor([False, True, False, False, True, True, False])
    results = []
    for rows, mask in ((ids, repeats), (ids.unique(), None)):
        loss = info_nce(first[rows], second[rows], 0.2, mask)
        results.append((loss, *torch.autograd.grad(loss, (first, second))))
    torch.testing.assert_close(*results, rtol=1e-12, atol=1e-12)


def test_on_the_cpu_nodes_stand_once_and_elsewhere_in_order() -> None:
    ids = torch.tensor([4, 1, 4, 1, 2])
    assert distinct(ids).ids.tolist() == [1, 2, 4]
    assert distinct(ids).repeats is None
    elsewhere = distinct(ids.to("meta"))
    assert elsewhere.ids.shape == elsewhere.repeats.shape == (5,)
    assert elsewhere.repeats.dtype == torch.bool
