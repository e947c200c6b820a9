"""How weights are made: rows, mixture, loop, states and cards."""
