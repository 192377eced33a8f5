"""Where PNG, JPEG, WebP and AVIF files keep what a picture says about itself: written to, and read from, all four.

PNG has texts of its own. The others have two places: `parameters` goes into the EXIF user comment, as AUTOMATIC1111
writes it, and everything else into the XMP packet, next to the IPTC digital source type that is there already.
Pure bytes; what the texts mean is known to `metadata`.
"""

import html
import io
import re
from collections.abc import Mapping
from typing import Any, Final

from PIL import ExifTags, Image, PngImagePlugin

FACTS: Final = "sdxl_lora"  # JSON: how the picture was made
PARAMETERS: Final = "parameters"  # the lines of AUTOMATIC1111
XMP: Final = "XML:com.adobe.xmp"
FORMATS: Final = ("PNG", "JPEG", "WEBP", "AVIF")
MOST_XMP = 65_000  # bytes: a JPEG holds no more in one segment

_UNICODE, _ASCII = b"UNICODE\x00", b"ASCII\x00\x00\x00"
_NAMESPACE = 'xmlns:sdxl_lora="https://ns.sdxl-lora/1.0/"'
_FACTS = re.compile(r"<sdxl_lora:facts>(.*?)</sdxl_lora:facts>", re.DOTALL)
_DESCRIPTION = re.compile(r"\s*<rdf:Description[^>]*xmlns:sdxl_lora=[^>]*>.*?</rdf:Description>", re.DOTALL)
_EMPTY = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n<x:xmpmeta xmlns:x="adobe:ns:meta/">\n'
    ' <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\n </rdf:RDF>\n</x:xmpmeta>\n'
    '<?xpacket end="w"?>'
)


def encode(image: Image.Image, texts: Mapping[str, str], *, format: str, quality: int = 92) -> bytes:
    """The picture as a file of `format` (one of `FORMATS`) that carries `texts`.

    Args:
        image: RGB, RGBA or L; JPEG gets what is transparent on white.
        texts: by name; of names other than the three here only PNG keeps any.
        quality: 1 to 100, of all but PNG.
    """
    buffer = io.BytesIO()
    if format == "PNG":
        info = PngImagePlugin.PngInfo()
        for name, text in texts.items():
            info.add_itxt(name, text) if name != PARAMETERS else info.add_text(name, text)
        image.copy().save(buffer, format="PNG", pnginfo=info)
        return buffer.getvalue()
    picture = image
    if format == "JPEG" and image.mode == "RGBA":
        picture = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    more: dict[str, Any] = {"quality": quality}
    if format == "JPEG":
        more |= {
            "subsampling": 0 if quality >= 90 else 2
        }  # no "optimize": it fails on noise (Pillow's buffer)
    elif format == "WEBP":
        more |= {"method": 4}
    if packet := _packet(texts):
        more["xmp"] = packet
    if parameters := texts.get(PARAMETERS):
        exif = Image.Exif()
        exif[ExifTags.Base.Software] = "sdxl_lora"  # AVIF keeps none that has the comment alone
        comment = _UNICODE + parameters.encode("utf-16-be", "replace")
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = comment
        more["exif"] = exif
    picture.save(buffer, format=format, **more)
    return buffer.getvalue()


def texts_of(image: Image.Image) -> dict[str, str]:
    """What an opened file says, by name. What makes no sense is left out."""
    texts = {str(key): value for key, value in image.info.items() if isinstance(value, str)}
    packet = image.info.get("xmp")
    if isinstance(packet, bytes):
        texts[XMP] = packet.decode("utf-8", "replace")
    if XMP in texts and FACTS not in texts and (found := _FACTS.search(texts[XMP])):
        texts[FACTS] = html.unescape(found[1])
    if PARAMETERS not in texts and (comment := _comment(image)):
        texts[PARAMETERS] = comment
    return texts


def fits(texts: Mapping[str, str]) -> bool:
    """Whether a file other than a PNG has room for all of the facts."""
    return FACTS not in texts or FACTS.encode() + b":facts>" in _packet(texts)


def _packet(texts: Mapping[str, str]) -> bytes:
    """The XMP packet with the facts in it, as far as they have room."""
    packet, facts = texts.get(XMP, ""), texts.get(FACTS)
    if facts is None:
        return packet.encode()
    base = _DESCRIPTION.sub("", packet) if "</rdf:RDF>" in packet else _EMPTY
    own = (
        f'<rdf:Description rdf:about="" {_NAMESPACE}>\n'
        f"   <sdxl_lora:facts>{html.escape(facts, quote=False)}</sdxl_lora:facts>\n  </rdf:Description>\n "
    )
    whole = base.replace("</rdf:RDF>", f" {own}</rdf:RDF>", 1).encode()
    return whole if len(whole) <= MOST_XMP else base.encode()


def _comment(image: Image.Image) -> str:
    """The EXIF user comment of a JPEG, WebP or AVIF file."""
    if image.format not in FORMATS or image.format == "PNG":
        return ""
    value = image.getexif().get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.UserComment)
    if not isinstance(value, bytes):
        return value if isinstance(value, str) else ""
    if value.startswith(_UNICODE):
        return value[len(_UNICODE) :].decode("utf-16-be", "replace")
    return value[len(_ASCII) :].decode("ascii", "replace") if value.startswith(_ASCII) else ""
