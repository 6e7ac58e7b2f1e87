"""What a developer types: ``python -m stack run``, ``exec``, ``policy`` and ``clean``."""
