"""What the models that hear are trained with: a Whisper that is ready to learn, its lessons, and what wav2vec2 models have in common."""
