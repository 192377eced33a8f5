"""Picture and text to numbers: how well a picture shows what was asked for.

Imports nothing by itself: `card`, which records and pages read, costs no torch.
"""
