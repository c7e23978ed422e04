"""Example inputs: tensors, arrays, shapes or types, as arguments of `forward` and as arrays by input name."""

from __future__ import annotations

import inspect
import math
import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch

from irc.frontend.scalars import DTYPES, to_array, to_tensor
from irc.frontend.untyped import from_numpy, is_list, is_mapping
from irc.ir.diagnostics import UsageError
from irc.ir.scalars import F32, Array, ScalarType, scalar

_TYPE = re.compile(r"([a-z]+[0-9]*)\[([0-9, ]*)\]")
MOST_ELEMENTS = 2**31  # of an input made up from its shape


@dataclass(frozen=True)
class Arguments:
    """Arguments of one call of `forward`, bound to its parameters where these are known.

    `random` says that values were made up.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    random: bool = False
    bound: inspect.BoundArguments | None = None

    @property
    def by_name(self) -> dict[str, Any]:
        """The arguments whose parameter is known, in order."""
        return dict(self.bound.arguments) if self.bound is not None else self.kwargs

    def replaced(self, values: dict[str, Any]) -> Arguments:
        """The same call with other values for parameters."""
        if self.bound is None:
            return Arguments(self.args, {**self.kwargs, **values}, self.random)
        bound = inspect.BoundArguments(self.bound.signature, OrderedDict({**self.bound.arguments, **values}))
        return Arguments(bound.args, bound.kwargs, self.random, bound)


def arguments(inputs: Any, module: torch.nn.Module | None = None) -> Arguments:
    """Example inputs as arguments: one input, a tuple of them, or a dict by name; each a tensor, array, shape or type.

    Raises UsageError if one is none of these, or if they do not fit the module's `forward`.
    """
    maker = _Maker()
    if isinstance(inputs, Arguments):
        args, kwargs = inputs.args, inputs.kwargs
    elif is_mapping(inputs):
        args, kwargs = (), {str(k): maker.value(v) for k, v in inputs.items()}
    elif is_list(inputs) and not _is_shape(inputs):
        args, kwargs = tuple(maker.value(v) for v in inputs), {}
    else:
        args, kwargs = (maker.value(inputs),), {}
    if module is None or isinstance(module, torch.jit.ScriptModule):  # without a Python signature
        return Arguments(args, kwargs, maker.random)
    signature = inspect.signature(module.forward)
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        parameters = ", ".join(signature.parameters)
        raise UsageError(f"the example inputs do not fit forward({parameters}): {error}") from error
    return Arguments(bound.args, bound.kwargs, maker.random, bound)


def _is_shape(value: Any) -> bool:
    return is_list(value) and bool(value) and all(type(d) is int for d in value)


class _Maker:
    """Turns what users write into tensors, and notes whether it had to make values up."""

    def __init__(self) -> None:
        self.random = False
        self.generator = np.random.default_rng(0)

    def value(self, given: Any) -> Any:
        if isinstance(given, np.ndarray):
            return from_numpy(np.array(cast(Array, given)))
        if isinstance(given, str):
            return self._made_up(*_parsed_type(given))
        if _is_shape(given):
            return self._made_up(F32, tuple(given))
        if is_mapping(given):
            return {k: self.value(v) for k, v in given.items()}
        if is_list(given):
            return type(given)(self.value(v) for v in given)
        if isinstance(given, torch.Tensor):  # a tensor given twice must not become one input that is read twice
            return given.detach().clone()
        if given is None or isinstance(given, bool | int | float):
            return given
        raise UsageError(f"an example input is {type(given).__name__}, expected a tensor, an array, a shape or a type")

    def _made_up(self, kind: ScalarType, shape: tuple[int, ...]) -> torch.Tensor:
        if math.prod(shape) > MOST_ELEMENTS:
            raise UsageError(f"an example input of {math.prod(shape)} elements is too large")
        if 0 in shape[:1]:
            raise UsageError(
                f"an example input of the shape {list(shape)} has no sample",
                hint="its first axis is at least 1; --dynamic lets it vary",
            )
        self.random = True
        if kind.is_float:
            values = self.generator.standard_normal(shape)
        else:  # small numbers serve as flags, masks and indices alike
            values = self.generator.integers(0, 2, shape)
        return from_numpy(np.asarray(values)).to(DTYPES[kind])


def _parsed_type(text: str) -> tuple[ScalarType, tuple[int, ...]]:
    match = _TYPE.fullmatch(text.strip())
    try:
        kind = scalar(match[1]) if match else None
    except ValueError:
        kind = None
    if match is None or kind not in DTYPES:
        raise UsageError(f"'{text}' is no input type", hint="write the type and the shape: 'f32[1, 3, 224, 224]'")
    return kind, tuple(int(d) for d in match[2].split(",") if d.strip())


def named(given: Arguments, inputs: Mapping[str, Any]) -> dict[str, Array]:
    """The arrays of a call by the names of the program's inputs, in their order.

    `inputs` has torch's fake values of all user inputs in order. Raises UsageError if the numbers do not match.
    """
    found = {k: v for k, v in given.kwargs.items() if k in inputs and not is_mapping(v) and not is_list(v)}
    rest = [*_leaves(given.args), *_leaves([v for k, v in given.kwargs.items() if k not in found])]
    left = [name for name in inputs if name not in found]
    if len(left) != len(rest):
        raise UsageError(f"the model has {len(inputs)} inputs ({', '.join(inputs)}), {len(rest) + len(found)} given")
    found.update(zip(left, rest, strict=True))
    return {name: to_array(to_tensor(found[name], fake.dtype)) for name, fake in inputs.items() if _is_tensor(fake)}


def _is_tensor(fake: Any) -> bool:
    return isinstance(fake, torch.Tensor)


def _leaves(value: Any) -> list[Any]:
    """What is in nested tuples, lists and dicts, in order, as torch flattens arguments."""
    if is_mapping(value):
        return [leaf for v in value.values() for leaf in _leaves(v)]
    if is_list(value):
        return [leaf for v in value for leaf in _leaves(v)]
    return [value]
