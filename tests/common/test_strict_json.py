"""JSON from outside: what would break a database or a reply is refused, the rest is read as it is."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import Invalid, TooLarge
from common.strict_json import dumps, loads, loads_object

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")), inner, max_size=5
        )
    ),
    max_leaves=30,
)


@given(plain)
def test_plain_values_come_back_as_they_went(value) -> None:
    assert loads(dumps(value)) == value


@given(plain)
def test_equal_values_have_equal_bytes(value) -> None:
    assert dumps(json.loads(json.dumps(value))) == dumps(value)


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "nul", "NaN", "[Infinity]", '{"a": -Infinity}', "1e400", "-1e999", "9" * 20, str(2**63), "[" * 65 + "]" * 65,
        '{"a":' * 70 + "1" + "}" * 70, "[" * 100_000, '{"a": 1, "a": 2}', r'"\ud800"', r'{"\udfff": 1}', r'"\u0000"', '"' + "[" * 9,
        b"\xff\xfe", b'"\xc3"', "1 2", "'a'",
    ],
)  # fmt: skip
def test_hostile_text_is_refused(text) -> None:
    with pytest.raises(Invalid):
        loads(text)


def test_brackets_inside_strings_are_not_nesting() -> None:
    text = "[" * 500 + '\\"' + "{" * 500
    assert loads(json.dumps({"a": [text] * 3})) == {"a": [text] * 3}


def test_the_limit_is_on_bytes_and_an_object_is_an_object() -> None:
    with pytest.raises(TooLarge):
        loads(b'"' + b"x" * 100 + b'"', max_bytes=101)
    with pytest.raises(Invalid):
        loads_object(b"[]")
