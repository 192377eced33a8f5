"""Files that nobody of ours put into the data folder take nothing down."""

import shutil
from pathlib import Path

from sdxl_lora.feedback.histories import Histories
from sdxl_lora.feedback.history import History
from sdxl_lora.records import Store
from sdxl_lora.records.comparisons import ComparisonStore
from sdxl_lora.records.evaluations import EvaluationStore
from sdxl_lora.records.votes import Votes

OLD_FOLDER = Path(__file__).with_name("folders") / "schema-4"
NESTED = "[" * 100_000
NUMBER = "1" * 5_000


def test_stray_and_damaged_files_beside_ours_take_nothing_down(home: Path) -> None:
    shutil.copytree(OLD_FOLDER, home)
    (home / "pictures" / "2026-11-27" / "20261127-045110-187314-975191.txt").write_text("notes")
    (home / "pictures" / "notes.png").write_bytes(b"")
    (home / "pictures" / "2026-11-28").write_text("a file where a day should be")
    (home / "pictures" / "x" / "20261127-045110-187314-00000z.png").mkdir(parents=True)
    (home / "pictures" / "x" / "y.part").mkdir()
    (home / "comparisons" / "0123456789abcdef").write_text("a file where a folder should be")
    for number, text in enumerate(("", "{", "[]", "5", NESTED, NUMBER, '{"id": "x"}')):
        (home / "evaluations" / f"aa{number}.json").write_text(text)
        folder = home / "comparisons" / f"{number:016x}"
        folder.mkdir()
        (folder / "definition.json").write_text(text)
        (folder / "votes.jsonl").write_text(text)
        (folder / "0-0.png").mkdir()
        (home / "histories" / f"abc{number}.json").write_text(text)
    (home / "evaluations" / "bb.json").write_text('{"id": "bb", "label": 5, "metrics": [1]}')
    with Store(home) as store, Votes(store.database) as votes:
        assert (store.count(), votes.brands()) == (4, {"": 1, "Nørdic": 1})
        assert [found.label for found in EvaluationStore(store.database).all()] == ["first try"]
        assert [title for _, title, _ in ComparisonStore(store.database).all()] == ["Ours · Theirs"]
    assert all(Histories(home).read(f"abc{number}") == History() for number in range(7))
