"""One evaluation, end to end on small pictures: what is a number, what is not and why, and that it repeats."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from sdxl_lora.errors import DataError, ImageError, RequestError, UnknownNameError
from sdxl_lora.evaluation import distribution, measure, pictures
from sdxl_lora.evaluation.cache import FeatureCache
from sdxl_lora.evaluation.engine import Settings, evaluate
from sdxl_lora.evaluation.metrics import METRICS
from sdxl_lora.evaluation.pairing import Pairing, pair_folders
from tests.evaluation.drawing import garment, noisy, noisy_folders, save_all

FAST = Settings(metrics=("psnr", "ssim", "kid_mini", "clip_mini"), resize=64)
RESULT_KEYS = {"mean", "std", "n", "ci95", "top5_mean", "per_image", "higher_is_better", "settings"}
SEED_PAIRS = Path(__file__).parents[3] / "shared" / "data" / "seed_pairs_sdxl"


def with_captions(folder: Path, count: int, **facts: str) -> Path:
    rows = [{"file_name": f"img_{i:02}.png", "text": f"jacket number {i}", **facts} for i in range(count)]
    path = folder / "captions.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


def test_every_metric_is_a_full_result_or_a_reason(tmp_path: Path) -> None:
    pairing = pair_folders(*noisy_folders(tmp_path, 7), with_captions(tmp_path, 7))
    report = evaluate(pairing).to_dict()
    assert list(report["metrics"]) == list(METRICS)
    for key, result in report["metrics"].items():
        if "unavailable" in result:
            assert set(result) == {"unavailable"}, key
            assert len(result["unavailable"].splitlines()) == 1
        else:
            assert set(result) == RESULT_KEYS, key
            assert {"name", "formula", "source", "backend", "resize", "n_generated", "weights_sha256"} <= set(
                result["settings"]
            ), key
    json.dumps(report, allow_nan=False)


def test_psnr_and_ssim_are_the_mean_of_scikit_images_over_the_resized_pairs(tmp_path: Path) -> None:
    generated, reference = noisy_folders(tmp_path, 3)
    report = evaluate(pair_folders(generated, reference), FAST).to_dict()

    def resized(path: Path) -> Any:
        return np.asarray(Image.open(path).resize((64, 64), Image.Resampling.BICUBIC))

    pairs = [(resized(p), resized(reference / p.name)) for p in sorted(generated.iterdir())]
    psnr = [peak_signal_noise_ratio(real, made, data_range=255) for made, real in pairs]
    ssim = [structural_similarity(real, made, data_range=255, channel_axis=2) for made, real in pairs]
    assert report["metrics"]["psnr"]["per_image"] == pytest.approx(psnr, rel=1e-12)
    assert report["metrics"]["ssim"]["mean"] == pytest.approx(np.mean(ssim), rel=1e-12)


def test_canonical_metrics_without_weights_name_the_command_and_have_no_number(tmp_path: Path) -> None:
    report = evaluate(pair_folders(*noisy_folders(tmp_path, 2), with_captions(tmp_path, 2))).to_dict()
    for key in ("fid", "kid", "lpips", "cmmd", "clip", "blip_itm", "blip_itc", "precision"):
        assert report["metrics"][key] == {"unavailable": report["metrics"][key]["unavailable"]}
        assert "models fetch metrics" in report["metrics"][key]["unavailable"]


def test_the_same_formulas_on_the_bundled_clip_have_names_of_their_own(tmp_path: Path) -> None:
    report = evaluate(pair_folders(*noisy_folders(tmp_path, 7), with_captions(tmp_path, 7))).to_dict()
    for key in ("kid_mini", "cmmd_mini", "precision_mini", "coverage_mini", "clip_mini", "vendi_mini"):
        settings = report["metrics"][key]["settings"]
        assert "mini-CLIP" in settings["name"]
        assert len(settings["weights_sha256"]) == 64


def test_a_frechet_distance_of_few_pictures_is_refused_and_kid_stands_beside_it(tmp_path: Path) -> None:
    report = evaluate(pair_folders(*noisy_folders(tmp_path, 6))).to_dict()
    assert "6 pictures are too few" in report["metrics"]["frechet_mini"]["unavailable"]
    assert "KID" in report["metrics"]["frechet_mini"]["unavailable"]
    kid = report["metrics"]["kid_mini"]
    assert "n = 6" in kid["settings"]["warning"]
    assert kid["ci95"][0] < kid["mean"] < kid["ci95"][1]
    assert kid["per_image"] is kid["top5_mean"] is None


def test_a_frechet_distance_of_some_pictures_carries_a_warning(tmp_path: Path) -> None:
    settings = Settings(metrics=("frechet_mini",), baselines=False)
    report = evaluate(pair_folders(*noisy_folders(tmp_path, 50)), settings).to_dict()
    assert report["metrics"]["frechet_mini"]["mean"] > 0
    assert "n too small" in report["metrics"]["frechet_mini"]["settings"]["warning"]


def test_fewer_pictures_than_neighbours_is_a_reason(tmp_path: Path) -> None:
    report = evaluate(pair_folders(*noisy_folders(tmp_path, 5))).to_dict()
    assert "it needs 6" in report["metrics"]["recall_mini"]["unavailable"]


def test_without_references_or_captions_only_what_needs_none_is_computed(tmp_path: Path) -> None:
    generated, _ = noisy_folders(tmp_path, 3)
    metrics = evaluate(pair_folders(generated)).to_dict()["metrics"]
    assert {key for key, result in metrics.items() if "mean" in result} == {"diversity_mini", "vendi_mini"}
    assert "--reference" in metrics["psnr"]["unavailable"]
    assert "--captions" in metrics["clip_mini"]["unavailable"]


def test_baselines_are_scored_on_every_axis_they_exist_on(tmp_path: Path) -> None:
    report = evaluate(pair_folders(*noisy_folders(tmp_path, 6), with_captions(tmp_path, 6))).to_dict()
    baselines = {name: set(entry["metrics"]) for name, entry in report["baselines"].items()}
    everywhere = {"psnr", "ssim", "clip_mini", "similarity_mini"}
    for name in ("blank_card", "another_product", "moved"):
        assert everywhere <= baselines[name], name
    assert "kid_mini" in baselines["moved"]
    assert "kid_mini" not in baselines["another_product"]  # the references against themselves


def test_equal_pictures_have_no_finite_psnr_and_are_listed(tmp_path: Path) -> None:
    generated, reference = noisy_folders(tmp_path, 3)
    (generated / "img_01.png").write_bytes((reference / "img_01.png").read_bytes())
    psnr = evaluate(pair_folders(generated, reference), FAST).to_dict()["metrics"]["psnr"]
    assert psnr["per_image"][1] is None
    assert psnr["n"] == 2
    assert psnr["settings"]["skipped"] == {"img_01": "equal to the reference: infinite"}


def test_the_colour_of_garments_is_compared_where_there_is_a_mask(tmp_path: Path) -> None:
    made = save_all(
        tmp_path / "g",
        [
            ("a.png", garment("navy")),
            ("b.png", garment("red")),
            ("c.png", garment("white", backdrop="white")),
        ],
    )
    real = save_all(
        tmp_path / "r", [("a.png", garment("navy")), ("b.png", garment("lime")), ("c.png", garment("red"))]
    )
    colour = evaluate(pair_folders(made, real), Settings(metrics=("colour",))).to_dict()["metrics"]["colour"]
    assert colour["per_image"][0] == pytest.approx(0, abs=0.01)
    assert colour["per_image"][1] > 50
    assert colour["per_image"][2] is None
    assert colour["settings"]["skipped"] == {"c": "generated: nothing stands out from the backdrop"}


def test_the_top_five_are_chosen_once_for_all_metrics(tmp_path: Path) -> None:
    pairing = pair_folders(*noisy_folders(tmp_path, 8), with_captions(tmp_path, 8))
    settings = Settings(metrics=("psnr", "ssim"), top_by="psnr", resize=64)
    metrics = evaluate(pairing, settings).to_dict()["metrics"]
    best = np.argsort(metrics["psnr"]["per_image"])[-5:]
    for key in ("psnr", "ssim"):
        values = np.array(metrics[key]["per_image"])
        assert metrics[key]["top5_mean"] == pytest.approx(values[best].mean())
        assert "best by psnr" in metrics[key]["settings"]["top5"]
    assert metrics["psnr"]["top5_mean"] > metrics["psnr"]["mean"]


def test_the_same_files_give_the_same_report_with_and_without_a_cache(tmp_path: Path) -> None:
    pairing = pair_folders(*noisy_folders(tmp_path, 6), with_captions(tmp_path, 6))
    cache = FeatureCache(tmp_path / "cache.sqlite")
    first, second, third = (evaluate(pairing, cache=c).to_dict() for c in (cache, cache, None))
    assert first == second == third


def test_features_cached_by_another_evaluation_change_no_digit(tmp_path: Path) -> None:
    generated, reference = noisy_folders(tmp_path, 7)
    pairs = pair_folders(generated, reference).pairs
    cache = FeatureCache(None)
    evaluate(Pairing(pairs[2:5]), FAST, cache=cache)
    assert evaluate(Pairing(pairs), FAST, cache=cache).to_dict() == evaluate(Pairing(pairs), FAST).to_dict()


def test_the_result_does_not_depend_on_how_many_pairs_are_measured_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairing = pair_folders(*noisy_folders(tmp_path, 7), with_captions(tmp_path, 7))
    whole = evaluate(pairing, FAST).to_dict()
    monkeypatch.setattr(measure, "CHUNK", 3)
    assert evaluate(pairing, FAST).to_dict() == whole


def test_each_picture_is_decoded_once_and_never_again_with_a_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[str] = []
    read = pictures.read_picture

    def counted(path: Path) -> pictures.Picture:
        decoded.append(f"{path.parent.name}/{path.name}")
        return read(path)

    monkeypatch.setattr(pictures, "read_picture", counted)
    pairing = pair_folders(*noisy_folders(tmp_path, 6), with_captions(tmp_path, 6))
    cache = FeatureCache(None)
    evaluate(pairing, cache=cache)
    assert sorted(decoded) == sorted(
        f"{which}/img_{i:02}.png" for which in ("generated", "reference") for i in range(6)
    )
    decoded.clear()
    evaluate(pairing, cache=cache)
    assert decoded == []


def test_treatments_and_sizes_are_in_the_report(tmp_path: Path) -> None:
    made = save_all(tmp_path / "g", [("a.png", garment().convert("RGBA"))])
    real = save_all(tmp_path / "r", [("a.png", garment(side=32).convert("L"))])
    [pair] = evaluate(pair_folders(made, real), FAST).to_dict()["pairs"]
    assert pair["generated"]["notes"] == ["alpha: laid on white"]
    assert pair["reference"]["notes"] == ["grey: repeated over three channels"]
    assert (pair["generated"]["size"], pair["reference"]["size"]) == ([64, 64], [32, 32])
    assert len(pair["generated"]["sha256"]) == 64


def test_an_unreadable_picture_stops_the_evaluation_by_name(tmp_path: Path) -> None:
    generated, reference = noisy_folders(tmp_path, 2)
    (generated / "img_01.png").write_bytes(b"broken")
    with pytest.raises(ImageError, match=r"img_01\.png"):
        evaluate(pair_folders(generated, reference), FAST)


def test_progress_counts_pairs(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    evaluate(pair_folders(*noisy_folders(tmp_path, 10)), FAST, progress=lambda *values: calls.append(values))
    assert calls == [(8, 10), (10, 10)]


def test_no_pairs_cannot_be_evaluated() -> None:
    with pytest.raises(DataError, match="no pictures"):
        evaluate(Pairing(()))


def test_unknown_metrics_and_sizes_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'psnr'"):
        Settings(metrics=("psnrr",))
    with pytest.raises(RequestError, match="not between 32 and 4096"):
        Settings(resize=4)


def test_brand_text_is_asked_for_only_where_brands_are_given(tmp_path: Path) -> None:
    generated, _ = noisy_folders(tmp_path, 1)
    settings = Settings(metrics=("ocr",))
    without = evaluate(pair_folders(generated, captions=with_captions(tmp_path, 1)), settings)
    assert "column 'brand'" in without.metrics["ocr"]["unavailable"]


@pytest.mark.skipif(
    not SEED_PAIRS.is_dir(), reason="the original project's five pairs are not on this machine"
)
def test_the_original_five_pairs_give_the_numbers_its_notebook_recorded() -> None:
    pairing = pair_folders(
        SEED_PAIRS / "generated", SEED_PAIRS / "ground_truth", SEED_PAIRS / "metadata.jsonl"
    )
    report = evaluate(pairing, Settings(metrics=("psnr", "ssim"))).to_dict()
    assert report["metrics"]["psnr"]["mean"] == pytest.approx(9.8838, abs=5e-5)
    assert report["metrics"]["ssim"]["mean"] == pytest.approx(0.5960, abs=5e-5)
    assert report["baselines"]["blank_card"]["metrics"]["ssim"] > report["metrics"]["ssim"]["mean"]


def test_new_pictures_against_known_references_leave_the_references_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generated, reference = noisy_folders(tmp_path / "one", 4)
    cache = FeatureCache(None)
    evaluate(pair_folders(generated, reference), cache=cache)
    other = save_all(tmp_path / "two", ((f"img_{i:02}.png", noisy(500 + i)) for i in range(4)))
    fresh = evaluate(pair_folders(other, reference)).to_dict()
    decoded: list[str] = []
    read = pictures.read_picture

    def counted(path: Path) -> pictures.Picture:
        decoded.append(path.parent.name)
        return read(path)

    monkeypatch.setattr(pictures, "read_picture", counted)
    assert evaluate(pair_folders(other, reference), cache=cache).to_dict() == fresh
    assert decoded == ["two"] * 4


def test_the_manifold_of_a_set_is_made_once_for_its_four_metrics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    manifold = distribution.manifold

    def counted(*sets: Any) -> distribution.Manifold:
        calls.append(len(sets))
        return manifold(*sets)

    monkeypatch.setattr(distribution, "manifold", counted)
    metrics = ("precision_mini", "recall_mini", "density_mini", "coverage_mini")
    evaluate(pair_folders(*noisy_folders(tmp_path, 7)), Settings(metrics=metrics, baselines=False))
    assert len(calls) == 1


def test_baselines_are_not_computed_again_for_new_pictures_and_the_same_references(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generated, reference = noisy_folders(tmp_path / "one", 7)
    captions = with_captions(tmp_path, 7)
    cache = FeatureCache(None)
    evaluate(pair_folders(generated, reference, captions), cache=cache)
    other = save_all(tmp_path / "two", ((f"img_{i:02}.png", noisy(500 + i)) for i in range(7)))
    fresh = evaluate(pair_folders(other, reference, captions)).to_dict()
    calls: list[int] = []
    vendi = distribution.vendi_score

    def counted(features: Any) -> float:
        calls.append(len(features))
        return vendi(features)

    monkeypatch.setattr(distribution, "vendi_score", counted)
    assert evaluate(pair_folders(other, reference, captions), cache=cache).to_dict() == fresh
    assert calls == [7]  # of the new pictures alone
