"""What runs leave on disk that were watched by all diagnostics: made up, but of that shape."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

EPOCHS = 8
STAGES = ("draw", "choice", "gather", "propagate", "backward", "optimiser", "evaluation")


def epoch_of(number: int, of: int, hard: float, noise: float) -> dict[str, float]:
    """The history of one epoch, with every key that a diagnostic leaves."""
    done = (number + 1) / of
    learned = 1 - math.exp(-3 * done)
    found = {
        "epoch": number,
        "loss": 0.69 - 0.4 * learned + 0.1 * hard + noise,
        "val/NDCG@20": 0.2 * learned * (1 + 0.2 * hard) - 0.03 * max(0.0, done - 0.7) + noise,
        "seconds": 0.1 + 0.05 * hard,
        "over-fitting/train": 0.28 * learned + 0.1 * done + noise,
        "false-negatives/chosen": 0.004 + 0.02 * hard * learned + 0.1 * noise,
        "false-negatives/chosen-draws": 512,
        "false-negatives/expected": 0.004 + 0.02 * abs(noise),
        "false-negatives/expected-draws": 8192,
        "false-negatives/by-popularity": 0.009,
        "gradient/mean": 0.5 - 0.4 * learned * (1 - 0.5 * hard),
        "entropy/chosen": 4.2 - 0.8 * hard * learned,
        "popularity/chosen": 12 + 20 * hard * learned,
        "popularity/positive": 41.0,
        "popularity/catalogue": 12.5,
        "alignment/pairs": 1.8 - learned,
        "uniformity/users": -1.2 - 1.5 * learned,
        "uniformity/items": -1.4 - 1.6 * learned,
        "ambiguous-trap/max": 0.9 - 0.2 * learned,
        "ambiguous-trap/min": 0.2 + 0.1 * learned,
        "ambiguous-trap/gain": 0.1 * hard,
    }
    found["over-fitting/gap"] = found["over-fitting/train"] - found["val/NDCG@20"]
    for name, level in {"positive": 4.0, "negative": 3.0 * hard, "unseen": -1.0}.items():
        found[f"hardness/{name}"] = level * learned + noise
        for decile in range(10, 100, 10):
            found[f"hardness/{name}/p{decile}"] = (level + (decile - 50) / 30) * learned
    found["hardness/relative"] = 0.75 * hard
    for tenth in range(1, 11):
        found[f"hardness/positive/{tenth}"] = (2 + 0.4 * tenth) * learned
        found[f"hardness/by-positive/{tenth}"] = 0.3 * tenth * hard * learned
        found[f"false-negatives/rank-{tenth}"] = 0.03 / tenth * (1 + hard)
    return found | {f"cost/{stage}": 0.01 * (n + 1) for n, stage in enumerate(STAGES)}


def watch(folder: Path, hard: float, seed: int = 0, trained: bool = True) -> None:
    """Adds to what a cell or a run found all that newer ones have.

    Args:
        folder: Of the cell or run, with its `metrics.json` and `users.npz`.
        hard: How hard its negatives are, from 0 to 1.
        seed: Of what is made up.
        trained: Whether it has epochs.
    """
    file = folder / "metrics.json"
    found: dict[str, Any] = json.loads(file.read_text())
    draws = np.random.default_rng([seed, int(100 * hard)])
    test = found["test"]
    k = min(int(name.split("@")[1]) for name in test if name.startswith("NDCG@"))
    test |= {f"Coverage@{k}": 0.2 + 0.4 * hard, f"AveragePopularity@{k}": 60 - 30 * hard}
    quartiles = [(f"quartile {n}", 3 * n, 3 * n + 2, 0.6 + 0.2 * n) for n in range(1, 5)]
    thirds = [("head", 40, 90, 1.5), ("middle", 11, 39, 0.9), ("tail", 1, 10, 0.3 + 0.4 * hard)]
    found["groups"] = [
        {
            "by": by, "name": name, "least": least, "most": most, "users": 50, "held_out": 120,
            "metrics": {f"NDCG@{k}": float(share * test[f"NDCG@{k}"])},
        }
        for by, groups in {"users": quartiles, "items": thirds}.items()
        for name, least, most, share in groups
    ]  # fmt: skip
    found["memory_mb"] = 512.0 + round(100 * hard)
    if trained:
        noise = draws.normal(0, 0.004, EPOCHS)
        found["history"] = [epoch_of(n, EPOCHS, hard, float(noise[n])) for n in range(EPOCHS)]
        ndcg = [epoch["val/NDCG@20"] for epoch in found["history"]]
        found |= {"best_epoch": 1 + int(np.argmax(ndcg)), "epochs": EPOCHS}
    file.write_text(json.dumps(found, indent=2) + "\n")
    links = np.stack([np.arange(200) % 50, np.arange(200) % 80])
    hits = np.random.default_rng(7).random(200) < 0.2 + draws.random(200) * 0.2
    with (folder / "hits.npz").open("wb") as out:
        np.savez(out, link=links, **{f"hit@{k}": hits})
