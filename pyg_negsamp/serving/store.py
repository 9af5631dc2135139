"""The parts of a model as files, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from pyg_negsamp import __version__
from pyg_negsamp.csr import binary_matrix
from pyg_negsamp.datasets.interactions import PARTS
from pyg_negsamp.errors import invalid
from pyg_negsamp.serving.folder import RECORD, find_folder, read_folder, write_folder
from pyg_negsamp.serving.ids import Ids
from pyg_negsamp.serving.links import SavedLinks
from pyg_negsamp.serving.making import class_name
from pyg_negsamp.serving.ranking import ByDecoder, ByReference, Tables
from pyg_negsamp.serving.record import KEPT, REFERENCES, check_record

#: Names of tensors: of what ranks, and of the encoder's state.
RANKING, ENCODER = "ranking.", "encoder."
#: Of the decoder's state, in that of its encoder.
DECODER = "decoder."


class Parts(NamedTuple):
    """What a model is made of.

    Attributes:
        ranking: What ranks.
        links: The links of the data.
        users: Ids of the users.
        items: Ids of the items.
        record: `config`, `metrics`, and how the model was made (`method`; of an encoder also
            `loss`, `similarity`, `l2`), as plain values.
        state: State of the encoder; empty for a reference.
    """

    ranking: Tables | ByReference
    links: SavedLinks
    users: Ids
    items: Ids
    record: dict[str, Any]
    state: dict[str, Tensor]


def write_model(path: Path, parts: Parts) -> None:
    """Writes a model, see :func:`pyg_negsamp.serving.folder.write_folder`."""
    ranking, links, users, items, record, state = parts
    tensors = {RANKING + name: x for name, x in ranking.tensors().items()}
    tensors |= {ENCODER + name: x for name, x in state.items()}
    weight = {} if links.weight is None else {"weight": links.weight.numpy()}
    kinds = {} if links.category is None else {"category": links.category.numpy()}
    frames = {
        "users": pd.DataFrame({"user": users.index}),
        "items": pd.DataFrame({"item": items.index, **kinds}),
        "links": pd.DataFrame(
            {
                "user": links.user.numpy(),
                "item": links.item.numpy(),
                "part": np.array([*PARTS])[links.part.numpy()],
                "trained": links.trained.numpy(),
                **weight,
            }
        ),
    }
    said = {"library": __version__, **record, "edge_type": list(links.edge_type)}
    write_folder(path, tensors, frames, said)


def read_model(path: Path, decoder: torch.nn.Module | None = None) -> Parts:
    """Reads what :func:`write_model` wrote.

    Args:
        path: The folder.
        decoder: A module of the class of the model's decoder, if it has one; gets its state.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If a file is missing or has changed, or if the files do not go together; if the
            model has a decoder and there is none here, or another one.
    """
    tensors, frames, record = read_folder(path)
    check_record(record, find_folder(path) / RECORD)
    try:
        return _parts(tensors, frames, record, decoder)
    except (KeyError, TypeError, RuntimeError, IndexError) as error:
        said = " ".join(str(error).split())
        raise ValueError(f"TrainedModel: the files in {path} do not go together: {said}") from error


def _parts(
    tensors: dict[str, Tensor],
    frames: dict[str, pd.DataFrame],
    record: dict[str, Any],
    decoder: torch.nn.Module | None,
) -> Parts:
    users, items = (Ids(pd.Index(frames[f"{kind}s"][kind]), kind) for kind in ("user", "item"))
    frame = frames["links"]
    links = SavedLinks(
        torch.tensor(frame["user"].to_numpy()),
        torch.tensor(frame["item"].to_numpy()),
        torch.tensor(pd.Index([*PARTS]).get_indexer(pd.Index(frame["part"])).astype(np.uint8)),
        torch.tensor(frame["trained"].to_numpy()),
        len(users),
        len(items),
        tuple(record["edge_type"]),
        *(
            torch.tensor(table[name].to_numpy()) if name in table else None
            for table, name in ((frame, "weight"), (frames["items"], "category"))
        ),
    )
    method = record["method"]["class"]
    ranks = _named(RANKING, tensors)
    ranking: Tables | ByReference
    if method in REFERENCES:
        seen = binary_matrix(links.training_graph(), links.edge_type)
        ranking = ByReference(REFERENCES[method].restored(seen, ranks))
    else:
        ranking = Tables(ranks["user"], ranks["item"])
    state = _named(ENCODER, tensors)
    check_decoder(record, decoder)
    if decoder is not None:
        restore(decoder, _named(DECODER, state))
        ranking = ByDecoder(ranks["user"], ranks["item"], decoder)
    kept = {name: value for name, value in record.items() if name in KEPT}
    return Parts(ranking, links, users, items, kept, state)


def check_decoder(record: dict[str, Any], decoder: torch.nn.Module | None) -> None:
    """Refuses to load a model without its decoder, or with another class of one.

    Raises:
        ValueError: Saying which class it is.
    """
    saved = record.get("decoder")
    given = None if decoder is None else class_name(decoder)
    if saved is None and given is None:
        return
    # A script's `__main__.MLP` is the `my_models.MLP` of whoever imports it; what it learned has to
    # fit in any case.
    if saved is not None and given is not None and _last(saved) == _last(given):
        return
    expected = "left out, as the model has none"
    if saved is not None:
        name = _last(saved)
        expected = (
            f"a {name}, as in training: TrainedModel.load(path, decoder={name}(...)); from Python "
            "alone, because loading runs no code but ours"
        )
    raise invalid("TrainedModel", "decoder", expected, given)


def _last(name: str) -> str:
    """The name of a class without its module."""
    return name.rsplit(".", 1)[-1]


def restore(decoder: torch.nn.Module, state: dict[str, Tensor]) -> None:
    """Gives a decoder its saved state; refuses one with other parameters."""
    try:
        decoder.load_state_dict(state)
    except RuntimeError as error:
        said = " ".join(str(error).split())
        expected = "one made with the arguments of the saved one"
        raise invalid("TrainedModel", "decoder", expected, said) from error
    decoder.eval().requires_grad_(False)


def _named(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin so, by what follows."""
    return {name.removeprefix(prefix): x for name, x in tensors.items() if name.startswith(prefix)}
