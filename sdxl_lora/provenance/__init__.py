"""Where a picture says that a machine made it: what it is signed with, and what a file from anywhere says of itself.

Bytes and pixels in, bytes and findings out. Knows nothing of how pictures are drawn, or of pages.
"""
