"""One function per garment, and the table that names them.

To add a garment: write a function `(Draft) -> Garment` that returns pieces from back to front in the unit
square, with an anchor for each position of `scene.POSITIONS`, and add it here and to `scene.GARMENTS` and
`scene.POSITIONS`. `upper` has torso, sleeves and collars to build on, `bottoms` legs and waistband.
"""

from collections.abc import Callable

from sdxl_lora.mini.renderer.garments.accessories import cap, sneakers, tote
from sdxl_lora.mini.renderer.garments.bottoms import jeans, shorts, trousers
from sdxl_lora.mini.renderer.garments.outerwear import coat, jacket, puffer, vest
from sdxl_lora.mini.renderer.garments.skirts import dress, skirt
from sdxl_lora.mini.renderer.garments.tops import hoodie, shirt, sweatshirt, t_shirt
from sdxl_lora.mini.renderer.parts import Draft, Garment

TABLE: dict[str, Callable[[Draft], Garment]] = {
    "jacket": jacket,
    "puffer jacket": puffer,
    "coat": coat,
    "vest": vest,
    "hoodie": hoodie,
    "sweatshirt": sweatshirt,
    "t-shirt": t_shirt,
    "shirt": shirt,
    "trousers": trousers,
    "jeans": jeans,
    "shorts": shorts,
    "skirt": skirt,
    "dress": dress,
    "sneakers": sneakers,
    "cap": cap,
    "tote bag": tote,
}
