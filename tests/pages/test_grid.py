"""The page that draws two settings of a picture against each other."""

from collections.abc import Callable

from streamlit.testing.v1 import AppTest

from sdxl_lora.records import Record
from sdxl_lora.ui import shared

Open = Callable[..., AppTest]
Make = Callable[..., list[Record]]
Finish = Callable[[AppTest], AppTest]


def test_a_grid_is_drawn_shown_and_found_again_by_its_address(
    open_app: Open, make: Make, finish: Finish
) -> None:
    [record] = make("a navy jacket")
    at = open_app("pages/gallery.py")
    at.button(key=f"gallery.{record.id}.details").click().run()
    at.query_params["picture"] = record.id
    at.switch_page("pages/grid.py").run()
    at.text_input(key="grid.xs").set_value("2, 3").run()
    at.text_input(key="grid.ys").set_value("1, 2").run()
    assert at.button(key="grid.draw").label == "Draw 4 pictures"
    at.button(key="grid.draw").click().run()
    finish(at)
    drawn = [(one.request.guidance, one.request.seed) for one in shared.store().page(0, 4)]
    assert sorted(drawn) == [(2, 1), (2, 2), (3, 1), (3, 2)]
    assert "grid.draw" not in [button.key for button in at.button]
    assert [text.value for text in at.markdown if "Seed" in text.value] == ["**Seed 1**", "**Seed 2**"]
    assert at.download_button(key="grid.download")
    at.text_input(key="grid.xs").set_value("2, 3, 4").run()
    assert at.button(key="grid.draw").label == "Draw 2 pictures"
    at.text_input(key="grid.xs").set_value("two").run()
    assert "is no number" in at.error[0].value
    assert not at.exception
