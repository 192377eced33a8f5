"""What the tests of the store share."""

from pathlib import Path
from typing import Any

from PIL import Image

from sdxl_lora.records import Record, Store
from sdxl_lora.request import GenerationRequest

PICTURE = Image.linear_gradient("L").resize((48, 32)).convert("RGB")


def request(prompt: str = "a navy jacket", seed: int = 7, **changes: Any) -> GenerationRequest:
    values = {"model": "mini", "steps": 20, "guidance": 3.0, "width": 64, "height": 64, **changes}
    return GenerationRequest(prompt=prompt, seed=seed, **values)


def pngs(home: Path) -> list[str]:
    return sorted(path.stem for path in (home / "pictures").glob("*/*.png"))


def add(store: Store, prompt: str = "a navy jacket", seed: int = 7, session: str = "") -> Record:
    return store.add(PICTURE, request=request(prompt, seed), session=session)
