"""Florence-2 variants: prompts, location tokens, backbone, adapters, decoding and training."""
