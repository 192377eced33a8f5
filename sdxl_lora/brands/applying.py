"""Puts a brand kit into a request: words, words to avoid, LoRA and logos, all said, so that no kit is needed again."""

from dataclasses import replace

from sdxl_lora.brands import kits
from sdxl_lora.brands.kit import BrandKit
from sdxl_lora.logos.keeping import keep
from sdxl_lora.request import GenerationRequest, LogoSpec, LoraSpec


def applied(kit: BrandKit, request: GenerationRequest) -> GenerationRequest:
    """The request with everything of the kit that it does not say yet; applying it twice changes nothing.

    Raises `InputError` where a logo cannot be read, `StorageError`.
    """
    prompt = ", ".join([request.prompt, *_unsaid(kit.words, request.prompt)])
    avoid = [*filter(None, [request.negative_prompt]), *_unsaid(kit.avoid, request.negative_prompt)]
    loras = request.loras
    if kit.lora and kit.lora not in [lora.path for lora in loras]:
        loras = (*loras, LoraSpec(path=kit.lora, weight=kit.lora_weight))
    logos = request.logos
    for logo in kit.logos:
        if logo.at:
            spec = LogoSpec.parse(
                logo.at, hash=keep(kits.logo_data(kit, logo.file), logo.file).hash, name=logo.file
            )
            logos = logos if spec.hash in [other.hash for other in logos] else (*logos, spec)
    return replace(
        request,
        prompt=prompt,
        negative_prompt=", ".join(avoid),
        loras=loras,
        logos=logos,
        brand=request.brand or kit.name,
    )


def _unsaid(words: tuple[str, ...], text: str) -> list[str]:
    return [word for word in words if word.lower() not in text.lower()]
