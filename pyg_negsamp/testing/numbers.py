"""What every sampler owes to arithmetic: any precision, no NaN, and the same result twice."""

from __future__ import annotations

import copy
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from pyg_negsamp.losses import LOSSES, RankingLoss, graph_arguments
from pyg_negsamp.testing.cases import Cases
from pyg_negsamp.testing.rounding import as_type, step
from pyg_negsamp.testing.toy_problem import Toy, toy
from pyg_negsamp.transforms import NegativeSampling

#: How far, relatively, gradients may be from those of double precision: by type, and whether that
#: is the type of the tables while products are in bfloat16.
PRECISIONS = {
    (torch.float64, False): 1e-12,
    (torch.float32, False): 1e-4,
    (torch.float16, False): 1e-2,
    (torch.bfloat16, False): 5e-2,
    (torch.float32, True): 5e-2,
}


class NumbersContract(Cases):
    """The part of :class:`SamplerContract` that is about numbers."""

    def test_precisions_differ_by_rounding_alone(self) -> None:
        """For the same items, every loss and its gradient are those of double precision.

        Each loss has one of the precisions in turn, and another one for another sampler.
        """
        least = max(2, self.least_candidates)  # so that nothing is left to choose, if it can be
        turn = zlib.crc32(type(self).__name__.encode())
        for place, ((dtype, mixed), tolerance) in enumerate(PRECISIONS.items()):
            problem = toy(dtype=dtype)
            size = {"num_candidates": least} if self.takes_candidates else {}
            sampler = self._made(problem, **size)
            exact = toy()
            exact.user_xs = [x.double() for x in problem.user_xs]
            exact.item_xs = [x.double() for x in problem.item_xs]
            with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
                chosen = self.choose(sampler, problem)
            twin, same = copy.deepcopy(sampler).double(), as_type(chosen, torch.double)
            for number, loss in enumerate(self._losses(problem), turn):
                precisions = len(PRECISIONS) if loss.smooth else 2  # that are not coarse
                if number % precisions != place:
                    continue
                exact_loss = copy.deepcopy(loss).double()
                with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
                    found = step(sampler, chosen, problem, loss)
                expected = step(twin, same, exact, exact_loss)
                off = (found.gradient - expected.gradient).norm() / expected.gradient.norm()
                assert off < tolerance, (dtype, mixed, loss)
                torch.testing.assert_close(
                    found.loss, expected.loss, rtol=tolerance, atol=tolerance
                )

    def test_large_scores_stay_finite_in_half_precision(self) -> None:
        """Where float16 ends soon: of scores, of their quotients, of squared lengths."""
        for dtype in (torch.bfloat16, torch.float16):
            problem = toy(dtype=dtype)
            for x in (*problem.user_xs, *problem.item_xs):
                x *= 60
            sampler = self._made(problem)
            chosen = self.choose(sampler, problem)
            for loss in self._losses(problem):
                found = step(sampler, chosen, problem, loss)
                assert found.loss.isfinite()
                assert found.gradient.isfinite().all()

    def _made(self, problem: Toy, **arguments: Any) -> NegativeSampling:
        """The sampler with always the same parameters: some methods jump where others pass."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            return self.make(problem, num_negatives=2, **arguments)

    def _losses(self, problem: Toy) -> Iterator[RankingLoss]:
        """One of each in the problem's precision, with always the same parameters."""
        table = problem.item_xs[0]
        for cls in LOSSES.values():
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(0)
                loss = cls(**graph_arguments(cls, problem.data, table.size(1)))
            yield loss.to(table.dtype)

    def test_an_empty_batch_has_no_negatives_and_no_loss(self) -> None:
        """Nor NaN, which the mean of nothing would be."""
        for problem, sampler in self.cases():
            problem.user, problem.pos = problem.user[:0], problem.pos[:0]
            negatives = self.sample(sampler, problem)
            assert len(negatives.xs) == 0
            if sampler.takes_candidates:
                assert negatives.xs.size(1) >= sampler.num_negatives
            assert negatives.loss is None or negatives.loss == 0

    def test_deterministic_algorithms_change_nothing(self) -> None:
        """Torch's strictest mode finds nothing to refuse, and the result is the same."""
        for problem, sampler in self.cases():
            other = copy.deepcopy(sampler)
            first = self.sample(sampler, problem)
            with _deterministic_algorithms():
                second = self.sample(other, problem)
            torch.testing.assert_close(first.xs, second.xs, rtol=0, atol=0)


@contextmanager
def _deterministic_algorithms() -> Iterator[None]:
    """Has torch refuse whatever may give another result when it is repeated."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
