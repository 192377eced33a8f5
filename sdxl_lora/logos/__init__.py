"""A brand's logo on a picture, exactly as it was drawn: read, placed, warped, lit, composited, and found again.

    svg_safety    what an SVG may not hold, told in one line
    raster        SVG or PNG with alpha -> its visible part as RGBA pixels of any size
    placing       a named position on the garment, or a free one -> four corners
    compositing   logo, corners and picture -> picture
    matching      a picture and a logo -> match, altered or not found, and where

Pixels in, pixels out; knows nothing of models, requests or files' places.
"""
