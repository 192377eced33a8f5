"""Metrics a reviewer can trust: pictures in, numbers out, and beside every number how it came about.

`pairing` finds what is compared with what, `pictures` decodes each file once, `pixel`, `perceptual`,
`distribution`, `colour` and `outcomes` are the formulas, `backbones` and `weights` the networks they need,
`statistics` the intervals and tests, `engine` runs all of it over a folder, `report` writes it down. Knows
nothing of the database.
"""
