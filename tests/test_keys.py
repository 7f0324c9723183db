from __future__ import annotations

import hashlib
import math
import unicodedata
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from promptlab.errors import UserError
from promptlab.keys import canonical_request, request_hash
from promptlab.types import Message, Request

EXAMPLE = Request(
    model="openai/gpt-4o-mini",
    messages=(Message("system", "Be brief."), Message("user", "Opposite of hot?\n")),
    params={"temperature": 0, "max_tokens": 16, "stop": ["\n"], "seed": None},
    endpoint="http://127.0.0.1:8399/v1",
    replicate=2,
)

PINNED = "a25c73fde2968ad01f031a8222770c3cd3431ca6bfcf93d00596d61425c611c0"
PINNED_CHOICES = "5ca3d08e203bddf654adee052717fdd4101992d1e390759d7bc66249f2a036f2"

PINNED_TOOLS = "840bf5b0985ebc33a4a82adc29b25dd7d003d6c69121f0e5bf9d6ad8064eb43e"

texts = st.text(st.characters(codec="utf-8"), max_size=20)
numbers = st.integers(1 - 2**63, 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
requests = st.builds(
    Request,
    model=texts,
    messages=st.lists(st.builds(Message, texts, texts), max_size=3).map(tuple),
    prompt=st.none() | texts,
    choices=st.lists(texts, max_size=3).map(tuple),
    params=st.dictionaries(texts, st.none() | values, max_size=4),
    endpoint=st.none() | texts,
    replicate=st.integers(0, 9),
)


def meaning(value: Any) -> Any:
    """An independent statement of when two values are the same: numbers by value, not by type."""
    if isinstance(value, bool | str) or value is None:
        return type(value).__name__, value
    if isinstance(value, int | float):
        return "number", value
    if isinstance(value, dict):
        return "mapping", frozenset((k, meaning(v)) for k, v in value.items())
    return "list", tuple(meaning(v) for v in value)


def identity(r: Request) -> Any:
    params = {k: v for k, v in r.params.items() if v is not None}
    return r.model, r.messages, r.prompt, r.choices, meaning(params), r.endpoint, r.replicate


def test_the_key_is_pinned_for_ever() -> None:
    assert canonical_request(EXAMPLE) == (
        b'{"endpoint":"http://127.0.0.1:8399/v1",'
        b'"messages":[{"content":"Be brief.","role":"system"},'
        b'{"content":"Opposite of hot?\\n","role":"user"}],'
        b'"model":"openai/gpt-4o-mini",'
        b'"params":{"max_tokens":16,"stop":["\\n"],"temperature":0},"replicate":2,"schema":1}'
    )
    assert request_hash(EXAMPLE) == PINNED


def test_a_completion_with_choices_is_pinned_too() -> None:
    request = Request("local/m", prompt="a", choices=("x", "y"), endpoint="sha256:00")
    assert request_hash(request) == PINNED_CHOICES


def test_the_hash_is_of_the_canonical_form() -> None:
    assert request_hash(EXAMPLE) == hashlib.sha256(canonical_request(EXAMPLE)).hexdigest()


@given(requests, requests)
def test_keys_are_equal_exactly_when_the_requests_are(a: Request, b: Request) -> None:
    assert (canonical_request(a) == canonical_request(b)) == (identity(a) == identity(b))


@pytest.mark.parametrize(
    "changed",
    [
        {"model": "openai/gpt-4o"},
        {"endpoint": None},
        {"endpoint": "http://127.0.0.1:8400/v1"},
        {"replicate": 0},
        {"prompt": ""},
        {"choices": ("a", "b")},
        {"messages": EXAMPLE.messages[::-1]},
        {"messages": EXAMPLE.messages[:1]},
        {"messages": (*EXAMPLE.messages[:1], Message("user", "Opposite of hot?"))},
        {"messages": (*EXAMPLE.messages[:1], Message("assistant", "Opposite of hot?\n"))},
        {"params": {**EXAMPLE.params, "temperature": 0.1}},
        {"params": {**EXAMPLE.params, "temperature": False}},
        {"params": {**EXAMPLE.params, "stop": []}},
        {"params": {**EXAMPLE.params, "stop": ["\n", None]}},
        {"params": {**EXAMPLE.params, "tools": [{"type": "function"}]}},
        {"params": {**EXAMPLE.params, "seed": 0}},
        {"params": {**EXAMPLE.params, "extra": {"num_ctx": 1}}},
    ],
    ids=str,
)
def test_what_can_change_the_answer_changes_the_key(changed: dict[str, Any]) -> None:
    assert request_hash(replace(EXAMPLE, **changed)) != request_hash(EXAMPLE)


@given(requests)
def test_order_of_parameters_and_none_do_not_change_the_key(request: Request) -> None:
    shuffled = dict(reversed([*request.params.items()]))
    shuffled["a name nobody drew from the short alphabet"] = None
    assert request_hash(replace(request, params=shuffled)) == request_hash(request)


@given(st.integers(-(2**53), 2**53))
def test_a_float_that_is_an_integer_is_that_integer(number: int) -> None:
    keys = {
        request_hash(replace(EXAMPLE, params={"x": value, "y": {"z": [value]}}))
        for value in (number, float(number))
    }
    assert len(keys) == 1


def change(draw: st.DrawFn, value: Any) -> Any:
    """Another value of the same shape: one thing in it is changed."""
    if isinstance(value, dict) and value:
        key = draw(st.sampled_from(sorted(value)))
        way = draw(st.sampled_from(["value", "name", "gone"]))
        rest = {k: v for k, v in value.items() if k != key}
        if way == "gone":
            return rest
        return rest | (
            {key: change(draw, value[key])} if way == "value" else {key + "_": value[key]}
        )
    if isinstance(value, list | tuple) and value:
        at = draw(st.integers(0, len(value) - 1))
        way = draw(st.sampled_from(["value", "twice", "gone", "turned"]))
        kept = list(value)
        if way == "value":
            kept[at] = change(draw, kept[at])
        elif way == "twice":
            kept.insert(at, kept[at])
        elif way == "turned" and kept != kept[::-1]:
            kept.reverse()
        else:
            del kept[at]
        return type(value)(kept)
    if isinstance(value, str):
        at = draw(st.integers(0, len(value)))
        added = draw(
            st.sampled_from([" ", "\n", "\t", "\u00a0", "\u200b", "a", "A", "\0", '"', "\\"])
        )
        return value[:at] + added + value[at:]
    if isinstance(value, bool):
        return draw(st.sampled_from([not value, int(value), str(value).lower()]))
    if isinstance(value, int | float):
        return draw(st.sampled_from([value + 1, -value - 1, str(value), [value]]))
    return [value]


FULL = Request(
    model="openai/gpt-4o-mini",
    messages=(Message("system", "Be brief."), Message("user", "Opposite of hot?\n")),
    prompt="Opposite of hot? ",
    choices=("cold", "warm", "cold "),
    params={
        "temperature": 0.7,
        "max_tokens": 16,
        "seed": 1,
        "logprobs": True,
        "stop": ["\n", "###"],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"x": [1, 2]}}}],
        "extra_body": {"options": {"num_ctx": 2048, "mirostat": False}},
    },
    endpoint="http://127.0.0.1:8399/v1",
    replicate=1,
)


@settings(max_examples=400)
@given(st.data())
def test_any_one_change_of_what_is_sent_changes_the_key(data: st.DataObject) -> None:
    part = data.draw(st.sampled_from([f.name for f in fields(Request)]))
    if part == "messages":
        one, two = FULL.messages
        what = data.draw(st.sampled_from(["role", "content"]))
        other = replace(two, **{what: change(data.draw, getattr(two, what))})
        orders = [(one, other), (other, one), (two, one), (one,), (two,), (one, one, two), ()]
        changed = replace(FULL, messages=data.draw(st.sampled_from(orders)))
    else:
        changed = replace(FULL, **{part: change(data.draw, getattr(FULL, part))})
    assume(identity(changed) != identity(FULL))
    assert request_hash(changed) != request_hash(FULL)


def _nested(value: Any) -> Any:
    """The same value written otherwise: keys in another order, tuples, numbers of another type."""
    if isinstance(value, dict):
        return {key: _nested(value[key]) for key in sorted(value, reverse=True)}
    if isinstance(value, list | tuple):
        return tuple(_nested(inner) for inner in value)
    return float(value) if type(value) is int else value


def test_how_parameters_are_written_does_not_change_the_key() -> None:
    params = _nested(dict(FULL.params)) | {"top_p": None, "user": None}
    assert list(params) != list(FULL.params)
    assert request_hash(replace(FULL, params=params)) == request_hash(FULL)


def test_a_request_holds_nothing_but_what_can_change_the_answer() -> None:
    # How it is sent (concurrency, time-outs, attempts, API keys) has no place in it at all.
    assert {f.name for f in fields(Request)} == {
        *("model", "messages", "prompt", "choices", "params", "endpoint", "replicate")
    }


@pytest.mark.parametrize("form", ["NFD", "NFKC", "NFKD"])
def test_unicode_forms_are_different_texts(form: Any) -> None:
    # A model sees other tokens, so they are other requests, although they look the same.
    text = unicodedata.normalize("NFC", "caf\u00e9 \ufb01n \u2126")
    other = unicodedata.normalize(form, text)
    assert other != text
    keys = {
        request_hash(Request("m/x", **place))
        for t in (text, other)
        for place in ({"prompt": t}, {"messages": (Message("user", t),)}, {"choices": (t,)})
    }
    assert len(keys) == 6


def test_a_prompt_is_not_a_message() -> None:
    texts = ("Hello", "")
    keys = {request_hash(Request("m/x", prompt=t)) for t in texts}
    keys |= {request_hash(Request("m/x", messages=(Message("user", t),))) for t in texts}
    keys |= {request_hash(Request("m/x", choices=(t,))) for t in texts}
    keys.add(request_hash(Request("m/x")))
    assert len(keys) == 7


def test_a_request_with_tools_is_pinned_too() -> None:
    assert request_hash(FULL) == PINNED_TOOLS


def test_choices_cannot_be_mistaken_for_each_other() -> None:
    assert request_hash(replace(EXAMPLE, choices=("ab", "c"))) != request_hash(
        replace(EXAMPLE, choices=("a", "bc"))
    )


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (math.nan, "nan"),
        (math.inf, "inf"),
        ({1}, "set"),
        ({1: 2}, "1"),
        (2**70, "64"),
        ("\ud800", "surrogates"),
    ],
)
def test_what_json_cannot_say_is_refused(value: Any, word: str) -> None:
    with pytest.raises(UserError, match=word):
        canonical_request(Request("m/x", prompt="p", params={"x": value}))
