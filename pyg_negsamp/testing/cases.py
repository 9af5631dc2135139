"""What a sampler is tested on: small problems with one layer and several, of every pooling."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, ClassVar

from pyg_negsamp.graph import EDGE_TYPE
from pyg_negsamp.layers import POOLS
from pyg_negsamp.testing.toy_problem import Toy, toy
from pyg_negsamp.transforms import Negatives, NegativeSampling, Selection

#: Layers above the embeddings, negatives and pooling: each value with each of the other two.
SETTINGS = [
    (num_layers, (1, 3)[(i + j) % 2], pool)
    for (i, num_layers), (j, pool) in itertools.product(enumerate((0, 3)), enumerate(POOLS))
]


class Cases:
    """A sampler under test, and the problems to run it on; attributes as of the whole contract."""

    sampler_class: ClassVar[type[NegativeSampling]]
    arguments: ClassVar[dict[str, Any]] = {}
    least_candidates: ClassVar[int] = 1

    @property
    def takes_candidates(self) -> bool:
        """Whether the sampler chooses among candidates."""
        return self.sampler_class.takes_candidates and not self.arguments.get("shared")

    def make(self, problem: Toy, **arguments: Any) -> NegativeSampling:
        """Builds the sampler over candidates from the toy graph, in the problem's precision."""
        usual = {"num_candidates": 6} if self.takes_candidates else {}
        arguments = {**usual, **self.arguments, **arguments}
        edge_type = arguments.get("edge_type", EDGE_TYPE)
        candidates = self.sampler_class.proposal(problem.data, edge_type=edge_type)
        return self.sampler_class(candidates, **arguments).to(problem.user_xs[0].dtype)

    def cases(self) -> Iterator[tuple[Toy, NegativeSampling]]:
        """Problems and samplers for one layer and four, one negative and three, every pooling."""
        for num_layers, num_negatives, pool in SETTINGS:
            problem = toy(num_layers)
            yield problem, self.make(problem, num_negatives=num_negatives, pool=pool)

    def sample(self, sampler: NegativeSampling, problem: Toy, **arguments: Any) -> Negatives:
        """Calls `sample` on the problem with its own random stream."""
        arguments = {"generator": problem.generator(), **arguments}
        return sampler.sample(
            problem.user, problem.pos, problem.user_xs, problem.item_xs, **arguments
        )

    def choose(self, sampler: NegativeSampling, problem: Toy) -> Selection:
        """Calls `choose` in the same way."""
        tables = problem.user_xs, problem.item_xs
        return sampler.choose(problem.user, problem.pos, *tables, generator=problem.generator())
