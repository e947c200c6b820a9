"""The leaderboard: all runs below some folders, ranked suite by suite, with what others published beside them."""
