"""Champion and challenger: the answers of two models in all chunks of a run, as one table. Knows nothing of Spark."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

# The code of the error of a challenger that was not asked.
SKIPPED = "skipped"
# So many pairs of labels are told, the most frequent ones.
MOST_PAIRS = 50

Pair = Mapping[str, Any]


def merged(found: Sequence[Pair]) -> list[Pair]:
    """Return the answers of several chunks with each pair once."""
    kinds: dict[tuple[Any, ...], dict[str, Any]] = {}
    for each in found:
        kind = (each["outcome"], each["same"], each["champion"], each["challenger"])
        known = kinds.setdefault(kind, {**each, "rows": 0, "measured": 0, "distance": 0.0})
        for name in ("rows", "measured", "distance"):
            known[name] += each[name] or 0
    return list(kinds.values())


def summed(found: Sequence[Pair]) -> dict[str, Any]:
    """Return the pairs of all chunks as one table, with how many rows agree and how far numbers are apart on average."""
    outcomes, labels = Counter[str](), Counter[tuple[str, str]]()
    for each in found:
        outcomes[each["outcome"]] += each["rows"]
        if each["champion"] is not None and each["challenger"] is not None:
            labels[each["champion"], each["challenger"]] += each["rows"]
    compared = [each for each in found if each["outcome"] == "compared"]
    judged, agree = (sum(each["rows"] for each in compared if each["same"] in kinds) for kinds in ((True, False), (True,)))
    measured = sum(each["measured"] for each in compared)
    return {
        **{name: outcomes[name] for name in ("compared", "champion_failed", "challenger_failed", "both_failed", SKIPPED)},
        "agree": agree,
        "agreement": round(agree / judged, 4) if judged else None,
        "mean_distance": round(sum(each["distance"] or 0.0 for each in compared) / measured, 6) if measured else None,
        "labels": [{"champion": a, "challenger": b, "rows": count} for (a, b), count in labels.most_common(MOST_PAIRS)],
    }
