"""Factors of the estimate of LUTs and flip-flops, from what a synthesis reports of a project."""
