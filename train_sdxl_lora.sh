#!/usr/bin/env bash
# Trains a LoRA. Without anything it teaches the bundled model the emblem of a brand it does not know, on a CPU, in
# minutes. With variables and arguments it is the original command, on one GPU or many:
#
#   MODEL_NAME=stabilityai/stable-diffusion-xl-base-1.0 DATASET_NAME=hahminlew/kream-product-blip-captions \
#   RESOLUTION=1024 OUTPUT_DIR=outputs/kream bash train_sdxl_lora.sh --max_train_steps 2501
#
# A GPU trains in bf16; --mixed_precision no would be fp32. Started again, the same command goes on where it was stopped.
# `--dry_run` says what would be done.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
if [ -x .venv/bin/accelerate ]; then PATH="$PWD/.venv/bin:$PATH"; fi

MODEL_NAME="${MODEL_NAME:-mini}"
SAMPLE=sdxl_lora/assets/sample_data
DATASET_NAME="${DATASET_NAME:-$SAMPLE/brand.jsonl}"
OUTPUT_DIR="${OUTPUT_DIR:-outputs/$(basename "$MODEL_NAME")-lora}"
CHECKPOINT_DIR="${CHECKPOINT_DIR:-latest}"
LOGGING_DIR="${LOGGING_DIR:-logs}"

arguments=(
  --pretrained_model_name_or_path="$MODEL_NAME"
  --dataset_name="$DATASET_NAME"
  --output_dir="$OUTPUT_DIR"
  --logging_dir="$LOGGING_DIR"
  --resume_from_checkpoint="$CHECKPOINT_DIR"
  --center_crop
  --max_grad_norm=1
  --seed="${SEED:-0}"
)
if [ -n "${RESOLUTION:-}" ]; then arguments+=(--resolution="$RESOLUTION"); fi

if [ "$MODEL_NAME" = mini ]; then
  # captions are left out at times, so that guidance keeps working
  arguments+=(
    --train_batch_size=8
    --max_train_steps=400
    --checkpointing_steps=100
    --learning_rate=2e-3
    --lr_scheduler=cosine
    --lr_warmup_steps=20
    --rank=16
    --lora_target=attention+conv
    --caption_dropout=0.1
    --trigger_words="Halden, crest logo"
    --validation_prompt="top, Halden Crest Tee Teal, a photography of a teal t-shirt with a white crest logo on the front, studio background | top, Sunridge Tee Teal, a photography of a teal t-shirt with a white star logo on the front, studio background"
    --validation_steps=200
    --num_validation_images=2
  )
  # masks: the crest is what counts; beside the brand as many pictures of others, on which nothing may change: the crest
  # stays with its own
  if [ "$DATASET_NAME" = "$SAMPLE/brand.jsonl" ]; then
    arguments+=(--mask_dir="$SAMPLE/masks" --class_data_dir="$SAMPLE/support.jsonl" --prior_prediction)
  fi
else
  # the original project's settings for SDXL
  arguments+=(
    --train_batch_size=1
    --gradient_accumulation_steps=4
    --gradient_checkpointing
    --max_train_steps=2501
    --learning_rate=1e-4
    --lr_scheduler=constant
    --lr_warmup_steps=0
  )
fi

# the defaults that `accelerate config` would ask for; set ACCELERATE_CONFIG_FILE for others
launch=()
if [ -n "${ACCELERATE_CONFIG_FILE:-}" ]; then
  launch+=(--config_file "$ACCELERATE_CONFIG_FILE")
elif [ ! -f "${HF_HOME:-$HOME/.cache/huggingface}/accelerate/default_config.yaml" ]; then
  gpus="$( (nvidia-smi -L 2>/dev/null || true) | wc -l)"
  processes="${NUM_PROCESSES:-$((gpus > 1 ? gpus : 1))}"
  launch+=(--num_processes "$processes" --num_machines 1 --mixed_precision no --dynamo_backend no)
  if [ "$gpus" -gt 1 ] && [ "$processes" -gt 1 ]; then launch+=(--multi_gpu); fi
fi
exec accelerate launch ${launch[@]+"${launch[@]}"} train_text_to_image_lora.py "${arguments[@]}" "$@"
