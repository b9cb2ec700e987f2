"""The suite as a whole: which tests are long, in which order files run, how long each test and set-up took, and what it all left behind."""

import json
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import families
import pytest

ROOT = Path(__file__).parents[1]
RECENT = ROOT / ".cache" / "tests" / "durations.json"
# A test that takes longer, with the set-ups of its file, belongs to a long family.
LONG_SECONDS = 20.0
# What a file is taken to last that the record does not know yet.
UNKNOWN_SECONDS = 30.0
SLOWEST = 20
# Set-ups quicker than this are not worth a line.
LEAST_SECONDS = 0.1


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add which form of the suite is run, and whether what it took is kept in the repository."""
    group = parser.getgroup("sparkcoil")
    group.addoption("--form", choices=["named", "short", "all", "long"], default="named", help="named: every test of the named files")
    group.addoption("--family", action="append", default=[], choices=[*families.TESTS], help="a family that --form long runs")
    group.addoption("--record", action="store_true", help="keep in tests/record.json what this run took, and which families passed")


def pytest_configure(config: pytest.Config) -> None:
    """Describe the marker, and let the controlling process collect what the others took."""
    config.addinivalue_line("markers", "long(family): a test over 20 seconds, or one that needs a training; `./scripts/test --all` runs it")
    config.addinivalue_line(
        "markers", "promise(what): the one real test of a promise of README's, short or not, so that it is never left out"
    )
    config.pluginmanager.register(SetUps(), "set-ups")
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Durations(config), "durations")


def family_of(item: pytest.Item) -> str | None:
    """Return the long family of a test, or None."""
    marker = item.get_closest_marker("long")
    return str(marker.args[0]) if marker else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is not of the asked form, and put the files first that take longest."""
    form = config.getoption("form")
    if form == "named":
        return
    check_families(items)
    wanted = {"short": lambda family: family is None, "all": lambda family: True}.get(form, config.getoption("family").__contains__)
    chosen = [item for item in items if wanted(family_of(item))]
    for item in chosen:
        if family := family_of(item):
            item.user_properties.append(("family", family))
    config.hook.pytest_deselected(items=[item for item in items if not wanted(family_of(item))])
    seconds = recorded()["files"]
    items[:] = sorted(chosen, key=lambda item: -seconds.get(file_of(item.nodeid), UNKNOWN_SECONDS))


def check_families(items: Sequence[pytest.Item]) -> None:
    """Pass if each long test names a family; raises UsageError, since otherwise no form of the suite would run it."""
    for item in items:
        family = family_of(item)
        if family is not None and family not in families.TESTS:
            raise pytest.UsageError(f"{item.nodeid}: expected a family of tests/families.py, found {family!r}")


def file_of(nodeid: str) -> str:
    """Return the file of a test, from the repository's root."""
    return nodeid.partition("::")[0]


def recorded() -> dict[str, Any]:
    """Return the committed record: seconds of each file, seconds of each long test, and what has passed."""
    return json.loads(families.RECORD.read_text()) if families.RECORD.exists() else {"files": {}, "long": {}, "passed": {}}


class SetUps:
    """Notes what set-ups take; a plugin, since a conftest.py is not asked of what a session sets up."""

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any, request: Any) -> Iterator[None]:
        """Note how long the set-up of a session or a module takes, with the test that asks for it first."""
        start = time.perf_counter()
        try:
            return (yield)
        finally:
            seconds = time.perf_counter() - start
            if fixturedef.scope != "function" and seconds >= LEAST_SECONDS:
                request._pyfuncitem.user_properties.append((f"set-up {fixturedef.scope} {fixturedef.argname}", round(seconds, 2)))


class Durations:
    """What every test and every set-up took, as the processes of the suite report it."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.tests: dict[str, float] = defaultdict(float)
        self.session: dict[str, float] = defaultdict(float)
        self.outcomes: dict[str, set[str]] = defaultdict(set)
        self.failed: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add a phase of a test."""
        nodeid = report.nodeid.partition("@")[0]
        self.tests[nodeid] += report.duration
        if report.failed:
            self.failed.add(nodeid)
        if report.when == "teardown":
            for name, seconds in report.user_properties:
                if name.startswith("set-up session "):  # which whatever test comes first would be blamed for
                    self.session[name.removeprefix("set-up session ")] += float(str(seconds))
                    self.tests[nodeid] -= float(str(seconds))
            for name, family in report.user_properties:
                if name == "family":
                    self.outcomes[str(family)].add("failed" if nodeid in self.failed else "passed")

    def pytest_sessionfinish(self) -> None:
        """Keep what was seen, for people in .cache/, and where that was asked for in the repository."""
        if self.config.getoption("form") == "named":
            return
        RECENT.parent.mkdir(parents=True, exist_ok=True)
        RECENT.write_text(json.dumps({"tests": by_seconds(self.tests), "session": by_seconds(self.session)}, indent=1))
        asked = [*families.TESTS] if self.config.getoption("form") == "all" else self.config.getoption("family")
        passed = [each for each in asked if "passed" in self.outcomes[each] and "failed" not in self.outcomes[each]]
        families.keep_passed(passed)
        if self.config.getoption("record"):
            self.keep(passed)

    def keep(self, passed: list[str]) -> None:
        """Write the committed record anew."""
        files: dict[str, float] = defaultdict(float)
        for nodeid, seconds in self.tests.items():
            files[file_of(nodeid)] += seconds
        now = families.tracked_files()
        kept = recorded()
        kept["files"] = {**kept["files"], **by_seconds(files)}
        others = {nodeid: seconds for nodeid, seconds in kept["long"].items() if nodeid not in self.tests}
        kept["long"] = by_seconds({**others, **{nodeid: each for nodeid, each in self.tests.items() if each > LONG_SECONDS}})
        kept["passed"] |= {family: [families.stamp(family, now)] for family in passed}
        families.RECORD.write_text(json.dumps(kept, indent=1) + "\n")

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Show the slowest tests, and the set-ups that all share."""
        if self.config.getoption("form") == "named" or not self.tests:
            return
        terminalreporter.section(f"slowest {SLOWEST} tests, with the set-ups of their files")
        for nodeid, seconds in [*by_seconds(self.tests).items()][:SLOWEST]:
            terminalreporter.line(f"{seconds:7.1f} s  {nodeid}")
        terminalreporter.section("set-ups that all files share, in all processes")
        for name, seconds in by_seconds(self.session).items():
            terminalreporter.line(f"{seconds:7.1f} s  {name}")


def by_seconds(durations: Mapping[str, float]) -> dict[str, float]:
    """Return durations, rounded, the longest first."""
    return {name: round(seconds, 1) for name, seconds in sorted(durations.items(), key=lambda each: -each[1])}
