"""The trainer: from recordings of normal pipes to a bundle that a unit can run."""

import os

# TensorFlow logs as errors what is none; what does fail comes as an exception. It reads this when it is imported.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
