"""Why a picture is as good as it is said to be, for people who never heard of CLIP: what shows, what was checked, what
was read, what was tried.
"""

import math
from collections.abc import Sequence

import streamlit as st
from PIL import Image, ImageDraw

from sdxl_lora.models import registry
from sdxl_lora.records import Record
from sdxl_lora.scoring import lettering
from sdxl_lora.scoring.card import GARMENT, Finding, Gate, LoggedAttempt, ScoreCard, SearchLog
from sdxl_lora.search import Attempt
from sdxl_lora.ui.shared import composed, escape

_SURE = ((0.75, "clearly"), (0.5, "probably"), (0.0, "perhaps"))  # probability from which it is said so
_MAJORITY = 0.5  # probability of another word from which it is what shows
_GATES = {  # name -> (passed, failed)
    "garment": ("The garment is right", "It shows another garment"),
    "colour": ("The colour is right", "It shows another colour"),
    "white background": ("The background is white", "The background is not white"),
    "brand text": ("The brand's name is spelled right", "The brand's name is misspelled"),
    "sharpness": ("Sharp enough", "Blurred"),
    "blank": ("", "There is nothing to see"),
}
_CLAIMED = (GARMENT, "colour")  # gates that say again what the claim of that name says
_SIGNS = {True: ":green[:material/check_circle:]", False: ":red[:material/cancel:]", None: ":material/help:"}
_BOX = "#e5484d"  # of words that were read
_LOOKS = 640  # px, the longer side at which boxes are drawn

UNKNOWN = "Why?"


def show(record: Record, key: str) -> None:
    """A button that says how much shows, and what is behind it."""
    card = record.card
    findings, checks = _findings(card), _checks(card)
    if not (findings or checks or card.lettering or card.search):
        return
    label, icon = in_short(card)
    with st.popover(
        escape(label), icon=icon, key=f"{key}.why", help="What shows, what was checked, what was tried"
    ):
        if findings:
            st.markdown("**What you asked for**")
            for found in findings:
                _finding(found)
        if checks:
            st.markdown("**Checks**")
            for gate in checks:
                _gate(gate)
        _lettering(record)
        _tried(card.search)
        _numbers(card)


def in_short(card: ScoreCard) -> tuple[str, str]:
    """What became of a picture in a few words, and a sign for it; `UNKNOWN` where nothing is known."""
    findings, checks = _findings(card), _checks(card)
    states = [_state(found) for found in findings]
    label = f"{states.count(True)} of {len(findings)} as asked" if findings else UNKNOWN
    label += f", {states.count(None)} unclear" if None in states else ""
    if states and states.count(None) == len(states):
        label = "Hard to tell what shows"
    failed = [gate for gate in checks if gate.passed is False]
    wrong_garment = any(found.attribute == GARMENT and _state(found) is False for found in findings)
    if failed or wrong_garment:  # never nearly right
        label = gate_in_words(failed[0]) if failed else _GATES[GARMENT][1]
    return label, ":material/error:" if failed or wrong_garment else ":material/fact_check:"


def gate_in_words(gate: Gate) -> str:
    """What is wrong with a picture that failed a check, in a few words."""
    return _GATES.get(gate.name, ("", gate.name))[1]


def attempt_in_words(attempt: Attempt) -> str:
    """What became of an attempt, in a few words."""
    judgement = attempt.judgement
    if attempt.accepted:
        return "Good enough"
    if judgement is None:
        return "No picture"
    if judgement.failed:
        return gate_in_words(judgement.failed[0])
    wrong = [found for found in judgement.findings if _state(found) is False]
    if wrong:
        worst = min(wrong, key=lambda found: found.probability)
        return f"{worst.attribute.capitalize()} looks like {worst.rival}"
    if judgement.weakest is not None:
        return f"{judgement.weakest.attribute.capitalize()} is unclear"
    return "Everything shows" if "no threshold" in attempt.verdict else "Fits the words too little"


def _findings(card: ScoreCard) -> Sequence[Finding]:
    return [found for found in card.findings if math.isfinite(found.probability)]


def _checks(card: ScoreCard) -> Sequence[Gate]:
    """What was checked; that garment and colour are not wrong is told by the claims."""
    return [gate for gate in card.gates if gate.name not in _CLAIMED or gate.passed is False]


def _state(found: Finding) -> bool | None:
    """Whether a claim shows; None where the judge is torn: something else is likelier, but by no majority."""
    if found.right:
        return True
    return False if found.rival_probability >= _MAJORITY else None


def _finding(found: Finding) -> None:
    """One claim: a sign, the word, and how sure the judge is."""
    wanted, name = escape(found.wanted), found.attribute.capitalize()
    state, rival = _state(found), escape(found.rival)
    if state:
        sure = next(words for least, words in _SURE if found.probability >= least)
        text = f"{_SIGNS[state]} {name}: {sure} **{wanted}**"
    elif state is None:
        text = f"{_SIGNS[state]} {name}: hard to tell, **{wanted}** or {rival}"
    else:
        text = f"{_SIGNS[state]} {name}: not {wanted}, more like **{rival}**"
    st.markdown(composed(text))  # no bar: a sure "no" and an unsure "yes" would be of one length


def _gate(gate: Gate) -> None:
    passed, failed = _GATES.get(gate.name, (gate.name, gate.name))
    words = {True: passed, False: failed, None: f"{gate.name.capitalize()}: cannot be told"}[gate.passed]
    detail = "" if gate.name == "colour" else f": {escape(gate.reason)}"
    st.markdown(f"{_SIGNS[gate.passed]} :small[{escape(words)}{detail:s}]")


def _lettering(record: Record) -> None:
    """What is written on the picture, with a box around every word; or why nobody looked."""
    read, brand = record.card.lettering, dict(record.request.slots).get("brand", "")
    if read is None and (not brand or not registry.capabilities_of(record.request.model).letters):
        return  # there is nothing to read, or the model draws no letters
    st.markdown("**Lettering**")
    if read is None:
        installed = lettering.available()
        st.caption("It was not read." if installed else f"It was not read: install `{lettering.INSTALL}`.")
        return
    if not read.words:
        st.caption("No lettering could be read. It may be a mark without letters.")
        return
    framed = with_boxes(str(record.path), [word.box for word in read.words])
    st.image(framed, width="stretch", alt="The picture with a box around every word that was read")
    st.caption("Read: " + ", ".join(f"“{escape(word.text)}”" for word in read.words))


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


def _tried(search: SearchLog | None) -> None:
    if search is None:
        return
    log = search.attempts
    if len(log) > 1 or search.reason or search.by_taste:
        st.markdown("**What was tried**")
    if len(log) > 1:
        for attempt in log:
            here = " **← this picture**" if attempt.number == search.kept else ""
            st.markdown(composed(f":small[{_step(attempt)}]{here}"))
    if search.by_taste:
        st.markdown(":material/favorite: Chosen by the taste that your votes taught")
    if search.reason:
        st.markdown(f":material/person: Kept by hand: {escape(search.reason)}")


def _step(attempt: LoggedAttempt) -> str:
    """One attempt of the log in words."""
    name = f"Sketch {attempt.number}" if attempt.sketch else f"Try {attempt.number}"
    if attempt.finishes:
        return f"{name}: sketch {attempt.finishes}, finished"
    if attempt.change:
        return escape(
            f"{name}: {attempt.change} ({'helped' if attempt.kept else 'not kept for later tries'})"
        )
    return f"{name}: {'another seed' if attempt.number > 1 else 'the first seed'}"


def _numbers(card: ScoreCard) -> None:
    """For those who know them; every number with its judge."""
    numbers = [(card.scorer, card.score), *card.others.values()]
    lines = [f"{escape(judge)} {value:.3f}" for judge, value in numbers if math.isfinite(value)]
    if card.text:
        lines.append(f"judged by: “{escape(card.text)}”")
    if lines:
        st.caption(composed(" · ".join(lines)))
