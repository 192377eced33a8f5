"""Training data: rows of (picture, captions) from any usual place, their geometry, and what is wrong with
them.

`sources` opens a data set, `images` decodes a picture, `geometry` decides sizes, crops and flips, `checks`
reports what would go wrong before a model is loaded, `captioning` writes captions. Nothing here knows of
models' weights.
"""
