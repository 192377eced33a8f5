"""How the bundled model is made, from nothing: renderer, tokenizer, CLIP, VAE, UNet, judge, one build command."""
