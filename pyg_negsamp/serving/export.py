"""Tables of users and items for other programs: parquet, NumPy, ONNX, faiss."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import torch
from torch import Tensor

from pyg_negsamp.errors import invalid
from pyg_negsamp.files import whole, writing

Format: TypeAlias = Literal["parquet", "npy", "onnx", "faiss"]
Table: TypeAlias = npt.NDArray[np.float32]
Ids: TypeAlias = dict[str, pa.Array]

#: Versions of the ONNX standard that the graph is written in: old enough for most runtimes.
OPSET, IR_VERSION = 17, 8
#: Most bytes of an item table in ONNX, whose files end at 2 GiB; a little is left for the rest.
ONNX_BYTES = 2**31 - 2**20


def export_tables(
    user_ids: pd.Index,
    item_ids: pd.Index,
    user: Tensor,
    item: Tensor,
    format: Format,
    to: str | Path,
    user_links: Tensor | None = None,
    item_links: Tensor | None = None,
) -> list[Path]:
    """Writes a folder with which another program can rank without this library.

    The score of a user and an item is the dot product of their rows. Row `n` of a table belongs
    to id `n` of the ids beside it, in every format. Vectors are 32-bit floats.

    | format | files |
    |---|---|
    | `parquet` | `users.parquet`: columns `user` (id) and `vector` (a list of `D` floats); \
`items.parquet`: `item` and `vector` |
    | `npy` | `users.npy` `[U, D]`, `items.npy` `[I, D]`; `user_ids.parquet`, \
`item_ids.parquet`: one column, `user` or `item` |
    | `onnx` | `ranking.onnx`: inputs `user` `[b, D]` float and `k` `[1]` int64, at most `I`; \
outputs `item` `[b, k]` int64, row numbers, and `score` `[b, k]` float, best first. \
`items.parquet`: the id of each row number; `users.parquet`: vectors to put in |
    | `faiss` | `items.faiss`: an `IndexFlatIP` over the items. `items.parquet` and \
`users.parquet` as for `onnx` |

    The vector is one column, not `D`: one read gives the table, and its width is part of the
    type. Ids that come with numbers of links have a column `links`. Where it is 0, nothing was
    learned of an item or a user: leave such items out, and give such users the popular ones, as
    :meth:`~pyg_negsamp.TrainedModel.recommend` does.

    Args:
        user_ids: `U` outside ids, in the order of the rows.
        item_ids: `I` outside ids, in the order of the rows.
        user: `[U, D]` vectors whose dot products rank, such as those of
            :meth:`~pyg_negsamp.training.Recommender.scoring_tables`.
        item: `[I, D]` vectors.
        format: `'parquet'`, `'npy'`, `'onnx'` (needs the extra `onnx`) or `'faiss'` (needs the
            extra `faiss`).
        to: Folder to make; it may exist if it is empty. It is written under another name beside
            it, and renamed when it is whole.
        user_links: `[U]` how many links the model was trained on. Default: nobody says.
        item_links: `[I]` the same of items.

    Returns:
        The files, in `to`.

    Example:
        >>> export_tables(users, items, x, y, "onnx", "served")  # doctest: +SKIP
        >>> session = onnxruntime.InferenceSession("served/ranking.onnx")  # doctest: +SKIP
        >>> asked = {"user": x[:1].numpy(), "k": np.array([10])}  # doctest: +SKIP
        >>> item, score = session.run(None, asked)  # doctest: +SKIP

    Raises:
        ValueError: If `format` is unknown or its extra is not installed, if tables and ids do not
            fit together, if a value is not finite, if the item table is too large for ONNX
            (2 GiB), or if `to` holds something.
        OSError: If it cannot be written, naming `to`.
    """
    if format not in get_args(Format):
        raise invalid("export", "format", f"one of {get_args(Format)}", repr(format))
    writer = WRITERS[format]
    users, items = _checked(user_ids, item_ids, user, item)
    if format in EXTRAS:
        _extra(format)
    target = Path(to).resolve()
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise invalid("export", "to", "a new or an empty folder", target)
    with writing(target, RuntimeError), whole(target) as part:  # faiss raises the latter
        part.mkdir()
        ids = (_ids("user", user_ids, user_links), _ids("item", item_ids, item_links))
        writer(part, *ids, users, items)
    return sorted(Path(to).iterdir())


def _checked(
    user_ids: pd.Index, item_ids: pd.Index, user: Tensor, item: Tensor
) -> tuple[Table, Table]:
    """The tables as arrays, if they fit together: `[U, D]` and `[I, D]`."""
    for name, ids, x in (("user", user_ids, user), ("item", item_ids, item)):
        if x.dim() != 2 or x.size(0) != len(ids):
            expected = f"[{len(ids)}, D], a row for each of {name}_ids"
            raise invalid("export", name, expected, list(x.shape))
        if not bool(torch.isfinite(x).all()):
            raise invalid("export", name, "finite", "NaN or an infinite value")
    if user.size(1) != item.size(1):
        expected = f"of the users' width, {user.size(1)}"
        raise invalid("export", "item", expected, list(item.shape))
    users, items = (x.detach().to("cpu", torch.float32).contiguous().numpy() for x in (user, item))
    return users, items


#: What to install for a format, by the name of its extra: the module that writes it.
EXTRAS = {"onnx": "onnx", "faiss": "faiss"}


def _extra(name: str) -> Any:
    """The module behind an extra; refuses where it is not installed."""
    try:
        return import_module(EXTRAS[name])
    except ImportError as error:
        how = f'pip install "pyg_negsamp[{name}]"'
        raise ValueError(f"export: the format {name} needs the extra {name!r}: {how}") from error


# One writer per format: folder, ids and tables in, files out -----------------------------------


def _write_parquet(folder: Path, user_ids: Ids, item_ids: Ids, users: Table, items: Table) -> None:
    _write_ids(folder / "users.parquet", user_ids, users)
    _write_ids(folder / "items.parquet", item_ids, items)


def _write_npy(folder: Path, user_ids: Ids, item_ids: Ids, users: Table, items: Table) -> None:
    for name, ids, x in (("user", user_ids, users), ("item", item_ids, items)):
        np.save(folder / f"{name}s.npy", x)
        _write_ids(folder / f"{name}_ids.parquet", ids)


def _write_onnx(folder: Path, user_ids: Ids, item_ids: Ids, users: Table, items: Table) -> None:
    if items.nbytes > ONNX_BYTES:
        expected = "less than 2 GiB, the most that a file of ONNX holds (faiss takes more)"
        raise invalid("export", "item", expected, f"{items.nbytes / 2**30:.1f} GiB")
    _extra("onnx").save_model(_ranking_graph(items), folder / "ranking.onnx")
    _write_ids(folder / "items.parquet", item_ids)
    _write_ids(folder / "users.parquet", user_ids, users)


def _write_faiss(folder: Path, user_ids: Ids, item_ids: Ids, users: Table, items: Table) -> None:
    faiss = _extra("faiss")
    index = faiss.IndexFlatIP(items.shape[1])
    index.add(items)
    faiss.write_index(index, str(folder / "items.faiss"))
    _write_ids(folder / "items.parquet", item_ids)
    _write_ids(folder / "users.parquet", user_ids, users)


WRITERS: dict[str, Callable[[Path, Ids, Ids, Table, Table], None]] = {
    "parquet": _write_parquet,
    "npy": _write_npy,
    "onnx": _write_onnx,
    "faiss": _write_faiss,
}


def _ids(name: str, ids: pd.Index, links: Tensor | None) -> Ids:
    """The columns that say whose row it is."""
    found = {name: pa.array(ids)}
    return found if links is None else {**found, "links": pa.array(links.cpu().numpy())}


def _write_ids(file: Path, ids: Ids, table: Table | None = None) -> None:
    """Writes ids as parquet, and their vectors `[N, D]` beside them, if given."""
    columns = dict(ids)
    if table is not None:
        values = pa.array(table.reshape(-1))
        columns["vector"] = pa.FixedSizeListArray.from_arrays(values, table.shape[1])
    pq.write_table(pa.table(columns), file)


def _ranking_graph(items: Table) -> Any:
    """The graph of a product and a choice: `user [b, D], k [1]` to `item [b, k], score [b, k]`.

    Args:
        items: `[I, D]` table, which the graph holds transposed.

    Returns:
        The `onnx.ModelProto`, checked.
    """
    onnx = _extra("onnx")
    helper, types = onnx.helper, onnx.TensorProto
    table = onnx.numpy_helper.from_array(np.ascontiguousarray(items.T), "items")
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["user", "items"], ["scores"]),
            helper.make_node("TopK", ["scores", "k"], ["score", "item"], axis=-1),
        ],
        "ranking",
        inputs=[
            helper.make_tensor_value_info("user", types.FLOAT, ["b", items.shape[1]]),
            helper.make_tensor_value_info("k", types.INT64, [1]),
        ],
        outputs=[
            helper.make_tensor_value_info("item", types.INT64, ["b", "top"]),
            helper.make_tensor_value_info("score", types.FLOAT, ["b", "top"]),
        ],
        initializer=[table],
    )
    model = helper.make_model(
        graph,
        producer_name="pyg_negsamp",
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    onnx.checker.check_model(model)
    return model
