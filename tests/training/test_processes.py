"""Two processes on a CPU (gloo).

Started by torchrun, as `accelerate launch` does on GPUs; on CPUs it would want MPI. The program is the same.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as multiprocessing
from accelerate import Accelerator
from torch.nn import Parameter

from sdxl_lora.training.loop import sum_gradients

ROOT = Path(__file__).parents[2]
WEIGHTS = "pytorch_lora_weights.safetensors"


def _sum_in_one_process(rank: int, port: int, folder: str) -> None:
    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE="2",
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port),
        ACCELERATE_USE_CPU="true",
    )
    accelerator = Accelerator()
    parameters = [Parameter(torch.zeros(2, 3)), Parameter(torch.zeros(4)), Parameter(torch.zeros(1))]
    parameters[0].grad = torch.full((2, 3), 1.0 + rank)
    parameters[1].grad = torch.arange(4.0) * (rank + 1)
    sum_gradients(parameters, accelerator)
    torch.save([parameter.grad for parameter in parameters], Path(folder) / f"{rank}.pt")
    accelerator.wait_for_everyone()
    torch.distributed.destroy_process_group()  # gloo's threads abort a process that ends before them


@pytest.mark.slow
def test_gradients_are_summed_over_processes_and_those_without_stay_without(tmp_path):
    multiprocessing.spawn(_sum_in_one_process, (29_631, str(tmp_path)), nprocs=2)
    for rank in range(2):
        first, second, third = torch.load(tmp_path / f"{rank}.pt")
        assert torch.equal(first, torch.full((2, 3), 3.0))
        assert torch.equal(second, torch.arange(4.0) * 3)
        assert third is None


def launch(model: Path, data: Path, output: Path, steps: int, port: int, **variables: str) -> str:
    """Runs two processes to their end; what they said on stderr."""
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", f"--master_port={port}"),
        ROOT / "train_text_to_image_lora.py",
        f"--pretrained_model_name_or_path={model}",
        f"--train_data_dir={data}",
        f"--output_dir={output}",
        f"--max_train_steps={steps}",
        *("--train_batch_size=2", "--seed=1", "--learning_rate=1e-3", "--resume_from_checkpoint=latest"),
        "--report_to=none",
    ]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "ACCELERATE_USE_CPU": "true",
        **variables,
    }
    done = subprocess.run(
        [str(word) for word in command], env=environment, cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.slow
def test_two_processes_write_once_see_every_picture_once_and_resume_exactly(tiny_sdxl, pictures, tmp_path):
    launch(tiny_sdxl, pictures, tmp_path / "whole" / "run", 4, 29_632)
    launch(tiny_sdxl, pictures, tmp_path / "parts" / "run", 1, 29_633)
    said = launch(tiny_sdxl, pictures, tmp_path / "parts" / "run", 4, 29_634, ACCELERATE_USE_FSDP="true")
    assert said.count("accelerate is set to FSDP") == 1
    files = [(tmp_path / name / "run" / WEIGHTS).read_bytes() for name in ("whole", "parts")]
    assert files[0] == files[1]
    lines = [
        json.loads(line) for line in (tmp_path / "parts" / "run" / "metrics.jsonl").read_text().splitlines()
    ]
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    assert [line["epoch"] for line in lines] == [0, 0, 1, 1]  # seven pictures, four an update
