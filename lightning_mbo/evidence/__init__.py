"""How far to trust a run: held-out rows, intervals, and the choice of the iteration."""
