"""A request's logos as a cue: shown to the model while it draws, at the place where they will be printed.

From noise no garment is there yet, so that a named position is taken on the outline that such a garment usually has
(`logos.typical`); from a start picture it is found on that picture. What is printed at the end is the
exact logo, at the place that is found on the finished picture.
"""

from typing import Any

from PIL import Image

from sdxl_lora.errors import RequestError
from sdxl_lora.generation.starting import Start
from sdxl_lora.logos import asked, cues, typical
from sdxl_lora.models import architecture, cue_files
from sdxl_lora.models import cues as networks
from sdxl_lora.models.cued_network import Cue
from sdxl_lora.models.loading import LoadedModel
from sdxl_lora.models.registry import ModelInfo
from sdxl_lora.request import GenerationRequest, ResolvedRequest
from sdxl_lora.request.cue import NO_CUE


def check(request: ResolvedRequest, info: ModelInfo) -> None:
    """Raises `InputError` where it can be seen without weights that the model cannot see the logos. Fetches nothing."""
    if request.logo_cue != NO_CUE and not request.logos:
        raise RequestError(
            "there is no logo to show while drawing; add one with --logo FILE, or leave out the cue"
        )
    if not request.is_cued or not request.is_drawn:
        return
    if request.mask:
        raise RequestError(
            "a logo is shown while a whole picture is drawn; leave out the mask, or the logo's cue"
        )
    if request.cache_interval > 1:
        raise RequestError("with a logo's cue every step is computed whole; use cache interval 1")
    if request.follows_outline and not any(spec.placed for spec in request.logos):
        raise RequestError("a logo's outline needs a place; say where it goes, for example chest")
    _check_usual(request, info)
    if request.follows_outline:
        _controlnet(request, info, fetch=False)
    if request.follows_looks:
        cue_files.adapter(request.ip_adapter, fetch=False)


def pinned(request: GenerationRequest, info: ModelInfo) -> dict[str, Any]:
    """Which networks show the logos, and their contents; fetches those that are not here. Raises as `check`."""
    found = {"controlnet_sha256": "", "ip_adapter_sha256": ""}
    if request.follows_outline and request.is_drawn:
        control = _controlnet(request, info, fetch=True)
        assert control is not None  # it was fetched
        found |= {"controlnet": control.name, "controlnet_sha256": control.sha256}
    if request.follows_looks and request.is_drawn:
        adapter = cue_files.adapter(request.ip_adapter, fetch=True)
        assert adapter is not None
        found |= {"ip_adapter": adapter.name, "ip_adapter_sha256": adapter.sha256}
    return found


def has_cue_networks(request: GenerationRequest) -> bool:
    """Whether nothing would have to be fetched. Raises `InputError`."""
    return not (
        (request.follows_outline and cue_files.controlnet(request.controlnet, fetch=False) is None)
        or (request.follows_looks and cue_files.adapter(request.ip_adapter, fetch=False) is None)
    )


def prepare(model: LoadedModel, request: ResolvedRequest, start: Start | None) -> Cue | None:
    """What the network sees of the request's logos; None = nothing. The model must be in use by the caller.

    Raises `RequestError` where a network is not the one that the request was decided with; `InputError`,
    `MemoryLimitError`, `ModelUnavailableError`.
    """
    if not request.is_cued:
        return None
    parts: dict[str, Any] = {}
    if request.follows_outline:
        control = cue_files.controlnet(request.controlnet, fetch=True)
        assert control is not None
        networks.insist("ControlNet", control.name, control.sha256, request.controlnet_sha256)
        edges = _edges(request, None if start is None else start.picture)
        parts |= networks.outline(model, control, edges, request.controlnet_conditioning_scale)
    if request.follows_looks:
        adapter = cue_files.adapter(request.ip_adapter, fetch=True)
        assert adapter is not None
        networks.insist("IP-Adapter", adapter.name, adapter.sha256, request.ip_adapter_sha256)
        logos = tuple(dict.fromkeys(spec.hash for spec in request.logos))
        read = {spec.hash: asked.read(spec) for spec in request.logos}
        pictures = [cues.alone(read[digest]) for digest in logos]
        parts |= networks.looks(model, adapter, pictures, request.ip_adapter_scale, key=logos)
    return Cue(**parts)


def _edges(request: ResolvedRequest, picture: Image.Image | None) -> Image.Image:
    size = (request.width, request.height)
    placed = []
    for spec in request.logos:
        if spec.placed:
            logo = asked.read(spec)
            if picture is not None:
                corners = asked.corners_on(picture, spec)
            else:
                corners = typical.corners(spec, logo.aspect, size)
            placed.append((logo, corners))
    return cues.edges(placed, size)


def _check_usual(request: GenerationRequest, info: ModelInfo) -> None:
    """Raises `RequestError` where the usual networks are wanted for a model that they were not made for."""
    usual = (request.follows_outline and request.controlnet in ("", cue_files.CONTROLNET)) or (
        request.follows_looks and request.ip_adapter in ("", cue_files.IP_ADAPTER)
    )
    if usual and info.architecture is not None and not info.capabilities.logo_cues:
        raise RequestError(
            f"{info.name} cannot be shown a logo: the networks for that are made for SDXL; use --model sdxl, or leave"
            " out the cue (the logo is put on exactly all the same)"
        )


def _controlnet(
    request: GenerationRequest, info: ModelInfo, *, fetch: bool
) -> cue_files.ControlNetFiles | None:
    """The files, where they are here, of a ControlNet that fits the model as far as configurations say."""
    found = cue_files.controlnet(request.controlnet, fetch=fetch)
    if found is not None and info.folder is not None:
        sizes = architecture.unet_of(info.folder)
        cue_files.check_controlnet(found, sizes, architecture.read(info.folder).latent_factor, info.name)
    return found
