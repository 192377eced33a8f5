"""Brand kits: what a brand's pictures have in common, kept once and put into requests.

kit        one brand: palette, logos, words, words to avoid, LoRA, backgrounds
kits       the kits of a data folder: a folder each, and one ZIP to pass on
applying   a kit and a request -> the request with all of it said, complete without the kit
"""
