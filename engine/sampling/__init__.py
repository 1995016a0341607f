"""From noise to latents: schedules, conditioning, guidance and samplers, as functions over tensors."""
