"""The harness of the bench: the rows, how they are run, and what their numbers mean.
`tests/bench/run` is its command."""
