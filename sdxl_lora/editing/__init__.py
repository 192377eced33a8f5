"""Pixels in, pixels out: cut-outs, backgrounds, shadows, framing, upscaling, colours. No diffusion model.

What a seller's own photo needs before it may stand in a shop. Every function takes a Pillow picture of a file that was
read by the one reader (`data.images`) and gives a new one; none writes a file.
"""
