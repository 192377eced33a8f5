"""Which picture the page Verify looks at: one that was dropped, or one of the studio's."""

from typing import Final

import streamlit as st

from sdxl_lora.errors import ImageError
from sdxl_lora.records import Record
from sdxl_lora.ui import shared

_RECORD: Final = "verify.record"


def begin_with(record: Record) -> None:
    """Opens the page with this picture at the next run."""
    st.session_state[_RECORD] = record.id


def picture() -> tuple[bytes, str] | None:
    """File and name of the picture; None before there is one. Raises `ImageError` where its file is gone."""
    file = st.file_uploader(
        "Picture to verify", ["png", "jpg", "jpeg", "webp"], key="verify.file", max_upload_size=64
    )
    if file is not None:
        return file.getvalue(), file.name
    identifier = st.session_state.get(_RECORD)
    record = None if identifier is None else shared.find(identifier)
    if record is None:
        return None
    try:
        return record.path.read_bytes(), record.path.name
    except OSError as error:
        raise ImageError("the file of this picture is gone; choose another") from error
