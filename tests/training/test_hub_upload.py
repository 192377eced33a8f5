"""The upload is refused before training without a login, and uploads the result without the checkpoints."""

from types import SimpleNamespace

import huggingface_hub
import pytest

from sdxl_lora.errors import InputError, StorageError
from sdxl_lora.training import hub_upload, setup


def test_without_a_login_it_is_refused_before_training(configure, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    with pytest.raises(InputError, match="--push_to_hub needs a login"):
        hub_upload.require_login(configure(push_to_hub=True))
    hub_upload.require_login(configure(push_to_hub=True, hub_token="x"))
    hub_upload.require_login(configure())


def test_the_folder_goes_up_under_its_name_without_checkpoints(configure, monkeypatch, tmp_path):
    sent = []

    def create_repo(name, **keywords):
        return SimpleNamespace(repo_id=f"me/{name}")

    monkeypatch.setattr(huggingface_hub, "create_repo", create_repo)
    monkeypatch.setattr(huggingface_hub, "upload_folder", lambda **keywords: sent.append(keywords))
    config = configure(push_to_hub=True, hub_token="x")
    hub_upload.upload(config, setup.prepare(config, print))
    assert sent[0]["repo_id"] == "me/run"
    assert sent[0]["folder_path"] == tmp_path / "run"
    assert "checkpoint-*/**" in sent[0]["ignore_patterns"]


def test_a_failed_upload_says_where_the_lora_is(configure, monkeypatch):
    def fail(name, **keywords):
        raise OSError("no network")

    monkeypatch.setattr(huggingface_hub, "create_repo", fail)
    config = configure(push_to_hub=True, hub_token="x")
    with pytest.raises(StorageError, match=r"the LoRA is in .*run, but not on the hub: no network"):
        hub_upload.upload(config, setup.prepare(config, print))
