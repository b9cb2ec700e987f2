"""Scores tables of text and audio with any Hugging Face transformers model logged in MLflow, on Spark, into Delta."""
