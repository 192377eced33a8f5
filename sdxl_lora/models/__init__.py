"""Which model, loaded how: registry, pipeline builder, LoRA, schedulers, precision and device."""
