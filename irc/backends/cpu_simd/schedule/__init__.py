"""How kernels that sum products are laid out: records that print and read back, the rules that choose them, a measured
search that improves on the rules, and what it found on this machine before."""
