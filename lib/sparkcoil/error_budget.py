"""The error budget of a run: how many of its rows may fail, as a share, in all, with a code, and one after another at its start."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sparkcoil.sections import RowsConfig


def broken(budget: RowsConfig, failures: Sequence[Mapping[str, Any]], *, scored: int, total: int) -> str | None:
    """Return a sentence with the key of the first rule that a run has broken, of whose `total` rows so many are scored, or None."""
    codes = Counter[str]()
    for each in failures:
        codes[each["code"]] += each["rows"]
    kinds = ", ".join(sorted({f"{each['stage']}/{each['code']}" for each in failures}))
    said = next(rules(budget, codes, scored=scored, total=total), None)
    return f"{said}: {kinds}" if said else None


def rules(budget: RowsConfig, codes: Mapping[str, int], *, scored: int, total: int) -> Iterator[str]:
    """Yield what is broken of the budget."""
    failed = sum(codes.values())
    if failed == scored >= budget.stop_after and budget.max_failed_share < 1:
        yield f"rows.stop_after: the first {scored} of {total} due rows all failed"
    if failed > budget.max_failed_share * total:
        yield f"rows.max_failed_share: {failed} of {total} due rows failed, over the allowed share of {budget.max_failed_share:g}"
    if budget.max_failed is not None and failed > budget.max_failed:
        yield f"rows.max_failed: {failed} rows failed, over the allowed {budget.max_failed}"
    for code, allowed in budget.max_failed_by_code.items():
        if codes.get(code, 0) > allowed:
            yield f"rows.max_failed_by_code.{code}: {codes[code]} rows failed so, over the allowed {allowed}"
