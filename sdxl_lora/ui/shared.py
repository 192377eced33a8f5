"""The studio all sessions share, and what one session remembers.

Session state holds small plain values only; pictures live in the records. The session's id stands in the
address (`?session=...`), so a reload, a bookmark or another tab finds its jobs again.
"""

import atexit
import contextlib
import re
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import streamlit as st

from sdxl_lora import config
from sdxl_lora.errors import NotFoundError, StorageError, StudioError
from sdxl_lora.feedback.histories import Histories
from sdxl_lora.feedback.reviews import Reviews
from sdxl_lora.jobs.front_door import FrontDoor, open_front_door
from sdxl_lora.jobs.queue import JobQueue
from sdxl_lora.records import Database, Record, Store

CREATE = "pages/create.py"
GALLERY = "pages/gallery.py"
GRID = "pages/grid.py"
EDIT = "pages/edit.py"
VERIFY = "pages/verify.py"
TEMPLATES = "pages/templates.py"

_VIEW = "view"
_SIMPLE, _EXPERT = "Simple", "Expert"
_DRAWN = "drawn"  # the first run of a session was seen
_A_MOMENT = 0.3  # seconds
_IN_APP = "in_app"  # set by `entered`: app.py runs around the page
_WANTED = "wanted"
_SYNTAX = re.compile(r"[\\`*_{}\[\]()<>#+\-!|~$]|:(?=\w)")
_VOTER = "studio_voter"  # in cookies and in the session's state
_TOKEN = re.compile(r"[0-9a-f]{32}", re.ASCII)
_SESSION = re.compile(r"[0-9a-f]{12}")
MARK = str(Path(__file__).with_name("mark.svg"))  # the studio's sign: a hanger
_STYLE = Path(__file__).with_name("style.css")
_SCRIPT = Path(__file__).with_name("script.js")


@st.cache_resource(show_spinner=False, max_entries=1, on_release=FrontDoor.close)
def _shared(home: Path) -> FrontDoor:
    door = open_front_door(home, explain=True, serves=True)
    atexit.register(door.queue.close)  # Ctrl+C must not leave the worker inside a native call
    return door


def front_door() -> FrontDoor:
    """Everything of this process that pages and the HTTP API share. Raises as `database`."""
    return _shared(config.home())


def database() -> Database:
    """The one database of this process. Raises `StorageError` if the data folder cannot be used."""
    return _shared(config.home()).database


def store() -> Store:
    """All pictures of this process's data folder. Raises as `database`."""
    return _shared(config.home()).store


def find(identifier: str) -> Record | None:
    """The record of a picture, or None where it was deleted, here or by another tab or process."""
    try:
        return store().get(identifier)
    except NotFoundError:
        return None


def queue() -> JobQueue:
    """The one queue of this process. Raises as `database`."""
    return _shared(config.home()).queue


def reviews() -> Reviews:
    """The votes of this process's data folder. Raises as `database`."""
    return _shared(config.home()).reviews


def histories() -> Histories:
    """What was asked for in every session of this process's data folder."""
    return Histories(config.home())


@contextlib.contextmanager
def told() -> Iterator[None]:
    """What goes wrong inside is said in one line where it happened, and the rest of the page goes on."""
    try:
        yield
    except StudioError as error:
        st.error(escape(str(error)), icon=":material/error:")


@contextlib.contextmanager
def toasted() -> Iterator[None]:
    """As `told`, in a callback: nothing that it draws stays, so a message over the page says what went wrong."""
    try:
        yield
    except StudioError as error:
        st.toast(escape(str(error)), icon=":material/error:")


def escape(text: str) -> str:
    """`text` as plain words in Markdown; a colon only means something before a letter."""
    return _SYNTAX.sub(r"\\\g<0>", text)


def composed(markdown: str) -> str:
    """Marks Markdown that was put together of our own words and escaped parts; every other text is escaped."""
    return markdown


def entered() -> str | None:
    """Called by app.py once its navigation is there; the page to go on to, if one was opened without it."""
    st.session_state[_IN_APP] = True
    wanted: str | None = st.session_state.pop(_WANTED, None)
    return wanted


def _enter() -> None:
    """The first page that is opened after the start is run by Streamlit without app.py, if it is not the main one:
    goes to app.py, which comes back."""
    if not st.session_state.get(_IN_APP):
        name = (st.context.url or "").rstrip("/").rpartition("/")[2]
        page = f"pages/{name}.py"
        if (Path(__file__).parents[2] / page).is_file():
            st.session_state[_WANTED] = page
            st.switch_page("app.py")


def session_id() -> str:
    """Who this browser tab is; from the address if it says so, else new, and always put there.

    Every page asks this first: it ends here, with one line, while the database is gone, without which nothing works.
    """
    given = st.query_params.get("session", "")
    if "session" not in st.session_state:
        st.session_state["session"] = given if _SESSION.fullmatch(given) else secrets.token_hex(6)
    session = str(st.session_state["session"])
    if given != session:  # changing pages empties the query
        st.query_params["session"] = session
    _enter()
    _stop_without_records()
    return session


def _stop_without_records() -> None:
    """Ends the page if the database was moved or deleted while the studio ran; what cannot be opened is said later."""
    try:
        opened = database()
    except StorageError:
        return  # by what needs it
    try:
        opened.check_file()
    except StorageError as error:
        st.title("The studio's records are gone", anchor=False)
        st.error(escape(str(error)), icon=":material/error:")
        st.stop()


def voter_id() -> str:
    """Who votes: the same browser after it was closed, too, by a cookie that this sets; without cookies the session.

    It holds a random number and nothing else, and goes nowhere but here.
    """
    known = str(st.context.cookies.get(_VOTER, ""))
    if _TOKEN.fullmatch(known):
        return known
    state = st.session_state
    if _VOTER not in state:
        state[_VOTER] = secrets.token_hex(16)
    voter = str(state[_VOTER])
    # set once: another tab of this browser may have been faster, and counts from its next start on
    script = f"""<script>
        if (!/(?:^|; ){_VOTER}=/.test(document.cookie))
            document.cookie = "{_VOTER}={voter}; path=/; max-age={400 * 86_400}; SameSite=Strict";
    </script>"""
    st.html(script, unsafe_allow_javascript=True)
    return voter


def choose_view() -> None:
    """The switch between plain words and all there is; draws it."""
    st.session_state.setdefault(_VIEW, _SIMPLE)
    st.segmented_control(
        "View",
        (_SIMPLE, _EXPERT),
        key=_VIEW,
        required=True,
        label_visibility="collapsed",
        persist_state="session",
        help="Expert shows steps, guidance, sampler, seeds and token counts.",
    )


def expert() -> bool:
    """Whether the terms of the trade are wanted."""
    return st.session_state.get(_VIEW) == _EXPERT


def let_browser_draw() -> None:
    """Waits a moment in the first run of a session, so that what was sent is seen before the rest comes.

    Each kind of widget is code that the browser fetches when the first one comes, and React puts on the page what
    waited for code only once no new elements come: without a pause nothing is seen before the last folded setting is
    there. The whole page is not there later for it, for the browser is at work meanwhile (docs/log.md).
    """
    if _DRAWN not in st.session_state:
        st.session_state[_DRAWN] = True
        if st.context.headers.get("User-Agent"):  # else nobody looks, as in tests
            time.sleep(_A_MOMENT)


def adopt(session: str) -> None:
    """Makes this tab the given session, to go on with its jobs."""
    st.session_state["session"] = session
    st.query_params["session"] = session


def tell_notices() -> None:
    """Says once per session what was repaired in the data folder when the studio started."""
    if "notices_told" not in st.session_state:
        st.session_state["notices_told"] = True
        for notice in store().notices:
            st.toast(escape(notice), icon=":material/build:", duration="long")


def warn_if_read_only() -> None:
    """Says on every page why nothing new can be kept, while that is so."""
    if reason := database().read_only:
        st.warning(
            escape(f"{reason[:1].upper()}{reason[1:]}. Pictures can be looked at, downloaded and deleted."),
            icon=":material/lock:",
        )


def style() -> None:
    """The house style on top of `.streamlit/config.toml`, and what only a script can do; once per run."""
    st.html(_STYLE)
    st.html(f"<script>{_SCRIPT.read_text(encoding='utf-8')}</script>", unsafe_allow_javascript=True)
