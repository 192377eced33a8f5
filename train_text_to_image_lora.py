"""Trains a LoRA for SDXL or Stable Diffusion 1.x; everything is in `sdxl_lora/training`.

    accelerate launch train_text_to_image_lora.py --pretrained_model_name_or_path mini --train_data_dir DIR ...

`--help` lists the flags, `--dry_run` says what would be done.
"""

from sdxl_lora.training.run import main
from sdxl_lora.training.setup import Setup


def clip_scorer(setup: Setup):  # type: ignore[no-untyped-def]
    """Scores validation pictures with the bundled mini CLIP, where the bundled model is what is trained on."""
    from sdxl_lora.scoring.clip import ClipScorer

    folder = setup.base.folder / "clip"
    return ClipScorer(folder).score if (folder / "config.json").is_file() else None


if __name__ == "__main__":
    raise SystemExit(main(scorer_for=clip_scorer))
