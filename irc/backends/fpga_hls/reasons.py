"""Why ops have no lowering here, and what to do: one sentence each."""

from __future__ import annotations

_TABLE = "integerize makes it a table lookup of codes"
_NO_FLOATS = "the accelerator has no floats; integerize turns it into integer arithmetic where it can"
_LOGITS = "compute it from the results, on the host"

REASONS: dict[str, str] = {
    **dict.fromkeys(
        (
            "gelu",
            "sigmoid",
            "silu",
            "hardsigmoid",
            "hardswish",
            "softplus",
            "elu",
            "tanh",
            "exp",
            "log",
            "sqrt",
            "rsqrt",
        ),
        _TABLE,
    ),
    **dict.fromkeys(("erf", "sin", "cos", "floor", "round", "pow", "leaky_relu"), _TABLE),
    "relu": "integerize makes it a clamp of codes, or part of requantize",
    "div": "integers have no division; multiply by the reciprocal, which quantize turns into a scale",
    "mean": "integerize makes it a sum whose scale is divided",
    "avg_pool": "integerize makes it a sum_pool whose scale is divided",
    "softmax": "integerize makes it an int_softmax",
    "layer_norm": "integerize makes it an int_norm",
    "rms_norm": "integerize makes it an int_norm",
    "group_norm": f"{_NO_FLOATS}; group_norm has no integer form",
    "batch_norm": "fold merges it into the convolution or linear layer in front of it",
    "sdpa": "decompose splits it into matmul, softmax, matmul",
    **dict.fromkeys(("argmax", "topk"), f"it gives 64-bit positions; {_LOGITS}"),
    "cumsum": f"running sums are not implemented; {_LOGITS} or in front of it",
    "scatter": "writing at places is not implemented; keep what it updates outside, as an input",
    "iota": "fold makes it a constant once every dimension is fixed, by specialize",
    "quantize": "it stands at the boundary of the accelerator, in main",
    "dequantize": "it stands at the boundary of the accelerator, in main",
    "observe": "quantize removes it",
    "const": "it becomes a ROM of the stage that reads it",
    "return": "it ends a function",
    "yield": "it ends a kernel region",
    "kernel": "its region becomes one stage",
    "call": "inline puts the body of the function in its place",
}
