"""Systems side by side: the same prompts, pictures of each system, the same scores, and votes without names.

    prompts    the rows: what every system was asked for
    columns    the systems: our models, folders and ZIPs of pictures, providers
    archive    reads a ZIP without trusting it
    pairing    which picture of a folder belongs to which row
    providers  OpenAI and Google, through their own clients
    making     pictures of our models
    engine     fills the cells and scores the columns
    voting     which is better, without names; wins with intervals
    grid       everything as one picture

What is made is kept by `records.comparisons`. Knows nothing of pages and of the command line.
"""
