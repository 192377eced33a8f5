"""Puts a finished LoRA on the Hugging Face hub, if asked for. Needs the network and a login; nothing else
does.
"""

import huggingface_hub
from huggingface_hub.errors import HfHubHTTPError

from sdxl_lora.errors import InputError, StorageError
from sdxl_lora.training import lock
from sdxl_lora.training.checkpoints import UNFINISHED
from sdxl_lora.training.config import TrainingConfig
from sdxl_lora.training.setup import Setup


def require_login(config: TrainingConfig) -> None:
    """Raises `InputError` before training when the upload at its end could not work."""
    if config.push_to_hub and not (config.hub_token or huggingface_hub.get_token()):
        raise InputError("--push_to_hub needs a login: run `hf auth login`, or give --hub_token")


def upload(config: TrainingConfig, setup: Setup) -> None:
    """Uploads the output folder without checkpoints. Raises `StorageError`; what was trained stays here."""
    if not (config.push_to_hub and setup.accelerator.is_main_process):
        return
    name = config.hub_model_id or setup.output_dir.resolve().name
    try:
        repository = huggingface_hub.create_repo(name, exist_ok=True, token=config.hub_token).repo_id
        huggingface_hub.upload_folder(
            repo_id=repository,
            folder_path=setup.output_dir,
            commit_message="LoRA",
            ignore_patterns=["checkpoint-*/**", f"{UNFINISHED}*", "logs/**", lock.NAME],
            token=config.hub_token,
        )
    except (HfHubHTTPError, OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise StorageError(f"the LoRA is in {setup.output_dir}, but not on the hub: {reason}") from None
