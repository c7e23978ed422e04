"""The arithmetic of Resize along one axis: which elements of x an element of the result is made of, with which weights.

Source: the operator's text and reference in the ONNX standard (operator set 19).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from irc.ir.scalars import Array

NEAREST = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
COORDINATES = (
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_half_pixel_for_nn",
    "tf_crop_and_resize",
)
Region = tuple[float, float]


@dataclass(frozen=True)
class Resizing:
    """How to resize; the fields are the attributes of the operator."""

    mode: str
    coordinates: str
    rounding: str
    cubic: float
    exclude_outside: bool
    extrapolation: float
    antialias: bool

    def problem(self) -> str:
        """Why this cannot be done; empty if it can."""
        for name, value, known in (
            ("mode", self.mode, ("nearest", "linear", "cubic")),
            ("coordinate_transformation_mode", self.coordinates, COORDINATES),
            ("nearest_mode", self.rounding, NEAREST),
        ):
            if value not in known:
                return f"{name}={value}"
        return ""

    def place(self, i: int, size: int, new: int, factor: float, region: Region | None) -> float:
        """The coordinate in x of element i of the result."""
        whole = size * factor  # not rounded, as torch and the standard do
        match self.coordinates:
            case "align_corners":
                return 0.0 if whole == 1 else i * (size - 1) / (whole - 1)
            case "asymmetric":
                return i / factor
            case "tf_half_pixel_for_nn":
                return (i + 0.5) / factor
            case "pytorch_half_pixel":
                return 0.0 if whole == 1 else (i + 0.5) / factor - 0.5
            case "half_pixel_symmetric":
                adjusted = size / 2 * (1 - new / whole)
                return adjusted + (i + 0.5) / factor - 0.5
            case "tf_crop_and_resize":
                start, end = region or (0.0, 1.0)
                if whole > 1:
                    return start * (size - 1) + i * (end - start) * (size - 1) / (whole - 1)
                return 0.5 * (start + end) * (size - 1)
            case _:
                return (i + 0.5) / factor - 0.5

    def rounded(self, place: float) -> int:
        match self.rounding:
            case "floor":
                return math.floor(place)
            case "ceil":
                return math.ceil(place)
            case "round_prefer_ceil":
                return math.floor(place + 0.5)
            case _:
                return math.ceil(place - 0.5)

    def nearest(self, size: int, new: int, factor: float, region: Region | None) -> Array:
        """The element of x for each of the result."""
        places = [self.place(i, size, new, factor, region) for i in range(new)]
        return np.array([min(max(self.rounded(p), 0), size - 1) for p in places], np.int64)

    def outside(self, size: int, new: int, factor: float, region: Region | None) -> Array:
        """Whether each element of the result lies outside of x, where it has a value of its own."""
        places = np.array([self.place(i, size, new, factor, region) for i in range(new)])
        return (self.coordinates == "tf_crop_and_resize") & ((places < 0) | (places > size - 1))

    def weights(self, ratio: float, factor: float) -> tuple[int, list[float]]:
        """The first element, relative to floor(place), and the weights of it and those behind it."""
        narrow = min(factor, 1.0) if self.antialias else 1.0
        if self.mode == "nearest":
            return 0, [1.0]
        reach = (1.0 if self.mode == "linear" else 2.0) / narrow
        first = math.floor(-reach) + 1
        last = 2 - first if narrow < 1 else math.ceil(reach)
        value = _triangle if self.mode == "linear" else self._cubic
        weights = [value(narrow * (k - ratio)) for k in range(first, last + 1)]
        total = sum(weights) if narrow < 1 else 1.0
        return first, [w / total for w in weights]

    def _cubic(self, t: float) -> float:
        """Keys, 1981."""
        a, t = self.cubic, abs(t)
        if t <= 1:
            return ((a + 2) * t - (a + 3)) * t * t + 1
        return a * (((t - 5) * t + 8) * t - 4) if t < 2 else 0.0


def _triangle(t: float) -> float:
    return max(1 - abs(t), 0.0)


def resize_matrix(how: Resizing, size: int, new: int, factor: float, region: Region | None) -> Array:
    """[new, size], the weights of the elements of x for each of the result."""
    matrix = np.zeros((new, size))
    for i in range(new):
        place = how.place(i, size, new, factor, region)
        low = math.floor(place)
        first, weights = how.weights(place - low, factor)
        for k, weight in enumerate(weights):
            at = low + first + k
            if how.exclude_outside and not 0 <= at < size:
                continue
            matrix[i, min(max(at, 0), size - 1)] += weight
        if how.exclude_outside and matrix[i].sum():
            matrix[i] /= matrix[i].sum()
    return matrix
