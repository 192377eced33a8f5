"""The commands as people type them: the original project's, verbatim, and the script without arguments."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
COMMAND = (
    'accelerate launch train_text_to_image_lora.py --pretrained_model_name_or_path="$MODEL_NAME"'
    ' --dataset_name="$DATASET_NAME" --resolution="$RESOLUTION" --center_crop --random_flip --train_batch_size=1'
    ' --gradient_accumulation_steps=4 --gradient_checkpointing --mixed_precision="fp16" --max_train_steps=2501'
    ' --learning_rate=1e-05 --max_grad_norm=1 --lr_scheduler="constant" --lr_warmup_steps=0'
    ' --resume_from_checkpoint="$CHECKPOINT_DIR" --output_dir="$OUTPUT_DIR" --logging_dir="$LOGGING_DIR"'
)
SHORT = " --max_train_steps=2 --max_train_samples=6"


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="is about a machine without a GPU")
def test_the_original_command_starts_afresh_warns_of_fp16_trains_and_goes_on_from_what_it_saved(
    tmp_path: Path, home: Path
) -> None:
    output = tmp_path / "out"
    first = start(output, home, SHORT)
    assert "note: fp16 needs a GPU and there is none; training in fp32" in first
    assert f"note: there is no checkpoint {output}/checkpoint-2; starting a new training run" in first
    names = {path.name for path in output.iterdir()}
    assert {
        "checkpoint-2",
        "logs",
        "pytorch_lora_weights.safetensors",
        "pytorch_lora_weights_kohya.safetensors",
    } <= names
    second = start(output, home, SHORT.replace("=2", "=3"))
    assert "updates 2 to 3" in second
    assert (output / "checkpoint-3").is_dir()


@pytest.mark.slow
def test_the_script_teaches_the_bundled_model_and_ends_with_validation_pictures(
    tmp_path: Path, home: Path
) -> None:
    more = [
        "--max_train_steps=2",
        "--max_train_samples=3",
        "--train_batch_size=3",
        "--num_validation_images=1",
    ]
    variables = {"OUTPUT_DIR": str(tmp_path / "out")}
    said = shell(["bash", "train_sdxl_lora.sh", *more], home, variables)
    assert "regular    96 of them from sdxl_lora/assets/sample_data/support.jsonl" in said
    assert "finished   after" in said
    assert {path.name for path in (tmp_path / "out" / "validation").iterdir()} == {
        "000002-0.png",
        "000002-1.png",
    }
    assert (tmp_path / "out" / "samples.jpg").is_file()


def start(output: Path, home: Path, more: str) -> str:
    variables = {
        "MODEL_NAME": "sdxl_lora/assets/mini",
        "DATASET_NAME": "sdxl_lora/assets/sample_data",
        "RESOLUTION": "256",
        "OUTPUT_DIR": str(output),
        "CHECKPOINT_DIR": f"{output}/checkpoint-2",
        "LOGGING_DIR": "logs",
    }
    return shell(["bash", "-c", COMMAND + more], home, variables)


def shell(words: list[str], home: Path, variables: dict[str, str]) -> str:
    """Runs a command; what it said on stderr."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "SDXL_LORA_HOME": str(home),
        "OMP_NUM_THREADS": "1",
        **variables,
    }
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stderr
