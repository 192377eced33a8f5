"""One command that proves the project on a GPU: `python -m benchmarks.gpu OUT`; README.md says what must be carried."""
