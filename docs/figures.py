r"""Draws the pictures of docs/figures.md.

    pyg-negsamp compare --table docs/figures/methods.yaml --root DATA --seeds 1 --diagnostics all \
        --out methods
    pyg-negsamp compare --table docs/figures/sizes.yaml --root DATA --seeds 2 --no-references \
        --out sizes
    pyg-negsamp compare --dataset lastfm --root DATA --encoder mf --neg rns dns mixgcf dins \
        --seeds 2 --epochs 20 --lr 0.005 --out lastfm
    python docs/figures.py --methods methods --sizes sizes --lastfm lastfm --root DATA

Those of runs are pictures of their reports. Two show embeddings, which no run keeps: for these two
models are trained, for some minutes.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch
from matplotlib.axes import Axes
from torch import Tensor

from pyg_negsamp.datasets import InteractionDataset
from pyg_negsamp.diagnostics import ans_factors, in_plane, sampled_area
from pyg_negsamp.experiments.report import write_report
from pyg_negsamp.experiments.report.drawing import our_look, to_png
from pyg_negsamp.experiments.report.page import Picture
from pyg_negsamp.experiments.report.styles import style_of
from pyg_negsamp.graph import known_links
from pyg_negsamp.nn import MF
from pyg_negsamp.training import Recommender, fit
from pyg_negsamp.transforms import ANS, DINS, RNS, MixGCF

FOLDER = Path(__file__).parent / "figures"
#: What is taken from the report of each comparison.
TAKEN = {
    "methods": (
        "curves", "hardness-relative", "by-positive", "ambiguous-trap-max", "ambiguous-trap-min",
        "entropy-chosen", "gap", "cost",
    ),
    "sizes": ("sweep",),
    "lastfm": ("false-by-rank",),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    for name in TAKEN:
        parser.add_argument(f"--{name}", type=Path, required=True, help="folder of the comparison")
    parser.add_argument("--root", required=True, help="folder of benchmarks")
    args = parser.parse_args()
    for name, wanted in TAKEN.items():
        with tempfile.TemporaryDirectory() as folder:
            write_report([getattr(args, name)], "png", Path(folder))
            for file in sorted(Path(folder).glob("*.png")):
                if any(file.stem.startswith(start) for start in wanted):
                    shutil.copy(file, FOLDER / file.name)
    phones, lastfm = (InteractionDataset(args.root, name) for name in ("amazon-phones", "lastfm"))
    with our_look():
        for picture in (area(phones), factors(lastfm)):
            (FOLDER / f"{picture.name}.png").write_bytes(to_png(picture))


def trained(data: InteractionDataset, sampler: RNS | ANS | DINS) -> tuple[Tensor, Tensor]:
    """The tables of users and items after thirty epochs of MF with a sampler."""
    torch.manual_seed(0)
    model = Recommender(MF(data[0]), sampler, lr=0.001)
    fit(model, data[0], data[1], epochs=30, eval_every=10, device="cpu")
    users, items = model.scoring_tables().values()
    return users, items


def area(data: InteractionDataset) -> Picture:
    """The negatives that three samplers have for one positive, drawn many times."""
    users, items = trained(data, DINS(data[0], num_candidates=8))
    user, pos = known_links(data[0]).index[:, :1].expand(-1, 300)
    groups: dict[str, Tensor] = {"positive": items[pos[:1]]}
    for name, cls in (("RNS", RNS), ("MixGCF", MixGCF), ("DINS", DINS)):
        sampler = cls(data[0], num_candidates=8)
        generator = torch.Generator().manual_seed(1)
        negatives = sampler.sample(user, pos, [users], [items], generator=generator)
        groups[name] = sampled_area(negatives, pos, items).groups["negative"]
    points = in_plane(groups, centre="positive")
    return Picture("area", "Negatives of one positive, by PCA", "", lambda axes: dots(axes, points))


def factors(data: InteractionDataset) -> Picture:
    """The hard and easy factors of one user's candidates and positives, by a trained ANS."""
    sampler = ANS(data[0], dim=64)
    users, items = trained(data, sampler)
    links = known_links(data[0]).index
    busy = int(links[0].bincount().argmax())
    user, pos = links[:, links[0] == busy]
    candidates = sampler.draw(user, pos, torch.Generator().manual_seed(1))
    points = in_plane(ans_factors(sampler, user, pos, candidates, [users], [items]), by="t-sne")
    return Picture("factors", "Factors of ANS, by t-SNE", "", lambda axes: dots(axes, points))


def dots(axes: Axes, points: Mapping[str, Tensor]) -> None:
    """A dot for each point, a style for each group; groups of few lie on top."""
    for number, (name, where) in enumerate(points.items()):
        size = 9 if len(where) < 10 else 3.5
        x, y = where.t().tolist()
        axes.plot(x, y, linestyle="", markersize=size, label=name, zorder=3 - len(where) / 1e4,
                  **style_of(number).dots)  # fmt: skip


if __name__ == "__main__":
    main()
