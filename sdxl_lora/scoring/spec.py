"""The part of a prompt that can be seen: what is scored instead of the whole prompt.

CLIP reads 77 tokens (the mini CLIP fewer) and spreads its attention over all of them; words such as "8K" or
"fashion photography" only dilute the answer to "is it a navy jacket?". Pure strings.

The rule, clause by clause (clauses are separated by commas or line breaks):
1. Weights and LoRA tags are unwrapped: `(navy:1.3)` is `navy`, `<lora:x:1>` is nothing.
2. If a clause begins with "a photography of", "a photo of" or the like, everything before it is a product
   name or category, and is dropped: brands mean nothing to a model that has never seen them.
3. Clauses made of nothing but quality, camera or style words are dropped.
4. What is left is joined again. If nothing is left, the prompt is used as it is.
"""

import re

_LORA = re.compile(r"<lora:[^<>]*>")
_WEIGHT = re.compile(r":\s*[\d.]+\s*(?=[)\]])")
_SUBJECT = re.compile(
    r"(an? )?((studio|product|catalogue|fashion|professional) )*"
    r"(photograph|photography|photo|picture|image) (of|showing) ",
    re.IGNORECASE,
)
# Words that say how a picture was made or how good it is, never what is in it.
_QUALITY = """
    a an and the in of on with at by very most high highly low ultra super extremely hyper best top good great
    quality resolution res definition detail details detailed fine intricate sharp crisp focus focused clear
    realistic photorealistic hyperrealistic realism masterpiece award winning award-winning professional
    stunning beautiful gorgeous perfect amazing 4k 8k 16k hd uhd hdr raw fabric texture textures
"""
_CAMERA = """
    photo photos photography photograph photographic photoshoot shot picture image render style camera lens
    prime dslr canon nikon sony leica hasselblad fujifilm kodak portra 24mm 35mm 50mm 85mm 100mm f/1.4 f/1.8
    f/2.8 f/8 bokeh depth field shallow macro exposure cinematic wide-angle close-up
"""
_GENRE = """
    fashion editorial catalogue catalog commercial product advertising advertisement lookbook campaign
    e-commerce trending artstation unreal engine octane vogue magazine stylish
"""
_BOILERPLATE = frozenset(f"{_QUALITY} {_CAMERA} {_GENRE}".split())


def scored_text(prompt: str) -> str:
    """The short sentence that is scored for `prompt`; the rule stands above. Empty only if `prompt` is."""
    text = _unwrap(prompt)
    clauses = [clause.strip(" .;") for clause in re.split(r"[,\n]", text)]
    starts = [i for i, clause in enumerate(clauses) if _SUBJECT.match(clause)]
    if starts:
        clauses = clauses[starts[0] :]
    kept = [clause for clause in clauses if clause and not _is_boilerplate(clause)]
    return ", ".join(" ".join(clause.split()) for clause in kept) or " ".join(prompt.split())


def subject_start(prompt: str) -> int:
    """Where the clause that says what is in the picture begins, in characters; see rule 2."""
    match = re.search(rf"(?:^|[,\n])\s*(?={_SUBJECT.pattern})", prompt, re.IGNORECASE)
    return match.end() if match else 0


def _unwrap(prompt: str) -> str:
    """Without LoRA tags, and without the brackets and numbers of emphasis."""
    return re.sub(r"[()\[\]]", "", _WEIGHT.sub("", _LORA.sub("", prompt)))


def _is_boilerplate(clause: str) -> bool:
    words = re.split(r"\s+|(?<=ultra)-|(?<=hyper)-|(?<=high)-|(?<=highly)-", clause.lower())
    return all(word.strip(".:!") in _BOILERPLATE for word in words if word)
