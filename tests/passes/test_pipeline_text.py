"""The text of a pipeline: what it may look like, and what is said where it does not."""

from __future__ import annotations

import pytest

from irc.ir.diagnostics import UsageError
from irc.passes.pipeline import parse_pipeline, pipeline_text
from irc.tables import PRESETS


@pytest.mark.parametrize(
    "text",
    [
        "dce",
        "canonicalize,fold{grow=4},dce",
        "specialize{batch=1 dims=n:64,m:8}",
        "quantize{weights=4 layers=head:w8,blocks.*.mlp.*:w3a6}",
        'quantize{layers="a path with spaces:w8"}',
        r'quantize{layers="quote\"and\\backslash:w8"}',
        *PRESETS.names(),
    ],
)
def test_round_trip(text: str) -> None:
    stages = parse_pipeline(text)
    again = parse_pipeline(pipeline_text(stages))
    assert [stage.run for stage in again] == [stage.run for stage in stages]


def test_an_option_of_a_preset_goes_to_its_passes() -> None:
    assert "calibrate{samples=32}" in pipeline_text(parse_pipeline("quant8{samples=32}"))


@pytest.mark.parametrize(
    ("text", "column", "message", "hint"),
    [
        ("dce,", 5, "expected a name", ""),
        ("dce,,cse", 5, "expected a name, found ','", ""),
        ("dce fold", 4, "expected ',' between passes, found 'fold'", ""),
        ("dce}", 4, "expected ',' between passes, found '}'", ""),
        ('"dce', 1, "unterminated string", ""),
        ("fold{", 6, "'}' is missing", ""),
        ("fold{=4}", 6, "expected an option or '}', found '='", ""),
        ("fold{grow}", 6, "expected '=' after option 'grow'", ""),
        ("fold{grow=}", 6, "a value is missing", ""),
        ("fold{grow=4 grow=5}", 12, "option 'grow' is given twice", ""),
        ("fold{grow=four}", 1, "fold: option 'grow' is 'four', expected", ""),
        ("fold{grwo=4}", 1, "fold has no option 'grwo'", "did you mean 'grow'?"),
        ("quant8{batch=1}", 1, "no pass of the preset quant8 has an option 'batch'", "those of fold{grow}, "),
        ("clean{bits=3}", 1, "no pass of the preset clean has an option 'bits'", "its options are those of fold{grow}"),
        ("quant4{bits=3}", 1, "no pass of the preset quant4 has an option 'bits'", "quantize{weights activations"),
        ("quant8{weigts=4}", 1, "no pass of the preset quant8 has an option 'weigts'", "did you mean 'weights'?"),
        ("fodl", 1, "unknown pass 'fodl'", "did you mean 'fold'?"),
        ("\0", 1, "expected a name, found '\0'", ""),
        ("fold{grow=" + "9" * 5000 + "}", 1, "fold: option 'grow' is", ""),
    ],
)
def test_mistakes_show_their_place(text: str, column: int, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_pipeline(text)
    (found,) = raised.value.diagnostics
    assert found.span is not None
    assert found.message.startswith(message)
    assert hint in found.hint
    assert found.span.column == column
