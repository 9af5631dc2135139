"""What the numbers say, in sentences: which is better, how sure that is, for whom, at what cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from scipy.stats import binomtest

from pyg_negsamp.experiments.filling import below_popularity, improving
from pyg_negsamp.experiments.protocols import still_improving
from pyg_negsamp.experiments.report.cost import most_memory, per_epoch
from pyg_negsamp.experiments.report.courses import at_best, lost_since_peak
from pyg_negsamp.experiments.report.curves import selected_by
from pyg_negsamp.experiments.report.groups import GroupOf, groups_of
from pyg_negsamp.experiments.report.reading import Found, Shown
from pyg_negsamp.experiments.significance import Summary
from pyg_negsamp.experiments.tables import format_p

#: A corrected p below this is more than chance.
LEVEL = 0.05
#: As many names a sentence has at most.
MOST_NAMED = 5


def answer(found: Found) -> list[str]:
    """The answer, sentence by sentence; the first says which row ranks best.

    Where rows were trained, it is about the best of them, and says which reference is better still.
    """
    rows = [row for row in found.summaries if found.metric in row.mean]
    ranked = sorted(rows, key=lambda row: -row.mean[found.metric])
    trained = {method.name: method for method in found.trained}
    best = next((row for row in ranked if row.name in trained), ranked[0])
    named = next((row for row in ranked if row.name == found.against and row is not best), None)
    others = [row for row in ranked if row is not best and row.name in trained]
    against = named or next(iter(others), None)
    sentences = [lead(found, best, against), *compared(found, best, against, ranked)]
    if best.name in trained:
        method, other = trained[best.name], trained.get(against.name if against else "")
        sentences += [
            chosen_otherwise(found, method),
            for_whom(found, method, other),
            costs(found, method, other),
            over_fits(found, method),
            are_false(method),
        ]
    return [sentence for sentence in [*sentences, *remarks(found)] if sentence]


def percent(row: Summary, metric: str) -> str:
    """A mean with its interval, if there is one."""
    said = f"{100 * row.mean[metric]:.2f}\u00a0%"
    if metric in row.interval:
        low, high = row.interval[metric]
        said += f" (95\u00a0% interval {100 * low:.2f} to {100 * high:.2f})"
    return said


def lead(found: Found, best: Summary, against: Summary | None) -> str:
    """Which row is best, and by how much."""
    metric = found.metric
    if against is None:
        return f"{best.name} reaches {metric} {percent(best, metric)} on test."
    said = f"{best.name} ranks best"
    said += f"{of_trained(found)}: {metric} {percent(best, metric)} on test, against "
    said += f"{100 * against.mean[metric]:.2f}\u00a0% of {against.name}"
    if against.mean[metric]:
        said += f" ({100 * best.mean[metric] / against.mean[metric] - 100:+z.1f}\u00a0%)"
    return said + "."


def of_trained(found: Found) -> str:
    """`' of the trained rows'`, where there are others."""
    rows = [row for row in found.summaries if row.mean]  # popularity too, where no row is that
    return " of the trained rows" if 0 < len(found.trained) < len(rows) else ""


def compared(
    found: Found, best: Summary, against: Summary | None, ranked: Sequence[Summary]
) -> list[str]:
    """Whether the best row differs from the others by more than chance.

    The row that the table tests against has the p of the table. The others are tested against the
    best row, likewise.
    """
    if against is None:
        above = [row for row in ranked if row.mean[found.metric] > best.mean[found.metric]]
        rank = "rank" if len(above) > 1 else "ranks"
        return [f"{listed([value(found, row) for row in above])} {rank} better."] if above else []
    tested = {row.name: row.test.p for row in found.tested(best.name) if row.test}
    if best.test is not None:
        tested[best.test.against] = best.test.p
    if not tested:
        return ["There is no test of that: no run kept the numbers of several users."]
    below = [row for row in ranked if row.mean[found.metric] <= best.mean[found.metric]]
    sure = [with_p(row, tested) for row in below if tested.get(row.name, 1.0) < LEVEL]
    open_ = [with_p(row, tested) for row in below if tested.get(row.name, 0.0) >= LEVEL]
    said = [f"It is significantly better than {listed(sure)}."] if sure else []
    if open_:
        said.append(f"Its lead over {listed(open_)} could be chance; more users or seeds may tell.")
    untrained: dict[str, list[str]] = {}
    for row in ranked:
        if row not in below:
            named = f"{value(found, row)}{p_of(row, tested)}"
            untrained.setdefault(better(tested.get(row.name)), []).append(named)
    said += [f"Not trained, and {how}: {listed(names)}." for how, names in untrained.items()]
    return [*said, of_which_tests(found, best, tested)]


def of_which_tests(found: Found, best: Summary, tested: Mapping[str, float]) -> str:
    """Which tests these p are of, where they are not all those of the table."""
    own = f"of paired tests of {best.name} against every other row, with Holm's correction"
    if found.by(found.protocol) != found.metric:
        return f"These p are {own}; the table tests something else."
    if best.test is None or tested.keys() == {best.test.against}:
        return ""
    return f"The p of {best.test.against} is that of the table; the others are {own}."


def better(p: float | None) -> str:
    """How much better a row is, by its p; `None` if it was not tested."""
    if p is None:
        return "better, which was not tested"
    return "significantly better" if p < LEVEL else "perhaps by chance better"


def value(found: Found, row: Summary) -> str:
    """A row with its mean."""
    return f"{row.name} ({100 * row.mean[found.metric]:.2f}\u00a0%)"


def with_p(row: Summary, tested: Mapping[str, float]) -> str:
    """A row with its p."""
    return f"{row.name}{p_of(row, tested)}"


def p_of(row: Summary, tested: Mapping[str, float]) -> str:
    """`' (p = 0.012)'` of a row that was tested."""
    return f" (p\u00a0{equals(tested[row.name])})" if row.name in tested else ""


def equals(p: float) -> str:
    """A p-value after the letter."""
    return (format_p(p) if p < 0.001 else f"= {format_p(p)}").replace(" ", "\u00a0")


def listed(names: Sequence[str]) -> str:
    """`'a, b and c'`; of many the first ones."""
    if len(names) > MOST_NAMED:
        names = [*names[: MOST_NAMED - 1], f"{len(names) - MOST_NAMED + 1} more"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def chosen_otherwise(found: Found, best: Shown) -> str:
    """That validation would have chosen another row, if so: the honest choice is that one."""
    if found.selected_on == "test":
        return "Epochs were selected on test links: all numbers are too good."
    name = found.comparison.selecting(found.protocol)
    trained = {method.name for method in found.trained}
    rows = [row for row in found.summaries if row.name in trained]
    rows = [row for row in rows if name in row.mean]
    if not rows or (first := max(rows, key=lambda row: row.mean[name])).name == best.name:
        return ""
    return f"Who chooses by validation links, as one should, takes {first.name}{of_trained(found)}."


def for_whom(found: Found, best: Shown, other: Shown | None) -> str:
    """Which groups gain most and least; of a method alone, how well the first and last do."""
    said = []
    for by in ("users", "items"):
        groups = [g for g in groups_of(found) if g.by == by and best.name in g.values]
        if other is not None:
            groups = [g for g in groups if other.name in g.values]
        if len(groups) < 2:
            continue
        if other is None:
            ends = groups[0], groups[-1]
            said += [f"{100 * g.values[best.name]:.2f}\u00a0% for {named(g)}" for g in ends]
            continue
        gains = [(round(100 * (g.values[best.name] - g.values[other.name]), 2), g) for g in groups]
        (least, last), (most, first) = (end(gains, key=lambda pair: pair[0]) for end in (min, max))
        said.append(
            f"{'gains most' if most >= 0 else 'loses least'} for {named(first)} "
            f"({most:+z.2f} points) and {'gains least' if least >= 0 else 'loses most'} "
            f"for {named(last)} ({least:+z.2f})"
        )
    if not said:
        return ""
    if other is None:
        return f"Its {found.metric} is {listed(said)}."
    return f"Against {other.name} it {'; '.join(said)}."


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
    memory = {method.name: most_memory(method) for method in (best, other) if method}
    held = [f"{most:,.0f} MB with {name}" for name, most in memory.items() if most is not None]
    if held and any("gpu" in run.get("machine", {}) for run in best.runs):
        said += f". On the GPU torch held {listed(held)}"
    elif held:
        said += f". The process held {listed(held)}, torch and data included"
    return said + "."


def over_fits(found: Found, best: Shown) -> str:
    """Whether validation fell while training went on."""
    key = selected_by(found)
    lost = lost_since_peak(best, key)
    if lost is None or found.selected_on == "test":
        return ""
    still = any(still_improving(best.row.config, run) for run in best.runs)
    peaks = sorted({run["best_epoch"] for run in best.runs})
    at = f"epoch{'s' if len(peaks) > 1 else ''} {listed([*map(str, peaks)])} "
    at += f"of {max(run['epochs'] for run in best.runs)}"
    falls = f"{100 * lost:.1f}\u00a0%" if lost >= 0.001 else "next to nothing"
    name = key.split("/")[1]
    course = f"validation {name} peaks at {at} and loses {falls} until the end"
    if lost < 0.02 and (still or not lost):
        said = f"{best.name} does not over-fit yet: validation {name} is highest at {at}"
    elif lost < 0.02:
        said = f"{best.name} hardly over-fits: {course}"
    else:
        said = f"{best.name} over-fits{', though not with every seed' if still else ''}: {course}; "
        said += "the epoch kept is the best one"
    train, val = at_best(best, "over-fitting/train"), at_best(best, key)
    if train is not None and val is not None:
        said += f". Near its best epoch it has {100 * train:.2f}\u00a0% on training links, "
        said += f"and {100 * val:.2f}\u00a0% on validation links"
    return said + "."


def are_false(best: Shown) -> str:
    """How many negatives are false ones, against chance."""
    share = at_best(best, "false-negatives/chosen")
    expected = at_best(best, "false-negatives/expected")
    if share is None:
        return ""
    said = f"Of its negatives {100 * share:.2f}\u00a0% are links held out for validation"
    if not expected:
        return said + "."
    chance = f"a draw at random hits ({100 * expected:.2f}\u00a0%)"
    names = (f"false-negatives/{of}-draws" for of in ("chosen", "expected"))
    draws, others = (at_best(best, name) for name in names)
    if draws is None or others is None:
        return f"{said}; {chance}."
    if p_of_rates(share, draws, expected, others, len(best.runs)) < LEVEL:
        return f"{said}, {share / expected:.1f} times what {chance}."
    return f"{said}, about as many as {chance}; the difference may be chance."


def p_of_rates(share: float, draws: float, other: float, other_draws: float, seeds: int) -> float:
    """The p of a test whether draws are hits as often as other draws.

    Hits are rare. If they are as likely, then of all of them the ones have a binomial share.

    Args:
        share: Of the draws that are hits, the mean over seeds.
        draws: How many there are with a seed.
        other: The same of other draws.
        other_draws: How many these are.
        seeds: How many there are.
    """
    hits, rest = round(seeds * share * draws), round(seeds * other * other_draws)
    if not hits + rest:
        return 1.0
    return float(binomtest(hits, hits + rest, draws / (draws + other_draws)).pvalue)


def remarks(found: Found) -> list[str]:
    """Of which rows one should not conclude much."""
    still = improving(found.comparison, found.cells)
    below = below_popularity(found.comparison, found.cells, found.popularity)
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
