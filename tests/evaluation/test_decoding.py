"""Pictures are decoded ahead, once, and never more of them than memory allows."""

from pathlib import Path

import numpy as np
import pytest

from sdxl_lora.errors import ImageError
from sdxl_lora.evaluation import decoding, pictures
from sdxl_lora.evaluation.cache import FeatureCache
from sdxl_lora.evaluation.decoding import Decoder, Need
from sdxl_lora.evaluation.pictures import FileSource, Moved, Source
from tests.evaluation.drawing import noisy, save_all


@pytest.fixture
def sources(tmp_path: Path) -> list[FileSource]:
    folder = save_all(tmp_path / "p", ((f"{i}.png", noisy(i)) for i in range(4)))
    return [FileSource(folder / f"{i}.png") for i in range(4)]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were decoded, in order."""
    names: list[str] = []
    read = pictures.read_picture

    def counted(path: Path) -> pictures.Picture:
        names.append(path.name)
        return read(path)

    monkeypatch.setattr(pictures, "read_picture", counted)
    return names


def test_what_is_expected_is_decoded_once_and_as_the_file_says(
    sources: list[FileSource], opened: list[str]
) -> None:
    with Decoder(FeatureCache(None), ()) as decoder:
        decoder.expect([Need(source, 32) for source in sources] + [Need(source) for source in sources])
        for number, source in enumerate(sources):
            assert np.array_equal(decoder.at(source, 32).resized(32), decoder.at(source, None).resized(32))
            assert np.array_equal(decoder.decode(source).pixels, np.asarray(noisy(number)))
    assert sorted(opened) == ["0.png", "1.png", "2.png", "3.png"]


def test_a_moved_picture_is_made_of_the_one_that_is_decoded(
    sources: list[FileSource], opened: list[str]
) -> None:
    moved = Moved(sources[0])
    with Decoder(FeatureCache(None), ()) as decoder:
        decoder.expect([Need(moved, 32), Need(sources[0], 32)])
        assert np.array_equal(
            decoder.at(moved, 32).pixels, moved.applied_to(decoder.decode(sources[0])).pixels
        )
    assert opened == ["0.png"]


def test_a_reference_known_at_its_size_is_not_opened(sources: list[FileSource], opened: list[str]) -> None:
    cache = FeatureCache(None)
    known = {source.identity for source in sources}
    with Decoder(cache, known) as decoder:
        small = [decoder.at(source, 32).pixels for source in sources]
        cache.put(decoder.take_fresh())
    opened.clear()
    with Decoder(cache, known) as decoder:
        decoder.expect(Need(source, 32) for source in sources)
        again = [decoder.at(source, 32).pixels for source in sources]
    assert opened == []
    assert np.array_equal(small, again)


def test_an_unreadable_picture_is_reported_when_it_is_asked_for(
    tmp_path: Path, sources: list[FileSource]
) -> None:
    (tmp_path / "broken.png").write_bytes(b"broken")
    broken = FileSource(tmp_path / "broken.png")
    with Decoder(FeatureCache(None), ()) as decoder:
        decoder.expect([Need(broken), Need(sources[0])])
        assert decoder.decode(sources[0]).size == (48, 48)
        with pytest.raises(ImageError, match=r"broken\.png"):
            decoder.decode(broken)


def test_little_memory_costs_time_and_changes_nothing(
    sources: list[FileSource], opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "MOST_BYTES", 2 * 48 * 48 * 3)
    with Decoder(FeatureCache(None), ()) as decoder:
        for _ in range(2):
            every: list[Source] = [*sources, *map(Moved, sources)]
            decoder.expect(Need(source) for source in every)
            for number, source in enumerate(sources):
                assert np.array_equal(decoder.decode(source).pixels, np.asarray(noisy(number)))
                assert decoder.decode(Moved(source)).size == (48, 48)
    assert len(opened) > 4
