"""Samplers as other programs call them, and as we do: strings only."""

_SAMPLERS = {  # as AUTOMATIC1111 calls them -> ours
    "Euler": "euler",
    "Euler a": "euler-a",
    "DDIM": "ddim",
    "DPM++ 2M": "dpm++ 2m",
    "DPM++ 2M Karras": "dpm++ 2m karras",
    "DPM++ 2M SDE": "dpm++ 2m sde",
    "UniPC": "unipc",
    "Heun": "heun",
}
_COMFY = {  # as ComfyUI calls them, and Fooocus and SwarmUI, which draw with it
    "euler_ancestral": "euler-a",
    "dpmpp_2m": "dpm++ 2m",
    "dpmpp_2m karras": "dpm++ 2m karras",
    "dpmpp_2m_sde": "dpm++ 2m sde",
    "uni_pc": "unipc",
}
_USUAL = ("", "automatic", "normal", "uniform")  # schedules of noise that our samplers keep


def ours(name: str, schedule: str = "") -> str | None:
    """Our name of a sampler as other programs call it; None: there is none here."""
    known = {theirs.lower(): own for theirs, own in _SAMPLERS.items()}
    known |= {own: own for own in _SAMPLERS.values()} | _COMFY
    name, schedule = name.strip().lower().removesuffix("_gpu"), schedule.strip().lower()
    return known.get(name if schedule in _USUAL else f"{name} {schedule}")


def theirs(sampler: str) -> str:
    """What AUTOMATIC1111 calls a sampler of ours; ours, where it has none."""
    return {own: name for name, own in _SAMPLERS.items()}.get(sampler, sampler)
