"""Word lists that templates suggest. Suggestions only: any other word may be typed.

Colours, patterns and emblems are the ones the bundled model was trained on (a test compares them); larger
models know them too.
"""

WORDS: dict[str, tuple[str, ...]] = {
    "brands": ("Northpeak", "Velora", "Kaito", "Urbanline", "Oakfield"),  # invented
    "colours": (
        "black", "white", "grey", "navy", "blue", "light blue", "red", "burgundy", "green", "olive", "beige",
        "brown", "yellow", "orange", "pink", "purple", "teal",
    ),
    "patterns": ("striped", "checked", "camouflage", "colour-block"),
    "materials": ("cotton", "wool", "linen", "nylon", "denim", "leather", "fleece", "quilted"),
    "emblems": ("triangle", "circle", "star", "bar", "stripes", "diamond", "cross", "ring"),
    "presentations": ("laid flat", "on a hanger", "on a mannequin", "worn by a model"),
    "flat presentations": ("laid flat",),
    "people": ("male model", "female model", "young man", "young woman", "confident woman"),
    "catalogue settings": (
        "studio background", "white background", "beige wall", "on a wooden floor", "forest background",
        "beach background",
    ),
    "lifestyle settings": (
        "standing on an urban street", "in front of a beige wall", "in a forest", "at golden hour",
        "in the fog", "on a beach", "on a wooden floor", "at night", "in a studio",
    ),
    "lights": ("soft studio lighting", "natural light", "warm sunset light", "misty morning light"),
    "cameras": ("85mm lens", "shallow depth of field", "close-up", "full body"),
    "details": (
        "ultra-detailed fabric textures, visible logo", "ultra-detailed fabric textures", "clean composition",
    ),
    "styles": ("fashion photography", "catalogue style", "luxury streetwear style", "editorial"),
}  # fmt: skip
