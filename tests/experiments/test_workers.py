"""Cells in processes of their own."""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path

import pytest

from pyg_negsamp.experiments.cells import load_all, plan
from pyg_negsamp.experiments.comparison import product
from pyg_negsamp.experiments.workers import run_all


@pytest.mark.usefixtures("forked_workers")
def test_an_interruption_ends_no_process_of_the_caller(tmp_path: Path) -> None:
    table = product({"dataset": "tiny", "encoder": ["popularity", "mf"], "epochs": 10**6}, False)
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=time.sleep, args=(600,)) for _ in range(2)]
    children[0].start()
    try:
        running = run_all(plan(table, load_all(table), tmp_path, 1), jobs=2)
        next(running)  # popularity is finished at once
        children[1].start()
        with pytest.raises(KeyboardInterrupt):
            running.throw(KeyboardInterrupt)
        assert {*multiprocessing.active_children()} == {*children}
    finally:
        for child in children:
            child.kill()
            child.join()
