"""What the numbers say, in sentences: which is better, how sure that is, for whom, at what cost."""

from __future__ import annotations

from collections.abc import Sequence

from pyg_negsamp.experiments.filling import below_popularity, improving
from pyg_negsamp.experiments.report.cost import per_epoch
from pyg_negsamp.experiments.report.courses import at_best, course
from pyg_negsamp.experiments.report.curves import selected_by
from pyg_negsamp.experiments.report.groups import GroupOf, groups_of
from pyg_negsamp.experiments.report.reading import Found, Shown
from pyg_negsamp.experiments.significance import Summary
from pyg_negsamp.experiments.tables import format_p

#: A corrected p below this is more than chance.
LEVEL = 0.05


def answer(found: Found) -> list[str]:
    """The answer, sentence by sentence; the first says which row ranks best."""
    rows = [row for row in found.summaries[found.protocol] if found.metric in row.mean]
    ranked = sorted(rows, key=lambda row: -row.mean[found.metric])
    names = [method.name for method in found.trained]
    of_trained = [row for row in ranked if row.name in names]
    sentences = [best_of_all(found, ranked), *significance(found, ranked)]
    if of_trained:
        sentences += of_best_trained(found, of_trained)
    return [sentence for sentence in sentences if sentence]


def percent(row: Summary, metric: str) -> str:
    """A mean with its interval, if there is one."""
    said = f"{100 * row.mean[metric]:.2f} %"
    if metric in row.interval:
        low, high = row.interval[metric]
        said += f" (95 % interval {100 * low:.2f} to {100 * high:.2f})"
    return said


def best_of_all(found: Found, ranked: Sequence[Summary]) -> str:
    """Which row is best, and by how much."""
    best, metric = ranked[0], found.metric
    if len(ranked) == 1:
        return f"{best.name} reaches {metric} {percent(best, metric)} on test."
    said = f"{best.name} ranks best: {metric} {percent(best, metric)} on test"
    against = next((row for row in ranked if row.name == found.against), None)
    if against is None or against is best:
        against = ranked[1]
    said += f", against {percent(against, metric)} of {against.name}"
    if against.mean[metric]:
        said += f", {best.mean[metric] / against.mean[metric] - 1:+.1%}"
    return said + "."


def significance(found: Found, ranked: Sequence[Summary]) -> list[str]:
    """Whether the best row differs from the others by more than chance: tested against it."""
    best = ranked[0]
    tested = {row.name: row.test for row in found.tested(found.protocol, best.name) if row.test}
    if not tested:
        several = "no test of that: the runs kept no numbers of users, or there is one user only."
        return [f"There is {several}"] if len(ranked) > 1 else []
    sure = [f"{n} (p {equals(test.p)})" for n, test in tested.items() if test.p < LEVEL]
    open_ = [f"{n} (p {equals(test.p)})" for n, test in tested.items() if test.p >= LEVEL]
    said = []
    if sure:
        said.append(f"It is significantly better than {listed(sure)}.")
    if open_:
        chance = "could be chance: more users or seeds would tell"
        said.append(f"Its lead over {listed(open_)} {chance}.")
    return said


def equals(p: float) -> str:
    """A p-value after the letter."""
    return format_p(p) if p < 0.001 else f"= {format_p(p)}"


def listed(names: Sequence[str]) -> str:
    """`'a, b and c'`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def of_best_trained(found: Found, ranked: Sequence[Summary]) -> list[str]:
    """What is to be said of the best trained row, and of the one it is held against."""
    by_name = {method.name: method for method in found.trained}
    best = by_name[ranked[0].name]
    others = [row.name for row in ranked[1:]]
    other = by_name[found.against] if found.against in others else None
    if other is None and others:
        other = by_name[others[0]]
    rows = found.summaries[found.protocol]
    said = []
    if max(row.mean.get(found.metric, -1.0) for row in rows) > ranked[0].mean[found.metric]:
        said.append(
            f"Of the trained rows {best.name} is best, with {percent(ranked[0], found.metric)}."
        )
    return [
        *said,
        *chosen_otherwise(found, best),
        for_whom(found, best, other),
        costs(found, best, other),
        over_fits(found, best),
        are_false(found, best),
        *remarks(found),
    ]


def chosen_otherwise(found: Found, best: Shown) -> list[str]:
    """That validation would have chosen another row, if so: the honest choice is that one."""
    name = found.comparison.selecting(found.protocol)
    if found.protocol == "paper":
        return ["Epochs were selected on test links, so that all numbers are too good."]
    rows = {row.name: row.mean[name] for row in found.summaries[found.protocol] if name in row.mean}
    mine = {method.name: rows[method.name] for method in found.trained if method.name in rows}
    if not mine or (first := max(mine, key=lambda n: mine[n])) == best.name:
        return []
    return [f"By validation links, which may choose, {first} would be taken."]


def for_whom(found: Found, best: Shown, other: Shown | None) -> str:
    """Which groups gain most and least."""
    groups = [g for g in groups_of(found) if best.name in g.values]
    if other is None:
        low = [g for g in groups if g.by == "users"]
        if len(low) < 2:
            return ""
        ends = [f"{100 * g.values[best.name]:.2f} % for {named(g)}" for g in (low[0], low[-1])]
        return f"Its {found.metric} is {' and '.join(ends)}."
    said = []
    for by in ("users", "items"):
        gains = {
            g.name: (g.values[best.name] - g.values[other.name], g)
            for g in groups
            if g.by == by and other.name in g.values
        }
        if len(gains) > 1:
            most, least = (end(gains.values(), key=lambda pair: pair[0]) for end in (max, min))
            said.append(f"{change(*most)}, {change(*least)}")
    return f"Compared with {other.name}: {'; '.join(said)}." if said else ""


def change(gain: float, group: GroupOf) -> str:
    """A gain in words."""
    return f"{100 * gain:+.2f} points for {named(group)}"


def named(group: GroupOf) -> str:
    """A group in words."""
    if group.by == "items":
        return f"{group.name} items"
    return f"users with {group.links} training links"


def costs(found: Found, best: Shown, other: Shown | None) -> str:
    """What an epoch costs, and memory."""
    mine = per_epoch(best)
    if mine is None:
        return ""
    said = f"An epoch of {best.name} takes {mine:.2g} s"
    if other is not None and (theirs := per_epoch(other)):
        said += f", {mine / theirs:.2f} times that of {other.name}"
    memory = [run["memory_mb"] for run in best.runs if run.get("memory_mb") is not None]
    return said + (f", and it holds {max(memory):,.0f} MB" if memory else "") + "."


def over_fits(found: Found, best: Shown) -> str:
    """Whether validation fell while training went on."""
    key = selected_by(found)
    if (seen := course(best, key)) is None or len(seen.mean) < 2 or found.protocol == "paper":
        return ""
    peak = max(seen.mean)
    at = seen.epochs[seen.mean.index(peak)]
    lost = 1 - seen.mean[-1] / peak if peak else 0.0
    name = key.split("/")[1]
    if seen.epochs[-1] == at:
        said = f"It does not over-fit yet: validation {name} is highest at the last epoch, {at}"
    elif lost < 0.02:
        said = f"It hardly over-fits: validation {name} peaks at epoch {at} of {seen.epochs[-1]} "
        said += f"and loses {lost:.1%} until the end"
    else:
        said = f"It over-fits after epoch {at} of {seen.epochs[-1]}: validation {name} loses "
        said += f"{lost:.1%} until the end; the epoch kept is the best one"
    train, val = at_best(best, "over-fitting/train"), at_best(best, key)
    if train is not None and val is not None:
        said += f". At the best epoch it has {100 * train:.2f} % on training links, "
        said += f"and {100 * val:.2f} % on validation links"
    return said + "."


def are_false(found: Found, best: Shown) -> str:
    """How many negatives are false ones, against chance."""
    share = at_best(best, "false-negatives/chosen")
    expected = at_best(best, "false-negatives/expected")
    if share is None:
        return ""
    said = f"Of its negatives {100 * share:.2f} % are links held out for validation"
    if expected:
        said += f", {share / expected:.1f} times what a draw at random hits"
    return said + "."


def remarks(found: Found) -> list[str]:
    """Of which rows one should not conclude much."""
    still = improving(found.comparison, found.cells)
    below = below_popularity(found.comparison, found.cells)
    diverged = [row.name for row in found.comparison.rows if row.name not in
                [method.name for method in found.shown]]  # fmt: skip
    said = []
    if still:
        said.append(f"Still improving at the last epoch: {listed(still)}; more epochs may help.")
    if below:
        said.append(f"Below popularity: {listed(below)}.")
    if diverged:
        said.append(f"Without numbers, missing or diverged: {listed(diverged)}.")
    return said
