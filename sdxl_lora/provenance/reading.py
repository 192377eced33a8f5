"""What the signature of a file says, and whether it holds; whoever made the file.

Nothing is fetched: neither manifests that lie elsewhere nor lists of revoked certificates. Own certificates are
known, others only if the operator names them (`SDXL_LORA_TRUST`).
"""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import c2pa

from sdxl_lora import plain_json
from sdxl_lora.errors import ProvenanceError
from sdxl_lora.provenance import certificate
from sdxl_lora.provenance.settings import setting
from sdxl_lora.provenance.signing import OFFLINE

State = Literal["none", "own", "trusted", "unknown signer", "broken"]
_BY_THEMSELVES = (
    "signingCredential.untrusted",
    "timeStamp.untrusted",
)  # a name nobody vouches for breaks nothing


@dataclass(frozen=True, kw_only=True)
class Signature:
    """The credentials (C2PA) of one file."""

    state: State
    signer: str = ""  # as the certificate says
    program: str = ""  # that made the file, as it says
    source_type: str = ""  # IPTC digital source type, the last part of its address
    signed_at: str = ""  # ISO 8601; "" = there is no time stamp
    made_from: tuple[str, ...] = ()  # titles of the originals
    problems: tuple[str, ...] = ()  # what does not hold, in the codes of C2PA


def read(data: bytes, mime: str, home: Path) -> Signature:
    """The signature of a file's bytes. Raises `ProvenanceError` where a list of trusted certificates is no list."""
    own = certificate.own_if_there(home)
    anchors = _trusted() + (own.root.decode() if own else "")
    settings: dict[str, Any] = {
        "verify": OFFLINE,
        **({"trust": {"user_anchors": anchors}} if anchors else {}),
    }
    try:
        with c2pa.Context.from_dict(settings) as context:
            reader = c2pa.Reader.try_create(mime, io.BytesIO(data), context=context)
            if reader is None:
                return Signature(state="none")
            with reader:
                state, store = reader.get_validation_state(), plain_json.parse(reader.json())
    except c2pa.C2paError.NotSupported:
        return Signature(state="none")  # a format that holds no signature
    except c2pa.C2paError as error:
        return Signature(state="broken", problems=(" ".join(str(error).split())[:200],))
    except ValueError:
        return Signature(state="broken", problems=("its JSON cannot be read",))
    return _told(str(state), store, own)


def _trusted() -> str:
    path = setting("trust")
    if path is None:
        return ""
    try:
        return Path(path).read_text(encoding="ascii") + "\n"
    except (OSError, UnicodeDecodeError) as error:
        raise ProvenanceError(
            f"SDXL_LORA_TRUST {path} cannot be read; it must be PEM certificates"
        ) from error


def _told(state: str, store: dict[str, Any], own: certificate.Identity | None) -> Signature:
    manifest = store.get("manifests", {}).get(store.get("active_manifest"), {})
    signed = manifest.get("signature_info", {})
    failures = store.get("validation_results", {}).get("activeManifest", {}).get("failure", [])
    broken = tuple(str(one.get("code")) for one in failures if one.get("code") not in _BY_THEMSELVES)
    found: State = "unknown signer"
    if state == "Invalid" or broken:
        found = "broken"
    elif state == "Trusted":
        is_own = own is not None and signed.get("cert_serial_number") == str(own.serial)
        found = "own" if is_own else "trusted"
    names = dict.fromkeys(filter(None, (signed.get("common_name"), signed.get("issuer"))))
    programs = [one.get("name", "") for one in manifest.get("claim_generator_info", [])]
    return Signature(
        state=found,
        signer=", ".join(map(str, names)),
        program=str(programs[0]) if programs else "",
        source_type=_source_type(manifest),
        signed_at=str(signed.get("time") or ""),
        made_from=tuple(str(one.get("title") or "untitled") for one in manifest.get("ingredients", [])),
        problems=broken,
    )


def _source_type(manifest: dict[str, Any]) -> str:
    """Of the last action that has one."""
    found = ""
    for assertion in manifest.get("assertions", []):
        if str(assertion.get("label", "")).startswith("c2pa.actions"):
            for action in assertion.get("data", {}).get("actions", []):
                found = str(action.get("digitalSourceType") or found)
    return found.rpartition("/")[2]
