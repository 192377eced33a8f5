"""Why a picture is as good as it is said to be, for people who never heard of CLIP: what shows, what was checked, what
was read, what was tried.
"""

import contextlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st
from PIL import Image, ImageDraw

from sdxl_lora.models import registry
from sdxl_lora.records import Record
from sdxl_lora.scoring import lettering
from sdxl_lora.search import Attempt
from sdxl_lora.ui.shared import escape

Found = Mapping[str, Any]

_SURE = ((0.75, "clearly"), (0.5, "probably"), (0.0, "perhaps"))  # probability from which it is said so
_MAJORITY = 0.5  # probability of another word from which it is what shows
_GATES = {  # name -> (passed, failed)
    "colour": ("The colour is right", "It shows another colour"),
    "white background": ("The background is white", "The background is not white"),
    "brand text": ("The brand's name is spelled right", "The brand's name is misspelled"),
    "sharpness": ("Sharp enough", "Blurred"),
    "blank": ("", "There is nothing to see"),
}
_SIGNS = {True: ":green[:material/check_circle:]", False: ":red[:material/cancel:]", None: ":material/help:"}
_BOX = "#e5484d"  # of words that were read
_LOOKS = 640  # px, the longer side at which boxes are drawn


def show(record: Record, key: str) -> None:
    """A button that says how much shows, and what is behind it."""
    findings, checks = _findings(record), _checks(record)
    read, tried = record.scores.get("lettering"), record.scores.get("attempts", {})
    if not (findings or checks or read or tried):
        return
    states = [_state(found) for found in findings]
    failed = [gate["name"] for gate in checks if gate["passed"] is False]
    label = f"{states.count(True)} of {len(findings)} as asked" if findings else "Why?"
    label += f", {states.count(None)} unclear" if None in states else ""
    if states and states.count(None) == len(states):
        label = "Hard to tell what shows"
    if failed:
        label = _GATES.get(failed[0], ("", failed[0]))[1]
    icon = ":material/error:" if failed else ":material/fact_check:"
    with st.popover(label, icon=icon, key=f"{key}.why", help="What shows, what was checked, what was tried"):
        if findings:
            st.markdown("**What you asked for**")
            for found in findings:
                _finding(found)
        if checks:
            st.markdown("**Checks**")
            for gate in checks:
                _gate(gate)
        _lettering(record, read)
        _tried(tried)
        _numbers(record)


def attempt_in_words(attempt: Attempt) -> str:
    """What became of an attempt, in a few words."""
    judgement = attempt.judgement
    if attempt.accepted:
        return "Good enough"
    if judgement is None:
        return "No picture"
    if judgement.failed:
        return _GATES.get(judgement.failed[0].name, ("", judgement.failed[0].name))[1]
    wrong = [found for found in judgement.findings if _state(vars(found)) is False]
    if wrong:
        worst = min(wrong, key=lambda found: found.probability)
        return f"{worst.attribute.capitalize()} looks like {worst.rival}"
    if judgement.weakest is not None:
        return f"{judgement.weakest.attribute.capitalize()} is unclear"
    return "Everything shows" if "no threshold" in attempt.verdict else "Fits the words too little"


def _findings(record: Record) -> Sequence[Found]:
    found = record.scores.get("attributes", {}).get("findings", ())
    return [one for one in found if one["probability"] is not None]


def _checks(record: Record) -> Sequence[Found]:
    """What was checked; that the colour is not wrong is told by the claims. In old records with the attempts."""
    where = record.scores.get("checks") or record.scores.get("attempts", {})
    return [gate for gate in where.get("gates", ()) if gate["name"] != "colour" or gate["passed"] is False]


def _state(found: Found) -> bool | None:
    """Whether a claim shows; None where the judge is torn: something else is likelier, but by no majority."""
    rival = float(found["rival_probability"] or 0.0)
    if found["probability"] > rival:
        return True
    return False if rival >= _MAJORITY else None


def _finding(found: Found) -> None:
    """One claim: a sign, the word, and how sure the judge is."""
    wanted, probability = escape(str(found["wanted"])), float(found["probability"])
    name = str(found["attribute"]).capitalize()
    state, rival = _state(found), escape(str(found["rival"]))
    if state:
        sure = next(words for least, words in _SURE if probability >= least)
        text = f"{_SIGNS[state]} {name}: {sure} **{wanted}**"
    elif state is None:
        text = f"{_SIGNS[state]} {name}: hard to tell, **{wanted}** or {rival}"
    else:
        text = f"{_SIGNS[state]} {name}: not {wanted}, more like **{rival}**"
    st.progress(min(max(probability, 0.0), 1.0) if math.isfinite(probability) else 0.0, text=text)


def _gate(gate: Found) -> None:
    passed, failed = _GATES.get(gate["name"], (gate["name"], gate["name"]))
    words = {True: passed, False: failed, None: f"{str(gate['name']).capitalize()}: cannot be told"}[
        gate["passed"]
    ]
    detail = "" if gate["name"] == "colour" else f": {escape(str(gate['reason']))}"
    st.markdown(f"{_SIGNS[gate['passed']]} :small[{words}{detail}]")


def _lettering(record: Record, read: Found | None) -> None:
    """What is written on the picture, with a box around every word; or why nobody looked."""
    brand = dict(record.request.slots).get("brand", "")
    if read is None and (not brand or not registry.capabilities_of(record.request.model).letters):
        return  # there is nothing to read, or the model draws no letters
    st.markdown("**Lettering**")
    if read is None:
        installed = lettering.available()
        st.caption("It was not read." if installed else f"It was not read: install `{lettering.INSTALL}`.")
        return
    words = read.get("words", ())
    if not words:
        st.caption("No lettering could be read. It may be a mark without letters.")
        return
    with contextlib.suppress(OSError):  # its file is gone
        framed = with_boxes(str(record.path), [word["box"] for word in words])
        st.image(framed, width="stretch", alt="The picture with a box around every word that was read")
    st.caption("Read: " + ", ".join(f"“{escape(str(word['text']))}”" for word in words))


@st.cache_data(show_spinner=False, max_entries=32)  # closed popovers are drawn at every run, too
def with_boxes(path: str, boxes: Sequence[Sequence[Sequence[float]]]) -> Image.Image:
    """The picture with a frame around every box (corners in px), at most `_LOOKS` px."""
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    scale = min(1.0, _LOOKS / max(image.size))
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
    draw = ImageDraw.Draw(image)
    for box in boxes:
        corners = [(x * scale, y * scale) for x, y in box]
        draw.line([*corners, corners[0]], fill=_BOX, width=max(2, image.width // 200), joint="curve")
    return image


def _tried(tried: Found) -> None:
    log = tried.get("log", ())
    if len(log) > 1 or tried.get("reason") or tried.get("by_taste"):
        st.markdown("**What was tried**")
    if len(log) > 1:
        for entry in log:
            here = " **← this picture**" if entry["number"] == tried.get("kept") else ""
            st.markdown(f":small[{_step(entry)}]{here}")
    if tried.get("by_taste"):
        st.markdown(":material/favorite: Chosen by the taste that your votes taught")
    if tried.get("reason"):
        st.markdown(f":material/person: Kept by hand: {escape(str(tried['reason']))}")


def _step(entry: Found) -> str:
    """One attempt of the log in words; old logs have no sketches."""
    name = f"Sketch {entry['number']}" if entry.get("sketch") else f"Try {entry['number']}"
    if entry.get("finishes"):
        return f"{name}: sketch {entry['finishes']}, finished"
    if entry["change"]:
        return escape(
            f"{name}: {entry['change']} ({'helped' if entry['kept'] else 'not kept for later tries'})"
        )
    return f"{name}: {'another seed' if entry['number'] > 1 else 'the first seed'}"


def _numbers(record: Record) -> None:
    """For those who know them."""
    lines = []
    for key, score in record.scores.items():
        value = score.get("value")
        if key not in ("attributes", "checks", "lettering", "attempts") and isinstance(value, int | float):
            lines.append(f"{escape(str(score.get('name', key)))} {value:.3f}")
    if text := record.scores.get("clip", {}).get("text"):
        lines.append(f"judged by: “{escape(str(text))}”")
    if lines:
        st.caption(" · ".join(lines))
