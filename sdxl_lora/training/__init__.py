"""Training a LoRA for SDXL or Stable Diffusion 1.x, exactly resumable, loadable everywhere.

In reading order: `config` (every setting), `flags` (command line -> config), `base_model` (what the model's
files say), `dataset_index` (what the data set holds), `batch_sampler` (which pictures make which update), `randomness`
(every draw is a function of seed, step and rank), `text` and `latents` (encoding), `cache` (disk,
memory-mapped), `batches`, `prefetch`, `loss`, `adapter`, `starting` (an existing LoRA as
first weights), `cuda_graph`, `cpu` (kernels that only
CPUs use), `optimizers`, `schedule`, `ema`, `loop` (a generator of events), `stopping`
(signals), `lock`, `checkpoints`, `export`, `validation` (pictures), `held_out` (the
validation loss), `run` (what a person sees).
"""
