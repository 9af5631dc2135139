"""Any PyG model as an encoder: GraphSAGE, GAT, what `to_hetero` makes of them, one's own."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData
from torch_geometric.loader import NeighborLoader
from torch_geometric.nn import GAT, GIN, BatchNorm, EdgeCNN, GraphSAGE
from torch_geometric.nn.models import LightGCN as PyGLightGCN
from torch_geometric.nn.models.basic_gnn import BasicGNN
from torch_geometric.typing import EdgeType, NodeType

from pyg_negsamp.errors import invalid, short, whole_number
from pyg_negsamp.graph import links_in
from pyg_negsamp.layers import Pool, as_layers, layers_by_type, rows_at
from pyg_negsamp.memory import check_memory
from pyg_negsamp.nn.encoder import Encoder, XDict
from pyg_negsamp.pairs import Pairs
from pyg_negsamp.scoring import settled

#: Models of PyG's that :func:`goes_by_layer` looks into.
LOCAL = (EdgeCNN, GAT, GIN, GraphSAGE)
#: Nodes whose neighbours are read at a time by a model that goes layer by layer.
INFERENCE_BATCH = 4096


class FromModule(Encoder):
    """Any module from `(x, edge_index)`, or from `(x_dict, edge_index_dict)`, to rows of nodes.

    ```python
    model = torch_geometric.nn.GraphSAGE(-1, 64, num_layers=2)
    encoder = FromModule(model, train_data)
    fit(Recommender(encoder, DNS(train_data, num_candidates=32)), train_data, val_data)
    ```

    A module that reads dictionaries (made by `to_hetero`, or with an argument `x_dict`) gets all
    node and edge types of `data`, which needs reverse edges (`T.ToUndirected()`, after the split).
    Another one gets users and items in one graph, users first, with links in both directions.
    Training puts all of it in training mode; what is to stay frozen says so in its own `train()`.

    What goes in are the features `x` of the node types that have some, and learned rows of width
    `dim` for the others. So items that have features and no link can be ranked.

    The L2 penalty of training falls on the module's output (its first layer). Dropout inside the
    module is drawn from the run's own stream, so that a resumed run draws what it would have.

    Args:
        model: The module. Lazily initialised ones (`GraphSAGE(-1, ...)`) are run once.
        data: Training graph.
        edge_type: The interactions in `data`.
        layers: Number of layers `H` that stand side by side in an output `[N, H * D]`, as your own
            module has it with `JumpingKnowledge('cat')`. Default 1. Layers in a list, or stacked as
            `[N, H, D]`, count themselves.
        dim: Width of the learned rows. Default 64; a homogeneous module of which only one node
            type has features: their width.
        pool: How layers become the scoring embedding.
        decoder: How a user and an item become a score: a module from pooled rows `[B, W]` and
            `[B, K, W]` to `[B, K]`, which is trained along. Default: the loss's similarity.
        num_neighbors: Neighbours to sample per hop, such as `[10, 5]`: training then reads the
            neighbourhoods of each batch instead of the whole graph. Needs pyg-lib or torch-sparse.
            What depends on degrees (`GCN`) then depends on those in the sample, as with PyG's
            loaders. Ranking reads the whole graph: layer by layer where PyG's `inference` gives the
            same, as for `GraphSAGE`, `GAT` and `GIN`; else in one pass. Default: the whole graph at
            every step.

    Attributes:
        width: Width `D` of a layer of the output.

    Raises:
        ValueError: If the module gives other rows than those of users and items, if features do
            not fit in one graph, if users receive no messages, or if neighbours cannot be sampled.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        data: HeteroData,
        edge_type: EdgeType | None = None,
        *,
        layers: int = 1,
        dim: int | None = None,
        pool: Pool = "mean",
        decoder: torch.nn.Module | None = None,
        num_neighbors: Sequence[int] | None = None,
    ) -> None:
        if not isinstance(model, torch.nn.Module):
            raise invalid(self, "model", "a torch Module", short(model))
        if isinstance(model, PyGLightGCN):
            expected = "one from features to rows; LightGCN.from_pyg(model, data) takes this one"
            raise invalid(self, "model", expected, short(model))
        layers = whole_number(self, "layers", layers, least=1)
        if layers > 1 and isinstance(model, BasicGNN):
            expected = "left out: PyG's models end in one table, also those with jk='cat'"
            raise invalid(self, "layers", expected, layers)
        super().__init__(data, 64 if dim is None else dim, layers - 1, pool, edge_type)
        self.model, self.layers = model, layers
        if decoder is not None and not isinstance(decoder, torch.nn.Module):
            raise invalid(self, "decoder", "a torch Module", short(decoder))
        self.decoder = decoder
        self._in_own_stream = False
        self.num_neighbors = self._hops(num_neighbors)
        self.reads_dictionaries = reads_dictionaries(model)
        self._read_edges(data)
        self._read_inputs(data, dim)
        self.width, H = self._run_once()
        self.num_layers = H - 1

    # What goes in ---------------------------------------------------------------------------

    def _make_embedding(self) -> None:
        """Here, learned rows are made for the node types that have no features."""

    def _read_edges(self, data: HeteroData) -> None:
        """Keeps the links: of all types, or of the interactions in both directions."""
        edges = {kind: links_in(data[kind]) for kind in data.edge_types}
        if not self.reads_dictionaries:
            forward = edges[self.edge_type]
            assert forward is not None
            back = (self.item_type, "rev_" + self.edge_type[1], self.user_type)
            edges = {self.edge_type: forward, back: forward.flip(0)}
        self.edge_types = [kind for kind, index in edges.items() if index is not None]
        if not any(kind[2] == self.user_type for kind in self.edge_types):
            expected = f"a graph with edges to '{self.user_type}': T.ToUndirected()(data)"
            raise invalid(self, "data", expected, f"edges {self.edge_types}")
        for n, kind in enumerate(self.edge_types):
            self.register_buffer(f"edge_index_{n}", edges[kind], persistent=False)

    def _read_inputs(self, data: HeteroData, dim: int | None) -> None:
        """Keeps features, and makes learned rows where there are none."""
        ends = (self.user_type, self.item_type)
        self.node_types = list(data.node_types if self.reads_dictionaries else ends)
        features = {name: self._features(data, name) for name in self.node_types}
        widths = {x.size(-1) for x in features.values() if x is not None}
        if not self.reads_dictionaries and widths:
            if len(widths) > 1:
                expected = "features of one width, for a module that reads one graph (or to_hetero)"
                raise invalid(self, "data", expected, f"widths {sorted(widths)}")
            (width,) = widths
            if dim not in (None, width) and None in features.values():
                expected = f"{width}, the width of the features, for a module that reads one graph"
                raise invalid(self, "dim", expected, dim)
            self.dim = width
        self.num_nodes: dict[NodeType, int] = {}
        self.learned = torch.nn.ModuleList()
        self.learned_types: list[NodeType] = []
        for n, name in enumerate(self.node_types):
            x, size = features[name], data[name].num_nodes
            if size is None:
                raise invalid(self, "data", "node types that state 'num_nodes'", repr(name))
            self.num_nodes[name] = size
            self.register_buffer(f"x_{n}", x, persistent=False)
            if x is None:
                check_memory(self, "dim", self.dim, 16 * size * self.dim)
                self.learned.append(torch.nn.Embedding(size, self.dim))
                self.learned_types.append(name)
        self.reset_parameters()

    def _features(self, data: HeteroData, name: NodeType) -> Tensor | None:
        """The features of a node type, if it has some."""
        x = data[name].get("x")
        if x is None:
            return None
        size = data[name].num_nodes
        is_tensor = isinstance(x, Tensor)
        if not is_tensor or x.dim() != 2 or len(x) != size or not x.is_floating_point():
            expected = f"a graph with features x [{size}, F] of '{name}', in floating point"
            got = f"{[*x.shape]} {x.dtype}" if is_tensor else short(x)
            raise invalid(self, "data", expected, got)
        return x

    def reset_parameters(self) -> None:
        """Draws the learned rows anew, as the other encoders do; the module stays as it is."""
        for table in self.learned:
            assert isinstance(table, torch.nn.Embedding)
            torch.nn.init.xavier_uniform_(table.weight)

    def _inputs(self, n_id: Mapping[NodeType, Tensor] | None = None) -> dict[NodeType, Tensor]:
        """Features or learned rows of all nodes, or of those in a subgraph."""
        learned = dict(zip(self.learned_types, self.learned, strict=True))
        xs = {}
        for n, name in enumerate(self.node_types):
            x = getattr(self, f"x_{n}") if name not in learned else learned[name].weight
            xs[name] = x if n_id is None else rows_at(x, n_id[name])
        return xs

    @property
    def graph(self) -> HeteroData:
        """The links that the module reads, and numbers of nodes; nothing else."""
        graph = HeteroData()
        for name, size in self.num_nodes.items():
            graph[name].num_nodes = size
        for n, kind in enumerate(self.edge_types):
            graph[kind].edge_index = getattr(self, f"edge_index_{n}")
        return graph

    def holds(self, links: Tensor) -> Tensor:
        """Which links `[2, E]` the module's graph holds: `[E]` bool.

        They may also be read off another edge type, from items to users: one that holds the reverse
        of every interaction.
        """
        held, graph = super().holds(links), self.graph
        own = graph[self.edge_type].edge_index
        for kind in self.edge_types:
            if (kind[0], kind[2]) == (self.item_type, self.user_type):
                reverse = Pairs(graph[kind].edge_index.flip(0), self.num_users, self.num_items)
                if bool(reverse.hold(*own).all()):
                    held |= reverse.hold(*links.to(own)).to(held)
        return held

    # What comes out -------------------------------------------------------------------------

    def forward(self) -> XDict:
        """The module's output on the whole graph, with gradient: `H` tensors per node type."""
        return self._rows_of(self._inputs(), self.graph.edge_index_dict)

    def sampled(self, batch: HeteroData) -> XDict:
        """The output on a sampled subgraph, whose nodes are named by `n_id`.

        Args:
            batch: Of :class:`pyg_negsamp.training.NeighborLinkLoader`, or another PyG loader.
        """
        n_id = {name: batch[name].n_id for name in self.node_types}
        edges = {kind: batch[kind].edge_index for kind in self.edge_types}
        return self._rows_of(self._inputs(n_id), edges)

    def _rows_of(self, xs: dict[NodeType, Tensor], edges: Mapping[EdgeType, Tensor]) -> XDict:
        """Calls the module."""
        ends = (self.user_type, self.item_type)
        sizes = [len(xs[name]) for name in ends]
        with self.own_stream():
            if self.reads_dictionaries:
                given = [x for x in xs.values() if not x.is_inference()]
                before = [x._version for x in given]
                out = self.model(xs, dict(edges))
                if [x._version for x in given] != before:
                    expected = "one that leaves its inputs as they are (x = x + 1, not x += 1)"
                    raise invalid(self, "model", expected, "one that writes to them")
                tables = layers_by_type(out, ends, self.layers, self, "model")
            else:
                x = torch.cat([xs[name] for name in ends])
                out = self.model(x, self._joint(edges, sizes[0]))
                rows = as_layers(out, self.layers, self, "model")
                if any(len(y) != len(x) for y in rows):
                    expected = f"one that gives a row for each of {len(x)} nodes"
                    raise invalid(self, "model", expected, [[*y.shape] for y in rows])
                parts = zip(*(y.split(sizes) for y in rows), strict=True)
                tables = [list(of_type) for of_type in parts]
        return dict(zip(ends, tables, strict=True))

    def _joint(self, edges: Mapping[EdgeType, Tensor], num_users: int) -> Tensor:
        """Links in both directions `[2, E]`, users before items."""
        parts = []
        for kind, index in edges.items():
            shift = [num_users if end == self.item_type else 0 for end in (kind[0], kind[2])]
            parts.append(index + index.new_tensor(shift).unsqueeze(1))
        return torch.cat(parts, dim=1)

    def _run_once(self) -> tuple[int, int]:
        """Runs the module, on a few nodes if the graph is to be sampled, and checks what it gives.

        Returns:
            The width of a layer, and the number of layers.
        """
        xs, edges = self._inputs(), self.graph.edge_index_dict
        if self.num_neighbors is not None:
            xs = {name: x[:2] for name, x in xs.items()}
            edges = {kind: index[:, :0] for kind, index in edges.items()}
        with torch.no_grad(), settled(self):
            tables = self._rows_of(xs, edges)
        sizes = [len(xs[name]) for name in (self.user_type, self.item_type)]
        shapes = [[*x.shape] for table in tables.values() for x in table]
        width, H = shapes[0][-1], len(tables[self.user_type])
        if shapes != [[size, width] for size in sizes for _ in range(H)]:
            expected = f"one that gives [{sizes[0]}, D] and [{sizes[1]}, D] for each layer"
            got = ", ".join(map(str, shapes[:4])) + ", ..." * (len(shapes) > 4)
            raise invalid(self, "model", expected, got)
        return width, H

    @contextmanager
    def own_stream(self) -> Iterator[None]:
        """In a run, what modules draw from torch's global generator comes from the epoch's own."""
        generator = self.generator
        if not self.training or generator is None or self._in_own_stream:
            yield
            return
        on_cuda = generator.device.type == "cuda"
        source: Any = torch.cuda if on_cuda else torch
        with torch.random.fork_rng(devices=[generator.device] if on_cuda else []):
            source.set_rng_state(generator.get_state())
            self._in_own_stream = True
            try:
                yield
            finally:
                self._in_own_stream = False
            generator.set_state(source.get_rng_state())

    @property
    def needs_whole_graph(self) -> bool:
        """Whether the rows of all nodes take the whole graph at once, and not some nodes."""
        return not goes_by_layer(self.model)

    @torch.no_grad()
    def settled_tables(self) -> XDict:
        """The output for all nodes, without dropout; layer by layer where that saves memory."""
        if self.num_neighbors is None or self.needs_whole_graph:
            return super().settled_tables()
        xs = self._inputs()
        x = torch.cat([xs[self.user_type], xs[self.item_type]])
        edge_index = self._joint(self.graph.edge_index_dict, self.num_users)
        loader = NeighborLoader(
            Data(x=x.cpu(), edge_index=edge_index.cpu()),
            num_neighbors=[-1],
            batch_size=INFERENCE_BATCH,
        )
        with settled(self):
            out = self.model.inference(loader, device=x.device)  # type: ignore[operator]
        return self._as_x_dict([out.to(x.device)])

    def _hops(self, num_neighbors: Sequence[int] | None) -> list[int] | None:
        if num_neighbors is None:
            return None
        expected = "a list of whole numbers, the neighbours to sample per hop (-1: all)"
        if not isinstance(num_neighbors, list | tuple) or not num_neighbors:
            raise invalid(self, "num_neighbors", expected, short(num_neighbors))
        return [whole_number(self, "num_neighbors", n, least=-1) for n in num_neighbors]


def goes_by_layer(model: torch.nn.Module) -> bool:
    """Whether PyG's `inference`, some nodes at a time, gives what the module gives for all.

    That is so where a layer's row of a node depends on the rows of the node and its neighbours, and
    on nothing else, such as a neighbour's degree (`GCN`), or a mean over the graph.
    """
    if type(model) not in LOCAL or model.jk_mode is not None:  # a subclass may do more
        return False
    for part in model.modules():
        of_pyg = type(part).__module__.startswith(BatchNorm.__module__.rpartition(".")[0])
        if of_pyg and not isinstance(part, BatchNorm):
            return False
        if isinstance(part, torch.nn.BatchNorm1d) and not part.track_running_stats:
            return False
    return True


def reads_dictionaries(model: torch.nn.Module) -> bool:
    """Whether a module reads `(x_dict, edge_index_dict)`: by its arguments, or by `to_hetero`."""
    if isinstance(model, torch.fx.GraphModule):
        return True
    return "x_dict" in inspect.signature(model.forward).parameters
