"""Groups of vectors in one plane, to be drawn.

Example. Three groups of 64-dimensional vectors, with the positive in the middle, as DINS draws
them (Wu et al., CIKM 2023, arXiv:2306.15905, section 4.5 and figure 7):

    points = in_plane({"positive": p, "boundary": b, "negative": n}, centre="positive")
    points["negative"]        # [n, 2]

All groups are projected at once, so that distances between them mean something. PCA is linear: what
lies on a line stays on a line, and inside a box inside its shadow. t-SNE, which ANS and DINS use,
keeps neighbours together; distances between clusters, and their sizes, mean nothing in it.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import pad

from pyg_negsamp.diagnostics.shapes import check_shapes
from pyg_negsamp.errors import invalid, one_of, short, whole_number

#: About how many neighbours t-SNE keeps together; scikit-learn's default, and less of few points.
PERPLEXITY = 30.0


def in_plane(
    groups: Mapping[str, Tensor], by: str = "pca", centre: str | None = None, seed: int = 0
) -> dict[str, Tensor]:
    """Projects groups of vectors into one plane.

    Args:
        groups: By name, `[n, D]` vectors; `n` differs from group to group.
        by: `'pca'`, the two directions in which all vectors together vary most; or `'t-sne'`,
            which needs the extra 'tsne' (scikit-learn).
        centre: A group whose mean is moved to (0, 0). Default: the mean of all stays there with
            PCA, and with t-SNE nothing is moved.
        seed: What t-SNE's draws depend on. PCA draws nothing.

    Returns:
        By name, `[n, 2]` points, on CPU. Their unit is that of the embeddings with PCA; with
        t-SNE they have none.

    Raises:
        ValueError: If there is no vector, one is not finite, widths differ, `centre` is no group
            that has vectors, `by` is unknown, or scikit-learn is not installed.
    """
    owner = "in_plane"
    by = one_of(owner, "by", by, ("pca", "t-sne"))
    seed = whole_number(owner, "seed", seed)
    if not isinstance(groups, Mapping) or not groups:
        raise invalid(owner, "groups", "vectors [n, D] by name", short(groups))
    check_shapes(
        owner, **{name: (x, f"numbers n{i} D") for i, (name, x) in enumerate(groups.items())}
    )
    x = torch.cat([part.detach().cpu().double() for part in groups.values()])
    if not len(x) or not x.isfinite().all():
        got = "NaN or inf" if len(x) else "none"
        raise invalid(owner, "groups", "of finite vectors, at least one", got)
    if centre is not None and (centre not in groups or not len(groups[centre])):
        raise invalid(owner, "centre", f"a group with vectors: {', '.join(groups)}", centre)
    points = _pca(x) if by == "pca" else _t_sne(x, seed)
    parts = dict(zip(groups, points.split([len(part) for part in groups.values()]), strict=True))
    if centre is None:
        return parts
    middle = parts[centre].mean(dim=0)
    return {name: part - middle for name, part in parts.items()}


def _pca(x: Tensor) -> Tensor:
    """`[N, 2]` along the two directions in which `x [N, D]` varies most; 0 where there is none."""
    x = x - x.mean(dim=0)
    axes = torch.linalg.svd(x, full_matrices=False).Vh[:2]
    # A direction and its opposite are as good: the largest entry is positive.
    largest = axes.gather(1, axes.abs().argmax(dim=1, keepdim=True))
    points = x @ (axes * largest.sign()).t()
    return pad(points, (0, 2 - points.size(1)))


def _t_sne(x: Tensor, seed: int) -> Tensor:
    """`[N, 2]` by t-SNE, which begins at PCA."""
    if importlib.util.find_spec("sklearn") is None:
        raise ValueError('t-SNE needs scikit-learn: pip install "pyg_negsamp[tsne]"')
    from sklearn.manifold import TSNE

    start = _pca(x)
    if len(x) < 2:
        return start
    start = start / start[:, 0].std().clamp(min=1e-12) * 1e-4  # as scikit-learn's own start is
    perplexity = min(PERPLEXITY, (len(x) - 1) / 3)
    made = TSNE(perplexity=perplexity, init=start.float().numpy(), random_state=seed)
    return torch.as_tensor(made.fit_transform(x.numpy())).double()
