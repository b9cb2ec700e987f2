"""What train_calls.py is made of: an untrained Whisper that is ready to learn, and the lessons it learns from."""
