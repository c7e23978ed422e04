"""Bits, accuracies, distances."""

from __future__ import annotations

import math

import numpy as np
import pytest

from irc.backends.compare import Agreement, Distance, accuracy, distance, same_bits, share_equal, together


def test_same_bits_means_bits():
    nan = np.float32([np.nan])
    assert same_bits(nan, nan.copy())
    assert not same_bits(np.float32([0.0]), np.float32([-0.0]))
    assert not same_bits(np.int8([1]), np.int16([1]))
    assert not same_bits(np.zeros((2, 1)), np.zeros((1, 2)))
    assert same_bits(np.zeros(0), np.zeros(0))


def test_agreement_counts_and_remembers_the_first():
    agreement = Agreement("out")
    agreement.add(0, np.int8([1, 2, 3]), np.int8([1, 2, 3]))
    assert agreement.exact
    agreement.add(1, np.int8([1, -128, 3]), np.int8([1, 127, 4]))
    agreement.add(2, np.int8([0, 0, 0]), np.int8([1, 0, 0]))
    assert (agreement.elements, agreement.differing, agreement.first) == (9, 3, 1)
    assert agreement.largest == 255
    with pytest.raises(ValueError, match="output out is int8\\[2\\], expected int8\\[3\\]"):
        agreement.add(3, np.int8([1, 2]), np.int8([1, 2, 3]))


def test_agreement_sees_signs_of_zero_and_nan():
    agreement = Agreement("out")
    agreement.add(0, np.float32([0.0, np.nan]), np.float32([-0.0, 1.0]))
    assert agreement.differing == 2
    assert agreement.largest == 0


def test_accuracy_is_paired():
    labels = np.array([0, 1, 2, 0])
    a = np.eye(3)[[0, 1, 0, 1]]  # right, right, wrong, wrong
    b = np.eye(3)[[1, 1, 2, 2]]  # wrong, right, right, wrong
    found = accuracy(a, b, labels)
    assert (found.samples, found.a_right, found.b_right) == (4, 2, 2)
    assert (found.lost, found.won, found.changed) == (1, 1, 3)
    assert found.difference == 0
    assert found.error == math.sqrt(2 / 4 / 4)


def test_ties_go_to_the_lowest_class():
    assert accuracy(np.zeros((1, 3)), np.zeros((1, 3)), np.array([0])).b_right == 1


def test_distance():
    distance = Distance()
    distance.add(np.float32([1.0, 2.5]), np.float32([1.0, 2.0]))
    assert (distance.largest, distance.scale, distance.relative) == (0.5, 2.0, 0.25)
    with pytest.raises(ValueError, match="shape"):
        distance.add(np.zeros(2), np.zeros(3))


def test_outputs_of_large_numbers_do_not_drown_others():
    def both(box: float, score: float) -> Distance:
        boxes = distance(np.float32([400, 300 + box]), np.float32([400, 300]))
        return together([boxes, distance(np.float32([0.6, 0.8 + score]), np.float32([0.6, 0.8]))])

    assert both(1.0, 0.0).noise < both(0.0, 0.5).noise
    assert both(0.0, 0.5).noise == pytest.approx(0.25, rel=1e-6)
    assert both(250.0, 0.5).decibels == pytest.approx(-10 * np.log10(0.25), rel=1e-6)
    assert both(0.0, 0.0).decibels == np.inf


def test_integers_are_equal_or_not_and_no_part_of_the_noise():
    classes = distance(np.int64([[7, 2, 3, 900]]), np.int64([[7, 2, 3, 4]]))
    scores = distance(np.float32([0.5, 1.0]), np.float32([0.5, 2.0]))
    assert (classes.integers, scores.integers) == (True, False)
    assert share_equal([classes, scores]) == 0.75
    assert share_equal([scores]) is None
    assert together([classes, scores]).decibels == pytest.approx(scores.decibels)
    assert together([classes, classes]).equal == 6
