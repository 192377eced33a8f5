"""Word lists that templates suggest. They are the words the bundled model was trained on (a test compares
them), and every larger model knows them too. Suggestions only: any other word may be typed.
"""

WORDS: dict[str, tuple[str, ...]] = {
    "colours": (
        "black",
        "white",
        "grey",
        "navy",
        "blue",
        "light blue",
        "red",
        "burgundy",
        "green",
        "olive",
        "beige",
        "brown",
        "yellow",
        "orange",
        "pink",
        "purple",
        "teal",
    ),
    "patterns": ("striped", "checked", "camouflage", "colour-block"),
    "emblems": ("triangle", "circle", "star", "bar", "stripes", "diamond", "cross", "ring"),
    "materials": ("cotton", "nylon", "denim", "wool", "leather", "fleece", "linen", "ripstop"),
    "people": ("male model", "female model", "young man", "young woman", "runner", "hiker"),
    "lights": ("soft daylight", "golden hour light", "overcast light", "studio light", "night neon light"),
    "cameras": ("50mm lens", "85mm lens", "wide-angle shot", "close-up"),
    "styles": (
        "fashion photography",
        "street style photography",
        "editorial photography",
        "catalogue photography",
    ),
    "catalogue settings": ("studio background", "white background", "grey background", "wooden background"),
    "lifestyle settings": (
        "standing on an urban street",
        "standing in a forest",
        "standing in front of a concrete wall",
        "on a beach",
        "in the fog",
        "in a city at night",
    ),
}
