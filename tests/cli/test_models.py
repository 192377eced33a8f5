"""`models`: what is here, and getting what is not."""

import json
from pathlib import Path

import pytest

from sdxl_lora import cli


def test_the_table_names_every_model_and_the_one_that_is_used(
    capsys: pytest.CaptureFixture[str], bundled: Path
) -> None:
    assert cli.main(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["NAME", "mini", "sdxl", "sd14"]
    assert str(bundled) in lines[1]
    assert lines[-1].startswith("Without --model, mini is used here.")


def test_json_is_one_object_with_every_model(capsys: pytest.CaptureFixture[str], bundled: Path) -> None:
    assert cli.main(["models", "--json"]) == 0
    out = json.loads(capsys.readouterr().out)
    mini = next(model for model in out["models"] if model["name"] == "mini")
    weights = sum(f.stat().st_size for f in bundled.rglob("*.safetensors") if f.parent.name != "clip")
    assert (mini["present"], mini["architecture"], mini["folder"]) == (True, "sdxl", str(bundled))
    assert mini["bytes"] == weights
    assert {"sdxl", "sd14"} <= {model["name"] for model in out["models"]}


def test_fetching_what_is_here_downloads_nothing(capsys: pytest.CaptureFixture[str], bundled: Path) -> None:
    assert cli.main(["models", "fetch", "mini"]) == 0
    assert str(bundled) in capsys.readouterr().out
    assert cli.main(["models", "--json", "fetch", "mini"]) == 0
    assert json.loads(capsys.readouterr().out)["present"] is True


def test_an_unknown_name_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models", "fetch", "sdxll"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: no model named 'sdxll'; did you mean 'sdxl'?")
    assert captured.err.count("\n") == 1


def test_without_the_hub_one_line_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models", "fetch", "nobody/nothing", "--json"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: nobody/nothing is not on this machine")
    assert captured.err.count("\n") == 1


def test_the_networks_of_the_metrics_are_fetched_by_the_name_the_metrics_give(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from sdxl_lora.evaluation import weights

    def fetch(progress: weights.Progress) -> list[Path]:
        progress("a", 10, 20)
        progress("b", 5, 0)  # the next file; its server does not say how long it is
        return [tmp_path / "a", tmp_path / "b"]

    monkeypatch.setattr(weights, "fetch", fetch)
    assert cli.main(weights.FETCH_COMMAND.split()[3:]) == 0
    assert str(weights.folder()) in capsys.readouterr().out
    assert cli.main(["models", "fetch", "metrics", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["paths"] == [str(tmp_path / "a"), str(tmp_path / "b")]


def test_json_says_what_the_bundled_model_can_do(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SDXL_LORA_MINI", raising=False)
    assert cli.main(["models", "--json"]) == 0
    mini = json.loads(capsys.readouterr().out)["models"][0]["capabilities"]
    assert (mini["letters"], mini["judge"]) == (False, "clip")
    assert "jacket" in mini["products"]
    assert mini["words"] == sorted(mini["words"])


def test_fit_says_what_fits_into_which_card(tiny_sdxl: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models", "fit", str(tiny_sdxl), "--json"]) == 0
    needs = json.loads(capsys.readouterr().out)["needs"]
    by_setting = {need["setting"]: need for need in needs}
    assert len(by_setting) == 10
    assert by_setting["--precision int8"]["bytes"] < by_setting["--precision fp16"]["bytes"]
    small, large = "--base_precision int8 --gradient_checkpointing", "--mixed_precision bf16"
    assert by_setting[small]["bytes"] < by_setting[large]["bytes"]
    assert by_setting[small]["cards"] == [4, 8, 12, 16, 24]
    assert cli.main(["models", "fit", str(tiny_sdxl)]) == 0
    said = capsys.readouterr().out
    assert "12 GB" in said
    assert "--offload sequential" in said


def test_fit_of_what_is_not_here_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models", "fit", "someone/unheard-of"]) == 2
    assert "sizes of someone/unheard-of are not known before it is here" in capsys.readouterr().err
