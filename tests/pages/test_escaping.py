"""What a file, an error or a person says is shown as it is: never as Markdown, which could fetch an address."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "app.py", *(ROOT / "pages").glob("*.py"), *(ROOT / "sdxl_lora" / "ui").rglob("*.py")]
MARKDOWN = {  # of streamlit: what reads its first argument as Markdown
    "badge", "button", "caption", "download_button", "error", "expander", "header", "image", "info", "link_button",
    "markdown", "page_link", "popover", "spinner", "status", "subheader", "success", "text_input", "title", "toast",
    "warning", "write",
}  # fmt: skip
SAFE = {
    "escape",
    "composed",
    "gate_in_words",
    "attempt_in_words",
    "in_words",
    "number_of",
}  # give words of our own, or escaped ones
NUMBERS = {"len", "int", "round", "number", "sum", "min", "max", "count"}


def texts(call: ast.Call) -> Iterator[ast.expr]:
    """The arguments of a call that are shown as Markdown."""
    if not (isinstance(call.func, ast.Attribute) and call.func.attr == "image"):  # only its caption is
        yield from call.args[:1]
    yield from (word.value for word in call.keywords if word.arg in ("label", "body", "help", "caption"))


def unsafe(node: ast.expr) -> Iterator[ast.expr]:
    """The parts of an expression that may hold somebody else's text unescaped."""
    match node:
        case ast.Constant():
            return
        case ast.JoinedStr():
            for value in node.values:
                if isinstance(value, ast.FormattedValue) and value.format_spec is None:
                    yield from unsafe(value.value)
        case ast.BinOp(left=left, right=right):
            yield from unsafe(left)
            yield from unsafe(right)
        case ast.IfExp(body=body, orelse=orelse):
            yield from unsafe(body)
            yield from unsafe(orelse)
        case ast.BoolOp(values=values):
            for value in values:
                yield from unsafe(value)
        case ast.Call(func=ast.Name(id=name)) if name in SAFE | NUMBERS:
            return
        case ast.Call(func=ast.Attribute(attr=name)) if name in SAFE | NUMBERS:
            return
        case ast.Call(
            func=ast.Attribute(value=ast.Constant(), attr="join"), args=[ast.GeneratorExp(elt=item)]
        ):
            yield from unsafe(item)
        case ast.Subscript(value=ast.Name(id=name)) if name.isupper():
            return  # a table of our own
        case ast.Attribute(attr=attr) if attr.isupper():
            return
        case ast.Name(id=name) if name.isupper():
            return
        case _:
            yield node


def findings_of(code: str, path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MARKDOWN:
            for text in texts(node):
                for part in unsafe(text):
                    yield f"{path.relative_to(ROOT)}:{node.lineno} {node.func.attr}({ast.unparse(part)[:70]})"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_text_that_is_shown_is_our_own_or_escaped(path: Path) -> None:
    assert list(findings_of(path.read_text(encoding="utf-8"), path)) == []


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ('st.error(str(error))', 1),
        ('st.error(escape(str(error)))', 0),
        ('st.markdown(f"**{name}** of {count:d}")', 1),
        ('st.caption(shared.composed(" · ".join(lines)), help=text)', 1),
        ('st.image(picture, caption=prompt)', 1),
    ],
)  # fmt: skip
def test_the_walk_finds_what_is_not_escaped(code: str, found: int) -> None:
    path = ROOT / "sdxl_lora" / "ui" / "never_written.py"
    assert len(list(findings_of(code, path))) == found
