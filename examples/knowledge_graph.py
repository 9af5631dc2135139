"""A knowledge graph with PyG's RotatE: without, and with, hard negatives and their loss.

python examples/knowledge_graph.py

Hard tails stand in for `random_sample`, which the model's own loss calls: the loop is as it was.
For several per triple, weighted, the loss is written out. Evaluation is filtered: of the tails that
are known, in training or test, only the one looked for is ranked.
"""

from __future__ import annotations

import torch
from torch_geometric.data import Data
from torch_geometric.nn import RotatE

from pyg_negsamp.candidates import UniformCandidates
from pyg_negsamp.kge import KGEScore
from pyg_negsamp.losses import SelfAdversarialLoss
from pyg_negsamp.transforms import DNS

# The squares of a board that wraps around; "one to three steps north of" is a relation.
SIDE, REACH = 16, 3
DIRECTIONS = torch.tensor([[0, 1], [0, -1], [1, 0], [-1, 0], [1, 1], [1, -1]])
head, relation, step = torch.cartesian_prod(*map(torch.arange, (SIDE**2, 6, REACH))).t()
row, column = torch.stack([head // SIDE, head % SIDE]) + DIRECTIONS[relation].t() * (step + 1)
links = torch.stack([head, row % SIDE * SIDE + column % SIDE])
order = torch.randperm(len(head), generator=torch.Generator().manual_seed(0))
test_data, train_data = (
    Data(edge_index=links[:, part], edge_type=relation[part], num_nodes=SIDE**2)
    for part in order.tensor_split([len(order) // 10])
)
candidates = UniformCandidates(train_data, relation=train_data.edge_type)


def train(method: str, seed: int, epochs: int = 30) -> float:
    """Trains a model with a method's negatives; returns what :func:`evaluate` says of it."""
    torch.manual_seed(seed)
    model = RotatE(train_data.num_nodes, train_data.num_edge_types, 32, margin=6.0)
    score, criterion = KGEScore(model), SelfAdversarialLoss()
    many = method == "DNS, self-adversarial"
    sampler = DNS(candidates, score=score, num_candidates=8, num_negatives=4 if many else 1)
    if method == "DNS":
        model.random_sample = lambda *x: (*x[:2], sampler.sample(*score.inputs(*x)).index[:, 0])  # type: ignore[index]
    head, tail = train_data.edge_index
    loader = model.loader(head, train_data.edge_type, tail, batch_size=512, shuffle=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(epochs):
        for triple in loader:
            if many:
                inputs = score.inputs(*triple)
                neg = score(inputs[2], sampler.sample(*inputs).xs.squeeze(2))  # of one layer
                loss = criterion(model(*triple), neg)
            else:
                loss = model.loss(*triple)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return evaluate(score)


@torch.no_grad()
def evaluate(score: KGEScore) -> float:
    """The filtered mean reciprocal rank of the test tails."""
    (head, tail), relation = test_data.edge_index, test_data.edge_type
    user, _, rows, entities = score.inputs(head, relation, tail)
    scores = torch.cat([score(row, entities.unsqueeze(0)) for row in rows.split(1)])
    wanted = scores.gather(1, tail.unsqueeze(1))
    also = torch.stack([user, tail])
    known = UniformCandidates(train_data, relation=train_data.edge_type, also=also)
    known.mask_(scores, user)
    return float((1 / (1 + (scores > wanted).sum(1))).mean())


if __name__ == "__main__":
    print(f"{'filtered MRR of tails':<24}{'mean':>8}{'seeds 0, 1, 2':>22}")
    for method in ("PyG's own", "DNS", "DNS, self-adversarial"):
        found = [train(method, seed) for seed in range(3)]
        print(f"{method:<24}{sum(found) / 3:>8.3f}{'  '.join(f'{x:.3f}' for x in found):>22}")
