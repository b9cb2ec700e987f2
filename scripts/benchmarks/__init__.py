"""The benchmark's parts: what is scored, with which models, by whom, in which order, and what is said of it."""
