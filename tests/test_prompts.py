"""Prompt templates: which fields they have, what is put into them, and what a task needs for them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sparkcoil import tasks
from sparkcoil.agreement import check_call
from sparkcoil.errors import ConfigError, RowError
from sparkcoil.prompts import TemplateOptions, fields, rendered
from sparkcoil.tasks import Task, wired

CELLS = {"text": b"{{x}} {prompt}", "{name}": b"{1}", "{n}": b"7"}


def fitted(template: str | None, task: str = "text-generation") -> Task:
    """Return a task as a template makes it."""
    return tasks.fitted(task, {"prompt_template": template})[0]


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        ("a {prompt} b", "a {{x}} {prompt} b"),
        ("{{}} {prompt}", "{} {{x}} {prompt}"),
        ('{"a": {"b": "{prompt}"}}', '{"a": {"b": "{{x}} {prompt}"}}'),
        ("{prompt}{prompt}", "{{x}} {prompt}{{x}} {prompt}"),
        ("{name}, {{name}}: {n}", "{1}, {name}: 7"),
        ('{"name": "{name}", "all": [{n}, {}]}', '{"name": "{1}", "all": [7, {}]}'),
        ("{name!r} {n:>9} {n}", "{name!r} {n:>9} 7"),
        ("{name.__class__} {name[0]} {n}", "{name.__class__} {name[0]} 7"),
        ("{n", None),
        ("{{n}}", None),
        ("{} {0} {1a}", None),
        ("no field", None),
    ],
)
def test_a_template_is_filled_literally(template: str, filled: str | None) -> None:
    if filled is not None:
        assert rendered(template, CELLS, "text")[0] == filled
        return
    with pytest.raises(ValidationError, match=r"must hold \{prompt\}, or the name of a column"):
        TemplateOptions(prompt_template=template)


@given(st.text(), st.text())
def test_whatever_a_cell_holds_goes_in_as_it_is(text: str, name: str) -> None:
    row = {"text": text.encode(errors="ignore"), "{name}": name.encode(errors="ignore")}
    assert rendered("<{name}|{prompt}|{name}>", row, "text")[0] == "<{1}|{0}|{1}>".format(*(each.decode() for each in row.values()))


def test_each_field_is_named_once() -> None:
    assert fields("{b} {prompt} {a} {b}") == ("b", "prompt", "a")


def test_a_null_cell_is_named_by_its_column() -> None:
    with pytest.raises(RowError, match="name is NULL") as caught:
        rendered("{name} {n}", {"{name}": None, "{n}": b"1"}, "text")
    assert caught.value.code == "null_input"


def test_a_row_whose_cells_are_all_blank_has_a_warning() -> None:
    assert rendered("Say {a}{b}", {"{a}": b" ", "{b}": b""}, "text")[1] == ("blank_input",)
    assert rendered("Say {a}{b}", {"{a}": b" ", "{b}": b"x"}, "text")[1] == ()


def test_the_tasks_own_text_is_needed_only_where_the_template_has_it() -> None:
    assert [each.label for each in fitted("{a} {prompt}").inputs if each.required] == ["text", "a"]
    assert [each.label for each in fitted("{a} {b}").inputs if each.required] == ["a", "b"]
    assert fitted("{a}", "llm/v1/chat").one_of == ()
    assert fitted(None) == tasks.load("text-generation")


def test_a_field_is_its_own_column_or_the_one_of_its_name_never_an_option() -> None:
    task = fitted("{seed} {name} {text}")
    assert wired(task, {"name": "upper(n)", "temperature": "t"}) == {
        "temperature": "t",
        "{seed}": "seed",
        "{name}": "upper(n)",
        "{text}": "text",
    }


def test_columns_that_no_field_names_are_refused() -> None:
    check_call("run", tasks.load("text-generation"), {"prompt_template": "{name}"}, {"name": "n"})
    with pytest.raises(ConfigError, match=r"source\.columns\.nam: unknown input; did you mean 'name'"):
        check_call("run", tasks.load("text-generation"), {"prompt_template": "{name}"}, {"nam": "n"})
    with pytest.raises(ConfigError, match=r"source\.columns\.text: missing"):
        check_call("run", tasks.load("text-generation"), {"prompt_template": "{name} {prompt}"}, {})
