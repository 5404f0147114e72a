"""The bench's harness: which rows there are, how they are run, what their figures mean. `tests/bench/run` is its command."""
