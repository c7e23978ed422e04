"""A linter for HLS C++: what a synthesis tool would refuse, or silently serialise."""
