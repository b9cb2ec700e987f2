"""The tutorials' tables are what their models' training and tests rely on."""

import importlib
import re
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.long("scripts")
SEEN = 4000


@pytest.fixture(scope="module")
def modules() -> Mapping[str, ModuleType]:
    """The grammars, and the script that draws the tables, by name."""
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(ROOT / "scripts")
        grammars = {name: importlib.import_module(f"tutorials.{name}") for name in ("chats", "forecasts", "orders", "questions")}
        return {**grammars, "make_sentences": importlib.import_module("make_sentences")}


@pytest.fixture(scope="module")
def tables(modules: Any) -> dict[str, list[dict[str, Any]]]:
    return {name: modules["make_sentences"].numbered(rows).to_pylist() for name, rows in modules["make_sentences"].tables().items()}


def template(conf: str) -> str:
    return yaml.safe_load((ROOT / "conf" / f"{conf}.yaml").read_text())["model"]["options"]["prompt_template"]


def test_the_same_tables_are_drawn_each_time(modules: Any, tables: Any) -> None:
    assert tables == {
        name: modules["make_sentences"].numbered(rows).to_pylist() for name, rows in modules["make_sentences"].tables().items()
    }


def test_training_sees_no_forecast_no_order_and_no_question_of_the_tables(modules: Any, tables: Any) -> None:
    seen = {each.english for each in islice(modules["forecasts"].iter_forecasts(7, held_out=False), SEEN)}
    assert not seen & {row["english"] for row in tables["forecasts"]}
    asked = {each.prompt for each in islice(modules["questions"].iter_questions(7, held_out=False), SEEN)}
    assert not asked & {modules["questions"].PROMPT.format(**row) for row in tables["questions"]}
    ordered = {each.prompt for each in islice(modules["orders"].iter_orders(7, held_out=False), SEEN)}
    assert not ordered & {modules["orders"].PROMPT.format(**row) for row in tables["orders"]}


def test_no_chat_of_the_table_is_the_beginning_of_one_in_training(modules: Any, tables: Any) -> None:
    chats = modules["chats"]
    begun = {each for chat in islice(chats.iter_chats(7, held_out=False), SEEN) for each in chats.beginnings(chat)}
    answered = [[*row["messages"], {"role": "assistant", "content": row["reply"]}] for row in tables["chats"]]
    assert len(begun) > SEEN / 2
    assert not begun & {chats.beginnings(chat)[-1] for chat in answered}


def test_run_files_put_rows_to_the_models_as_training_did(modules: Any) -> None:
    assert template("order-notes") == modules["orders"].PROMPT
    written = yaml.safe_load((ROOT / "conf" / "questions-to-sql.yaml").read_text())["source"]["columns"]["text"]
    parts = re.findall(r"'([^']*)'|(\w+)", written.removeprefix("concat("))
    assert "".join(text or f"{{{column}}}" for text, column in parts).replace(r"\n", "\n") == modules["questions"].PROMPT


def test_every_query_can_be_run(modules: Any, tables: Any) -> None:
    results = [modules["questions"].result(row["schema"], row["sql"]) for row in tables["questions"]]
    assert None not in results
    assert sum(bool(each) for each in results) > 0.8 * len(results)


def test_what_is_no_query_for_the_table_has_no_result(modules: Any) -> None:
    result = modules["questions"].result
    assert result("orders(city, cost)", "SELECT MAX(cost) FROM orders")
    assert result("orders(city, cost)", "SELECT MAX(price) FROM orders") is None
    assert result("orders(city, cost)", "MAX(cost)") is None


def test_german_says_the_unit_before_the_ten(modules: Any) -> None:
    assert modules["forecasts"].NUMBERS["twenty-three"] == ("dreiundzwanzig", "vingt-trois")


def test_requests_have_options_of_their_own(tables: Any) -> None:
    for name in ("max_tokens", "temperature", "stop", "seed"):
        assert 20 < sum(row[name] is not None for row in tables["requests"]) < 150
    assert [row for row in tables["requests"] if row["stop"] and row["stop"] in row["reply"]] == []
