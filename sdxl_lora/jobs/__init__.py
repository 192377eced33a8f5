"""Jobs: `Studio` makes, scores and records pictures; `JobQueue` lets many sessions share one.

Knows nothing of pages or of the command line.
"""
