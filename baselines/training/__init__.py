"""How weights are made: rows, mixture, loop, states, recipes and cards."""
