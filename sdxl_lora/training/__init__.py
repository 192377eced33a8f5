"""Training a LoRA for SDXL or Stable Diffusion 1.x, exactly resumable, loadable everywhere.

In reading order: `config` (every setting), `flags` (command line -> config), `base_model` (what the model's
files say), `survey` (what the data set holds), `plan` (which pictures make which update), `randomness`
(every draw is a function of seed, step and rank), `text` and `latents` (encoding), `cache` (disk,
memory-mapped), `batches`, `loss`, `adapter`, `blocks`, `attention`, `packed` and `memory` (what
makes CPUs faster), `optimizers`, `schedule`, `ema`, `loop` (a generator of events), `checkpoints`, `export`,
`validation`, `run` (what a person sees).
"""
