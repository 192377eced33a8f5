"""The files load in diffusers in both layouts and give the same picture; the layouts convert both ways."""

import hashlib
import json
from datetime import date

import pytest
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from sdxl_lora import cli
from sdxl_lora.errors import LoraError
from sdxl_lora.models import layouts, tensor_file
from sdxl_lora.models.layouts import from_stability, to_diffusers, to_kohya, to_stability
from sdxl_lora.models.lora_conversion import convert
from sdxl_lora.training.export import DIFFUSERS_NAME, KOHYA_NAME, tag_frequency
from tests.training.conftest import run

VARIANTS = [
    {},
    {"lora_target": "attention+conv"},
    {"network_alpha": 2.0},
    {"train_text_encoder": True},
    {"lora_target": "attention+conv", "network_alpha": 1.0, "train_text_encoder": True},
]


def draw(pipeline) -> torch.Tensor:
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(0)
    return pipeline("a top", num_inference_steps=2, generator=generator, output_type="latent").images


def pipeline_of(model, architecture):
    if architecture == "sdxl":
        return StableDiffusionXLPipeline.from_pretrained(model, add_watermarker=False)
    return StableDiffusionPipeline.from_pretrained(model, safety_checker=None)


@pytest.mark.parametrize("architecture", ["sdxl", "sd"])
@pytest.mark.parametrize("changes", VARIANTS)
def test_both_layouts_load_in_diffusers_and_draw_the_same(
    configure, tiny_sdxl, tiny_sd, tmp_path, architecture, changes
):
    model = tiny_sdxl if architecture == "sdxl" else tiny_sd
    run(configure(pretrained_model_name_or_path=str(model), learning_rate=0.1, max_train_steps=2, **changes))
    plain = draw(pipeline_of(model, architecture))
    drawn = []
    for name in (DIFFUSERS_NAME, KOHYA_NAME):
        pipeline = pipeline_of(model, architecture)
        pipeline.load_lora_weights(tmp_path / "run", weight_name=name)
        loaded = sum("lora_A" in key for key, _ in pipeline.unet.named_parameters())
        assert loaded == sum(
            key.startswith("unet.") and "lora_A" in key
            for key in load_file(tmp_path / "run" / DIFFUSERS_NAME)
        )
        drawn.append(draw(pipeline))
    assert torch.allclose(drawn[0], drawn[1], atol=1e-5)
    assert not torch.allclose(drawn[0], plain, atol=1e-3)


@pytest.mark.parametrize("changes", [*VARIANTS, {"use_dora": True}])
def test_the_layouts_convert_both_ways_without_loss(configure, tmp_path, changes):
    run(configure(max_train_steps=1, **changes))
    ours, theirs = load_file(tmp_path / "run" / DIFFUSERS_NAME), load_file(tmp_path / "run" / KOHYA_NAME)
    back, alphas = to_diffusers(theirs, layers_per_block=1)
    assert {key.removesuffix(".weight") for key in back} == {key.removesuffix(".weight") for key in ours}
    for key, value in ours.items():
        found = back[key] if key in back else back[key.removesuffix(".weight")]
        assert torch.equal(found, value), key
    again = to_kohya(back, alphas, "sdxl", layers_per_block=1)
    assert again.keys() == theirs.keys()
    assert all(torch.equal(again[key], theirs[key]) for key in theirs)


# from Stability's sgm UNet as sd-scripts names its modules, for SDXL (two layers per block)
SDXL_NAMES = {
    "down_blocks.1.attentions.0.proj_in": "input_blocks.4.1.proj_in",
    "down_blocks.2.attentions.1.transformer_blocks.9.attn2.to_v": "input_blocks.8.1.transformer_blocks.9.attn2.to_v",
    "mid_block.attentions.0.transformer_blocks.0.attn1.to_q": "middle_block.1.transformer_blocks.0.attn1.to_q",
    "mid_block.resnets.1.conv2": "middle_block.2.out_layers.3",
    "up_blocks.0.attentions.2.transformer_blocks.0.attn1.to_k": "output_blocks.2.1.transformer_blocks.0.attn1.to_k",
    "up_blocks.1.attentions.0.proj_out": "output_blocks.3.1.proj_out",
    "up_blocks.2.resnets.0.conv_shortcut": "output_blocks.6.0.skip_connection",
    "down_blocks.0.downsamplers.0.conv": "input_blocks.3.0.op",
    "down_blocks.0.resnets.0.time_emb_proj": "input_blocks.1.0.emb_layers.1",
    "up_blocks.0.upsamplers.0.conv": "output_blocks.2.2.conv",
    "conv_in": "input_blocks.0.0",
}


@pytest.mark.parametrize(("ours", "theirs"), SDXL_NAMES.items())
def test_sdxl_modules_have_the_names_of_stabilitys_code(ours, theirs):
    assert to_stability(ours, 2, frozenset({"up_blocks.0", "up_blocks.1"})) == theirs
    assert from_stability(theirs, 2) == ours


def test_sd_modules_keep_their_names_with_underscores():
    state = {
        "unet.down_blocks.0.attentions.1.transformer_blocks.0.attn1.to_out.0.lora_A.weight": torch.ones(
            4, 320
        )
    }
    (name, alpha) = sorted(to_kohya(state, {}, "sd"), reverse=True)
    assert name == "lora_unet_down_blocks_0_attentions_1_transformer_blocks_0_attn1_to_out_0.lora_down.weight"
    assert alpha.endswith(".alpha")


def test_files_that_are_no_plain_lora_are_refused_by_name():
    with pytest.raises(LoraError, match="LoHa"):
        to_diffusers({"lora_unet_mid_block_attentions_0_proj_in.hada_w1_a": torch.ones(1)})
    with pytest.raises(LoraError, match="belongs to no part"):
        to_kohya({"transformer.x.lora_A.weight": torch.ones(1, 1)}, {}, "sd")


def test_the_architecture_is_seen_in_the_weights(configure, tmp_path):
    run(configure(max_train_steps=1))
    assert layouts.is_kohya(load_file(tmp_path / "run" / KOHYA_NAME))
    assert not layouts.is_kohya(load_file(tmp_path / "run" / DIFFUSERS_NAME))
    key = "unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_k.lora_A.weight"
    assert layouts.architecture_of({key: torch.ones(4, 768)}) == "sd"
    assert layouts.architecture_of({key: torch.ones(4, 2048)}) == "sdxl"


def test_the_header_names_title_base_resolution_data_trigger_and_hash(configure, tmp_path, pictures):
    run(configure(max_train_steps=1, trigger_words="Halden", network_alpha=2.0))
    for name in (DIFFUSERS_NAME, KOHYA_NAME):
        with safe_open(tmp_path / "run" / name, framework="pt") as file:
            header = file.metadata()
        assert header["modelspec.title"] == "run"
        assert header["modelspec.architecture"] == "stable-diffusion-xl-v1-base/lora"
        assert header["modelspec.resolution"] == "64x64"
        assert header["modelspec.trigger_phrase"] == "Halden"
        assert header["ss_dataset_name"] == pictures.name
        assert (header["ss_network_dim"], header["ss_network_alpha"]) == ("4", "2.0")
        data = (tmp_path / "run" / name).read_bytes()
        behind = data[8 + int.from_bytes(data[:8], "little") :]
        assert header["modelspec.hash_sha256"] == f"0x{hashlib.sha256(behind).hexdigest()}"
        assert header["ss_output_name"] == "run"
        assert date.fromisoformat(header["modelspec.date"])
        (tags,) = json.loads(header["ss_tag_frequency"]).values()
        assert tags["top"] == 7
        assert tags["Halden 3"] == 1
        assert str(tmp_path) not in json.dumps(header)


def test_tags_are_counted_once_a_picture() -> None:
    captions = [["a cap, red", "red, a cap"], ["red"], [" , red,"]]
    assert tag_frequency(captions) == {"red": 3, "a cap": 1}


def test_equal_runs_give_equal_files(configure, tmp_path):
    files = []
    for home in ("a", "b"):
        run(configure(max_train_steps=1, output_dir=str(tmp_path / home / "run")))
        files.append([(tmp_path / home / "run" / name).read_bytes() for name in (DIFFUSERS_NAME, KOHYA_NAME)])
    assert files[0] == files[1]


def test_the_card_says_how_to_use_it_and_under_which_licence(configure, tmp_path, monkeypatch):
    run(configure(max_train_steps=1, hub_token="secret"))
    card = (tmp_path / "run" / "README.md").read_text()
    assert "StableDiffusionXLPipeline" in card
    assert "states no licence" in card
    settings = json.loads((tmp_path / "run" / "config.json").read_text())
    assert settings["learning_rate"] == 1e-3
    assert "secret" not in "".join(file.read_text() for file in (tmp_path / "run").glob("*.[jm][sd]*"))
    assert "torch" in json.loads((tmp_path / "run" / "versions.json").read_text())


@pytest.mark.parametrize("changes", [{}, {"network_alpha": 2.0}])
def test_files_convert_both_ways_and_draw_the_same(configure, tiny_sdxl, tmp_path, changes):
    run(configure(learning_rate=0.1, max_train_steps=2, **changes))
    (theirs, layout) = convert(tmp_path / "run" / DIFFUSERS_NAME, layers_per_block=1)
    assert layout == "kohya"
    original = load_file(tmp_path / "run" / KOHYA_NAME)
    assert all(torch.equal(value, original[key]) for key, value in load_file(theirs).items())
    (ours, layout) = convert(tmp_path / "run" / KOHYA_NAME, tmp_path / "ours.safetensors", layers_per_block=1)
    assert layout == "diffusers"
    drawn = []
    for file in (tmp_path / "run" / DIFFUSERS_NAME, theirs, ours):
        pipeline = pipeline_of(tiny_sdxl, "sdxl")
        pipeline.load_lora_weights(file.parent, weight_name=file.name)
        drawn.append(draw(pipeline))
    assert torch.allclose(drawn[0], drawn[1], atol=1e-5)
    assert torch.allclose(drawn[0], drawn[2], atol=1e-5)


def test_the_verb_converts(configure, tmp_path, capsys):
    run(configure(max_train_steps=1))
    file = tmp_path / "run" / KOHYA_NAME
    assert cli.main(["models", "convert-lora", str(file), "--layers-per-block", "1", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["layout"] == "diffusers"
    assert load_file(result["path"]).keys() == load_file(tmp_path / "run" / DIFFUSERS_NAME).keys()


def test_a_file_that_is_no_lora_is_one_line(tmp_path, capsys):
    (tmp_path / "x.safetensors").write_bytes(b"no")
    assert cli.main(["models", "convert-lora", str(tmp_path / "x.safetensors")]) == 2
    assert "cannot be read as safetensors" in capsys.readouterr().err


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_written_files_are_read_by_safetensors(tmp_path, dtype):
    tensors = {"b": torch.randn(2, 3).to(dtype), "a": torch.tensor(2.0, dtype=dtype)}
    tensor_file.write(tmp_path / "x.safetensors", tensors, {"title": "Grün"})
    found = load_file(tmp_path / "x.safetensors")
    assert all(torch.equal(found[name], value) for name, value in tensors.items())
    with safe_open(tmp_path / "x.safetensors", framework="pt") as file:
        assert file.metadata() == {"title": "Grün"}


def _file(path, layers, dtype=torch.float32, header=None, **extra):
    """A LoRA on the attention of a UNet with so many layers a block, in the kohya layout of SDXL."""
    state = {}
    for side, count in (("down", layers), ("up", layers + 1)):
        for index in range(count):
            name = f"unet.{side}_blocks.1.attentions.{index}.transformer_blocks.0.attn1.to_q"
            state |= {f"{name}.lora_A.weight": torch.ones(2, 8), f"{name}.lora_B.weight": torch.ones(8, 2)}
    kohya = {key: value.to(dtype) for key, value in to_kohya(state, {}, "sdxl", layers).items()}
    save_file(kohya | extra, path, metadata=header)
    return set(state)


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_the_layers_per_block_are_taken_from_the_file(tmp_path, layers):
    expected = _file(tmp_path / "x.safetensors", layers)
    (converted, _) = convert(tmp_path / "x.safetensors")
    assert load_file(converted).keys() == expected
    (back, _) = convert(converted, tmp_path / "back.safetensors", architecture="sdxl")
    assert load_file(back).keys() == load_file(tmp_path / "x.safetensors").keys()
    with pytest.raises(LoraError, match=f"is for a UNet of {layers} layers per block, not 4"):
        convert(tmp_path / "x.safetensors", layers_per_block=4)


def test_where_nothing_tells_the_layers_they_are_asked_for(tmp_path):
    name = "lora_unet_middle_block_0_in_layers_2"
    save_file(
        {
            f"{name}.lora_down.weight": torch.ones(2, 8, 3, 3),
            f"{name}.lora_up.weight": torch.ones(8, 2, 1, 1),
        },
        tmp_path / "x.safetensors",
    )
    with pytest.raises(LoraError, match="name --layers-per-block"):
        convert(tmp_path / "x.safetensors")
    assert convert(tmp_path / "x.safetensors", layers_per_block=2)[1] == "diffusers"


def test_a_lora_of_single_layers_is_not_taken_for_that_of_a_smaller_unet(tmp_path):
    name = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
    state = {f"{name}.lora_A.weight": torch.ones(2, 8), f"{name}.lora_B.weight": torch.ones(8, 2)}
    save_file(state, tmp_path / "x.safetensors")
    with pytest.raises(LoraError, match="name --layers-per-block"):
        convert(tmp_path / "x.safetensors", architecture="sdxl")
    converted, _ = convert(tmp_path / "x.safetensors", architecture="sdxl", layers_per_block=2)
    assert f"{FIRST}.lora_down.weight" in load_file(converted)


FIRST = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"dtype": torch.float8_e4m3fn}, "is in float8_e4m3fn, which cannot be converted exactly"),
        ({"header": {"ss_network_args": '{"rs_lora": "True"}'}}, "rank-stabilised"),
        ({f"{FIRST}.dora_scale": torch.ones(1, 8)}, "a length per input"),
        ({"lora_unet_mid_block_x.lora_down.weight": torch.ones(2, 8)}, "is not whole: .* lacks up"),
    ],
    ids=["fp8", "rslora", "per input", "half"],
)
def test_what_the_other_layout_cannot_say_is_refused(tmp_path, changes, reason):
    _file(tmp_path / "x.safetensors", 2, **changes)
    with pytest.raises(LoraError, match=reason):
        convert(tmp_path / "x.safetensors")
    assert not (tmp_path / "x_diffusers.safetensors").exists()
