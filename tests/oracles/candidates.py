"""The distributions that candidates are drawn from, for one user.

RNS is uniform over the items the user has not interacted with (DINS, §4.1.2); popularity
sampling gives more popular items a higher probability (DINS, §4.1.2; AHNS, related work).
"""


def uniform_probabilities(num_items: int, seen: set[int]) -> list[float]:
    """The probability of every item, uniform over exactly the items not in ``seen``."""
    unseen = [i for i in range(num_items) if i not in seen]
    if len(unseen) == 0:
        raise ValueError("the user has seen every item")
    return [0.0 if i in seen else 1.0 / len(unseen) for i in range(num_items)]


def popularity_probabilities(degrees: list[int], seen: set[int], power: float) -> list[float]:
    """The probability of every item, proportional to degree ** power over the unseen ones.

    An item of degree 0 has probability 0, unless ``power`` is 0: then all unseen items are alike.
    """
    weights = []
    for i in range(len(degrees)):
        if i in seen:
            weights.append(0.0)
        elif power == 0:
            weights.append(1.0)
        elif degrees[i] == 0:
            weights.append(0.0)
        else:
            weights.append(float(degrees[i]) ** power)
    total = sum(weights)
    if total == 0.0:
        raise ValueError("no item has a positive weight")
    return [w / total for w in weights]
