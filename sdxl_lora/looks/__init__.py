"""Pictures found by what they show: a CLIP looks at each once, in the background, and its vectors are compared.

looking    `Looks`: all vectors in memory; pictures in the order of their likeness to words or to another picture
indexing   `Indexer`: the thread that looks at new pictures as they are made, and at old ones on request
"""
