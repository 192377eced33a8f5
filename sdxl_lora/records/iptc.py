"""What a picture is, in the terms of the press, and the XMP packet that says so in a file.

https://cv.iptc.org/newscodes/digitalsourcetype/ has the terms. The mark can be removed by anyone who re-saves the
file: it is a label, not a signature.
"""

from enum import StrEnum

from sdxl_lora import __version__

_VOCABULARY = "http://cv.iptc.org/newscodes/digitalsourcetype/"


class SourceType(StrEnum):
    """IPTC digital source types that this program makes."""

    GENERATED = f"{_VOCABULARY}trainedAlgorithmicMedia"  # drawn by a model
    COMPOSITE = (
        f"{_VOCABULARY}compositeWithTrainedAlgorithmicMedia"  # a photo of somebody's, edited by a model
    )
    ENHANCED = (
        f"{_VOCABULARY}algorithmicallyEnhanced"  # a photo, cut out, recoloured or enlarged; nothing was drawn
    )


def xmp(source_type: SourceType) -> str:
    """The packet for a PNG's `XML:com.adobe.xmp`, and for `xmp=` of Pillow's JPEG and WebP."""
    return f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
    xmp:CreatorTool="sdxl_lora {__version__}"
    Iptc4xmpExt:DigitalSourceType="{source_type.value}"/>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>"""
