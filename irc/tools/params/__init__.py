"""`irc export params`: what a model computes with, for those who write the code themselves."""
